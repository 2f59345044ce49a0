"""The snapshots that a node takes of its state while the chain runs, and keeps for nodes that join.

A snapshot is taken beside the event loop from a view of the store that later blocks do not change, in short slices with
pauses between. It lies in a folder named by its height; one that was broken off lies in a folder that ends in `.part`,
and is never looked at. All nodes take them at the same heights, where block time passes a multiple of the interval, so
that a joining node may take the pieces of one from many.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Final

from concento.blocks import Header
from concento.encoding import decode, encode
from concento.errors import Broken, ConcentoError, Rejected
from concento.genesis import Genesis
from concento.limits import MIB
from consensus.proposers import Turns
from node.logs import Log
from node.replica.chain import TURNS_KEY
from state.queries import Chain
from state.queries_chain import handovers_before
from state.store.blockstore import BlockRecord, find_block
from state.store.kept import IdsOf, find_header, find_ids
from state.store.kv import STATE, KeyValue, KeyValueView
from state.store.opening import committed
from state.store.snapshots import (
    CHUNKS,
    PIECE_BYTES,
    SNAPSHOT_FORMAT,
    HandoverRecord,
    Manifest,
    Pair,
    check_manifest,
    chunk_of,
    encode_chunk,
    remembered_heights,
    summary,
    top_nodes,
)
from state.view import View

SLICE_RECORDS: Final = 500
"""Records between two pauses: about a millisecond of work."""
PAUSE_S: Final = 0.002
"""The pause: a snapshot takes a third of the interpreter at most, and a million records half a minute."""
WAIT_S: Final = 0.05
"""Between two looks for the block above: due at once, as it carries the new root."""
SPILL_BYTES: Final = 32 * MIB
"""Records held in memory before they go to the disk, sorted by chunk."""

MANIFEST: Final = "manifest"
"""The file that is written last: what makes a folder a snapshot."""
_FILES: Final = "files"
_PART: Final = ".part"
_LENGTHS: Final = struct.Struct(">II")


class SnapshotFolders:
    """A node's snapshots on the disk, each in a folder of its own."""

    def __init__(self, folder: Path, kept: int, prefix: str, is_owner: bool = True) -> None:
        """The owner forgets what was broken off. `kept` newest ones stay when another is done."""
        self._folder = folder
        self._kept = kept
        self._prefix = prefix
        if is_owner:
            for entry in folder.glob(f"{prefix}*{_PART}"):
                shutil.rmtree(entry)

    def heights(self) -> list[int]:
        """The heights of the whole snapshots, the oldest first."""
        names = [entry.name for entry in self._folder.glob(f"{self._prefix}*") if (entry / MANIFEST).exists()]
        return sorted(int(name.removeprefix(self._prefix)) for name in names if not name.endswith(_PART))

    def path(self, height: int) -> Path:
        """Where the snapshot of a height lies, if there is one."""
        return self._folder / f"{self._prefix}{height:012d}"

    def size(self, height: int) -> int:
        """How many bytes a snapshot takes on disk."""
        return sum(entry.stat().st_size for entry in self.path(height).iterdir())

    def begin(self, height: int) -> Path:
        """The folder to make a snapshot in."""
        part = self.path(height).with_suffix(_PART)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        return part

    def finish(self, height: int, manifest: bytes) -> None:
        """The files are all there: from now on it is a snapshot, and the oldest ones go."""
        part = self.path(height).with_suffix(_PART)
        write_durably(part / MANIFEST, manifest)
        sync_folder(part)
        part.rename(self.path(height))
        sync_folder(self._folder)
        for old in self.heights()[: -self._kept]:
            shutil.rmtree(self.path(old))


class SnapshotShelf(SnapshotFolders):
    """The `Shelf` of a replica."""

    def __init__(self, folder: Path, kept: int, is_owner: bool = True) -> None:
        super().__init__(folder, kept, "snapshot-", is_owner)
        self._ends: dict[int, list[int]] = {}

    def oldest(self) -> int | None:
        return min(self.heights(), default=None)

    def manifest(self, height: int) -> bytes | None:
        wanted = height or max(self.heights(), default=0)
        return None if self._ends_of(wanted) is None else self._read(wanted, MANIFEST, 0, -1)

    def piece(self, height: int, file: int, number: int) -> bytes | None:
        ends = self._ends_of(height)
        if ends is None:
            return None
        start = (ends[file - 1] if file else 0) + number * PIECE_BYTES
        length = min(PIECE_BYTES, ends[file] - start)
        return self._read(height, _FILES, start, length) if length > 0 else None

    def _ends_of(self, height: int) -> list[int] | None:
        """Where each file ends among all of them. None for one that is not here, or whose manifest a disk has damaged:
        it is not given away, and whoever asks for it goes to another node."""
        if height not in self._ends:
            raw = self._read(height, MANIFEST, 0, -1)
            try:
                sizes = None if raw is None else decode(Manifest, raw, "snapshot manifest").sizes
            except Rejected:
                sizes = None
            if sizes is None:
                return None
            if len(self._ends) > self._kept:
                self._ends.clear()
            self._ends[height] = list(accumulate(sizes))
        return self._ends[height]

    def _read(self, height: int, name: str, offset: int, length: int) -> bytes | None:
        try:
            with (self.path(height) / name).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError:
            return None


def is_due(parent: Header, header: Header, interval_ms: int) -> bool:
    """Whether a snapshot is taken after this block: its time is the first behind a multiple of the interval."""
    return interval_ms > 0 and header.time_ms // interval_ms > parent.time_ms // interval_ms


def take(
    genesis: Genesis, kv: KeyValueView, shelf: SnapshotShelf, view: KeyValueView, pause: Callable[[], None]
) -> int:
    """Takes a snapshot of the store as this view shows it; the height. Waits until the store has the block above.

    Reads and writes for long: not on an event loop. `pause` is called often and may raise to break off.
    """
    commit = committed(view)
    if commit is None or commit.height < 1:
        raise Broken("a snapshot was asked of a store without blocks")
    height = commit.height
    folder = shelf.begin(height)
    age_ms = genesis.params.consensus.evidence_age_ms
    sizes, summaries = [], []
    with (folder / _FILES).open("wb") as file:
        for pairs in sorted_chunks(view, folder, pause):
            sizes.append(file.write(encode_chunk(pairs)))
            summaries.append(summary(pairs))
        sizes.append(file.write(encode(tuple(ids_of(view, pause)))))
        sizes.append(file.write(encode(tuple(_headers(view, _header(view, height), age_ms, pause)))))
        file.flush()
        os.fsync(file.fileno())
    above, block = _block_above(kv, height, pause), find_block(view, height)
    if block is None:
        raise Broken("the block of a snapshot is not in the store")
    chain = Chain(view, None, genesis)
    handovers = [HandoverRecord(step.header, step.commit, step.members) for step in handovers_before(chain, height + 1)]
    manifest = Manifest(
        SNAPSHOT_FORMAT,
        height,
        above.block.header,
        above.commit,
        block.block,
        above.block.last_commit,
        view.get(TURNS_KEY) or encode(Turns((), ())),
        tuple(handovers),
        top_nodes(summaries),
        tuple(sizes),
    )
    check_manifest(genesis, manifest)
    shelf.finish(height, encode(manifest))
    return height


def _block_above(kv: KeyValueView, height: int, pause: Callable[[], None]) -> BlockRecord:
    while (found := find_block(kv, height + 1)) is None:
        pause()
        time.sleep(WAIT_S)
    return found


Take = Callable[[KeyValueView, Callable[[], None]], int]
"""Takes a snapshot of a view for long, calls the pause often, and tells the height."""


class Taking:
    """Takes snapshots of a running node, one at a time, in a thread: all nodes at the same heights."""

    def __init__(self, kv: KeyValue, folders: SnapshotFolders, take: Take, interval_ms: int, log: Log) -> None:
        self._kv = kv
        self._folders = folders
        self._take = take
        self._interval_ms = interval_ms
        self._log = log
        self._last: Header | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    def committed(self, header: Header) -> None:
        """Looks whether one is due after this block; the store stands at it now."""
        parent, self._last = self._last, header
        if parent is None or parent.height != header.height - 1:
            parent = find_header(self._kv, header.height - 1)
        is_busy = self._task is not None and not self._task.done()
        if not is_busy and parent is not None and is_due(parent, header, self._interval_ms):
            self._task = asyncio.ensure_future(self._run(self._kv.snapshot()))

    async def stop(self) -> None:
        """Breaks off what is being taken: the store goes next."""
        self._is_stopped = True
        if self._task is not None:
            await self._task

    async def _run(self, view: KeyValueView) -> None:
        try:
            height = await asyncio.to_thread(self._take, view, self._pause)
            self._log.info("snapshot.taken", height=height, bytes=self._folders.size(height))
        except _Stopped:
            pass
        except (ConcentoError, OSError) as error:
            # The chain goes on without: a later one may succeed, and this says why not.
            self._log.error("snapshot.failed", reason=str(error))
        finally:
            view.close()

    def _pause(self) -> None:
        if self._is_stopped:
            raise _Stopped
        time.sleep(PAUSE_S)


class _Stopped(Exception):
    """The node ends."""


def sorted_chunks(view: KeyValueView, folder: Path, pause: Callable[[], None]) -> Iterator[list[Pair]]:
    """The records of every chunk; a large state goes over the disk."""
    waiting: dict[int, list[Pair]] = {}
    size = 0
    for count, (key, value) in enumerate(view.scan(STATE)):
        if count % SLICE_RECORDS == 0:
            pause()
        waiting.setdefault(chunk_of(key[1:]), []).append((key[1:], value))
        size += len(key) + len(value)
        if size > SPILL_BYTES:
            _spill(folder, waiting)
            waiting, size = {}, 0
    for chunk in range(CHUNKS):
        pause()
        spilt = folder / f"spill-{chunk:03d}"
        pairs = waiting.pop(chunk, [])
        if spilt.exists():
            pairs += _spilt(spilt.read_bytes())
            spilt.unlink()
        yield pairs


def _spill(folder: Path, waiting: Mapping[int, list[Pair]]) -> None:
    for chunk, pairs in waiting.items():
        with (folder / f"spill-{chunk:03d}").open("ab") as file:
            for key, value in pairs:
                file.write(_LENGTHS.pack(len(key), len(value)) + key + value)


def _spilt(data: bytes) -> Iterator[Pair]:
    at = 0
    while at < len(data):
        key_bytes, value_bytes = _LENGTHS.unpack_from(data, at)
        at += _LENGTHS.size
        yield data[at : at + key_bytes], data[at + key_bytes : at + key_bytes + value_bytes]
        at += key_bytes + value_bytes


def ids_of(view: KeyValueView, pause: Callable[[], None]) -> Iterator[IdsOf]:
    """The ids that may not come back, by height."""
    for height, _ in remembered_heights(View(lambda key: view.get(STATE + key))):
        pause()
        ids = find_ids(view, height)
        if ids is None:
            raise Broken("the ids of height {height} are not kept", height=height)
        yield IdsOf(height, ids)


def _headers(view: KeyValueView, newest: Header, age_ms: int, pause: Callable[[], None]) -> Iterator[Header]:
    """From the newest down to the first that evidence cannot reach any more."""
    header = newest
    yield header
    while header.height > 1 and newest.time_ms - header.time_ms <= age_ms:
        if header.height % 16 == 0:
            pause()
        header = _header(view, header.height - 1)
        yield header


def _header(view: KeyValueView, height: int) -> Header:
    header = find_header(view, height)
    if header is None:
        raise Broken("header {height} is not kept", height=height)
    return header


def write_durably(path: Path, data: bytes) -> None:
    """Writes a file and has it synced."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Has the names in a folder synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
