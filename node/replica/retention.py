"""How long blocks are kept: for ever, or for a span of block time; with them go results, events, places and bodies.

Each block that is committed drops at most two of the oldest, in its own atomic write, so that the commit record always
says what is there and nothing stalls. What others may still ask for stays whatever the setting is: blocks that
evidence, replay protection or undecided batches go by, and those above the oldest snapshot kept here. State and
history records (statements, revenue) stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from concento.encoding import decode, encode
from concento.genesis import ConsensusParams
from node.replica.batches import UNDECIDED_MS_MAX
from node.replica.files import Files
from node.replica.segments import FIRST_MARKS, MARKS_KEY, Marks, first_of, remove_files
from state.store.blockstore import BodyPlace
from state.store.kept import find_header, prune_changes
from state.store.kv import REPLICA, KeyValueView, key_number, number_key
from state.store.opening import COMMIT_KEY, CommitRecord

PRUNED_PER_BLOCK_MAX: Final = 2
"""One keeps pace; two also shorten a chain that was kept for longer before."""
BLOCKS_KEPT_MIN: Final = 100
"""Newest blocks that stay however old they are: peers that were away for a moment ask for them."""

_USED: Final = REPLICA + b"segment-used/"


@dataclass(frozen=True, slots=True)
class Retention:
    """`span_ms` None: for ever. `snapshot_height`: that of the oldest snapshot kept, or None."""

    span_ms: int | None = None
    snapshot_height: Callable[[], int | None] = lambda: None

    def reach_ms(self, params: ConsensusParams) -> int | None:
        """How far back blocks are kept, whatever the setting."""
        if self.span_ms is None:
            return None
        return max(self.span_ms, params.evidence_age_ms, 2 * params.replay_window_ms, 2 * UNDECIDED_MS_MAX)


ARCHIVE: Final = Retention()


def used_changes(places: tuple[BodyPlace, ...], height: int) -> dict[bytes, bytes | None]:
    """Notes that this block's bodies lie in these segments; of the newest block that uses one."""
    return {_USED + number_key(place.segment): number_key(height) for place in places}


def prune(
    records: KeyValueView, commit: CommitRecord, time_ms: int, reach_ms: int, snapshot_height: int | None
) -> tuple[dict[bytes, bytes | None], CommitRecord]:
    """The writes that drop the oldest blocks behind the reach, and the commit record that says so."""
    changes: dict[bytes, bytes | None] = {}
    oldest, transactions = commit.oldest_height, commit.transactions
    last = min(commit.height - BLOCKS_KEPT_MIN, commit.height if snapshot_height is None else snapshot_height)
    for height in range(oldest, min(oldest + PRUNED_PER_BLOCK_MAX, last + 1)):
        header = find_header(records, height)
        if header is None or header.time_ms >= time_ms - reach_ms:
            break
        dropped, count = prune_changes(records, height)
        changes.update(dropped)
        oldest, transactions = height + 1, transactions - count
    if oldest == commit.oldest_height:
        return {}, commit
    commit = msgspec.structs.replace(commit, oldest_height=oldest, transactions=transactions)
    changes[COMMIT_KEY] = encode(commit)
    return changes, commit


def unused_segments(records: KeyValueView, first: int, marks: Marks, oldest_height: int) -> list[int]:
    """The segments from `first` on that no kept block and no undecided batch has a body in."""
    end = min([marks.durable.segment, *(place.segment for place in marks.undecided)])
    found: list[int] = []
    unknown: list[int] = []
    for segment in range(first, end):
        used = records.get(_USED + number_key(segment))
        if used is None:
            # No decided block: sure only where a later segment is known to be behind.
            unknown.append(segment)
        elif key_number(used) >= oldest_height:
            break
        else:
            found += [*unknown, segment]
            unknown = []
    return found


def remove_unused(kv: KeyValueView, files: Files, oldest_height: int) -> int:
    """Deletes the segments that no kept block has a body in, where nothing runs; how many bytes they had."""
    raw = kv.get(MARKS_KEY)
    marks = FIRST_MARKS if raw is None else decode(Marks, raw, "segment marks")
    return remove_files(files, unused_segments(kv, first_of(files), marks, oldest_height))
