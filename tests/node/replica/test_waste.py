"""Batches of transactions that are skipped are free for their author: so others stop naming them for a while."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from concento.blocks import TransactionResult
from concento.transactions import Transaction
from node.replica import waste
from node.replica.events import ArmTimer, Now
from node.replica.outbox import Outbox
from node.replica.waste import REST_MS_MAX, Waste
from sim.network import Network

ANNE, BERT = b"a" * 32, b"b" * 32
CARL = b"c" * 32
"""The proposer."""


@dataclass
class Cut:
    author: bytes
    transactions: tuple[Transaction, ...]
    id: bytes = b""


@pytest.fixture
def payment() -> Transaction:
    return Network().transfer("bob", "carol", 1)


def result(payment: Transaction, status: str, kind: str = "") -> TransactionResult:
    return TransactionResult(payment.id, status, kind, 0, bytes(32))  # type: ignore[arg-type]


def judged(payment: Transaction, *rows: tuple[bytes, str, str], burst: int = 0) -> tuple[Waste, Outbox]:
    out = Outbox()
    found = Waste(out)
    results = [result(payment, status, kind) for _, status, kind in rows]
    found.judge([Cut(author, (payment,)) for author, _, _ in rows], results, Now(0, 0), CARL, ())
    return found, out


@pytest.fixture(autouse=True)
def _no_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waste, "WASTE_BURST_BYTES", 0)


def test_an_author_of_skipped_transactions_rests_and_comes_back(payment: Transaction) -> None:
    found, out = judged(payment, (ANNE, "skipped", "tokens.balance_low"), (BERT, "ok", ""))
    assert (found.is_resting(ANNE), found.is_resting(BERT)) == (True, False)
    (timer,) = [effect for effect in out.take() if isinstance(effect, ArmTimer)]
    found.rest_over(Now(timer.delay_ms, 0))
    assert not found.is_resting(ANNE)


def test_what_was_useful_in_the_same_block_makes_up_for_it(payment: Transaction) -> None:
    found, _ = judged(payment, (ANNE, "skipped", "tx.duplicate"), (ANNE, "failed", "tokens.balance_low"))
    assert not found.is_resting(ANNE)


def test_transactions_that_found_no_room_are_no_waste(payment: Transaction) -> None:
    found, _ = judged(payment, (ANNE, "skipped", "block.full"))
    assert not found.is_resting(ANNE)


def test_a_proposer_answers_for_batches_that_he_names_again_or_that_are_too_old(payment: Transaction) -> None:
    found, once, again = Waste(Outbox()), Cut(ANNE, (payment,), b"once"), Cut(ANNE, (payment,), b"again")
    duplicate, expired = (result(payment, "skipped", kind) for kind in ("tx.duplicate", "tx.expired"))
    found.judge([again], [duplicate], Now(0, 0), CARL, [b"again"])
    assert (found.is_resting(ANNE), found.is_resting(CARL)) == (False, True)
    found.judge([Cut(ANNE, (payment, payment))], [expired, expired], Now(0, 0), BERT, ())
    assert (found.is_resting(ANNE), found.is_resting(BERT)) == (False, True)
    found.judge([once, again], [duplicate, duplicate], Now(0, 0), CARL, [b"again"])
    assert found.is_resting(ANNE)


def test_an_author_answers_for_what_expired_beside_what_did_not(payment: Transaction) -> None:
    found = Waste(Outbox())
    results = [result(payment, "skipped", "tx.expired"), result(payment, "skipped", "tx.duplicate")]
    found.judge([Cut(ANNE, (payment, payment))], results, Now(0, 0), CARL, ())
    assert (found.is_resting(ANNE), found.is_resting(CARL)) == (True, False)


def test_nobody_rests_for_longer_than_the_most(payment: Transaction) -> None:
    found, out = Waste(Outbox()), Outbox()
    found = Waste(out)
    for _ in range(5_000):
        found.judge([Cut(ANNE, (payment,))], [result(payment, "skipped", "tx.duplicate")], Now(0, 0), CARL, ())
    assert max(effect.delay_ms for effect in out.take() if isinstance(effect, ArmTimer)) <= REST_MS_MAX
    found.rest_over(Now(REST_MS_MAX, 0))
    assert not found.is_resting(ANNE)


def test_a_small_waste_by_accident_changes_nothing(payment: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waste, "WASTE_BURST_BYTES", 10_000)
    found, _ = judged(payment, *[(ANNE, "skipped", "tx.duplicate")] * 3)
    assert not found.is_resting(ANNE)


def test_what_a_node_learns_while_it_catches_up_is_held_against_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    network.kill("node4")
    for amount in (1, 2, 3):
        payment = network.transfer("bob", "carol", amount)
        network.submit("node1", payment)
        network.run_until(network.is_final(payment), 10_000)
    judged: list[object] = []
    monkeypatch.setattr(Waste, "judge", lambda _self, batches, *_rest: judged.extend(batches))
    network.start("node4")
    network.run_until(network.is_final(payment, "node4"), 20_000)
    assert not judged
