"""The view of a block: typed records over committed bytes, and undo."""

from __future__ import annotations

import pytest

from concento.encoding import Natural, Record, encode
from concento.errors import Broken
from state import validators
from state.modules import identity, tokens
from state.view import Kind, View


class Count(Record):
    number: Natural


COUNTS = Kind(b"count/", Count)


def view_of(**committed: int) -> View:
    state = {b"count/" + name.encode(): encode(Count(number)) for name, number in committed.items()}
    return View(state.get)


def test_a_written_record_hides_the_committed_one() -> None:
    view = view_of(a=1)
    view.put(COUNTS, b"a", Count(2))
    assert view.get(COUNTS, b"a") == Count(2)
    assert view.changes() == {b"count/a": encode(Count(2))}


def test_a_deleted_record_is_gone_and_its_change_is_none() -> None:
    view = view_of(a=1)
    view.delete(COUNTS, b"a")
    assert view.find(COUNTS, b"a") is None
    assert view.changes() == {b"count/a": None}


def test_what_ends_as_it_began_is_no_change() -> None:
    view = view_of(a=1)
    view.put(COUNTS, b"a", Count(2))
    view.put(COUNTS, b"a", Count(1))
    view.put(COUNTS, b"b", Count(1))
    view.delete(COUNTS, b"b")
    view.delete(COUNTS, b"never")
    assert view.changes() == {}


def test_rollback_restores_records_deletions_and_history_in_reverse() -> None:
    view = view_of(a=1, b=2)
    view.put(COUNTS, b"a", Count(10))
    view.put_history(b"first", b"1")
    mark = view.mark()
    view.put(COUNTS, b"a", Count(11))
    view.put(COUNTS, b"a", Count(12))
    view.delete(COUNTS, b"b")
    view.put(COUNTS, b"c", Count(3))
    view.put_history(b"second", b"2")
    view.rollback(mark)
    assert view.find(COUNTS, b"a") == Count(10)
    assert view.find(COUNTS, b"b") == Count(2)
    assert view.find(COUNTS, b"c") is None
    assert view.changes() == {b"count/a": encode(Count(10))}
    assert view.history() == {b"first": b"1"}
    assert view.history_count == 1


def test_marks_nest() -> None:
    view = view_of()
    outer = view.mark()
    view.put(COUNTS, b"a", Count(1))
    inner = view.mark()
    view.put(COUNTS, b"a", Count(2))
    view.rollback(inner)
    assert view.get(COUNTS, b"a") == Count(1)
    view.rollback(outer)
    assert view.find(COUNTS, b"a") is None


def test_a_committed_record_is_read_once() -> None:
    reads: list[bytes] = []

    def read(key: bytes) -> bytes | None:
        reads.append(key)
        return encode(Count(1))

    view = View(read)
    view.find(COUNTS, b"a")
    view.put(COUNTS, b"a", Count(2))
    view.find(COUNTS, b"a")
    assert reads == [b"count/a"]


def test_written_tells_before_and_now() -> None:
    view = view_of(a=1, b=2, c=3)
    view.put(COUNTS, b"a", Count(5))
    view.delete(COUNTS, b"b")
    view.find(COUNTS, b"c")
    assert view.written(COUNTS) == [(Count(1), Count(5)), (Count(2), None)]


def test_a_record_that_must_be_there_and_is_not_stops_the_node() -> None:
    with pytest.raises(Broken, match="missing from the state"):
        view_of().get(COUNTS, b"a")


def test_bytes_that_are_no_record_stop_the_node() -> None:
    with pytest.raises(Broken, match="cannot be read"):
        View(lambda _: b"\xc1").find(COUNTS, b"a")


def test_a_history_record_is_written_once() -> None:
    view = view_of()
    view.put_history(b"a", b"1")
    with pytest.raises(Broken, match="twice"):
        view.put_history(b"a", b"2")


def test_no_kind_of_record_can_be_taken_for_another() -> None:
    kinds = [value for module in (identity, tokens, validators) for value in vars(module).values()]
    prefixes = sorted({kind.prefix for kind in kinds if isinstance(kind, Kind)})
    assert len(prefixes) > 8
    assert not [(one, two) for one in prefixes for two in prefixes if one != two and two.startswith(one)]


def test_a_new_record_is_written_without_a_look_at_the_store_and_only_once() -> None:
    asked: list[bytes] = []
    view = View(lambda key: asked.append(key))
    mark = view.mark()
    view.add(COUNTS, b"a", Count(1))
    with pytest.raises(Broken):
        view.add(COUNTS, b"a", Count(2))
    view.rollback(mark)
    assert view.find(COUNTS, b"a") is None
    view.add(COUNTS, b"a", Count(3))
    assert view.find(COUNTS, b"a") == Count(3)
    assert not asked
    assert set(view.changes()) == {COUNTS.key(b"a")}


def test_notes_are_taken_once_and_by_topic_and_go_with_a_rollback() -> None:
    view = view_of()
    view.note("paid", 1)
    mark = view.mark()
    view.note("paid", 2)
    view.note("settled", 3)
    view.rollback(mark)
    view.note("paid", 4)
    assert view.take_notes("paid") == [1, 4]
    assert view.take_notes("paid") == []
    assert view.take_notes("settled") == []
