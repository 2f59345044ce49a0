"""One validator's key in two processes forks nobody, whatever the network does; two such keys must, and are seen."""

from itertools import islice

import pytest

from sim.gate import play_one
from sim.twins import Scenario, fork_seen, play, scenarios, splits, word_scenarios

SAMPLE_STEP = 331
"""A prime, so that a sample of the 6,724 meets all splits of both rounds and all first proposers."""


def test_five_endpoints_split_in_as_many_ways_as_there_are() -> None:
    assert [len(splits(5, sides)) for sides in (1, 2, 3, 5)] == [1, 16, 41, 52]
    assert len(splits(6)) == 122
    assert sum(1 for _ in scenarios(2)) == 6_724


def test_one_twin_forks_nobody() -> None:
    for scenario in islice(scenarios(2), 0, None, SAMPLE_STEP):
        assert play(scenario) >= 3


def test_two_twins_fork_and_are_seen() -> None:
    split = (0, 0, 0, 1, 1, 1)
    with pytest.raises(AssertionError, match="fork at height 1"):
        play(Scenario((split,) * 4, 0), twins=(0, 1))
    assert fork_seen()


def test_splits_by_word_are_all_there_and_fork_nobody() -> None:
    assert sum(1 for _ in word_scenarios()) == 16_384
    for scenario in islice(word_scenarios(), 0, None, 1_021):
        assert play_one(scenario).fork is None


def test_a_fork_is_told_with_its_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork(_scenario: Scenario) -> int:
        raise AssertionError("fork at height 1")

    monkeypatch.setattr("sim.gate.play", fork)
    told = play_one(Scenario(((0, 1, 0, 0, 0),), 2)).fork
    assert told is not None
    assert "first_proposer=2" in told
