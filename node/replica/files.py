"""The files of a replica as it sees them - a flat folder of append-only files and one guard file - and their fake.

The replica reads through this seam at any time and writes only when it opens; while it runs, its effects `Append`,
`Sync` and `WriteGuard` are performed on it. `MemoryFiles` knows what is durable, so that a test can cut the power.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from concento.errors import Broken

GUARD_FILE: Final = "guard"


class Files(Protocol):
    """A flat folder. A name has no slash. Reads see everything written, durable or not."""

    def names(self) -> list[str]:
        """The names of all files, sorted."""

    def size(self, name: str) -> int | None:
        """The length in bytes, or None where there is no such file."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on; fewer at the end of the file."""

    def append(self, name: str, offset: int, data: bytes) -> None:
        """Adds to the end, which must be at `offset`; makes the file where it is missing and `offset` is 0."""

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Overwrites inside the file, or grows it; durable when this returns."""

    def truncate(self, name: str, length: int) -> None:
        """Cuts the file; durable when this returns."""

    def sync(self, name: str) -> None:
        """Everything written to the file, and its name, is durable when this returns."""

    def remove(self, name: str) -> None:
        """Deletes the file."""


class MemoryFiles:
    """Files in memory. `crash` forgets what was not synced, but for a part of each unsynced tail that `kept` allows."""

    def __init__(self) -> None:
        self._data: dict[str, bytearray] = {}
        self._durable: dict[str, int] = {}
        # How long each file is on disk: what was written inside it is there when `write_at` returns.

    def names(self) -> list[str]:
        return sorted(self._data)

    def size(self, name: str) -> int | None:
        return len(self._data[name]) if name in self._data else None

    def read(self, name: str, offset: int, length: int) -> bytes:
        return bytes(self._data[name][offset : offset + length])

    def append(self, name: str, offset: int, data: bytes) -> None:
        file = self._data.setdefault(name, bytearray())
        if len(file) != offset:
            raise _misplaced(name, offset, len(file))
        file += data

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        file = self._data.setdefault(name, bytearray())
        file.extend(bytes(max(0, offset - len(file))))
        file[offset : offset + len(data)] = data
        self.sync(name)

    def truncate(self, name: str, length: int) -> None:
        del self._data[name][length:]
        self.sync(name)

    def sync(self, name: str) -> None:
        self._durable[name] = len(self._data[name])

    def durable_size(self, name: str) -> int:
        """How much of the file a crash leaves."""
        return self._durable.get(name, 0)

    def remove(self, name: str) -> None:
        del self._data[name]
        self._durable.pop(name, None)

    def crash(self, kept: int = 0) -> MemoryFiles:
        """What a machine finds after the power went: synced bytes, and at most `kept` bytes of each unsynced tail."""
        return self.crash_with(lambda _name, tail: tail[:kept])

    def crash_with(self, survivor: Callable[[str, bytes], bytes]) -> MemoryFiles:
        """The same, where `survivor` says by name what is left of an unsynced tail."""
        after = MemoryFiles()
        for name, file in self._data.items():
            durable = bytes(file[: self._durable.get(name, 0)])
            left = survivor(name, bytes(file[len(durable) :]))
            if name not in self._durable and not left:
                continue
            after._data[name] = bytearray(durable + left)
            after._durable[name] = len(durable) + len(left)
        return after


class DiskFiles:
    """Files in a folder on disk. Open descriptors are kept, one per file, until `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, int] = {}
        self._new: set[str] = set()

    def names(self) -> list[str]:
        return sorted(entry.name for entry in self._folder.iterdir() if entry.is_file())

    def size(self, name: str) -> int | None:
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str, offset: int, length: int) -> bytes:
        parts = []
        while length > 0 and (part := os.pread(self._descriptor(name), length, offset)):
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def append(self, name: str, offset: int, data: bytes) -> None:
        descriptor = self._descriptor(name)
        found = os.fstat(descriptor).st_size
        if found != offset:
            raise _misplaced(name, offset, found)
        _write(descriptor, offset, data)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        _write(self._descriptor(name), offset, data)
        self.sync(name)

    def truncate(self, name: str, length: int) -> None:
        os.ftruncate(self._descriptor(name), length)
        self.sync(name)

    def sync(self, name: str) -> None:
        _sync_data(self._descriptor(name))
        if name in self._new:
            # The name of a new file is durable only once its folder is: without this a power cut loses the whole file.
            self._sync_folder()
            self._new.discard(name)

    def remove(self, name: str) -> None:
        descriptor = self._open.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)
        (self._folder / name).unlink()
        self._sync_folder()

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _descriptor(self, name: str) -> int:
        descriptor = self._open.get(name)
        if descriptor is None:
            path = self._folder / name
            if not path.exists():
                self._new.add(name)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            self._open[name] = descriptor
        return descriptor

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_sync_data = getattr(os, "fdatasync", os.fsync)
"""The bytes and the length, without the time of the change, which would cost a write of its own."""


def _write(descriptor: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset, view = offset + written, view[written:]


def _misplaced(name: str, expected: int, found: int) -> Broken:
    return Broken("file {name} holds {found} bytes, not {expected}", name=name, found=found, expected=expected)
