"""Committed records of the state in memory, as bytes: the same accounts pay again and again.

Bytes and not decoded records: under load a record is one object that nobody has touched for a while, instead of ten all
over the memory, and to decode it costs less than to look for those.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from state.store.kv import STATE, KeyValueView

RECORDS_MAX: Final = 1 << 18
"""Some 65 MB of accounts; names that nobody has count too, whoever asks for them."""
_FORGOTTEN: Final = RECORDS_MAX // 8
"""How many go at a time, those known longest: a few milliseconds, once in many blocks."""
_UNKNOWN: Final[Any] = object()


class StateCache:
    """What was read or written lately, with the store behind it."""

    def __init__(self, store: KeyValueView) -> None:
        self._store = store
        self._known: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value under a state key, or None where there is none."""
        value: bytes | None = self._known.get(key, _UNKNOWN)
        if value is _UNKNOWN:
            value = self._known[key] = self._store.get(STATE + key)
            self._forget()
        return value

    def update(self, changes: Mapping[bytes, bytes | None]) -> None:
        """A block was applied, and this is what it changed."""
        self._known.update(changes)
        self._forget()

    def _forget(self) -> None:
        """Lets the records go that are known longest, where there are too many."""
        known = self._known
        if len(known) > RECORDS_MAX:
            for key in list(islice(known, _FORGOTTEN)):
                del known[key]
