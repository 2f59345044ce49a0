"""Records of the state in memory: the same answers as the store's, and fewer questions."""

from __future__ import annotations

import pytest

from state.store import cache
from state.store.cache import StateCache
from state.store.kv import STATE, MemoryKeyValue


class Counted(MemoryKeyValue):
    def __init__(self, records: dict[bytes, bytes]) -> None:
        super().__init__(records)
        self.asked: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        self.asked.append(key)
        return super().get(key)


def test_a_record_is_read_from_the_store_once() -> None:
    store = Counted({STATE + b"a": b"1"})
    records = StateCache(store)
    assert [records.get(b"a"), records.get(b"a")] == [b"1", b"1"]
    assert store.asked == [STATE + b"a"]


def test_that_there_is_no_record_is_remembered_too() -> None:
    store = Counted({})
    records = StateCache(store)
    assert [records.get(b"a"), records.get(b"a")] == [None, None]
    assert len(store.asked) == 1


def test_what_a_block_changed_is_known_without_a_look() -> None:
    store = Counted({STATE + b"a": b"1", STATE + b"b": b"1"})
    records = StateCache(store)
    assert records.get(b"a") == b"1"
    records.update({b"a": b"2", b"b": None, b"c": b"3"})
    assert [records.get(key) for key in (b"a", b"b", b"c")] == [b"2", None, b"3"]
    assert store.asked == [STATE + b"a"]


def test_the_records_known_longest_are_forgotten_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "RECORDS_MAX", 16)
    monkeypatch.setattr(cache, "_FORGOTTEN", 2)
    store = Counted({STATE + bytes((number,)): bytes((number,)) for number in range(17)})
    records = StateCache(store)
    for number in range(16):
        records.get(bytes((number,)))
    records.update({b"\x10": b"new"})
    store.asked.clear()
    assert [records.get(bytes((number,))) for number in (2, 15, 16)] == [b"\x02", b"\x0f", b"new"]
    assert store.asked == []
    assert [records.get(bytes((number,))) for number in (0, 1)] == [b"\x00", b"\x01"]
    assert store.asked == [STATE + b"\x00", STATE + b"\x01"]


def test_asking_alone_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "RECORDS_MAX", 16)
    monkeypatch.setattr(cache, "_FORGOTTEN", 2)
    store = Counted({})
    records = StateCache(store)
    for number in range(100):
        records.get(bytes((number,)))
    store.asked.clear()
    records.get(bytes((99,)))
    assert store.asked == []
    records.get(bytes((0,)))
    assert store.asked == [STATE + b"\x00"]
