"""Long reads in threads that end when the node does: a store must not be closed under them."""

from __future__ import annotations

from collections.abc import Iterator

from state.store.kv import KeyValueView


class Stopped(Exception):
    """The node goes, and its store with it."""


class StoppableView:
    """A view whose reads raise `Stopped` once they are told to."""

    def __init__(self, view: KeyValueView) -> None:
        self._view = view
        self.is_stopped = False

    def get(self, key: bytes) -> bytes | None:
        if self.is_stopped:
            raise Stopped
        return self._view.get(key)

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for pair in self._view.scan(prefix, after, reverse):
            if self.is_stopped:
                raise Stopped
            yield pair

    def close(self) -> None:
        self._view.close()
