"""The event stream: resumed without a gap, with a notice wherever something is left out, never in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from concento.errors import Damaged, Rejected
from node.rpc.feed import Feed, parse_cursor, wanted_by


class Heights:
    """A chain of `height` blocks with two events each."""

    def __init__(self, height: int) -> None:
        self.height = height
        self.oldest_height = 1
        self.reads = 0
        self.lost: tuple[int, ...] = ()
        self.told: list[str] = []

    def damaged(self, reason: str) -> None:
        self.told.append(reason)

    def events(self, height: int) -> Sequence[dict[str, Any]]:
        self.reads += 1
        if height in self.lost:
            raise Damaged(f"height {height}", "concento node repair")
        return [
            {
                "cursor": f"{height}.{index}",
                "height": height,
                "index": index,
                "topic": "block" if index == 0 else "tokens",
                "event": {"kind": "test", "to": f"account{height}", "tags": ["lofi"]},
            }
            for index in range(2)
        ]


async def take(feed: Feed, count: int, start: str | None, topics: Sequence[str] = ()) -> list[dict[str, Any]]:
    reader = feed.read(start, wanted_by(topics))
    return [await asyncio.wait_for(anext(reader), 5) for _ in range(count)]


def cursors(events: list[dict[str, Any]]) -> list[str]:
    return [event.get("cursor", f"lagged {event.get('resume_from')}") for event in events]


def test_a_cursor_is_followed_by_the_very_next_event() -> None:
    feed = Feed(Heights(3))
    assert cursors(asyncio.run(take(feed, 4, "1.0"))) == ["1.1", "2.0", "2.1", "3.0"]
    assert cursors(asyncio.run(take(feed, 2, "1.1"))) == ["2.0", "2.1"]
    assert cursors(asyncio.run(take(feed, 2, "0.0"))) == ["1.0", "1.1"]
    assert cursors(asyncio.run(take(feed, 1, "2"))) == ["3.0"]


def test_a_height_that_the_disk_has_lost_is_told_and_the_next_one_follows() -> None:
    heights = Heights(3)
    heights.lost = (2,)
    feed = Feed(heights)
    assert cursors(asyncio.run(take(feed, 5, "0.0"))) == ["1.0", "1.1", "lagged 2", "3.0", "3.1"]
    assert heights.told == ["height 2; stop the node and run: concento node repair"]
    assert cursors(asyncio.run(take(feed, 1, "2"))) == ["3.0"]


def test_a_reader_at_the_tip_gets_what_is_committed_next() -> None:
    async def run() -> list[str]:
        heights = Heights(5)
        feed = Feed(heights)
        reader = feed.read(None, wanted_by(()))
        first = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        assert not first.done()
        for _ in range(2):
            heights.height += 1
            feed.advance()
        return cursors([await first, await anext(reader), await anext(reader)])

    assert asyncio.run(run()) == ["6.0", "6.1", "7.0"]


def test_a_reader_that_falls_behind_is_told_from_where_to_resume() -> None:
    async def run() -> list[str]:
        heights = Heights(1)
        feed = Feed(heights, lag_heights_max=10)
        reader = feed.read(None, wanted_by(()))
        heights.height = 2
        feed.advance()
        found = [await anext(reader)]
        heights.height = 40
        found += [await anext(reader) for _ in range(3)]
        resumed = feed.read(found[2]["resume_from"], wanted_by(()))
        return cursors([*found, await anext(resumed)])

    assert asyncio.run(run()) == ["2.0", "2.1", "lagged 2.1", "40.0", "3.0"]


def test_a_reader_that_asked_for_the_past_is_not_lagging() -> None:
    feed = Feed(Heights(500), lag_heights_max=10)
    found = cursors(asyncio.run(take(feed, 1_000, "0.0")))
    assert found[0] == "1.0"
    assert found[-1] == "500.1"
    assert not any("lagged" in cursor for cursor in found)


def test_what_was_pruned_is_said_and_the_rest_follows() -> None:
    heights = Heights(9)
    heights.oldest_height = 7
    assert cursors(asyncio.run(take(Feed(heights), 3, "2.0"))) == ["lagged 6.0", "7.0", "7.1"]


def test_readers_of_the_same_height_share_its_decoding() -> None:
    heights = Heights(3)
    feed = Feed(heights)
    for _ in range(50):
        asyncio.run(take(feed, 6, "0.0"))
    assert heights.reads == 3


def test_a_closed_feed_ends_its_readers() -> None:
    async def run() -> list[Any]:
        feed = Feed(Heights(1))
        reader = asyncio.ensure_future(_all(feed))
        await asyncio.sleep(0)
        feed.close()
        return await reader

    async def _all(feed: Feed) -> list[Any]:
        return [event async for event in feed.read(None, wanted_by(()))]

    assert asyncio.run(run()) == []


@pytest.mark.parametrize(
    ("topics", "count"),
    [
        ((), 6),
        (("tokens",), 3),
        (("block", "tokens"), 6),
        (("account2",), 2),
        (("account/account3",), 2),
        (("lofi",), 6),
        (("nothing",), 0),
    ],
)
def test_topics_choose_by_topic_and_by_whatever_an_event_names(topics: Sequence[str], count: int) -> None:
    heights = Heights(3)
    wanted = wanted_by(topics)
    assert sum(wanted(event) for height in (1, 2, 3) for event in heights.events(height)) == count


@pytest.mark.parametrize("text", ["", "x", "1.", ".1", "-1.0", "1.0.0", "1e3", "9" * 30, "\u0661"])
def test_what_is_not_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as refusal:
        parse_cursor(text)
    assert refusal.value.kind == "rpc.cursor_malformed"
