"""The table of planted bugs in docs/simulator.md: which are caught, by what, after how many runs."""

from __future__ import annotations

from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from sim.bugs import BUGS
from sim.judge import BUG_RUNS, BUG_SEEDS, Catch, catch
from sim.regressions import regressions

PAGE: Final = Path(__file__).parents[1] / "docs" / "simulator.md"
BEGIN: Final = "<!-- planted bugs: written by python -m sim --bugs -->\n"
END: Final = "<!-- end of planted bugs -->\n"


def write_table(first: int, jobs: int) -> int:
    """Plants each bug in turn and writes the table; 1 where one is not caught."""
    with get_context("spawn").Pool(jobs) as pool:
        found = pool.map(partial(catch, first=first), list(BUGS), chunksize=1)
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + BEGIN + table(found) + END + rest.split(END)[1])
    missed = [entry.name for entry in found if entry.seed is None]
    print(f"{len(found) - len(missed)} of {len(found)} caught; not caught: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def table(found: list[Catch]) -> str:
    faults = {kept.bug: str(len(kept.faults)) for kept in regressions() if kept.bug is not None}
    caught = sum(entry.seed is not None for entry in found)
    rows = [
        f"| {entry.name} | {BUGS[entry.name].sentence} | {_caught(entry)} | {faults.get(entry.name, '-')} |"
        for entry in found
    ]
    return (
        f"\n**{caught} of {len(found)} are caught** within seeds 1 to {BUG_SEEDS:,}, each within {BUG_RUNS} runs of "
        "those that can touch it at all.\n\n"
        "| planted bug | what it does | caught as | faults of its kept run |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\n"
    )


def _caught(entry: Catch) -> str:
    if entry.seed is None:
        return f"not caught ({entry.runs} runs)"
    return f"{entry.what}, in run {entry.runs} (seed {entry.seed})"
