"""The simulator catches what it should: planted bugs show themselves, and leave nothing behind."""

import pytest

from sim.bugs import BUGS
from sim.judge import catch, judge

CAUGHT_EARLY = ("guard not synced", "segment not synced", "told before written", "duplicates included")
RUNS = 10


@pytest.mark.parametrize("name", CAUGHT_EARLY)
def test_a_planted_bug_is_caught(name: str) -> None:
    seed = catch(name, runs=RUNS).seed
    assert seed is not None
    assert judge(seed).violation is None


def test_a_bug_goes_with_its_run() -> None:
    before = judge(9).trace
    judge(9, "remainder dropped")
    assert judge(9).trace == before


def test_at_least_25_bugs_are_planted() -> None:
    assert len(BUGS) >= 25
