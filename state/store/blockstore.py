"""What a node keeps of every decided height, where it lies, and how it is found again.

Each height has three records under its own key, so that a list of headers never reads results or events. Batch bodies
stay in the segment files; the block record says where. A transaction that was skipped may still be included later,
so its place is kept apart and never hides an inclusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from msgspec import Raw, Struct

from concento.blocks import Block, Header, TransactionResult, block_id
from concento.encoding import Bytes32, Natural, Record, decode, encode
from concento.errors import Broken, Damaged, Rejected
from concento.votes import Commit
from state.store.kv import BLOCK, BLOCK_HEIGHT, INDEX, TRANSACTION, KeyValueView, key_number, number_key

_BLOCK_PART: Final = b"\x00"
_RESULTS_PART: Final = b"\x01"
_EVENTS_PART: Final = b"\x02"
PARTS: Final = (_BLOCK_PART, _RESULTS_PART, _EVENTS_PART)
"""The records of one height, in key order; a height has all of them or none."""
SKIPPED: Final = INDEX + b"skipped/"
"""Transaction id -> where it was last skipped."""

T = TypeVar("T")


class BodyPlace(Record):
    """Where the bytes of one batch lie: the number of the segment file, and the stretch of it."""

    segment: Natural
    offset: Natural
    length: Natural


class BlockRecord(Record):
    """A decided block, the commit that decided it, and what it ordered; bodies are in the order of its batches."""

    block: Block
    commit: Commit
    bodies: tuple[BodyPlace, ...]
    transactions: tuple[Bytes32, ...]


class _Unlisted(Struct, array_like=True, forbid_unknown_fields=True, frozen=True, gc=False):
    """A block record as it is read for its block alone: what it ordered, five sixths of it, is left as it is."""

    block: Block
    commit: Raw
    bodies: Raw
    transactions: Raw


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the chain."""

    height: int
    index: int


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """Everything kept of one height.

    `results` are the leaves of the results root: `outcomes` encoded, one per transaction, then the rows of
    finalisation. `closing_events` are the encoded events of finalisation; those of a transaction stand in its result.
    """

    record: BlockRecord
    outcomes: Sequence[TransactionResult]
    results: tuple[bytes, ...]
    closing_events: bytes

    @property
    def height(self) -> int:
        return self.record.block.header.height


def block_changes(stored: StoredBlock) -> dict[bytes, bytes | None]:
    """The writes that keep this height."""
    height, ids = stored.height, stored.record.transactions
    if [outcome.id for outcome in stored.outcomes] != list(ids) or len(stored.results) < len(ids):
        raise Broken("the results of height {height} are not those of its transactions", height=height)
    at = BLOCK + number_key(height)
    changes: dict[bytes, bytes | None] = {
        at + _BLOCK_PART: encode(stored.record),
        at + _RESULTS_PART: encode(stored.results),
        at + _EVENTS_PART: stored.closing_events,
        BLOCK_HEIGHT + block_id(stored.record.block.header): number_key(height),
    }
    here = number_key(height)
    for index, outcome in enumerate(stored.outcomes):
        space = SKIPPED if outcome.status == "skipped" else TRANSACTION
        changes[space + outcome.id] = here + number_key(index)
    return changes


def included_count(stored: StoredBlock) -> int:
    """How many transactions the height brought into the chain; skipped ones are not in it."""
    return sum(outcome.status != "skipped" for outcome in stored.outcomes)


def find_block(view: KeyValueView, height: int) -> BlockRecord | None:
    """The block of this height, or None where it is not decided yet or no longer kept."""
    raw = view.get(BLOCK + number_key(height) + _BLOCK_PART)
    return None if raw is None else _decoded(BlockRecord, raw)


def find_block_header(view: KeyValueView, height: int) -> Header | None:
    """The header of this block: the same as of `find_block`, at a fifth of the cost where the block is large."""
    raw = view.get(BLOCK + number_key(height) + _BLOCK_PART)
    return None if raw is None else _decoded(_Unlisted, raw).block.header


def find_results(view: KeyValueView, height: int) -> tuple[bytes, ...] | None:
    """The leaves under the results root of this height."""
    raw = view.get(BLOCK + number_key(height) + _RESULTS_PART)
    return None if raw is None else _decoded(tuple[bytes, ...], raw)


def find_events(view: KeyValueView, height: int) -> tuple[bytes, ...] | None:
    """The encoded events per transaction of this height, then those of finalisation."""
    block, results = find_block(view, height), find_results(view, height)
    closing = view.get(BLOCK + number_key(height) + _EVENTS_PART)
    if block is None or results is None or closing is None:
        return None
    outcomes = [_decoded(TransactionResult, leaf) for leaf in results[: len(block.transactions)]]
    return *[outcome.events for outcome in outcomes], closing


def find_height(view: KeyValueView, identity: bytes) -> int | None:
    """The height of the block with this id."""
    raw = view.get(BLOCK_HEIGHT + identity)
    return None if raw is None else key_number(raw)


def find_transaction(view: KeyValueView, transaction_id: bytes) -> Place | None:
    """Where this transaction was included, whether it succeeded or failed."""
    return _place(view.get(TRANSACTION + transaction_id))


def find_skip(view: KeyValueView, transaction_id: bytes) -> Place | None:
    """Where this transaction was last skipped; it may have been included before or since."""
    return _place(view.get(SKIPPED + transaction_id))


def find_result(view: KeyValueView, place: Place) -> TransactionResult | None:
    """The result at this position."""
    results = find_results(view, place.height)
    return None if results is None else _decoded(TransactionResult, results[place.index])


def _place(raw: bytes | None) -> Place | None:
    return None if raw is None else Place(key_number(raw[:8]), key_number(raw[8:]))


def _decoded(kind: type[T], raw: bytes) -> T:
    try:
        return decode(kind, raw, "stored record")
    except Rejected as error:
        # Our own bytes: what a stranger may get wrong is damage here.
        raise Damaged(str(error), "concento node repair") from None
