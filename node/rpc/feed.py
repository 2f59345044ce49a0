"""The event stream as one reader sees it: from a cursor on, without a gap, or with a notice that says where one is.

A reader pulls: it reads the store height by height at its own pace and waits at the tip. Nothing is queued for it, so
that a slow reader costs nothing; one that falls too far behind is told from where to resume, and moved to the tip.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol

from concento.errors import Damaged, Rejected

LAG_HEIGHTS_MAX: Final = 1_000
"""How far a reader that was at the tip may fall behind it: ten seconds at the shortest block time."""

CACHED_HEIGHTS: Final = 64
"""Heights whose events stay decoded: readers at the tip share them."""


class Source(Protocol):
    """Where events are read: all of one node's committed heights."""

    @property
    def height(self) -> int:
        """The newest height."""

    @property
    def oldest_height(self) -> int:
        """The oldest height whose events are kept."""

    def damaged(self, reason: str) -> None:
        """The events of a height could not be read."""

    def events(self, height: int) -> Sequence[dict[str, Any]]:
        """The events of a height in order; the `cursor` of each is its place in the chain."""


class Feed:
    """All readers of one node. `advance` is called after every commit."""

    def __init__(self, source: Source, lag_heights_max: int = LAG_HEIGHTS_MAX) -> None:
        self._source = source
        self._lag_heights_max = lag_heights_max
        self._cache: dict[int, Sequence[dict[str, Any]]] = {}
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._closed = False

    @property
    def height(self) -> int:
        return self._source.height

    def advance(self) -> None:
        """There is a new height: wakes whoever waits at the tip."""
        waiting, self._waiting = self._waiting, {}
        for news in waiting:
            _wake(news)

    def close(self) -> None:
        """Ends every reader where it stands."""
        self._closed = True
        self.advance()

    @property
    def closed(self) -> bool:
        return self._closed

    async def wait(self, timeout_s: float) -> None:
        """Returns at the next commit, at the latest when the time has passed."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        # One each: whoever waits goes on in the next turn of the loop, before the node's next event.
        news = loop.create_future()
        self._waiting[news] = None
        timer = loop.call_later(timeout_s, _wake, news)
        try:
            await news
        finally:
            timer.cancel()
            self._waiting.pop(news, None)

    def read(self, start: str | None, wanted: Callable[[dict[str, Any]], bool]) -> AsyncIterator[dict[str, Any]]:
        """The wanted events after the cursor `start`, or from now on; a notice `lagged` wherever some are left out."""
        if start is None:
            return self._read((self.height + 1, 0), f"{self.height}", wanted, live=True)
        height, index = parse_cursor(start)
        return self._read((height, index) if height else (1, 0), start, wanted, live=False)

    async def _read(
        self, place: tuple[int, int], seen: str, wanted: Callable[[dict[str, Any]], bool], *, live: bool
    ) -> AsyncIterator[dict[str, Any]]:
        """From this place on; `seen` is where it would be resumed. One who reads the past is not late, however far."""
        height, index = place
        while not self._closed:
            tip = self.height
            if height > tip:
                live = True
                await self.wait(3_600)
                continue
            if live and tip - height >= self._lag_heights_max:
                yield {"lagged": True, "resume_from": seen}
                height, index = tip, 0
            oldest = self._source.oldest_height
            if height < oldest:
                yield {"lagged": True, "resume_from": f"{oldest - 1}.0"}
                height, index = oldest, 0
            try:
                found = self._events(height)
            except Damaged as error:
                # This height is left out here, and another node has it.
                self._source.damaged(str(error))
                yield {"lagged": True, "resume_from": f"{height}"}
                height, index = height + 1, 0
                continue
            for event in found:
                if event["index"] >= index and wanted(event):
                    yield event
                seen = event["cursor"]
            height, index = height + 1, 0
            # A long catch-up of unwanted events must not hold the event loop.
            await asyncio.sleep(0)

    def _events(self, height: int) -> Sequence[dict[str, Any]]:
        found = self._cache.get(height)
        if found is None:
            found = self._cache[height] = self._source.events(height)
            while len(self._cache) > CACHED_HEIGHTS:
                del self._cache[next(iter(self._cache))]
        return found


def _wake(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)


def parse_cursor(text: str) -> tuple[int, int]:
    """Height and index of the first event after a cursor "height.index"; "height" alone is the end of that height."""
    height, dot, index = text.partition(".")
    if not _is_number(height) or (dot and not _is_number(index)):
        raise Rejected("rpc.cursor_malformed", text=text[:40])
    return (int(height), int(index) + 1) if dot else (int(height) + 1, 0)


def wanted_by(topics: Sequence[str]) -> Callable[[dict[str, Any]], bool]:
    """Whether an event is about one of these topics: its topic, its kind, or an id, address or name in it."""
    if not topics:
        return lambda event: True
    names = frozenset(topic.removeprefix("@").rpartition("/")[2] for topic in topics)

    def wanted(event: dict[str, Any]) -> bool:
        return event["topic"] in names or any(_mentions(value, names) for value in event["event"].values())

    return wanted


def _mentions(value: Any, names: frozenset[str]) -> bool:
    if isinstance(value, str):
        return value in names
    if isinstance(value, dict):
        return any(_mentions(inner, names) for inner in value.values())
    return isinstance(value, list) and any(_mentions(inner, names) for inner in value)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 16
