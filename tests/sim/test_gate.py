"""What every change is given: a red run, a run that does not repeat and a bug that nothing catches are each told."""

import re
from collections import Counter

import pytest

from sim import gate
from sim.gate import REPEAT_SHARE, Tally, check
from sim.run import Result


def result(seed: int, trace: str = "aa", violation: str | None = None) -> Result:
    return Result(seed, 3, trace, Counter(), violation)


def test_a_red_seed_is_told_with_the_command_that_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    tally.add(result(7, violation="agreement: two blocks"))
    assert tally.red == ["seed 7 FAILS: agreement: two blocks; replay: make sim SEED=7"]
    assert "SEED=7" in capsys.readouterr().out


def test_a_run_that_does_not_repeat_is_red() -> None:
    tally = Tally()
    tally.add(result(REPEAT_SHARE))
    tally.compare(result(REPEAT_SHARE))
    assert not tally.red
    tally.compare(result(REPEAT_SHARE, trace="bb"))
    assert "another trace" in tally.red[0]


def test_a_small_share_of_it_ends_with_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "regressions", list)
    assert check(first=2, share=0.002, jobs=1) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.match(r"sim-check: seeds 2-4 \(1 with the full ledger.* 14 twins .*: 0 red, 0 unreached, \d+ s", last)
