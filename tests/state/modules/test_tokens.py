"""Money moves between balances, buckets and deposits, and is never made or lost."""

from __future__ import annotations

import pytest

from concento.errors import Broken, Rejected
from concento.messages.tokens import Transfer
from concento.transactions import decode_transaction
from concento.units import AMOUNT_UBEAT_MAX
from state.calls import Event
from state.modules import tokens
from state.modules.tokens import Entry
from support.ledger import BEAT, Ledger, account_of, movements_of

ALICE, CAROL = account_of("alice"), account_of("carol")
DEPOSIT = bytes(32)


def entries(ledger: Ledger, name: str) -> list[Entry]:
    return [entry for block in movements_of(ledger.history(), account_of(name)) for entry in block.entries]


def test_a_transfer_moves_the_amount_and_tells() -> None:
    ledger = Ledger()
    alice, carol = ledger.balance("alice"), ledger.balance("carol")
    events = ledger.run("alice", Transfer(CAROL, 5 * BEAT))
    fee = ledger.outcomes[-1].results[0].fee_ubeat
    assert events == [Event("tokens.transferred", {"from": ALICE, "to": CAROL, "amount_ubeat": 5 * BEAT})]
    assert ledger.balance("alice") == alice - 5 * BEAT - fee
    assert ledger.balance("carol") == carol + 5 * BEAT


def test_a_transfer_makes_the_account_that_it_reaches() -> None:
    ledger = Ledger()
    assert ledger.balance("nobody yet") == 0
    ledger.run("alice", Transfer(account_of("nobody yet"), 7))
    assert ledger.balance("nobody yet") == 7


def test_a_transfer_to_oneself_costs_its_fee_only() -> None:
    ledger = Ledger()
    before = ledger.balance("alice")
    ledger.run("alice", Transfer(ALICE, before // 2))
    assert ledger.balance("alice") == before - ledger.outcomes[-1].results[0].fee_ubeat


def test_a_transfer_of_nothing_is_refused() -> None:
    assert Ledger().refusal("alice", Transfer(CAROL, 0)) == "tokens.amount_zero"


def test_more_than_the_balance_after_the_fee_is_refused() -> None:
    ledger = Ledger()
    assert ledger.refusal("alice", Transfer(CAROL, ledger.balance("alice"))) == "tokens.balance_low"


def test_everything_but_the_fee_can_be_sent() -> None:
    ledger = Ledger()
    fee = ledger.block(ledger.tx("alice", Transfer(CAROL, 5 * 10**9))).results[0].fee_ubeat
    ledger.run("alice", Transfer(CAROL, ledger.balance("alice") - fee))
    assert ledger.balance("alice") == 0


@pytest.mark.parametrize("amount", [-1, 2**63, 2**64 - 1, AMOUNT_UBEAT_MAX + 1])
def test_amounts_outside_the_range_are_refused_at_decoding(amount: int) -> None:
    """Case 46."""
    ledger = Ledger()
    with pytest.raises(Rejected) as refused:
        ledger.tx("alice", Transfer(CAROL, amount))
    assert refused.value.kind == "encoding.invalid"


def test_an_amount_that_no_codec_holds_never_becomes_a_transaction() -> None:
    """Case 46: 2**256 cannot be written as an integer at all."""
    with pytest.raises(OverflowError):
        Ledger().tx("alice", Transfer(CAROL, 2**256))


def test_each_movement_leaves_a_history_record_with_the_balance_after_it() -> None:
    ledger = Ledger()
    opening = ledger.balance("alice")
    transaction = ledger.tx("alice", Transfer(CAROL, 5))
    fee = ledger.block(transaction).results[0].fee_ubeat
    born, paid_fee, paid = entries(ledger, "alice")
    assert (born.cause, born.amount_ubeat, born.balance_ubeat, born.tx) == ("genesis", opening, opening, b"")
    assert (paid_fee.cause, paid_fee.amount_ubeat, paid_fee.balance_ubeat) == ("fee", -fee, opening - fee)
    assert (paid.cause, paid.amount_ubeat, paid.balance_ubeat) == ("transfer", -5, opening - fee - 5)
    assert (paid.counterparty, paid.tx) == (CAROL, transaction.id)
    assert movements_of(ledger.history(), ALICE)[-1].time_ms == ledger.time_ms
    assert entries(ledger, "carol")[-1].balance_ubeat == ledger.balance("carol")


def test_every_history_adds_up_to_the_balance() -> None:
    ledger = Ledger()
    for step in range(5):
        ledger.block(
            ledger.tx("alice", Transfer(CAROL, step + 1), Transfer(account_of("bea"), 2)),
            ledger.tx("carol", Transfer(ALICE, 3)),
        )
    for name in ("alice", "bea", "carol", "node1"):
        assert sum(entry.amount_ubeat for entry in entries(ledger, name)) == ledger.balance(name)


def test_a_failed_transaction_leaves_only_the_movement_of_its_fee() -> None:
    ledger = Ledger()
    ledger.block(ledger.tx("alice", Transfer(CAROL, 1), Transfer(CAROL, 10**15)))
    assert [entry.cause for entry in entries(ledger, "alice")] == ["genesis", "fee"]


def test_deposits_move_into_escrow_and_back() -> None:
    view = Ledger().view()
    before = tokens.balance(view, ALICE)
    tokens.escrow_in(view, ALICE, DEPOSIT, 100, "deposit")
    tokens.escrow_in(view, ALICE, DEPOSIT, 11, "deposit")
    assert (tokens.escrowed(view, DEPOSIT), tokens.bucket(view, "escrow")) == (111, 111)
    assert tokens.balance(view, ALICE) == before - 111
    tokens.escrow_out(view, DEPOSIT, ALICE, 111, "refund")
    assert (tokens.escrowed(view, DEPOSIT), tokens.bucket(view, "escrow")) == (0, 0)
    assert tokens.balance(view, ALICE) == before
    assert view.find(tokens.DEPOSITS, DEPOSIT) is None


def test_a_deposit_needs_the_balance() -> None:
    view = Ledger().view()
    with pytest.raises(Rejected) as refused:
        tokens.escrow_in(view, ALICE, DEPOSIT, 10**15, "deposit")
    assert refused.value.kind == "tokens.balance_low"
    assert view.changes() == {}


def test_taking_more_than_is_there_stops_the_node() -> None:
    view = Ledger().view()
    with pytest.raises(Broken):
        tokens.escrow_take(view, DEPOSIT, 1)
    with pytest.raises(Broken):
        tokens.bucket_add(view, "fees", -1)
    with pytest.raises(Broken):
        tokens.credit(view, ALICE, -1, "transfer")


def test_a_true_or_a_float_is_no_amount() -> None:
    """Case 45, 53."""
    ledger = Ledger()
    for amount in (True, 1.0, "1", None):
        with pytest.raises(Rejected):
            ledger.tx("alice", Transfer(CAROL, amount))  # type: ignore[arg-type]


def test_a_decoded_transaction_is_the_one_that_was_signed() -> None:
    transaction = Ledger().tx("alice", Transfer(CAROL, 1))
    assert decode_transaction(transaction.raw) == transaction
