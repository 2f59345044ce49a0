"""The key-value store as the ledger sees it: one ordered space of bytes, atomic synced batches, and its fake.

Everything a node keeps about the chain is a record in one of the spaces below, told apart by the first byte of the
key. `state/store/leveldb.py` is the store on disk; `MemoryKeyValue` is the same store in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from concento.errors import Broken

STATE: Final = b"s"
"""State records: everything in the tree, under `STATE + state key`."""
TREE: Final = b"n"
"""Depth and path -> a node of the tree over the state records, as it was when it was written last."""
META: Final = b"m"
"""The commit record: what a start checks everything else against."""
BLOCK: Final = b"b"
"""Height -> the block record."""
BLOCK_HEIGHT: Final = b"i"
"""Block id -> height."""
TRANSACTION: Final = b"t"
"""Transaction id -> (height, index)."""
HISTORY: Final = b"h"
"""History records: what people ask about old heights, proved against results roots."""
INDEX: Final = b"x"
"""Look-ups that can be made again from the rest."""
REPLICA: Final = b"r"
"""What the replica keeps for itself: missed proposers, validator sets, commits."""

_NUMBER_BYTES: Final = 8


class KeyValueView(Protocol):
    """Reads, all of one moment."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None where there is no such key. Damage is `Broken`, never None."""

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """The (key, value) pairs under the prefix as they are now, in key order.

        Starts behind `after`, in the direction of the scan: above it, or below it in reverse.
        """

    def close(self) -> None:
        """Gives up what the view holds; it answers nothing afterwards."""


class KeyValue(KeyValueView, Protocol):
    """A store: the newest view, and the one way to change it."""

    @property
    def name(self) -> str:
        """What to call the store in a message to people: its folder."""

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Puts each value, or deletes where it is None: all or nothing, and on disk when this returns."""

    def snapshot(self) -> KeyValueView:
        """A view that later writes do not change; close it, or old data is never freed."""


class MemoryKeyValue:
    """The store in memory: for tests and simulation. It forgets everything when it goes."""

    name = "in memory"

    def __init__(self, records: Mapping[bytes, bytes] | None = None) -> None:
        self._values = dict(records or {})
        self._keys = sorted(self._values)
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return self._values.get(key)

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        lower, upper = prefix, prefix_end(prefix)
        start = bisect_left(self._keys, lower)
        stop = len(self._keys) if upper is None else bisect_left(self._keys, upper)
        if after is not None and reverse:
            stop = min(stop, bisect_left(self._keys, after))
        elif after is not None:
            start = max(start, bisect_right(self._keys, after))
        keys = self._keys[start:stop]
        # Copied at once: like an iterator on disk, a scan does not see the writes made while it runs.
        return iter([(key, self._values[key]) for key in (reversed(keys) if reverse else keys)])

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        self._check_open()
        for key, value in changes.items():
            if value is not None:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = value
            elif self._values.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    def snapshot(self) -> KeyValueView:
        self._check_open()
        return MemoryKeyValue(self._values)

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Broken("the store was used after it was closed")


def number_key(number: int) -> bytes:
    """A height or other count as a part of a key: keys sort as the numbers do."""
    return number.to_bytes(_NUMBER_BYTES, "big")


def key_number(part: bytes) -> int:
    """The number that `number_key` made these bytes from."""
    if len(part) != _NUMBER_BYTES:
        raise Broken("a number in a key has {bytes} bytes", bytes=len(part))
    return int.from_bytes(part, "big")


def prefix_end(prefix: bytes) -> bytes | None:
    """The least key above all keys with this prefix, or None where there is no such key."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None
