"""Runs kept for ever: the least parameters and faults under which a planted bug, or one of ours, shows itself.

Each is a file in `sim/schedules/` that says all of its run and draws nothing but the fate of messages, so that it stays
the same when seeds come to mean something else. Without the bug it must be green; with it, red for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from sim.bugs import BUGS
from sim.judge import catch, judge_run
from sim.shrink import shrink
from sim.swarm import Fault, Swarm, draw_schedule, draw_swarm

FOLDER: Final = Path(__file__).parent / "schedules"
_PLAINER: Final[tuple[dict[str, Any], ...]] = (
    {"loss": 0.0},
    {"duplicates": 0.0},
    {"drift_ppm": 0},
    {"wall_spread_ms": 0},
    {"observers": 0},
    {"is_real": False},
    {"bad_share": 0.0},
    {"market_share": 0.0},
    {"ledger": "stub"},
    {"liar": None},
    {"delay_ms": (1, 1)},
    {"safety_ms": 500},
    {"safety_ms": 1_000},
    {"safety_ms": 2_000},
    {"size": 4},
    {"submit_every_ms": 1_600},
)
"""Plainer parameters, tried one after the other."""


@dataclass(frozen=True, slots=True)
class Regression:
    """`bug`: the planted one that it catches; None where it has caught one of ours. `what`: the invariant, or what is
    then not reached."""

    name: str
    why: str
    bug: str | None
    what: str
    swarm: Swarm
    faults: tuple[Fault, ...]


def regressions() -> list[Regression]:
    return [msgspec.json.decode(path.read_bytes(), type=Regression) for path in sorted(FOLDER.glob("*.json"))]


def save(regression: Regression) -> Path:
    path = FOLDER / f"{regression.name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(regression), indent=1) + b"\n")
    return path


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a kept run says now. `red`: what is wrong with the software, or that nothing catches its bug any more.
    `is_stale`: it does not catch its bug, but random runs still do; `--keep` makes another."""

    name: str
    bug: str | None
    red: str | None
    is_stale: bool = False


def verdict(regression: Regression) -> Verdict:
    """Plays the run without its bug, then with it."""
    name, bug = regression.name, regression.bug
    green = judge_run(regression.swarm, regression.faults)
    if green.violation is not None:
        return Verdict(name, bug, f"{name} FAILS: {green.violation}; replay: python -m sim --kept {name}")
    if bug is None or _shows(bug, regression.what, regression.swarm, regression.faults):
        return Verdict(name, bug, None)
    if catch(bug).seed is None:
        return Verdict(name, bug, f"the planted bug '{bug}' is not caught any more")
    return Verdict(name, bug, None, is_stale=True)


def keep(bug: str, first: int = 1) -> Regression | None:
    """Looks for a run that catches the bug, makes it small and keeps it."""
    found = catch(bug, first)
    if found.seed is None:
        return None
    if BUGS[bug].reach:
        return _keep_unreached(bug, first)
    return _smaller(bug, found.what, draw_swarm(found.seed), BUGS[bug].sentence)


def keep_red(seed: int, why: str) -> Regression | None:
    """Makes the run of a red seed small and keeps it, to be green once the bug is mended."""
    swarm = draw_swarm(seed)
    result = judge_run(swarm, draw_schedule(swarm))
    return None if result.invariant is None else _smaller(None, result.invariant, swarm, why)


def _keep_unreached(bug: str, first: int) -> Regression:
    """A run that reaches without the bug what it does not reach with it."""
    wanted = BUGS[bug].reach
    for seed in range(first, first + 10_000):
        swarm = draw_swarm(seed)
        if judge_run(swarm, draw_schedule(swarm)).reached[wanted]:
            return _smaller(bug, wanted, swarm, BUGS[bug].sentence)
    raise RuntimeError(f"nothing reaches {wanted}")


def _smaller(bug: str | None, what: str, swarm: Swarm, why: str) -> Regression:
    faults = draw_schedule(swarm)

    def fails(smaller: Swarm, kept: tuple[Fault, ...]) -> bool:
        return _shows(bug, what, smaller, kept)

    def parts(indexes: Any) -> tuple[Fault, ...]:
        return tuple(faults[index] for index in indexes)

    faults = parts(shrink(range(len(faults)), lambda part: fails(swarm, parts(part))))
    for change in _PLAINER:
        plainer = replace(swarm, **change)
        if plainer != swarm and _is_simpler(swarm, change) and fails(plainer, faults):
            swarm = plainer
    name = (bug or f"{what} seed {swarm.seed}").replace(" ", "-").replace("'", "")
    regression = Regression(name, why, bug, what, swarm, faults)
    save(regression)
    return regression


def _is_simpler(swarm: Swarm, change: dict[str, Any]) -> bool:
    if "safety_ms" in change:
        return bool(change["safety_ms"] < swarm.safety_ms)
    return "size" not in change or swarm.size > 4


def _shows(bug: str | None, what: str, swarm: Swarm, faults: tuple[Fault, ...]) -> bool:
    """Whether the run with the bug fails for this reason, or does not reach what the run without it does."""
    try:
        result = judge_run(swarm, faults, bug)
        if bug is None or not BUGS[bug].reach:
            return result.invariant == what
        return not result.reached[what] and bool(judge_run(swarm, faults).reached[what])
    except (ValueError, IndexError, KeyError):
        return False  # parameters that do not go together are no smaller run
