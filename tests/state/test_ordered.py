"""Sets in state records: first and last without a scan, nothing left behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state import ordered
from state.view import View

NAME = b"set/"
members = st.binary(min_size=3, max_size=3) | st.integers(0, 300).map(lambda number: number.to_bytes(3, "big"))


@given(st.lists(st.tuples(st.booleans(), members), max_size=60))
def test_first_and_last_are_those_of_a_plain_set(steps: list[tuple[bool, bytes]]) -> None:
    view, plain = View({}.get), set[bytes]()
    for is_added, member in steps:
        if is_added:
            ordered.add(view, NAME, member)
            plain.add(member)
        elif plain:
            member = sorted(plain)[len(member) % len(plain)]
            ordered.remove(view, NAME, member)
            plain.remove(member)
        assert ordered.first(view, NAME, 3) == min(plain, default=None)
        assert ordered.last(view, NAME, 3) == max(plain, default=None)


def test_a_set_that_was_emptied_leaves_no_record() -> None:
    view = View({}.get)
    for number in range(600):
        ordered.add(view, NAME, number.to_bytes(5, "big"))
    for _ in range(600):
        member = ordered.last(view, NAME, 5)
        assert member is not None
        ordered.remove(view, NAME, member)
    assert ordered.last(view, NAME, 5) is None
    assert view.changes() == {}


def test_sets_of_different_names_do_not_meet() -> None:
    view = View({}.get)
    ordered.add(view, b"a", b"\1\2")
    assert ordered.first(view, b"b", 2) is None
