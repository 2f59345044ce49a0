"""Snapshots of a running node: when they are taken, what ends them, and what a damaged shelf does not give away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path

from concento.blocks import Header
from concento.errors import Broken
from node.logs import Log
from node.snapshots import SnapshotFolders, SnapshotShelf, Taking
from state.store.kept import find_header
from state.store.kv import KeyValueView, MemoryKeyValue
from state.store.opening import committed
from support.comet import BLOCK_MS, Comet


class Counted(MemoryKeyValue):
    """Counts what is read of it."""

    reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().get(key)


class Rig:
    """A node that takes a snapshot every three blocks; `taken` is what it took."""

    def __init__(self, folder: Path) -> None:
        self.comet = Comet()
        self.kv = Counted()
        self.taken: list[int] = []
        self.events: list[str] = []
        self.folders = SnapshotFolders(folder, 2, "snapshot-")
        logger = logging.Logger("test")
        logger.addFilter(lambda record: self.events.append(record.msg) is not None)
        self.log = Log(logger, "node1")

    def taking(self) -> Taking:
        return Taking(self.kv, self.folders, self.take, 3 * BLOCK_MS, self.log)

    def take(self, view: KeyValueView, _pause: Callable[[], None]) -> int:
        commit = committed(view)
        assert commit is not None
        self.folders.begin(commit.height)
        self.folders.finish(commit.height, b"manifest")
        self.taken.append(commit.height)
        return commit.height

    def block(self) -> Header:
        self.comet.block()
        self.kv.write(dict(self.comet.kv.scan(b"")))
        header = find_header(self.kv, self.comet.application.store.commit.height)
        assert header is not None
        return header


async def run_blocks(rig: Rig, taking: Taking, count: int) -> None:
    for _ in range(count):
        taking.committed(rig.block())
        if taking._task is not None:
            await taking._task


def run(rig: Rig, story: Callable[[], Coroutine[None, None, None]]) -> list[int]:
    asyncio.run(story())
    return rig.taken


def test_the_heights_of_snapshots_follow_from_block_time_and_not_from_when_a_node_started(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story() -> None:
        await run_blocks(rig, rig.taking(), 4)
        await run_blocks(rig, rig.taking(), 8)

    heights = run(rig, story)
    assert len(heights) >= 3
    assert heights == list(range(heights[0], heights[-1] + 1, 3))
    assert rig.folders.heights() == heights[-2:]
    assert rig.events == ["snapshot.taken"] * len(heights)


def test_a_block_after_the_one_before_costs_no_read_of_the_store(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    taking = Taking(rig.kv, rig.folders, rig.take, 10**12, rig.log)
    headers = [rig.block() for _ in range(4)]
    for header in headers[:3]:
        taking.committed(header)
    rig.kv.reads = 0
    taking.committed(headers[3])
    assert rig.kv.reads == 0


def test_a_snapshot_that_fails_is_told_and_the_next_is_taken_all_the_same(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    failing = [Broken("the disk is full"), OSError("gone")]

    def take(view: KeyValueView, pause: Callable[[], None]) -> int:
        if failing:
            raise failing.pop()
        return rig.take(view, pause)

    async def story() -> None:
        await run_blocks(rig, Taking(rig.kv, rig.folders, take, 3 * BLOCK_MS, rig.log), 10)

    assert len(run(rig, story)) >= 1
    assert rig.events[:3] == ["snapshot.failed", "snapshot.failed", "snapshot.taken"]


def test_a_node_that_ends_breaks_off_what_it_takes_and_takes_one_at_a_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    begun = []

    def endless(view: KeyValueView, pause: Callable[[], None]) -> int:
        begun.append(view)
        while True:
            pause()

    async def story() -> None:
        taking = Taking(rig.kv, rig.folders, endless, BLOCK_MS, rig.log)
        for _ in range(4):
            taking.committed(rig.block())
        await taking.stop()

    assert run(rig, story) == []
    assert len(begun) == 1
    assert rig.events == []


def test_a_damaged_manifest_is_not_given_away_and_stops_no_node_that_is_asked_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot-000000000005"
    folder.mkdir()
    (folder / "files").write_bytes(bytes(1_000))
    shelf = SnapshotShelf(tmp_path, kept=2)
    for damaged in (b"", b"what is no manifest", bytes(100_000)):
        (folder / "manifest").write_bytes(damaged)
        assert shelf.heights() == [5]
        assert shelf.manifest(5) is None
        assert shelf.manifest(0) is None
        assert shelf.piece(5, 0, 0) is None
