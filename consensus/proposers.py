"""Who proposes when: round robin over the sorted set, with those that lately failed to propose at the end.

The table of missed proposers is a function of decided blocks alone, so every node has the same; its hash is in each
header. A dead validator costs one propose timeout per penalty instead of one every n-th block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta

from concento.encoding import Natural, Record, encode
from concento.hashing import tagged_hash
from concento.keys import PublicKey
from concento.limits import VALIDATORS_MAX
from concento.validators import ValidatorSet

PENALTY_MS: Final = 2_000
"""The first penalty: four propose timeouts, so that a validator that restarts is back in turn soon."""

PENALTY_MS_MAX: Final = 60_000
"""A validator dead for days costs one propose timeout a minute; when it is back it proposes within a minute."""

_DOUBLINGS_MAX: Final = (PENALTY_MS_MAX // PENALTY_MS).bit_length()


class MissedRow(Record):
    """A validator that failed to propose: how often since its last decided block, and until when (block time) it
    waits."""

    key: PublicKey
    misses: Annotated[int, Meta(ge=1)]
    until_ms: Natural


class Turns(Record):
    """What the replica keeps from block to block: the table, sorted by key, and the order of the last height."""

    missed: Annotated[tuple[MissedRow, ...], Meta(max_length=VALIDATORS_MAX)]
    last_order: Annotated[tuple[PublicKey, ...], Meta(max_length=VALIDATORS_MAX)]


FIRST_TURNS: Final = Turns((), ())
"""Before block 1."""


def order(validators: ValidatorSet, height: int, turns: Turns, parent_time_ms: int) -> tuple[bytes, ...]:
    """The proposers of this height by round: the others by key, rotated left by height - 1, then the missed by key."""
    waiting = _waiting(turns, parent_time_ms)
    missed = tuple(key for key in validators.keys if key in waiting)
    others = tuple(key for key in validators.keys if key not in waiting)
    if not others:
        others, missed = missed, ()
    shift = (height - 1) % len(others)
    return others[shift:] + others[:shift] + missed


def proposer(order_: Sequence[bytes], round_: int) -> bytes:
    """Who proposes in this round of the height that `order_` belongs to."""
    return order_[round_ % len(order_)]


def penalty_ms(misses: int) -> int:
    """How long a validator waits after so many misses in a row: 2 s, doubling to 60 s."""
    return min(PENALTY_MS << min(misses - 1, _DOUBLINGS_MAX), PENALTY_MS_MAX)


def after_block(
    turns: Turns,
    validators: ValidatorSet,
    order_: tuple[bytes, ...],
    last_commit_round: int,
    proposer_key: bytes,
    time_ms: int,
) -> Turns:
    """The turns after a decided block, from the block alone.

    `validators`, `order_`: of the block's height; `last_commit_round`: of the commit inside the block, whose lower
    rounds failed in the last height's order; `proposer_key`, `time_ms`: the header's. At most f wait at one time.
    """
    rows = {row.key: row for row in turns.missed if row.key in validators}
    failed = turns.last_order[: min(last_commit_round, len(turns.last_order))]
    for key in failed:
        listed = [row.key for row in rows.values() if row.until_ms >= time_ms]
        if key not in validators or (key not in listed and len(listed) >= validators.faults_max):
            continue
        misses = rows[key].misses + 1 if key in rows else 1
        rows[key] = MissedRow(key, misses, time_ms + penalty_ms(misses))
    rows.pop(proposer_key, None)
    return Turns(tuple(rows[key] for key in sorted(rows)), order_)


def after_suspension(turns: Turns, validators: ValidatorSet, key: bytes, time_ms: int, until_ms: int) -> Turns:
    """The turns after block time `time_ms` suspended a validator: listed as missed, unless f others wait already."""
    rows = {row.key: row for row in turns.missed}
    others = [row.key for row in turns.missed if row.until_ms >= time_ms and row.key != key]
    if key not in validators or len(others) >= validators.faults_max:
        return turns
    misses = rows[key].misses if key in rows else 1
    rows[key] = MissedRow(key, misses, until_ms)
    return Turns(tuple(rows[name] for name in sorted(rows)), turns.last_order)


def missed_hash(turns: Turns) -> bytes:
    """What a header carries of the table that its height's order was made with."""
    return tagged_hash("missed", encode(turns.missed))


def _waiting(turns: Turns, time_ms: int) -> frozenset[bytes]:
    return frozenset(row.key for row in turns.missed if row.until_ms >= time_ms)
