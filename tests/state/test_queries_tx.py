"""What became of a transaction, told by the chain alone."""

from __future__ import annotations

import pytest

from concento.accounts import address
from concento.errors import Rejected
from concento.messages.identity import Admit
from concento.messages.tokens import Transfer
from concento.transactions import Transaction
from state.queries import Chain
from state.queries_tx import tx_get, tx_simulate
from state.store.blockstore import Place
from support.ledger import BEAT, account_of
from support.node import DecidedNode


def chain_of(node: DecidedNode) -> Chain:
    return Chain(node.store, node.tree, node.genesis)


def fate(node: DecidedNode, transaction: Transaction, held: bool = False) -> dict[str, object]:
    def body(place: Place) -> bytes | None:
        return node.body(place.height, place.index)

    return tx_get(chain_of(node), transaction.id, body, ("shared", transaction.raw) if held else None)


def payment(node: DecidedNode, beat: int = 1, valid_ms: int = 60_000) -> Transaction:
    return node.tx("bob", Transfer(account_of("carol"), beat * BEAT), valid_ms=valid_ms)


def test_one_that_succeeded_is_final_with_its_place_fee_and_events() -> None:
    node = DecidedNode()
    transaction = payment(node)
    node.block(transaction)
    found = fate(node, transaction)
    assert (found["status"], found["height"], found["index"], found["error"]) == ("final", 1, 0, None)
    assert found["fee_ubeat"] == str(node.outcomes[0].results[0].fee_ubeat)
    assert found["actions"] == [
        {
            "kind": "tokens.transfer",
            "to": chain_of(node).address(account_of("carol")),
            "amount_ubeat": "1000000",
        }
    ]


def test_one_that_was_refused_in_its_block_has_failed_and_says_why() -> None:
    node = DecidedNode()
    transaction = payment(node, beat=49_999)
    node.block(payment(node, beat=40_000), transaction)
    found = fate(node, transaction)
    assert found["status"] == "failed"
    assert found["error"]["kind"] == "tokens.balance_low"  # type: ignore[index]
    assert found["error"]["numbers"]["needed_beat"] == "49999.000000"  # type: ignore[index]
    assert "less than the 49999.000000 BEAT needed" in found["error"]["message"]  # type: ignore[index]
    assert found["events"] == []


def test_a_refusal_names_accounts_by_their_addresses_and_says_who_helps() -> None:
    node = DecidedNode()
    transaction = node.tx("bob", Admit(account_of("zoe"), "zoe", "person", ("creator",)))
    node.block(transaction)
    found = fate(node, transaction)["error"]
    bob = address(account_of("bob"), dev=True)
    assert found["message"] == f"account {bob} does not have role issuer"  # type: ignore[index]
    assert found["numbers"] == {"account": bob, "role": "issuer"}  # type: ignore[index]
    assert f"concento identity admit {bob} --role issuer" in found["hint"]  # type: ignore[index]


def test_one_that_was_skipped_is_pending_until_its_time_is_over() -> None:
    node = DecidedNode()
    transaction = node.tx("bob", Transfer(account_of("carol"), BEAT), max_fee_ubeat=0, valid_ms=2_000)
    node.block(transaction)
    found = fate(node, transaction)
    assert (found["status"], found["error"]["kind"]) == ("pending", "tx.fee_too_low")  # type: ignore[index]
    node.block(time_ms=transaction.body.valid_until_ms)
    assert fate(node, transaction)["status"] == "pending"
    node.block(time_ms=transaction.body.valid_until_ms + 1)
    assert fate(node, transaction)["status"] == "skipped"


def test_an_inclusion_is_shown_before_any_skip() -> None:
    node = DecidedNode()
    transaction = payment(node)
    node.block(transaction)
    outcome = node.block(transaction)
    assert outcome.results[0].kind == "tx.duplicate"
    found = fate(node, transaction)
    assert (found["status"], found["height"]) == ("final", 1)


def test_one_in_the_pool_is_what_the_pool_says_until_it_expires() -> None:
    node = DecidedNode()
    transaction = payment(node, valid_ms=1_500)
    assert fate(node, transaction, held=True)["status"] == "shared"
    node.block(time_ms=transaction.body.valid_until_ms + 1)
    found = fate(node, transaction, held=True)
    assert (found["status"], found["error"]["kind"]) == ("expired", "tx.expired")  # type: ignore[index]


def test_one_that_nobody_saw_is_not_found() -> None:
    node = DecidedNode()
    with pytest.raises(Rejected) as refusal:
        fate(node, payment(node))
    assert refusal.value.kind == "tx.not_found"


def test_a_simulation_leaves_no_trace() -> None:
    node = DecidedNode()
    transaction = payment(node)
    before = dict(node.state())
    found = tx_simulate(chain_of(node), transaction, node.time_ms + 1)
    assert (found["status"], found["height"], found["known"]) == ("final", None, False)
    assert found["events"][0]["kind"] == "tokens.transferred"
    assert node.state() == before
    node.block(transaction)
    assert fate(node, transaction)["fee_ubeat"] == found["fee_ubeat"]


def test_a_simulation_of_one_that_is_included_says_so() -> None:
    node = DecidedNode()
    transaction = payment(node)
    node.block(transaction)
    assert tx_simulate(chain_of(node), transaction, node.time_ms + 1)["error"]["kind"] == "tx.duplicate"
