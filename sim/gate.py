"""What every change is given: random runs, all kept runs with and without their bugs, and all twins of two rounds.

`python -m sim --check` prints what is red, each with the command that replays it, and one line at the end. The seeds
are the same from change to change, so that a red one is the change's doing; `--first` moves to others.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from multiprocessing.pool import Pool
from typing import Final

from sim.judge import judge
from sim.reach import missing
from sim.regressions import Verdict, regressions, verdict
from sim.run import Result
from sim.swarm import draw_swarm
from sim.twins import Scenario, fork_seen, play, scenarios

SEEDS: Final = 1_500
REPEAT_SHARE: Final = 20
"""One run in so many is made twice, in processes with other hash seeds, and must be the same to the last byte."""
TWIN_ROUNDS: Final = 2
REACH_SEEDS_MIN: Final = 1_000
"""From so many seeds on, something that was never reached makes a run of them red."""


@dataclass
class Tally:
    """What was counted. `cpu_s` is processor time by kind of run."""

    red: list[str] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    cpu_s: Counter[str] = field(default_factory=Counter)
    kept: list[Verdict] = field(default_factory=list)
    traces: dict[int, str] = field(default_factory=dict)
    heights: int = 0

    def add(self, result: Result) -> None:
        swarm = draw_swarm(result.seed)
        kind = "real" if swarm.is_real else swarm.ledger
        self.runs[kind] += 1
        self.cpu_s[kind] += result.cpu_s  # type: ignore[assignment]  # a Counter of floats
        self.reached += result.reached
        self.heights += result.heights
        if result.seed % REPEAT_SHARE == 0:
            self.traces[result.seed] = result.trace
        if result.violation is not None:
            self.complain(f"seed {result.seed} FAILS: {result.violation}; replay: make sim SEED={result.seed}")

    def compare(self, again: Result) -> None:
        """The same seed once more."""
        if again.trace != self.traces[again.seed]:
            self.complain(f"seed {again.seed} has another trace in another process: make sim SEED={again.seed}")

    def complain(self, sentence: str) -> None:
        self.red.append(sentence)
        print(sentence, flush=True)

    def rates(self) -> str:
        """Processor time of one run, by kind."""
        shown = (f"{kind} {1000 * self.cpu_s[kind] / count:.0f}" for kind, count in sorted(self.runs.items()) if count)
        return "CPU ms a run: " + ", ".join(shown)


def check(first: int, share: float, jobs: int) -> int:
    """All of it, or a share of the seeds and twins; 1 where anything is red."""
    started, tally = time.monotonic(), Tally()
    seeds = range(first, first + round(SEEDS * share))
    step = max(1, round(1 / share))
    with get_context("spawn").Pool(jobs) as pool:
        for result in pool.imap_unordered(judge, seeds, chunksize=8):
            tally.add(result)
    # Other processes, and so another hash seed, for those that are made again.
    with get_context("spawn").Pool(jobs) as pool:
        for again in pool.imap_unordered(judge, [seed for seed in seeds if seed % REPEAT_SHARE == 0]):
            tally.compare(again)
        for found in pool.imap_unordered(verdict, regressions(), chunksize=1):
            tally.kept.append(found)
            if found.red is not None:
                tally.complain(found.red)
            if found.is_stale:
                print(f"{found.name} has grown stale: python -m sim --keep '{found.bug}'", flush=True)
        for done in play_all(pool, islice(scenarios(TWIN_ROUNDS), 0, None, step)):
            tally.runs["twins"] += 1
            tally.cpu_s["twins"] += done.cpu_s  # type: ignore[assignment]
            if done.fork is not None:
                tally.complain(done.fork)
    if not fork_seen():
        tally.complain("two keys twinned do not fork: the checker of twins sees nothing")
    unreached = missing(tally.reached) if len(seeds) >= REACH_SEEDS_MIN else []
    if unreached:
        tally.complain("never reached: " + ", ".join(unreached))
    print(_summary(tally, seeds, unreached, time.monotonic() - started))
    return 1 if tally.red else 0


def _summary(tally: Tally, seeds: range, unreached: list[str], seconds: float) -> str:
    bugs = [found for found in tally.kept if found.bug is not None]
    caught = sum(found.red is None for found in bugs)
    full = sum(draw_swarm(seed).ledger == "full" for seed in seeds)
    return (
        f"sim-check: seeds {seeds.start}-{seeds.stop - 1} ({full:,} with the full ledger, {tally.runs['real']} real, "
        f"{len(tally.traces)} made twice), {tally.heights:,} heights, {tally.runs['twins']:,} twins of {TWIN_ROUNDS} "
        f"rounds, {len(tally.kept)} kept runs ({caught} of {len(bugs)} planted bugs caught): {len(tally.red)} red, "
        f"{len(unreached)} unreached, {seconds:.0f} s; {tally.rates()}"
    )


# Twins


@dataclass(frozen=True, slots=True)
class Played:
    """One scenario: the processor time that it took, and what is wrong."""

    cpu_s: float
    fork: str | None


def play_all(pool: Pool, chosen: Iterable[Scenario]) -> Iterator[Played]:
    yield from pool.imap(play_one, chosen, chunksize=32)


def play_one(scenario: Scenario) -> Played:
    started = time.process_time()
    try:
        play(scenario)
    except Exception as error:
        return Played(time.process_time() - started, f"twins FAIL: {error!r}: {scenario}")
    return Played(time.process_time() - started, None)
