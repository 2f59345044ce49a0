"""The store on disk and its fake: the same answers to the same calls."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concento.errors import Broken
from state.store.kv import KeyValue, MemoryKeyValue, key_number, number_key, prefix_end
from state.store.leveldb import BUFFER_BYTES, LevelDb, staggered_bytes

# Short keys of few letters, the last byte value among them: prefixes, neighbours and repeats are common.
keys = st.lists(st.sampled_from([b"a", b"b", b"\xff"]), min_size=1, max_size=4).map(b"".join)
writes = st.dictionaries(keys, st.one_of(st.none(), st.binary(max_size=3)), max_size=8)


@pytest.fixture(params=["memory", "leveldb"])
def kv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValue]:
    store: KeyValue = MemoryKeyValue() if request.param == "memory" else LevelDb.create(tmp_path / "db")
    yield store
    store.close()


def test_a_write_puts_and_deletes(kv: KeyValue) -> None:
    kv.write({b"sa": b"1", b"sb": b"2"})
    kv.write({b"sa": None, b"sb": b"3", b"never there": None})
    assert (kv.get(b"sa"), kv.get(b"sb")) == (None, b"3")


def test_a_scan_stays_inside_its_prefix_in_order(kv: KeyValue) -> None:
    kv.write({b"r": b"0", b"s2": b"2", b"s1": b"1", b"s": b"-", b"t": b"9"})
    assert list(kv.scan(b"s")) == [(b"s", b"-"), (b"s1", b"1"), (b"s2", b"2")]
    assert [key for key, _ in kv.scan(b"s", reverse=True)] == [b"s2", b"s1", b"s"]


def test_a_scan_goes_on_behind_the_last_key_seen(kv: KeyValue) -> None:
    kv.write({b"s%d" % index: b"" for index in range(5)})
    assert [key for key, _ in kv.scan(b"s", after=b"s2")] == [b"s3", b"s4"]
    assert [key for key, _ in kv.scan(b"s", after=b"s2", reverse=True)] == [b"s1", b"s0"]


def test_the_only_key_of_a_store_is_found_from_behind(kv: KeyValue) -> None:
    kv.write({b"s": b"1"})
    assert list(kv.scan(b"s", reverse=True)) == [(b"s", b"1")]


def test_a_scan_does_not_see_later_writes(kv: KeyValue) -> None:
    kv.write({b"s1": b"1", b"s2": b"2"})
    scan = kv.scan(b"s")
    assert next(scan) == (b"s1", b"1")
    kv.write({b"s2": b"changed", b"s3": b"3"})
    assert list(scan) == [(b"s2", b"2")]


def test_a_snapshot_stays_as_it_was(kv: KeyValue) -> None:
    kv.write({b"s1": b"1"})
    view = kv.snapshot()
    kv.write({b"s1": b"2", b"s2": b"2"})
    assert (view.get(b"s1"), list(view.scan(b"s"))) == (b"1", [(b"s1", b"1")])
    assert kv.get(b"s1") == b"2"
    view.close()


def test_a_closed_store_is_never_an_empty_store(kv: KeyValue) -> None:
    kv.write({b"s1": b"1"})
    view = kv.snapshot()
    view.close()
    kv.close()
    for use in (
        lambda: kv.get(b"s1"),
        lambda: list(kv.scan(b"s")),
        lambda: kv.write({b"s1": b"2"}),
        kv.snapshot,
        lambda: view.get(b"s1"),
        lambda: list(view.scan(b"s")),
    ):
        with pytest.raises(Broken):
            use()


LIMITED_WRITER = """
import resource, signal, sys
from pathlib import Path
from concento.errors import Broken
from state.store.leveldb import LevelDb
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kv = LevelDb.create(Path(sys.argv[1]))
kv.write({b"first": b"1"})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for value in (bytes(200_000), b"small"):
    try:
        kv.write({b"second": value})
    except Broken as error:
        print("stopped" if "did not take a write" in str(error) else error)
"""


def test_no_write_is_taken_after_one_that_the_disk_refused(tmp_path: Path) -> None:
    """The file limit stands for a full disk; the small write would fit, behind a torn record."""
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED_WRITER, str(tmp_path / "db")], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["stopped", "stopped"]
    kv = LevelDb.open(tmp_path / "db")
    assert list(kv.scan(b"")) == [(b"first", b"1")]
    kv.close()


@settings(max_examples=40)
@given(st.lists(writes, max_size=5), st.lists(st.tuples(keys | st.just(b""), st.none() | keys, st.booleans())))
def test_memory_and_disk_answer_alike(
    history: list[dict[bytes, bytes | None]], scans: list[tuple[bytes, bytes | None, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory, disk = MemoryKeyValue(), LevelDb.create(Path(folder) / "db")
        for changes in history:
            memory.write(changes)
            disk.write(changes)
            for key in changes:
                assert memory.get(key) == disk.get(key)
        for prefix, after, reverse in scans:
            assert list(memory.scan(prefix, after, reverse)) == list(disk.scan(prefix, after, reverse))
        disk.close()


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_number_keys_sort_as_numbers(left: int, right: int) -> None:
    assert key_number(number_key(left)) == left
    assert (number_key(left) < number_key(right)) == (left < right)


def test_a_number_of_the_wrong_length_is_damage() -> None:
    with pytest.raises(Broken):
        key_number(b"1234567")


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", None), (b"", None), (b"\x00", b"\x01")]
)
def test_the_end_of_a_prefix(prefix: bytes, end: bytes | None) -> None:
    assert prefix_end(prefix) == end


def test_eight_validators_fill_their_buffers_at_eight_different_moments() -> None:
    keys = [bytes((number,)) * 32 for number in range(9)]
    sizes = [staggered_bytes(key, keys[:8]) for key in keys]
    assert len(set(sizes[:8])) == 8
    assert min(sizes) >= BUFFER_BYTES
