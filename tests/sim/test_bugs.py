"""The simulator catches what it should: planted bugs show themselves, and leave nothing behind."""

import pytest

from sim.bugs import BUGS
from sim.judge import judge

CAUGHT_EARLY = (("guard not synced", 3), ("any is a polka", 3), ("segment not synced", 3), ("status not answered", 2))


@pytest.mark.parametrize(("name", "seed"), CAUGHT_EARLY)
def test_a_planted_bug_is_caught(name: str, seed: int) -> None:
    assert judge(seed).violation is None
    assert judge(seed, name).violation is not None


def test_a_bug_goes_with_its_run() -> None:
    before = judge(17).trace
    judge(17, "remainder dropped")
    assert judge(17).trace == before


def test_at_least_25_bugs_are_planted() -> None:
    assert len(BUGS) >= 25
