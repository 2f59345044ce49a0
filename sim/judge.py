"""Runs judged: one seed as it is or with a bug in it, and how long a bug hides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sim.bugs import planted
from sim.reach import counting_rules
from sim.run import Result, run
from sim.swarm import draw_schedule, draw_swarm

BUG_SEEDS: Final = 60
"""Seeds that a planted bug has to show itself in: a twentieth of what every change is given."""


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


def catch(name: str, first: int = 1, count: int = BUG_SEEDS) -> tuple[str, int | None, str]:
    """The seeds it took until the bug showed itself, and as what. None: it did not."""
    reached: Counter[str] = Counter()
    for number, seed in enumerate(range(first, first + count), start=1):
        result = judge(seed, name)
        reached += result.reached
        if result.violation is not None:
            return name, number, result.invariant or ""
    if name == "evidence ignored" and not reached["block with evidence"]:
        return name, count, "reach: no block carries evidence"
    return name, None, ""
