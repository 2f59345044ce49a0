"""Runs judged: one seed as it is or with a bug in it, and how long a bug hides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time
from typing import Final

from sim.bugs import BUGS, can_show, planted
from sim.reach import counting_rules
from sim.run import Result, run
from sim.swarm import Fault, Swarm, draw_schedule, draw_swarm

BUG_RUNS: Final = 150
"""Runs that a planted bug has to show itself in, of those that can touch it."""
BUG_SEEDS: Final = 1_500
"""Seeds that it has to show itself in: what every change is given."""


def judge(seed: int, bug: str | None = None, only: Sequence[int] | None = None, trace: bool = False) -> Result:
    """The run of this seed, with all of its schedule or a part of it."""
    swarm = draw_swarm(seed)
    schedule = draw_schedule(swarm)
    return judge_run(swarm, schedule if only is None else [schedule[index] for index in only], bug, trace)


def judge_run(swarm: Swarm, schedule: Sequence[Fault], bug: str | None = None, trace: bool = False) -> Result:
    """The run of these parameters under these faults, perhaps with a planted bug."""
    reached: Counter[str] = Counter()
    lines: list[str] | None = [] if trace else None
    started = process_time()
    with planted(bug), counting_rules(reached):
        result = run(swarm, schedule, lines)
    result.reached += reached
    result.cpu_s = process_time() - started
    for line in lines or ():
        print(line)
    return result


@dataclass(frozen=True, slots=True)
class Catch:
    """Whether a planted bug shows itself: at which seed (None: at none), after how many runs, and as what."""

    name: str
    seed: int | None
    runs: int
    what: str


def catch(name: str, first: int = 1, runs: int = BUG_RUNS) -> Catch:
    """Makes the runs that the bug can touch, until it shows itself."""
    reached: Counter[str] = Counter()
    made = seed = 0
    for seed in range(first, first + BUG_SEEDS):
        if not can_show(name, draw_swarm(seed)):
            continue
        result = judge(seed, name)
        made += 1
        reached += result.reached
        if result.violation is not None:
            return Catch(name, seed, made, result.invariant or "")
        if made == runs:
            break
    unreached = BUGS[name].reach
    if unreached and not reached[unreached]:
        return Catch(name, seed, made, f"reach: no {unreached}")
    return Catch(name, None, made, f"not up to seed {seed}")
