"""The store on disk: LevelDB, opened so that damage is an error and never a missing key. The only user of plyvel.

Measured, and the reasons for the options: without checksums on reads a flipped byte reads as "no such key"; without
paranoid checks a flipped byte in the log silently drops the newest heights; with `create_if_missing` a folder that
lost its CURRENT file opens as a nearly empty store. A cut MANIFEST still opens with a part of the records gone, which
no option finds: the opener compares the records with the commit record (`state/store/opening.py`).

What is found while opening is `Rejected` and names the command that mends it. Once open, a failed read or write is
`Broken`: no write is taken after a failed one, and the node must stop before it signs anything more.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import plyvel

from concento.errors import Broken, Damaged, Rejected
from concento.limits import MIB
from state.store.kv import KeyValueView, prefix_end

_OPTIONS: Final[dict[str, Any]] = {
    "paranoid_checks": True,
    # Hashes and signatures: packing them takes half as much time again as writing them and saves a fifth of the disk.
    "compression": None,
    # Decoded blocks of the tables; the ledger keeps its own records above this.
    "lru_cache_size": 16 * 1024 * 1024,
    # Most look-ups of transaction ids are for ids that are not there: ten bits answer 99 in 100 from memory.
    "bloom_filter_bits": 10,
    # Tables of 2 MB are mapped into memory: bounds the file handles of a node together with its sockets.
    "max_open_files": 200,
}
BUFFER_BYTES: Final = 24 * MIB
"""What LevelDB gathers before it writes a table; two such may be held at once. Records come in no order: the more are
gathered, the fewer older ones each merge reads and writes again (docs/adr/0022-nodes-merge-at-different-times.md)."""
_STAGGER_BYTES: Final = 2 * MIB
_CURRENT: Final = "CURRENT"
_LOCK: Final = "LOCK"
_HELD: Final = "IO error: lock "
"""How LevelDB's complaint about a lock that somebody holds begins; others name paths, with any words in them."""
_FORBIDDEN: Final = os.strerror(errno.EACCES)


class LevelDb:
    """A `KeyValue` in a folder of its own, locked to one process."""

    def __init__(self, path: Path, handle: Any) -> None:
        self.path = path
        self.name = str(path)
        self._write_failure: str | None = None
        self._handle = handle

    @classmethod
    def create(cls, path: Path) -> LevelDb:
        """A new store in a folder that holds none yet."""
        if (path / _CURRENT).exists() or _leftovers(path):
            raise Rejected("store.exists", path=str(path))
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Rejected("store.unusable", path=str(path), reason=_reason(error)) from None
        return cls(path, _opened(path, BUFFER_BYTES, create_if_missing=True, error_if_exists=True))

    @classmethod
    def open(cls, path: Path, buffer_bytes: int = BUFFER_BYTES) -> LevelDb:
        """The store that `create` made here; nothing is created where it is gone or damaged."""
        if not (path / _CURRENT).exists():
            if _leftovers(path):
                raise Rejected("store.corrupt", path=str(path), reason="the file CURRENT is missing")
            raise Rejected("store.missing", path=str(path))
        return cls(path, _opened(path, buffer_bytes, create_if_missing=False))

    def get(self, key: bytes) -> bytes | None:
        return _get(self.path, self._handle, key)

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self.path, self._handle, prefix, after, reverse)

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        # LevelDB itself goes on after an append that failed half way, with a torn record in the middle of its log.
        if self._write_failure is not None:
            raise _unwritable(self.path, self._write_failure)
        try:
            batch = self._handle.write_batch(sync=True)
            for key, value in changes.items():
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            batch.write()
        except (plyvel.Error, RuntimeError) as error:
            self._write_failure = _reason(error)
            raise _unwritable(self.path, self._write_failure) from None

    def snapshot(self) -> KeyValueView:
        try:
            return _Snapshot(self.path, self._handle.snapshot())
        except (plyvel.Error, RuntimeError) as error:
            raise _unreadable(self.path, error) from None

    def close(self) -> None:
        self._handle.close()


class _Snapshot:
    """The store of one moment."""

    def __init__(self, path: Path, handle: Any) -> None:
        self._path = path
        self._handle = handle

    def get(self, key: bytes) -> bytes | None:
        return _get(self._path, self._handle, key)

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self._path, self._handle, prefix, after, reverse)

    def close(self) -> None:
        self._handle.close()


def repair(path: Path) -> None:
    """Has LevelDB rebuild its file list from the tables and logs that can still be read.

    Records may be lost or be old afterwards: only opening the store as a whole shows whether it is good again.
    """
    if not _leftovers(path):
        raise Rejected("store.missing", path=str(path))
    # LevelDB locks a store that it opens, but not one that it repairs.
    with (path / _LOCK).open("ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Rejected("store.locked", path=str(path)) from None
        try:
            plyvel.repair_db(str(path), paranoid_checks=False)
        except plyvel.Error as error:
            raise Rejected("store.lost", path=str(path), reason=_reason(error)) from None


def staggered_bytes(key: bytes, validators: Sequence[bytes]) -> int:
    """A `buffer_bytes` for the node with this key: between 24 and 38 MiB, another one for each of 8 validators.

    All nodes write the same records. With equal buffers they would fill their tables, and merge them, at the same
    moments: then all of them are slow at once, where a quorum could go on without the one that is.
    """
    place = validators.index(key) if key in validators else key[0]
    return BUFFER_BYTES + place * 5 % 8 * _STAGGER_BYTES


def _opened(path: Path, buffer_bytes: int, **options: bool) -> Any:
    try:
        return plyvel.DB(str(path), write_buffer_size=buffer_bytes, **_OPTIONS, **options)
    except plyvel.CorruptionError as error:
        raise Rejected("store.corrupt", path=str(path), reason=_reason(error)) from None
    except plyvel.Error as error:
        reason = _reason(error)
        if reason.startswith(_HELD):
            raise Rejected("store.locked", path=str(path)) from None
        # A table cut short is an "invalid argument" to LevelDB, not corruption.
        is_there = (path / _CURRENT).exists() and not reason.endswith(_FORBIDDEN)
        kind = "store.corrupt" if is_there else "store.unusable"
        raise Rejected(kind, path=str(path), reason=reason) from None


def _leftovers(path: Path) -> bool:
    """Whether the folder holds files of a LevelDB, with or without CURRENT."""
    return any(
        file.suffix in (".ldb", ".sst", ".log") or file.name.startswith("MANIFEST-")
        for file in (path.iterdir() if path.is_dir() else ())
    )


def _get(path: Path, handle: Any, key: bytes) -> bytes | None:
    try:
        value: bytes | None = handle.get(key, verify_checksums=True)
    except (plyvel.Error, RuntimeError) as error:
        raise _unreadable(path, error) from None
    return value


def _scan(path: Path, handle: Any, prefix: bytes, after: bytes | None, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
    bounds: dict[str, Any] = {"stop": prefix_end(prefix)}
    if reverse:
        # Without a start: plyvel 1.5.1 finds nothing in reverse where the start itself is the last key of all.
        if after is not None:
            bounds["stop"] = after if bounds["stop"] is None else min(bounds["stop"], after)
    elif after is not None and after >= prefix:
        bounds |= {"start": after, "include_start": False}
    else:
        bounds["start"] = prefix
    try:
        found = handle.iterator(**bounds, reverse=reverse, verify_checksums=True)
    except (plyvel.Error, RuntimeError) as error:
        raise _unreadable(path, error) from None
    return _pairs(path, found, prefix)


def _pairs(path: Path, found: Any, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    try:
        with found:
            for key, value in found:
                if key < prefix:
                    return
                yield key, value
    except (plyvel.Error, RuntimeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> Damaged:
    return Damaged(f"the store {path} cannot be read: {_reason(error)}", "concento node repair")


def _unwritable(path: Path, reason: str) -> Broken:
    return Broken(
        "the store {path} did not take a write: {reason}; see to the disk, then start the node again",
        path=str(path),
        reason=reason,
    )


def _reason(error: Exception) -> str:
    """The text of an error; LevelDB's comes as bytes."""
    text = error.args[0] if error.args else type(error).__name__
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(error)
