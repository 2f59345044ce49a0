"""Kept runs: green as the software is, red with their bug; each planted bug has one."""

from pathlib import Path

import pytest

from sim import regressions as kept
from sim.bugs import BUGS
from sim.judge import judge_run
from sim.regressions import Regression, regressions, verdict

ALL = {entry.name: entry for entry in regressions()}
QUICK = ("no-lock", "unlocks-always", "lock-lost-in-restart")


def test_every_planted_bug_has_a_kept_run() -> None:
    assert {entry.bug for entry in ALL.values()} >= set(BUGS)


@pytest.mark.parametrize("name", QUICK)
def test_a_kept_run_is_green_and_catches_its_bug(name: str) -> None:
    found = verdict(ALL[name])
    assert found.red is None
    assert not found.is_stale


def test_a_kept_run_that_catches_nothing_any_more_is_stale() -> None:
    regression = ALL["told-before-written"]
    harmless = Regression("harmless", "", "told before written", "liveness", regression.swarm, ())
    found = verdict(harmless)
    assert found.is_stale
    assert found.red is None


def test_a_kept_run_survives_writing_and_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    kept.save(ALL["no-lock"])
    assert regressions() == [ALL["no-lock"]]


def test_a_kept_run_repeats() -> None:
    regression = ALL["proof-of-lock-ignored"]
    one, two = (judge_run(regression.swarm, regression.faults).trace for _ in range(2))
    assert one == two
