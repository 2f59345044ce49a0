"""Events as bytes, JSON and sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from concento.accounts import address
from concento.cids import cid
from concento.errors import Broken
from concento.messages.identity import Admit
from state.calls import Event
from state.events import NO_EVENTS, decode_events, encode_events, event_json, event_text
from support.ledger import Ledger, account_of

ALICE, CAROL = account_of("alice"), account_of("carol")
NAMES: Mapping[bytes, str] = {ALICE: "alice", CAROL: "carol", account_of("issuer"): "issuer"}
PAID = Event("tokens.transferred", {"from": ALICE, "to": CAROL, "amount_ubeat": 5_000_000})


def test_a_payment_is_one_english_sentence() -> None:
    assert event_text(PAID, True, NAMES.get) == "alice paid carol 5.000000 BEAT"


def test_an_account_without_a_name_shows_the_start_of_its_address() -> None:
    text = event_text(PAID, True, lambda _: None)
    assert text.startswith(f"{address(ALICE, True)[:14]} paid ")


def test_lists_read_as_lists() -> None:
    (event,) = Ledger().run("issuer", Admit(account_of("zoe"), "zoe", "person", ("creator", "developer")))
    assert event_text(event, True, NAMES.get) == "issuer admitted zoe as creator, developer"


def test_times_and_rates_read_as_people_write_them() -> None:
    suspended = Event(
        "validators.suspended", {"validator": "node2", "height": 195, "until_ms": 1_795_336_626_719, "key": bytes(32)}
    )
    assert event_text(suspended, True, NAMES.get).endswith("earns no fees until 2026-11-22 08:37 UTC")
    linked = Event("lineage.linked", {"asset": b"\1" * 32, "parents": (b"\2" * 32,), "rel_bps": (2_000,)})
    assert event_text(linked, True, NAMES.get).endswith("owes them 20 %")


def test_an_event_without_a_sentence_names_its_fields() -> None:
    event = Event("later.module", {"account": ALICE, "id": bytes(32), "amount_ubeat": 1, "height": 7, "note": None})
    assert event_text(event, True, NAMES.get) == (
        "later.module account alice id 000000000000 amount_ubeat 0.000001 BEAT height 7 note None"
    )


def test_json_has_addresses_strings_of_ubeat_and_hex() -> None:
    event = Event(
        "x", {"to": ALICE, "amount_ubeat": 5, "height": 7, "id": b"\1" * 32, "content": b"\2" * 32, "no": b""}
    )
    assert event_json(event, True) == {
        "kind": "x",
        "to": address(ALICE, True),
        "amount_ubeat": "5",
        "height": 7,
        "id": "01" * 32,
        "content": cid(b"\2" * 32),
        "no": None,
    }


def test_events_come_back_from_their_bytes() -> None:
    events = [PAID, Event("x", {"keys": (b"a", b"b"), "nothing": None, "text": "ä", "deep": ((1, 2), (3, 4))})]
    assert decode_events(encode_events(events)) == events
    assert decode_events(NO_EVENTS) == []


def test_the_order_of_events_and_of_fields_is_in_the_bytes() -> None:
    """Case 63."""
    other = Event("y", {})
    turned = Event("tokens.transferred", {"to": CAROL, "from": ALICE, "amount_ubeat": 5_000_000})
    told = [encode_events(events) for events in ([PAID, other], [other, PAID], [turned, other])]
    assert len({*told}) == 3


def test_stored_events_that_are_damaged_stop_the_node() -> None:
    with pytest.raises(Broken):
        decode_events(b"\x93\x01")
    with pytest.raises(Broken):
        decode_events(b"\x91\x05")
