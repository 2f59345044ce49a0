"""Fees: known before execution, half burnt, the rest shared equally, the remainder kept for the next block."""

from __future__ import annotations

import msgspec
import pytest

from concento.genesis import DEFAULT_PARAMS, Params
from concento.messages.tokens import Transfer
from state.fees import transaction_fee
from state.modules import tokens
from support.ledger import BEAT, Ledger, account_of

PAY = Transfer(account_of("carol"), 1)


def params_with_fees(**changes: int) -> Params:
    return msgspec.structs.replace(DEFAULT_PARAMS, fees=msgspec.structs.replace(DEFAULT_PARAMS.fees, **changes))


def bucket(ledger: Ledger, name: tokens.BucketName) -> int:
    return tokens.bucket(ledger.view(), name)


def test_a_fee_counts_bytes_and_weight() -> None:
    fees = params_with_fees(per_byte_ubeat=3, per_weight_ubeat=100).fees
    assert transaction_fee(fees, 200, 7) == 1_300


def test_the_fee_of_a_result_is_that_function_of_the_bytes() -> None:
    ledger = Ledger()
    transaction = ledger.tx("alice", PAY, PAY)
    expected = len(transaction.raw) * 1 + (1 + 2 + 2) * 10
    assert ledger.block(transaction).results[0].fee_ubeat == expected


def test_half_is_burnt_and_the_rest_goes_to_the_validators_equally() -> None:
    ledger = Ledger(params=params_with_fees(per_byte_ubeat=0, per_weight_ubeat=100))
    ledger.block(ledger.tx("alice", PAY))
    assert bucket(ledger, "burnt") == 150
    rewards = [tokens.balance(ledger.view(), member.rewards_to) for member in ledger.genesis.validators.members]
    assert rewards == [37, 37, 37, 37]
    assert bucket(ledger, "fees") == 2


@pytest.mark.parametrize(("fee", "burn_bps"), [(1, 5_000), (100, 5_000), (3, 0), (7, 10_000), (1, 0)])
def test_one_unit_among_four_and_every_other_remainder_stays(fee: int, burn_bps: int) -> None:
    """Case 54."""
    ledger = Ledger(params=params_with_fees(per_byte_ubeat=0, per_weight_ubeat=fee, burn_bps=burn_bps))
    collected = 3 * fee
    ledger.block(ledger.tx("alice", PAY))
    burnt = collected * burn_bps // 10_000
    share = (collected - burnt) // 4
    assert bucket(ledger, "burnt") == burnt
    assert bucket(ledger, "fees") == collected - burnt - 4 * share


def test_a_remainder_is_shared_with_the_next_fees_and_not_burnt_twice() -> None:
    ledger = Ledger(params=params_with_fees(per_byte_ubeat=0, per_weight_ubeat=1, burn_bps=0))
    ledger.block(ledger.tx("alice", PAY))
    assert bucket(ledger, "fees") == 3
    ledger.block(ledger.tx("alice", PAY))
    assert bucket(ledger, "fees") == 2
    ledger.params = params_with_fees(per_byte_ubeat=0, per_weight_ubeat=0, burn_bps=10_000)
    ledger.block(ledger.tx("alice", PAY))
    assert (bucket(ledger, "fees"), bucket(ledger, "burnt")) == (2, 0)


def test_no_earner_leaves_the_fees_where_they_are() -> None:
    """Case 54: no division by nothing."""
    ledger = Ledger(params=params_with_fees(burn_bps=0))
    keys = ledger.genesis.validators.keys
    ledger.block(evidence=tuple((key, 1) for key in keys))
    fee = ledger.block(ledger.tx("alice", PAY)).results[0].fee_ubeat
    assert bucket(ledger, "fees") == fee


def test_a_failed_transaction_pays_and_a_skipped_one_does_not() -> None:
    ledger = Ledger()
    before = ledger.balance("alice")
    failing = ledger.tx("alice", Transfer(account_of("carol"), 10**15))
    skipped = ledger.tx("alice", PAY, max_fee_ubeat=1)
    results = ledger.block(failing, skipped).results
    assert [(result.status, result.kind) for result in results] == [
        ("failed", "tokens.balance_low"),
        ("skipped", "tx.fee_too_low"),
    ]
    assert results[1].fee_ubeat == 0
    assert ledger.balance("alice") == before - results[0].fee_ubeat


def test_the_fee_exactly_allowed_is_enough() -> None:
    ledger = Ledger()
    fee = ledger.block(ledger.tx("alice", PAY, max_fee_ubeat=1_000)).results[0].fee_ubeat
    low = ledger.tx("alice", PAY, max_fee_ubeat=fee - 1)
    exact = ledger.tx("alice", PAY, max_fee_ubeat=fee)
    assert [result.kind for result in ledger.block(low, exact).results] == ["tx.fee_too_low", ""]


def test_a_sender_who_cannot_pay_the_fee_is_skipped() -> None:
    assert Ledger().refusal("pauper", PAY) == "tokens.balance_low"


def test_the_event_tells_where_fees_went() -> None:
    ledger = Ledger(params=params_with_fees(per_byte_ubeat=0, per_weight_ubeat=BEAT))
    (event,) = ledger.block(ledger.tx("alice", PAY)).closing
    assert event.kind == "fees.distributed"
    assert event.fields == {
        "collected_ubeat": 3 * BEAT,
        "burnt_ubeat": 1_500_000,
        "share_ubeat": 375_000,
        "validators": 4,
    }
