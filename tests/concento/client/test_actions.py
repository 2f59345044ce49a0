"""Messages written as JSON: whatever a node shows can be read back, and what is wrong is named by its field."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, get_args

import pytest

from concento.accounts import address, parse_address
from concento.cids import cid
from concento.client.actions import action_of
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.messages import Action
from concento.messages.disputes import AnswerDispute
from concento.messages.licences import CreateOffer
from concento.messages.tokens import Transfer
from state.queries_tx import action_json
from support.nonsense import Nonsense

BOB = bytes(range(32))


def account(text: str) -> bytes:
    return BOB if text == "bob" else parse_address(text, dev=True)


@pytest.mark.parametrize("kind", get_args(Action), ids=lambda kind: kind.__name__)
def test_what_a_node_shows_of_a_message_is_read_back_as_the_same_message(kind: Any) -> None:
    for action in drawn(kind):
        assert action_of(action_json(action, dev=True), account) == action


def drawn(kind: Any, count: int = 10) -> list[Any]:
    """Messages of a kind that a node would decode."""
    found, seed = [], 0
    while len(found) < count:
        action = Nonsense(seed, [BOB]).message(kind)
        seed += 1
        with suppress(Rejected):
            decode(Action, encode(action))
            found.append(action)
    return found


def transfer(**changes: Any) -> dict[str, Any]:
    return {"kind": "tokens.transfer", "to": address(BOB, True), "amount_ubeat": "5", **changes}


def admit(**changes: Any) -> dict[str, Any]:
    good = {"kind": "identity.admit", "account": "bob", "name": "b", "party_kind": "group", "roles": ["creator"]}
    return {**good, **changes}


@pytest.mark.parametrize("to", [address(BOB, True), BOB.hex(), "bob", cid(BOB)])
def test_an_account_is_an_address_or_what_its_resolver_knows_or_hex(to: str) -> None:
    assert action_of(transfer(to=to), account) == Transfer(BOB, 5)


def test_fields_that_may_be_absent_may_be_left_out() -> None:
    document = action_json(drawn(CreateOffer, 1)[0], dev=True)
    document["expires_ms"] = document["supply"] = document["upstream"] = None
    lean = {name: value for name, value in document.items() if value is not None}
    assert action_of(lean, account) == action_of(document, account)


@pytest.mark.parametrize(
    ("document", "field", "reason"),
    [
        ([], "action", "an object"),
        ({"kind": "tokens.transfr"}, "kind", "did you mean tokens.transfer"),
        ({"kind": None}, "kind", "there is no None"),
        (transfer(memo="x"), "memo", "it has to, amount_ubeat"),
        ({"kind": "tokens.transfer", "to": "bob"}, "amount_ubeat", "missing"),
        (transfer(amount_ubeat=1.5), "amount_ubeat", "whole number"),
        (transfer(amount_ubeat=True), "amount_ubeat", "whole number"),
        (transfer(amount_ubeat="-1"), "amount_ubeat", "whole number"),
        (transfer(amount_ubeat=-1), "amount_ubeat", ">= 0"),
        (transfer(amount_ubeat=2**64), "amount_ubeat", "up to"),
        (transfer(to=7), "to", "a text"),
        (transfer(to="00"), "to", "32"),
        (admit(party_kind="dog"), "party_kind", "person"),
        (admit(roles=1), "roles", "list"),
        (admit(name=5), "name", "text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_field(document: Any, field: str, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        action_of(document, account)
    assert caught.value.kind == "tx.field_invalid"
    assert caught.value.numbers["field"] == field
    assert reason in str(caught.value.numbers["reason"])


def test_an_address_with_a_typo_is_refused_as_one() -> None:
    with pytest.raises(Rejected) as caught:
        action_of(transfer(to=address(BOB, True)[:-1] + "q"), account)
    assert caught.value.kind.startswith("address.")


def test_bytes_longer_than_their_field_are_refused() -> None:
    document = action_json(drawn(AnswerDispute, 1)[0], dev=True)
    name = next(name for name, value in document.items() if isinstance(value, str) and len(value) == 64)
    with pytest.raises(Rejected):
        action_of({**document, name: "00" * 40}, account)
