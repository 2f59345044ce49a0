"""The checker of what clients were told finds every kind of contradiction that it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from bench.faultnet import double_signatures, forks
from bench.history import History


def event(height: int, index: int, text: str = "") -> dict[str, Any]:
    return {"height": height, "index": index, "text": text}


def told(*events: dict[str, Any], node: str = "node1", history: History | None = None) -> History:
    found = history or History()
    for each in events:
        found.told_event(node, each)
    return found


def test_a_history_that_agrees_with_itself_is_not_wrong() -> None:
    history = told(event(1, 0), event(1, 1), event(2, 0))
    told(event(1, 0), event(1, 1), node="node2", history=history)
    history.told_final("node1", "aa", (2, 0))
    history.told_final("node2", "aa", (2, 0))
    history.told_otherwise("node3", "aa", "unknown", 1)
    history.told_tip("node1", 1, "b1", "a1")
    history.told_tip("node1", 2, "b2", "a2")
    history.told_tip("node2", 1, "b1", "a1")
    history.check_complete()
    assert history.wrong == []


@pytest.mark.parametrize("place", [(1, 2), (3, 0), (1, 0), (2, 1), (0, 0)])
def test_a_gap_and_a_double_in_the_events_of_a_node_are_found(place: tuple[int, int]) -> None:
    assert len(told(event(1, 0), event(*place)).wrong) == 1


def test_an_event_lost_at_the_end_of_a_block_is_found_in_the_end() -> None:
    history = told(event(1, 0), event(1, 1), event(2, 0))
    told(event(1, 0), event(2, 0), node="node2", history=history)
    assert history.wrong == []
    history.check_complete()
    assert history.wrong == ["node2: told 2 events up to (2, 0), where there are 3"]


def test_an_event_that_another_node_tells_otherwise_is_found() -> None:
    history = told(event(1, 0, "alice paid bob"))
    told(event(1, 0, "alice paid carol"), node="node2", history=history)
    assert len(history.wrong) == 1


def test_events_left_out_for_a_late_reader_are_found() -> None:
    assert told({"lagged": True, "resume_from": "7.0"}).wrong == ["node1: events were left out before 7.0"]


def test_a_transaction_that_moves_or_vanishes_is_found() -> None:
    history = History()
    history.told_final("node1", "aa", (5, 1))
    history.told_final("node2", "aa", (6, 0))
    history.told_otherwise("node3", "aa", "pending", 5)
    history.told_otherwise("node4", "aa", "pending", 4)
    assert len(history.wrong) == 2


def test_a_height_that_goes_back_and_a_second_block_are_found() -> None:
    history = History()
    history.told_tip("node1", 5, "b5", "a5")
    history.told_tip("node1", 4, "b4", "a4")
    history.told_tip("node2", 5, "b5", "other")
    history.told_tip("node3", 5, "other", "a5")
    assert len(history.wrong) == 3


def test_two_words_at_one_place_are_found_and_a_torn_line_is_none() -> None:
    whole = ['[1, 0, "prevote", "aa"]\n', '[1, 0, "prevote", "aa"]\n', '[1, 0, "precommit", ""]\n']
    assert double_signatures([*whole, '[1, 0, "prev']) == []
    assert double_signatures([*whole, '[1, 0, "precommit", "bb"]\n']) == ["precommit at height 1, round 0: nil and bb"]
    assert double_signatures([*whole, '[1, 1, "precommit", "bb"]\n']) == []


def test_a_fork_is_found_by_block_and_by_app_hash() -> None:
    chain = [("b1", "a1", 0), ("b2", "a2", 0)]
    assert forks({"node1": chain, "node2": list(chain)}) == []
    assert forks({"node1": chain, "node2": [("b1", "a1", 0), ("b2", "x", 0)]}) == ["height 2: node1 b2, node2 b2"]
    assert len(forks({"node1": chain, "node2": [("x", "a1", 0), ("b2", "a2", 0)]})) == 1
