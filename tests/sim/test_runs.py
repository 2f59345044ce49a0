"""Runs of the whole replica by seed: they hold, they repeat, and they do not depend on the order of sets."""

import gc
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from node.replica.core import Replica
from sim.judge import judge
from sim.reach import WANTED, missing
from sim.run import run_seed
from sim.swarm import FAULT_KINDS, draw_schedule, draw_swarm
from state.store.leveldb import LevelDb

ROOT = Path(__file__).parents[2]
QUICK = (3, 4, 5, 7, 9, 13, 17, 18)


def replay(seed: int, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "sim", "--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("seed", QUICK)
def test_every_invariant_holds(seed: int) -> None:
    assert judge(seed).violation is None


def test_a_run_is_the_same_under_any_hash_seed() -> None:
    one, two = replay(17, "1"), replay(17, "2")
    assert re.fullmatch(r"seed 17 ok heights \d+ trace [0-9a-f]{64}\n", one)
    assert one == two


def test_one_run_of_fifty_signs_and_stores_as_a_node_does(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    create = LevelDb.create
    monkeypatch.setattr(LevelDb, "create", lambda path: made.append(path) or create(path))
    result = judge(next(seed for seed in range(50, 5_000, 50) if draw_swarm(seed).size <= 4))
    assert result.violation is None
    assert result.reached["signing ed25519"] == 1
    assert made


def test_another_seed_is_another_run() -> None:
    assert run_seed(17).trace != run_seed(18).trace


def test_a_schedule_is_a_function_of_the_seed_and_of_nothing_else() -> None:
    assert draw_schedule(draw_swarm(7)) == draw_schedule(draw_swarm(7))


def test_schedules_use_every_kind_of_fault() -> None:
    kinds = Counter(fault.kind for seed in range(200) for fault in draw_schedule(draw_swarm(seed)))
    assert set(kinds) == set(FAULT_KINDS)


def test_something_never_reached_is_named() -> None:
    assert missing(Counter(WANTED)) == []
    assert missing(Counter(WANTED[1:])) == [WANTED[0]]


def test_a_run_leaves_nothing_behind() -> None:
    """A node that is gone is forgotten, whatever it refused: nothing that it has made holds it where nobody looks."""
    judge(6)
    gc.collect()
    assert not [found for found in gc.get_objects() if isinstance(found, Replica)]
