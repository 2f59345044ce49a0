"""The use of a usage-weighted dataset: which rows a reader signs for a batch of receipts, and how they are posted.

Both sides make the same rows of the same receipts: one row for each member of the dataset that was read, in the order
of the members, with the units that were spent on it. Rules: docs/protocol/shares.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from concento.limits import BODIES_PER_ANCHOR_MAX
from concento.merkle import merkle_root, range_proof
from concento.messages.receipts import PostUsage, UsageRow, usage_leaf, usage_root

ROWS_PER_POST: Final = 1_000
"""Rows of one transaction: 20 kB, and 5,000 records of its block's weight."""


def usage_rows(accesses: Iterable[tuple[int, int]]) -> tuple[UsageRow, ...]:
    """The rows of accesses told as (place of the member in the dataset, units)."""
    units: dict[int, int] = {}
    for member, count in accesses:
        units[member] = units.get(member, 0) + count
    return tuple(UsageRow(member, count) for member, count in sorted(units.items()))


def signed_root(first: int, rows: Sequence[UsageRow]) -> bytes:
    """What a voucher signs of the rows of the batch that begins at receipt `first`."""
    return usage_root(first, len(rows), merkle_root([usage_leaf(row) for row in rows]))


def batch_first(anchored: int, size: int) -> int:
    """Where the batch begins that a voucher for `size` receipts is anchored with.

    From where the log was anchored when the session began, a gateway anchors 64 receipts at a time, and at the
    session's end the rest.
    """
    return anchored + (size - 1 - anchored) // BODIES_PER_ANCHOR_MAX * BODIES_PER_ANCHOR_MAX


def posts(pot: int, rows: Sequence[UsageRow], start: int = 0, count: int = ROWS_PER_POST) -> Iterator[PostUsage]:
    """The messages that post the rows from `start` on, in order, each with its proof."""
    leaves = [usage_leaf(row) for row in rows]
    for place in range(start, len(rows), count):
        part = tuple(rows[place : place + count])
        yield PostUsage(pot, place, len(rows), part, tuple(range_proof(leaves, place, len(part))))
