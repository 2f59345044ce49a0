"""Append-only files that hold batch bodies and proposed blocks, decided or not.

An entry is length (4 bytes), kind (1), CRC-32 of kind and payload (4), payload. Only what follows the last sync can
be torn by a crash, and nothing that left this node rests on it: a torn end is cut when the files are opened. Decided
bodies stay where they are; the block record says where that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from zlib import crc32

from concento.encoding import Natural, Record
from concento.errors import Damaged, Rejected
from concento.limits import FRAME_BYTES_MAX, MIB
from node.replica.events import Append, Remove, Sync
from node.replica.files import Files
from node.replica.outbox import Outbox
from state.store.blockstore import BodyPlace
from state.store.kv import REPLICA

SEGMENT_BYTES_MAX: Final = 64 * MIB
"""A new file is begun behind this: small enough to copy or delete one by one, large enough to be few."""

MARKS_KEY: Final = REPLICA + b"segments"
"""Where the store keeps the marks of the newest commit."""

_PREFIX: Final = "segment-"
_HEAD_BYTES: Final = 9


class EntryKind(IntEnum):
    BATCH = 1
    BLOCK = 2


class Mark(Record):
    """A position in the segments, behind some entry."""

    segment: Natural
    offset: Natural


class Marks(Record):
    """What the newest commit says of the segments: up to where all was durable, and which batches were undecided."""

    durable: Mark
    undecided: tuple[BodyPlace, ...]


FIRST_MARKS: Final = Marks(Mark(0, 0), ())


@dataclass(frozen=True, slots=True)
class Entry:
    kind: EntryKind
    payload: bytes
    place: BodyPlace


class Segments:
    """The segment files of one replica. Reads see every entry whose `Append` was performed."""

    def __init__(self, files: Files, out: Outbox, end: Mark) -> None:
        self._files = files
        self._out = out
        self._segment = end.segment
        self._offset = end.offset
        self._unsynced = False
        self._urgent = False
        numbers = [int(name.removeprefix(_PREFIX)) for name in files.names() if name.startswith(_PREFIX)]
        self.first = min(numbers, default=end.segment)
        """The oldest segment that is there."""

    @property
    def end(self) -> Mark:
        """Behind the last entry."""
        return Mark(self._segment, self._offset)

    def append(self, kind: EntryKind, payload: bytes) -> BodyPlace:
        """Adds an entry; not durable before `sync`."""
        if self._offset >= SEGMENT_BYTES_MAX:
            self.sync()
            self._segment, self._offset = self._segment + 1, 0
        data = _head(kind, payload) + payload
        self._out.emit(Append(_name(self._segment), self._offset, data))
        place = BodyPlace(self._segment, self._offset + _HEAD_BYTES, len(payload))
        self._offset += len(data)
        self._unsynced = True
        self._urgent = self._urgent or kind is EntryKind.BLOCK
        return place

    @property
    def is_synced(self) -> bool:
        """Whether every entry is durable."""
        return not self._unsynced

    @property
    def is_urgent(self) -> bool:
        """Whether a block is not durable yet: a precommit waits for it."""
        return self._urgent

    def sync(self) -> None:
        """Makes every entry durable before what is emitted after this."""
        if self._unsynced:
            self._out.emit(Sync(_name(self._segment)))
            self._unsynced = self._urgent = False

    def remove(self, segments: Sequence[int]) -> None:
        """Deletes the oldest segments, in which nothing lies that is kept."""
        for segment in segments:
            if self._files.size(_name(segment)) is not None:
                self._out.emit(Remove(_name(segment)))
            self.first = segment + 1

    def read(self, place: BodyPlace) -> bytes:
        """The payload at this place. Damaged where it is damaged or missing."""
        name = _name(place.segment)
        if self._files.size(name) is not None:
            data = self._files.read(name, place.offset - _HEAD_BYTES, _HEAD_BYTES + place.length)
            payload = data[_HEAD_BYTES:]
            if len(payload) == place.length and data[:_HEAD_BYTES] in (_head(kind, payload) for kind in EntryKind):
                return payload
        raise Damaged(f"{name} is damaged at byte {place.offset}", "concento node resync")


def open_segments(files: Files, out: Outbox, marks: Marks) -> tuple[Segments, list[Entry]]:
    """The segments, cut behind their last whole entry, and the entries that the newest block did not decide.

    Raises Rejected where an entry is damaged that was durable when that block was committed.
    """
    entries: list[Entry] = []
    segment, offset = marks.durable.segment, marks.durable.offset
    if offset and (files.size(_name(segment)) or 0) < offset:
        raise _damaged(segment, offset)
    end = marks.durable
    while (size := files.size(_name(segment))) is not None:
        for entry in _entries(files, segment, offset, size):
            entries.append(entry)
            offset = entry.place.offset + entry.place.length
        end = Mark(segment, offset)
        if offset < size:
            files.truncate(_name(segment), offset)
            _drop_after(files, segment)
        segment, offset = segment + 1, 0
    segments = Segments(files, out, end)
    try:
        undecided = [Entry(EntryKind.BATCH, segments.read(place), place) for place in marks.undecided]
    except Damaged as error:
        raise Rejected("store.corrupt", path=_PREFIX, reason=str(error)) from None
    return segments, undecided + entries


def end_of(files: Files) -> Mark:
    """Behind everything that is in the segments, whole or not: where one begins that takes none of it up again."""
    numbers = [int(name.removeprefix(_PREFIX)) for name in files.names() if name.startswith(_PREFIX)]
    last = max(numbers, default=0)
    return Mark(last, files.size(_name(last)) or 0)


def remove_files(files: Files, segments: Sequence[int]) -> int:
    """Deletes these segments where nothing runs; how many bytes they had."""
    size = 0
    for name in map(_name, segments):
        size += files.size(name) or 0
        if files.size(name) is not None:
            files.remove(name)
    return size


def first_of(files: Files) -> int:
    """The oldest segment that is there."""
    numbers = [int(name.removeprefix(_PREFIX)) for name in files.names() if name.startswith(_PREFIX)]
    return min(numbers, default=0)


def _entries(files: Files, segment: int, offset: int, size: int) -> Iterator[Entry]:
    """The whole entries from here to the end of the file, or to the first that is torn."""
    name = _name(segment)
    while offset + _HEAD_BYTES <= size:
        head = files.read(name, offset, _HEAD_BYTES)
        length = int.from_bytes(head[:4], "big")
        if length > FRAME_BYTES_MAX or head[4] not in (EntryKind.BATCH, EntryKind.BLOCK):
            return
        payload = files.read(name, offset + _HEAD_BYTES, length)
        kind = EntryKind(head[4])
        if len(payload) < length or _head(kind, payload) != head:
            return
        yield Entry(kind, payload, BodyPlace(segment, offset + _HEAD_BYTES, length))
        offset += _HEAD_BYTES + length


def _drop_after(files: Files, segment: int) -> None:
    """Files behind a torn one hold nothing that anything rests on."""
    for name in files.names():
        if name.startswith(_PREFIX) and name > _name(segment):
            files.remove(name)


def _name(segment: int) -> str:
    return f"{_PREFIX}{segment:08d}"


def _head(kind: EntryKind, payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + bytes((kind,)) + crc32(payload, kind).to_bytes(4, "big")


def _damaged(segment: int, offset: int) -> Rejected:
    return Rejected("store.corrupt", path=_name(segment), reason=f"an entry is damaged or missing at byte {offset}")
