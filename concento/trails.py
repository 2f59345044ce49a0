"""The trail of an account: every block that moved its balance, found from the account's record alone.

The blocks are counted, and a trail names the heights of a few of them, one for each binary digit of the count that is
set, as a counter carries: of 13 = 8 + 4 + 1 blocks the 8th, the 12th and the 13th. What moved the account in a block
says which trail there was before. So the newest blocks lead back to the oldest, any height is found in as many steps as
the count has digits, and nobody has to keep an index by account (docs/adr/0025-trails-instead-of-an-index.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeAlias, TypeVar

from concento.encoding import Bytes32, Natural, Record
from concento.hashing import NO_HASH


class Trail(Record):
    """`head` commits to what moved the balance in every block so far, in order; `blocks` is how many these are."""

    head: Bytes32 = NO_HASH
    blocks: Natural = 0
    heights: tuple[Natural, ...] = ()


NO_TRAIL: Final = Trail()
"""Of an account that nothing ever moved."""


class Step(Protocol):
    """What moved an account in one block: it leads on to what did before."""

    @property
    def before(self) -> Trail: ...


S = TypeVar("S", bound=Step)

Read: TypeAlias = Callable[[int], S]
"""The step of an account in the block of this height, which moved it."""


def extended(trail: Trail, height: int, head: bytes) -> Trail:
    """The trail with one more block, higher than all others."""
    blocks = trail.blocks + 1
    carried = (blocks & -blocks).bit_length() - 1
    return Trail(head, blocks, (*trail.heights[: len(trail.heights) - carried], height))


def trail_at(trail: Trail, height: int, read: Read[S]) -> Trail:
    """The trail as it was after the block of this height."""
    while trail.heights and trail.heights[-1] > height:
        trail = read(next(above for above in trail.heights if above > height)).before
    return trail


def newest_first(trail: Trail, read: Read[S]) -> Iterator[S]:
    """The step of every block."""
    while trail.heights:
        step = read(trail.heights[-1])
        yield step
        trail = step.before


def oldest_first(trail: Trail, read: Read[S], after: int = -1) -> Iterator[S]:
    """The step of every block above `after`; the first one takes a few steps to find, each is read once."""
    for height in trail.heights:
        if height > after:
            step = read(height)
            yield from oldest_first(step.before, read, after)
            yield step
            after = height
