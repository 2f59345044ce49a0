"""What the benchmark of overload counts, and what it calls a failure."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Any

import pytest

from bench import overload
from bench.limit import Pace
from bench.overload import judged
from bench.targets import Item

GOOD: dict[str, Any] = {
    "of_best": 0.97,
    "memory_slope_mb_per_min": 1.5,
    "blocks": 400,
    "rounds_above_0": 2,
    "gap_ms": {"longest": 900},
    "refusals": {"node.busy": 300},
    "shared_asked": 50,
    "shared_lost": 0,
}


def test_a_load_that_nothing_suffered_from_meets_every_goal() -> None:
    assert all(is_met for _, is_met in judged(GOOD))


@pytest.mark.parametrize(
    "suffered",
    [
        {"of_best": 0.8},
        {"memory_slope_mb_per_min": 60.0},
        {"rounds_above_0": 40},
        {"gap_ms": {"longest": 9_000}},
        {"refusals": {}},
        {"refusals": {"node.busy": 3, "tx.window": 1}},
        {"shared_lost": 1},
        {"shared_asked": 0},
    ],
)
def test_whatever_suffers_is_one_goal_missed(suffered: dict[str, Any]) -> None:
    assert [is_met for _, is_met in judged(GOOD | suffered)].count(False) == 1


def test_the_line_gives_everything_once_and_takes_back_what_was_refused() -> None:
    items = [Item(str(number), b"") for number in range(5)]
    line = overload._Line()
    line.add(items[:3], inf)
    line.add(items[3:], inf)
    first, until_s = line.take()
    assert first == items[:3]
    line.put_back(first[:2], until_s)
    assert [line.take()[0] for _ in range(3)] == [items[:2], items[3:], []]


def test_the_line_drops_what_was_signed_for_an_earlier_time() -> None:
    items = [Item(str(number), b"") for number in range(2)]
    line = overload._Line()
    line.add(items[:1], -inf)
    line.add(items[1:], inf)
    assert line.take() == (items[1:], inf)


def test_the_pace_of_a_machine_is_sampled_at_least_once_and_shared_by_the_processes() -> None:
    with Pace() as pace:
        pass
    assert pace.limit(1) == pytest.approx(4 * pace.limit(4))
    assert pace.limit(4) > 0


def test_what_was_taken_is_sampled_and_what_was_refused_is_not() -> None:
    counted = overload._Counts()
    items = [Item(str(number), b"") for number in range(overload.SAMPLE_EVERY + 10)]
    counted.note(items, items[:10])
    assert (counted.offered, list(counted._sample)) == (len(items), [items[-1].key])
    counted.note_refusals(Counter({"node.busy": 2}))
    counted.note_refusals(Counter({"node.busy": 1}))
    assert counted.refusals == {"node.busy": 3}


def test_waits_between_blocks_are_those_of_their_times() -> None:
    blocks = [{"time_ms": time_ms} for time_ms in (900, 500, 400)]
    assert overload._gaps_ms(blocks)["longest"] == 400
    assert overload._gaps_ms([])["longest"] == 0
