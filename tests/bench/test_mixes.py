"""What the mixes prepare, as the ledger allows it."""

from __future__ import annotations

from collections import Counter

from bench.mixes import lane_place
from concento.limits import LANES_MAX


def test_no_licence_gets_more_lanes_than_it_may_have_and_no_lane_comes_twice() -> None:
    places = [lane_place(number, 3) for number in range(3 * LANES_MAX * 2 + 5)]
    assert len(set(places)) == len(places)
    assert max(Counter(licence for licence, _ in places).values()) == LANES_MAX
    assert {lane for _, lane in places} == set(range(LANES_MAX))


def test_licensees_open_lanes_in_turn_and_buy_again_when_all_have_as_many_as_they_may() -> None:
    assert [lane_place(number, 3) for number in range(4)] == [(0, 0), (1, 0), (2, 0), (0, 1)]
    assert [lane_place(3 * LANES_MAX + number, 3) for number in range(4)] == [(3, 0), (4, 0), (5, 0), (3, 1)]
