"""A transaction enters at most once, within a window of block time whose two ends belong to it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from concento.accounts import account_of_key
from concento.limits import IDS_FORGOTTEN_PER_BLOCK_MAX
from concento.messages.tokens import Transfer
from concento.transactions import Transaction
from state import replay
from state.replay import REMEMBERED, ids_hash, number_key, span_of
from support.ledger import Ledger, account_of

PAY = Transfer(account_of("carol"), 1)


def kind_at(ledger: Ledger, transaction: Transaction, time_ms: int) -> str:
    return ledger.block(transaction, time_ms=time_ms).results[0].kind


def remembered_heights(ledger: Ledger) -> list[int]:
    view = ledger.view()
    span = span_of(view)
    return [view.get(REMEMBERED, number_key(number)).height for number in range(span.first, span.next)]


def test_the_last_millisecond_of_validity_is_valid() -> None:
    """Case 51: block time alone decides."""
    ledger = Ledger()
    transaction = ledger.tx("alice", PAY, valid_ms=500)
    assert kind_at(ledger, transaction, ledger.time_ms + 500) == ""


def test_one_millisecond_later_it_has_expired() -> None:
    ledger = Ledger()
    transaction = ledger.tx("alice", PAY, valid_ms=500)
    assert kind_at(ledger, transaction, ledger.time_ms + 501) == "tx.expired"


def test_the_first_millisecond_of_the_window_is_valid() -> None:
    ledger = Ledger()
    window_ms = ledger.params.consensus.replay_window_ms
    transaction = ledger.tx("alice", PAY, valid_ms=window_ms + 10)
    assert kind_at(ledger, transaction, ledger.time_ms + 10) == ""


def test_one_millisecond_earlier_it_is_too_early_and_comes_in_later() -> None:
    ledger = Ledger()
    window_ms = ledger.params.consensus.replay_window_ms
    transaction = ledger.tx("alice", PAY, valid_ms=window_ms + 10)
    assert kind_at(ledger, transaction, ledger.time_ms + 9) == "tx.too_early"
    assert kind_at(ledger, transaction, ledger.time_ms + 1) == ""


def test_a_transaction_runs_once_within_a_block_and_over_blocks() -> None:
    """Cases 40 and 41: the chain refuses, no cache is asked."""
    ledger = Ledger()
    transaction = ledger.tx("alice", PAY)
    outcome = ledger.block(transaction, transaction)
    assert [result.kind for result in outcome.results] == ["", "tx.duplicate"]
    assert kind_at(ledger, transaction, ledger.time_ms + 1) == "tx.duplicate"


def test_a_failed_transaction_is_in_the_chain_too() -> None:
    ledger = Ledger()
    transaction = ledger.tx("alice", Transfer(account_of("carol"), 10**15))
    assert kind_at(ledger, transaction, ledger.time_ms + 1) == "tokens.balance_low"
    assert kind_at(ledger, transaction, ledger.time_ms + 1) == "tx.duplicate"


def test_a_skipped_transaction_is_not_in_the_chain() -> None:
    ledger = Ledger()
    transaction = ledger.tx("pauper", PAY)
    outcome = ledger.block(transaction, ledger.tx("alice", Transfer(account_of_key(transaction.signers[0]), 10**6)))
    assert [result.status for result in outcome.results] == ["skipped", "ok"]
    assert kind_at(ledger, transaction, ledger.time_ms + 1) == ""


def test_a_replay_is_refused_until_its_last_valid_millisecond_and_expired_after_it() -> None:
    ledger = Ledger()
    transaction = ledger.tx("alice", PAY, valid_ms=5_000)
    end = ledger.time_ms + 5_000
    assert kind_at(ledger, transaction, ledger.time_ms + 1) == ""
    assert kind_at(ledger, transaction, end) == "tx.duplicate"
    assert kind_at(ledger, transaction, end + 1) == "tx.expired"


def test_the_ids_of_a_height_are_bound_by_their_root_and_their_last_valid_time() -> None:
    ledger = Ledger()
    first, second = ledger.tx("alice", PAY, valid_ms=9_000), ledger.tx("bea", PAY, valid_ms=8_000)
    ledger.block(first, ledger.tx("pauper", PAY, valid_ms=10_000), second)
    record = ledger.view().get(REMEMBERED, number_key(0))
    assert record.height == 1
    assert record.ids_hash == ids_hash([first.id, second.id]) != ids_hash([second.id, first.id])
    assert record.valid_until_ms == first.body.valid_until_ms


def test_a_height_is_forgotten_only_after_its_last_id_has_expired() -> None:
    ledger = Ledger()
    ledger.block(ledger.tx("alice", PAY, valid_ms=5_000))
    end = ledger.time_ms - 1_000 + 5_000
    ledger.block(ledger.tx("alice", PAY), time_ms=end)
    assert remembered_heights(ledger) == [1, 2]
    ledger.block(ledger.tx("alice", PAY), time_ms=end + 1)
    assert remembered_heights(ledger) == [2, 3]


def test_a_bounded_number_of_heights_is_forgotten_at_once() -> None:
    ledger = Ledger()
    heights = 2 * IDS_FORGOTTEN_PER_BLOCK_MAX + 3
    for _ in range(heights):
        ledger.block(ledger.tx("alice", PAY, valid_ms=20_000), time_ms=ledger.time_ms + 1)
    late = ledger.time_ms + 60_000
    for step in range(3):
        ledger.block(ledger.tx("alice", PAY, valid_ms=100_000), time_ms=late + step)
        left = max(0, heights - (step + 1) * IDS_FORGOTTEN_PER_BLOCK_MAX)
        assert len(remembered_heights(ledger)) == left + step + 1


def test_an_idle_chain_forgets_nothing_and_writes_nothing() -> None:
    ledger = Ledger()
    ledger.block(ledger.tx("alice", PAY))
    assert ledger.block(time_ms=ledger.time_ms + 10**9).changes == {}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 40_000), st.integers(0, 120_000)), min_size=1, max_size=12))
def test_no_transaction_ever_runs_twice(steps: list[tuple[int, int]]) -> None:
    ledger = Ledger()
    seen: list[Transaction] = []
    runs: dict[bytes, int] = {}
    for wait_ms, valid_ms in steps:
        seen.append(ledger.tx("alice", PAY, valid_ms=valid_ms))
        for result in ledger.block(*seen, time_ms=ledger.time_ms + wait_ms).results:
            runs[result.id] = runs.get(result.id, 0) + (result.status != "skipped")
    assert all(count <= 1 for count in runs.values())
    assert ledger.tree.count == len(ledger.state())


def test_the_record_of_what_is_remembered_starts_empty() -> None:
    assert span_of(Ledger().view()) == replay.Span(0, 0)
