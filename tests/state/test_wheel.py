"""Timers in state: oldest first, bounded, and never in the way of a block."""

from __future__ import annotations

from state import wheel
from state.view import View


def empty_view() -> View:
    return View({}.get)


def test_items_fall_due_oldest_first_and_in_the_order_they_were_put() -> None:
    view = empty_view()
    for time_ms, item in ((20, b"c"), (10, b"a"), (20, b"d"), (10, b"b"), (30, b"e")):
        wheel.put(view, b"x", time_ms, item)
    assert wheel.take(view, b"x", 9, 10) == []
    assert wheel.take(view, b"x", 20, 10) == [b"a", b"b", b"c", b"d"]
    assert wheel.take(view, b"x", 30, 10) == [b"e"]


def test_what_exceeds_the_limit_comes_next_time() -> None:
    view = empty_view()
    for number in range(5):
        wheel.put(view, b"x", 10, bytes((number,)))
    taken = [wheel.take(view, b"x", 10, 2) for _ in range(4)]
    assert taken == [[b"\0", b"\1"], [b"\2", b"\3"], [b"\4"], []]
    assert view.changes() == {}


def test_wheels_of_different_names_do_not_touch() -> None:
    view = empty_view()
    wheel.put(view, b"x", 10, b"a")
    assert wheel.take(view, b"y", 10, 1) == []


def test_a_time_beyond_all_calendars_is_kept_and_stops_nobody() -> None:
    view = empty_view()
    wheel.put(view, b"x", 2**60, b"late")
    wheel.put(view, b"x", 10, b"soon")
    assert wheel.take(view, b"x", 10**13, 10) == [b"soon"]
    assert wheel.take(view, b"x", 2**60, 10) == [b"late"]
