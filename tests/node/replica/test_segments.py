"""Segment files, the guard file, and the two kinds of `Files`."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from concento.errors import Broken, Rejected
from consensus.guard import FILE_BYTES, FRESH, SLOT_BYTES
from node.replica import segments as segments_file
from node.replica.events import Append, Sync, WriteGuard
from node.replica.files import GUARD_FILE, DiskFiles, Files, MemoryFiles
from node.replica.guardfile import create_guard, open_guard
from node.replica.outbox import Outbox
from node.replica.segments import FIRST_MARKS, EntryKind, Marks, Segments, open_segments

KEY, GENESIS = b"k" * 32, b"g" * 32


def perform(out: Outbox, files: Files) -> None:
    for effect in out.take():
        match effect:
            case Append(file, offset, data):
                files.append(file, offset, data)
            case Sync(file):
                files.sync(file)
            case WriteGuard(offset, data):
                files.write_at(GUARD_FILE, offset, data)
            case _:
                raise AssertionError(effect)


def opened(files: Files, marks: Marks = FIRST_MARKS) -> tuple[Segments, Outbox, list[bytes]]:
    out = Outbox()
    segments, entries = open_segments(files, out, marks)
    return segments, out, [entry.payload for entry in entries]


@pytest.fixture(params=["memory", "disk"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return MemoryFiles() if request.param == "memory" else DiskFiles(tmp_path)


def test_entry_is_read_back_from_its_place(files: Files) -> None:
    segments, out, _ = opened(files)
    places = [segments.append(EntryKind.BATCH, payload) for payload in (b"one", b"", b"three")]
    segments.sync()
    perform(out, files)
    assert [segments.read(place) for place in places] == [b"one", b"", b"three"]
    assert opened(files)[2] == [b"one", b"", b"three"]


def test_sync_without_anything_new_does_nothing(files: Files) -> None:
    segments, out, _ = opened(files)
    segments.sync()
    segments.append(EntryKind.BATCH, b"one")
    segments.sync()
    segments.sync()
    assert [type(effect) for effect in out.take()] == [Append, Sync]


@pytest.mark.parametrize("kept", range(14))
def test_torn_tail_is_cut_and_written_over(kept: int) -> None:
    files = MemoryFiles()
    segments, out, _ = opened(files)
    segments.append(EntryKind.BATCH, b"whole")
    segments.sync()
    segments.append(EntryKind.BLOCK, b"torn!")
    perform(out, files)
    after = files.crash(kept)
    segments, out, found = opened(after)
    assert found == [b"whole"] + [b"torn!"] * (kept >= 14)
    segments.append(EntryKind.BATCH, b"next")
    segments.sync()
    perform(out, after)
    assert opened(after)[2] == [*found, b"next"]


def test_only_what_the_newest_block_left_undecided_is_found_again() -> None:
    files = MemoryFiles()
    segments, out, _ = opened(files)
    places = [segments.append(EntryKind.BATCH, payload) for payload in (b"decided", b"waiting")]
    marks = Marks(segments.end, (places[1],))
    segments.append(EntryKind.BLOCK, b"later")
    segments.sync()
    perform(out, files)
    assert opened(files, marks)[2] == [b"waiting", b"later"]


def test_damage_to_what_was_durable_is_refused_and_not_cut() -> None:
    files = MemoryFiles()
    segments, out, _ = opened(files)
    place = segments.append(EntryKind.BATCH, b"waiting")
    marks = Marks(segments.end, (place,))
    segments.sync()
    perform(out, files)
    name = files.names()[0]
    files.write_at(name, place.offset, b"W")
    with pytest.raises(Rejected, match="resync"):
        opened(files, marks)
    files.truncate(name, 3)
    with pytest.raises(Rejected, match="damaged or missing"):
        opened(files, marks)
    with pytest.raises(Broken, match="damaged at byte"):
        segments.read(place)


def test_new_file_is_begun_behind_a_full_one(monkeypatch: pytest.MonkeyPatch, files: Files) -> None:
    monkeypatch.setattr(segments_file, "SEGMENT_BYTES_MAX", 40)
    segments, out, _ = opened(files)
    payloads = [b"%d" % number * 20 for number in range(5)]
    places = [segments.append(EntryKind.BATCH, payload) for payload in payloads]
    segments.sync()
    perform(out, files)
    assert len(files.names()) == 3
    assert [segments.read(place) for place in places] == payloads
    assert opened(files)[2] == payloads


def test_files_behind_a_torn_one_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_file, "SEGMENT_BYTES_MAX", 10)
    files = MemoryFiles()
    segments, out, _ = opened(files)
    for payload in (b"first-entry", b"second-entry", b"third-entry"):
        segments.append(EntryKind.BATCH, payload)
    segments.sync()
    perform(out, files)
    files.truncate(files.names()[1], 12)
    segments, out, found = opened(files)
    assert found == [b"first-entry"]
    assert len(files.names()) == 2
    segments.append(EntryKind.BATCH, b"again")
    segments.sync()
    perform(out, files)
    assert opened(files)[2] == [b"first-entry", b"again"]


def test_append_at_the_wrong_place_is_broken(files: Files) -> None:
    files.append("x", 0, b"abc")
    with pytest.raises(Broken, match="3 bytes, not 5"):
        files.append("x", 5, b"d")


def test_disk_files_keep_their_bytes(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    files.append("a", 0, b"hello")
    files.append("a", 5, b" world")
    files.sync("a")
    files.write_at("b", 4, b"x")
    files.close()
    again = DiskFiles(tmp_path)
    assert again.names() == ["a", "b"]
    assert (again.size("a"), again.read("a", 6, 100), again.read("b", 0, 9)) == (11, b"world", b"\0\0\0\0x")
    again.truncate("a", 5)
    assert (again.size("a"), again.size("c")) == (5, None)
    again.remove("a")
    assert again.names() == ["b"]
    again.close()


def test_fresh_guard_may_sign_and_a_missing_one_may_not() -> None:
    files = MemoryFiles()
    assert not open_guard(files, KEY, GENESIS).may_sign(1)
    create_guard(files, KEY, GENESIS)
    assert files.size(GUARD_FILE) == FILE_BYTES
    assert open_guard(files, KEY, GENESIS).may_sign(1)
    with pytest.raises(Rejected):
        create_guard(files, KEY, GENESIS)


def test_guard_of_another_key_or_chain_is_not_used() -> None:
    files = MemoryFiles()
    create_guard(files, KEY, GENESIS)
    assert not open_guard(files, b"x" * 32, GENESIS).may_sign(1)
    assert not open_guard(files, KEY, b"x" * 32).may_sign(1)


def test_guard_alternates_slots_and_survives_damage_to_the_newest() -> None:
    files, out = MemoryFiles(), Outbox()
    create_guard(files, KEY, GENESIS)
    guard = open_guard(files, KEY, GENESIS)
    for height in (1, 2, 3):
        guard.write(replace(FRESH, height=height), out)
        perform(out, files)
    assert open_guard(files, KEY, GENESIS).record.height == 3
    files.write_at(GUARD_FILE, SLOT_BYTES + 10, b"\xff\xff\xff")
    assert open_guard(files, KEY, GENESIS).record.height == 2


def test_distrusted_guard_is_blank_after_a_restart() -> None:
    files, out = MemoryFiles(), Outbox()
    create_guard(files, KEY, GENESIS)
    open_guard(files, KEY, GENESIS).distrust(out)
    perform(out, files)
    assert not open_guard(files, KEY, GENESIS).may_sign(1)
