"""Runs judged: one seed as it is or with a bug in it, and how long a bug hides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sim.bugs import can_show, planted
from sim.reach import counting_rules
from sim.run import Result, run
from sim.swarm import draw_schedule, draw_swarm

BUG_RUNS: Final = 16
"""Runs that a planted bug has to show itself in, of those that can touch it."""
BUG_SEEDS: Final = 1_500
"""Seeds that it has to show itself in: what every change is given."""


def judge(seed: int, bug: str | None = None, only: Sequence[int] | None = None, trace: bool = False) -> Result:
    """The run of this seed, with all of its schedule or a part of it."""
    swarm = draw_swarm(seed)
    schedule = draw_schedule(swarm)
    kept = schedule if only is None else [schedule[index] for index in only]
    reached: Counter[str] = Counter()
    lines: list[str] | None = [] if trace else None
    with planted(bug), counting_rules(reached):
        result = run(swarm, kept, lines)
    result.reached += reached
    for line in lines or ():
        print(line)
    return result


def catch(name: str, first: int = 1, runs: int = BUG_RUNS) -> tuple[str, int | None, str]:
    """The seed at which the bug shows itself, and as what. None: it does not."""
    reached: Counter[str] = Counter()
    made = seed = 0
    for seed in range(first, first + BUG_SEEDS):
        if not can_show(name, draw_swarm(seed)):
            continue
        result = judge(seed, name)
        made += 1
        reached += result.reached
        if result.violation is not None:
            return name, seed, result.invariant or ""
        if made == runs:
            break
    if name == "evidence ignored" and not reached["block with evidence"]:
        return name, seed, "reach: no block carries evidence"
    return name, None, f"not in {made} runs, up to seed {seed}"
