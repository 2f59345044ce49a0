"""Real files and a real LevelDB with numbered places: at one of them the process dies, or the disk fails.

Every write and every sync that a node asks of its disk is a place, counted from the start of the process. What is done
there is done for real: a process killed by SIGKILL, a file cut as a power cut leaves it, an error of the kernel. The
node itself knows nothing of this; it stands between the node and its disk (`node.app.run_node`).
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, assert_never

from consensus.guard import decode_slot, last_place
from consensus.messages import Step
from node.replica.files import DiskFiles, Files
from node.replica.segments import EntryKind
from state.store.kv import KeyValue, KeyValueView
from state.store.leveldb import LevelDb

CrashHow = Literal["before", "torn", "after", "power"]
"""Killed before the operation, in the middle of it, behind it; or with all that was not synced gone from the files."""
FailHow = Literal["io", "full"]
"""The operation gives an input/output error, or the file does not grow any further."""
CRASH_HOWS: Final[tuple[CrashHow, ...]] = ("before", "torn", "after", "power")
FAIL_HOWS: Final[tuple[FailHow, ...]] = ("io", "full")

TORN_BYTES: Final = 7
"""How much of a write to the store the full disk still takes: the head of a record of LevelDB's log."""

PLACE_KINDS: Final = (
    "append.batch",
    "append.block",
    "sync",
    "guard.propose",
    "guard.prevote",
    "guard.precommit",
    "store.write",
)
"""What a validator writes in the course of things; besides, a start may find something to `truncate` or `remove`, and
a guard that is older than its key's use becomes `guard.blank`."""

_KIND_AT: Final = 4
"""Where an entry of a segment says what it is."""


@dataclass
class Places:
    """Counts the places of one process, writes their names down, and says where something happens."""

    at: int | None = None
    how: CrashHow | FailHow | None = None
    kind: str | None = None
    """Where it is given, `at` counts the places of this kind only."""
    trace: Path | None = None
    count: int = 0
    of_kind: int = 0
    _descriptor: int | None = field(default=None, repr=False)

    def reached(self, name: str) -> CrashHow | FailHow | None:
        """What is to happen at this place, which is noted first: the last line is where the process ended."""
        self.count += 1
        if self.trace is not None:
            if self._descriptor is None:
                self._descriptor = os.open(self.trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(self._descriptor, f"{self.count} {name}\n".encode())
        if self.kind is not None:
            self.of_kind += name == self.kind
            return self.how if name == self.kind and self.of_kind == self.at else None
        return self.how if self.count == self.at else None


class FaultyFiles:
    """The files of a node, with places."""

    def __init__(self, files: DiskFiles, folder: Path, places: Places) -> None:
        self._files = files
        self._folder = folder
        self._places = places
        self._synced: dict[str, int] = {}

    def names(self) -> list[str]:
        return self._files.names()

    def size(self, name: str) -> int | None:
        return self._files.size(name)

    def read(self, name: str, offset: int, length: int) -> bytes:
        return self._files.read(name, offset, length)

    def append(self, name: str, offset: int, data: bytes) -> None:
        self._synced.setdefault(name, offset)
        kind = EntryKind(data[_KIND_AT]).name.lower()
        self._do(
            f"append.{kind}",
            lambda: self._files.append(name, offset, data),
            lambda: self._files.append(name, offset, data[: len(data) // 2]),
            self._folder / name,
        )

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        self._do(
            _guard_place(data),
            lambda: self._files.write_at(name, offset, data),
            lambda: self._files.write_at(name, offset, data[: len(data) // 2]),
            self._folder / name,
        )

    def truncate(self, name: str, length: int) -> None:
        self._do("truncate", lambda: self._files.truncate(name, length), _nothing, self._folder / name)

    def sync(self, name: str) -> None:
        self._do("sync", lambda: self._files.sync(name), _nothing, self._folder / name)
        self._synced[name] = self._files.size(name) or 0

    def remove(self, name: str) -> None:
        self._do("remove", lambda: self._files.remove(name), _nothing, self._folder / name)

    def lose_unsynced(self) -> None:
        """Leaves of every file what a power cut leaves."""
        for name, length in self._synced.items():
            if self._files.size(name) is not None:
                os.truncate(self._folder / name, length)

    def _do(self, name: str, whole: Callable[[], None], half: Callable[[], None], file: Path) -> None:
        match self._places.reached(name):
            case None:
                whole()
            case "before":
                die()
            case "torn":
                half()
                die()
            case "after":
                whole()
                die()
            case "power":
                self.lose_unsynced()
                die()
            case "io":
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(file))
            case "full":
                half()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
            case other:
                assert_never(other)


class FaultyStore:
    """The store of a node, with places."""

    def __init__(self, store: LevelDb, files: FaultyFiles, places: Places) -> None:
        self.name = store.name
        self._store = store
        self._files = files
        self._places = places

    def get(self, key: bytes) -> bytes | None:
        return self._store.get(key)

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._store.scan(prefix, after, reverse)

    def snapshot(self) -> KeyValueView:
        return self._store.snapshot()

    def close(self) -> None:
        self._store.close()

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        match self._places.reached("store.write"):
            case None:
                self._store.write(changes)
            case "before":
                die()
            case "torn":
                self._write_half(changes)
                die()
            case "after":
                self._store.write(changes)
                die()
            case "power":
                self._files.lose_unsynced()
                die()
            case "io" | "full":
                with _no_growth(newest_log(self._store.path)):
                    self._store.write(changes)
            case other:
                assert_never(other)

    def _write_half(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Leaves the end of LevelDB's log as a power cut in the middle of the write does."""
        log = newest_log(self._store.path)
        before = log.stat().st_size
        self._store.write(changes)
        if newest_log(self._store.path) == log:
            os.truncate(log, (before + log.stat().st_size) // 2)


def faulty_disk(places: Places, folder: Path) -> Callable[[LevelDb, DiskFiles], tuple[KeyValue, Files]]:
    """For `run_node`: the disk with these places; `folder` is where the node's files are."""

    def between(store: LevelDb, files: DiskFiles) -> tuple[KeyValue, Files]:
        faulty = FaultyFiles(files, folder, places)
        return FaultyStore(store, faulty, places), faulty

    return between


def newest_log(store: Path) -> Path:
    """The log that LevelDB writes to now."""
    return max(store.glob("*.log"))


def die() -> None:
    """Ends the process as a power cut does: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def _guard_place(data: bytes) -> str:
    """A proposal and the prevote for it are one write: it is named after the proposal."""
    slot = decode_slot(data)
    if slot is None:
        return "guard.blank"
    record = slot.record
    proposed = record.proposal is not None and (record.proposal.height, record.proposal.round) == last_place(record)[:2]
    if proposed and record.step is not Step.PRECOMMIT:
        return "guard.propose"
    return f"guard.{Step(record.step).name.lower()}"


def _nothing() -> None:
    pass


@contextmanager
def _no_growth(file: Path) -> Iterator[None]:
    """Meanwhile the kernel lets no file of this process grow beyond the size of this one, plus a few bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + TORN_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
