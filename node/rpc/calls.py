"""What a method is told about its caller, and what the server keeps for all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from concento.errors import Unavailable
from node.backend import Backend
from node.rpc.feed import Feed
from node.stoppable import StoppableView, Stopped
from state.queries import Chain
from state.queries_chain import stream_events

T = TypeVar("T")

WAITS_MAX: Final = 1_000
"""Requests that may wait at the same time for a transaction or a block; each is a timer and a small record."""

WAIT_S_MAX: Final = 30.0
"""The longest that one request waits: below what proxies in between allow."""


BLOCK_WAIT_S_MAX: Final = 10.0
"""How long to wait for the block that carries the newest root: due at once, so this is a network without a quorum."""


ASIDE_MAX: Final = 2
"""Long reads at the same time: they share the interpreter with the event loop, the others wait."""


def wall_ms() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


class Desk:
    """What all calls of one server share: the node, its chain as queries read it, and the event feed."""

    def __init__(self, backend: Backend, now_ms: Callable[[], int] = wall_ms) -> None:
        self.backend = backend
        self.now_ms = now_ms
        self.feed = Feed(_Source(backend))
        self.waits = 0
        self._aside = asyncio.Semaphore(ASIDE_MAX)
        self._reading: dict[StoppableView, None] = {}

    @property
    def chain(self) -> Chain:
        """The chain at this moment, as queries read it."""
        return _chain(self.backend)

    async def aside(self, query: Callable[[Chain], T]) -> T:
        """What a query that may read a lot finds in the store of this moment; off the event loop, a few at a time.

        Raises Unavailable where the node is stopped meanwhile.
        """
        async with self._aside:
            if self.feed.closed:
                raise Unavailable("node.stopping")
            backend = self.backend
            snapshot = StoppableView(backend.store.snapshot())
            self._reading[snapshot] = None

            def run() -> T:
                # Closed by whoever reads it: a caller who goes away must not pull it from under the query.
                try:
                    return query(Chain(snapshot, None, backend.genesis))
                except Stopped:
                    raise Unavailable("node.stopping") from None
                finally:
                    snapshot.close()
                    del self._reading[snapshot]

            return await asyncio.to_thread(run)

    def close(self) -> None:
        """Ends the feed and what is read aside, and lets nothing more begin. Threads are to be waited for."""
        self.feed.close()
        for snapshot in list(self._reading):
            snapshot.is_stopped = True


class _Source:
    """The node's events, as the feed reads them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def height(self) -> int:
        return _chain(self._backend).height

    @property
    def oldest_height(self) -> int:
        return _chain(self._backend).oldest_height

    def events(self, height: int) -> Sequence[dict[str, Any]]:
        return stream_events(_chain(self._backend), height)

    def damaged(self, reason: str) -> None:
        self._backend.note_damage(reason)


def _chain(backend: Backend) -> Chain:
    return Chain(backend.store, backend.tree, backend.genesis)


@dataclass(frozen=True, slots=True)
class Connection:
    """The two ends of a WebSocket that a method may use: `subscribe(start, topics) -> id` and `unsubscribe(id)`."""

    subscribe: Callable[[str | None, tuple[str, ...]], str]
    unsubscribe: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `local`: from a program on this machine, not from a web page; `wait_until_s`: event loop time."""

    desk: Desk
    local: bool
    wait_until_s: float
    connection: Connection | None = None

    def asked_now(self) -> Call:
        """The same caller with another request."""
        return replace(self, wait_until_s=asyncio.get_running_loop().time() + WAIT_S_MAX)


async def wait_for_height(call: Call, height: int) -> None:
    """Returns once this height is committed. Raises Unavailable where it does not come in time."""
    feed, loop = call.desk.feed, asyncio.get_running_loop()
    until_s = min(loop.time() + BLOCK_WAIT_S_MAX, call.wait_until_s)
    while feed.height < height:
        if loop.time() >= until_s or feed.closed:
            raise Unavailable("proof.no_block", seconds=int(BLOCK_WAIT_S_MAX))
        await feed.wait(until_s - loop.time())
