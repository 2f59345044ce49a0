from __future__ import annotations

import pytest

from sim.judge import judge


def test_a_simulated_run_ends_as_it_does_for_make_sim(concento):
    told = concento("simulate", "--seed", "3")
    expected = judge(3)
    assert told.code == 0
    assert told.out == f"seed 3 ok heights {expected.heights} trace {expected.trace}\n"
    document = concento("simulate", "--seed", "3", "--json").document
    assert (document["ok"], document["trace"]) == (True, expected.trace)


def test_a_run_that_breaks_an_invariant_fails_and_names_the_next_command(concento, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sim.judge.judge", lambda seed: judge(seed, bug="no lock", only=None))
    found = next(seed for seed in (19, *range(1, 60)) if judge(seed, bug="no lock").violation is not None)
    told = concento("simulate", "--seed", str(found))
    assert told.code == 8
    assert f"seed {found} FAILS at" in told.out
    assert f"make sim SEED={found}" in told.out
