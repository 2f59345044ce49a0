"""Which transactions the blocks of one replay window hold, in memory: asked for every transaction of every block.

A transaction that has not expired can be in no older block. After a start the blocks on disk are read back that far;
where they are not all there (a node that began with a snapshot) the records of the store are asked as well until the
window has passed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from concento.blocks import TransactionResult
from concento.encoding import decode
from state.store.blockstore import find_block, find_results, find_transaction
from state.store.kv import KeyValueView


class Recent:
    """The ids included in the blocks of the last `window_ms` of block time."""

    def __init__(self, records: KeyValueView, window_ms: int, is_complete: bool) -> None:
        """Not complete: ids of blocks below the first one added are only in `records`."""
        self._records = records
        self._window_ms = window_ms
        self._is_complete = is_complete
        self._since_ms: int | None = None
        self._ids: set[bytes] = set()
        self._blocks: deque[tuple[int, tuple[bytes, ...]]] = deque()

    def has(self, identity: bytes) -> bool:
        """Whether the chain holds the transaction; asked only of one that has not expired."""
        if identity in self._ids:
            return True
        return not self._is_complete and find_transaction(self._records, identity) is not None

    def add(self, time_ms: int, ids: Iterable[bytes]) -> None:
        """A block of this time was applied, and these are in the chain with it."""
        included = tuple(ids)
        if included:
            self._blocks.append((time_ms, included))
            self._ids.update(included)
        oldest_ms = time_ms - self._window_ms
        while self._blocks and self._blocks[0][0] < oldest_ms:
            self._ids.difference_update(self._blocks.popleft()[1])
        if self._since_ms is None:
            self._since_ms = time_ms
        self._is_complete = self._is_complete or oldest_ms > self._since_ms


def load_recent(records: KeyValueView, height: int, window_ms: int) -> Recent:
    """The ids of the newest blocks up to this height, as far back as the window and the blocks reach."""
    found: list[tuple[int, list[bytes]]] = []
    is_complete = True
    while height:
        block, results = find_block(records, height), find_results(records, height)
        if block is None or results is None:
            is_complete = False
            break
        time_ms = block.block.header.time_ms
        if found and time_ms < found[0][0] - window_ms:
            break
        outcomes = [decode(TransactionResult, leaf) for leaf in results[: len(block.transactions)]]
        found.append((time_ms, [outcome.id for outcome in outcomes if outcome.status != "skipped"]))
        height -= 1
    recent = Recent(records, window_ms, is_complete)
    for time_ms, ids in reversed(found):
        recent.add(time_ms, ids)
    return recent
