"""What is kept of a height is found again by height, block id and transaction id."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from concento.blocks import block_id
from concento.errors import Broken
from state.store.blockstore import (
    Place,
    StoredBlock,
    block_changes,
    find_block,
    find_block_header,
    find_events,
    find_height,
    find_result,
    find_results,
    find_skip,
    find_transaction,
    included_count,
)
from state.store.kv import BLOCK, MemoryKeyValue, number_key
from support.stored_blocks import stored_block, transaction_id


def kept(*blocks: StoredBlock) -> MemoryKeyValue:
    kv = MemoryKeyValue()
    for stored in blocks:
        kv.write(block_changes(stored))
    return kv


def test_a_height_is_found_whole() -> None:
    stored = stored_block(7)
    kv = kept(stored_block(6), stored)
    assert find_block(kv, 7) == stored.record
    assert find_block_header(kv, 7) == stored.record.block.header
    assert find_results(kv, 7) == stored.results
    assert find_events(kv, 7) == (*(outcome.events for outcome in stored.outcomes), stored.closing_events)
    assert find_height(kv, block_id(stored.record.block.header)) == 7


def test_what_is_not_kept_is_none() -> None:
    kv = kept(stored_block(7))
    assert (find_block(kv, 8), find_results(kv, 8), find_events(kv, 6)) == (None, None, None)
    assert (find_height(kv, bytes(32)), find_transaction(kv, bytes(32)), find_skip(kv, bytes(32))) == (None, None, None)


def test_an_included_transaction_is_found_with_its_result() -> None:
    stored = stored_block(7)
    kv = kept(stored)
    for index, status in enumerate(("ok", "failed")):
        place = find_transaction(kv, transaction_id(7, index))
        assert place == Place(7, index)
        result = find_result(kv, place)
        assert result is not None
        assert (result.id, result.status) == (transaction_id(7, index), status)
    assert included_count(stored) == 2


def test_a_skip_never_hides_an_inclusion() -> None:
    """The same id is included at 7 and skipped as a duplicate at 8."""
    included, skipped = stored_block(7, ("ok",)), stored_block(8, ("skipped",))
    ids = included.record.transactions
    again = replace(
        skipped,
        record=msgspec.structs.replace(skipped.record, transactions=ids),
        outcomes=[msgspec.structs.replace(skipped.outcomes[0], id=ids[0])],
    )
    kv = kept(included, again)
    assert find_transaction(kv, transaction_id(7, 0)) == Place(7, 0)
    assert find_skip(kv, transaction_id(7, 0)) == Place(8, 0)


def test_results_of_other_transactions_are_our_own_error() -> None:
    stored = stored_block(7)
    for wrong in (
        replace(stored, outcomes=stored.outcomes[:2]),
        replace(stored, outcomes=[stored.outcomes[1], *stored.outcomes[1:]]),
        replace(stored, results=stored.results[:2]),
    ):
        with pytest.raises(Broken):
            block_changes(wrong)


def test_a_record_that_does_not_decode_is_damage_and_not_bad_input() -> None:
    kv = kept(stored_block(7))
    kv.write({BLOCK + number_key(7) + b"\x00": b"\xc1"})
    with pytest.raises(Broken, match="concento node repair"):
        find_block(kv, 7)
