"""`python -m sim --seed 7` replays one run; `--seeds 1-200` makes many; `--long` goes on where it stopped; `--bugs`
tests the tester. See docs/simulator.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from sim.bugs import BUGS
from sim.gate import REACH_SEEDS_MIN, check, play_all
from sim.judge import judge, judge_run
from sim.reach import missing
from sim.regressions import keep, keep_red, regressions
from sim.run import Result
from sim.shrink import shrink
from sim.swarm import draw_schedule, draw_swarm
from sim.table import write_table
from sim.twins import Scenario, scenarios, word_scenarios

LONG_SEEDS: Final = 20_000
LONG_CHUNK: Final = 200
TWINS_CHUNK: Final = 4_096


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.check:
        return check(options.first, options.share, options.jobs)
    if options.bugs:
        return write_table(options.first, options.jobs)
    if options.kept:
        return _kept(options.kept, options.bug, options.trace)
    if options.keep:
        return _keep(options.keep, options.first)
    if options.twins:
        return _twins(options.twins, Path(options.twins_state), options.jobs)
    if options.long:
        return _long(Path(options.state), options.jobs)
    if options.seeds:
        first, _, last = options.seeds.partition("-")
        return _many(range(int(first), int(last or first) + 1), options.bug, options.jobs)
    return _one(options.seed, options.only, options.bug, options.trace)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="replay this run")
    parser.add_argument("--only", help="keep only these faults of its schedule, as 0,3,4 (or none)")
    parser.add_argument("--trace", action="store_true", help="print every event and effect of it")
    parser.add_argument("--seeds", help="make these runs, as 1-200")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant this bug first")
    parser.add_argument("--check", action="store_true", help="what every change is given")
    parser.add_argument("--share", type=float, default=1.0, help="of --check: this share of its seeds and twins")
    parser.add_argument("--first", type=int, default=1, help="the first seed of --check, --bugs and --keep")
    parser.add_argument("--bugs", action="store_true", help="plant each bug in turn; write which are caught")
    parser.add_argument(
        "--keep", help="keep a small run that catches this bug (or all, or a red seed) in sim/schedules"
    )
    parser.add_argument("--kept", help="play this run of sim/schedules, without its bug or with --bug")
    parser.add_argument("--twins", help="play all scenarios of twins of so many rounds (or: words), resumably")
    parser.add_argument("--twins-state", default=".sim-twins.json", help="where --twins keeps how far it is")
    parser.add_argument("--long", action="store_true", help=f"go on up to seed {LONG_SEEDS}")
    parser.add_argument("--state", default=".sim-state.json", help="where --long keeps how far it is")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    return parser


# One seed


def _one(seed: int, only: str | None, bug: str | None, trace: bool) -> int:
    kept = None if only is None else [int(part) for part in only.split(",") if part.strip().isdigit()]
    result = judge(seed, bug, kept, trace)
    if result.violation is None:
        print(f"seed {seed} ok heights {result.heights} trace {result.trace}")
        return 0
    _explain(result, bug, kept)
    return 1


def _kept(name: str, bug: str | None, trace: bool) -> int:
    """One run of sim/schedules."""
    regression = next(entry for entry in regressions() if entry.name == name)
    result = judge_run(regression.swarm, regression.faults, bug, trace)
    print(f"{name} {result.violation or 'ok'} heights {result.heights} trace {result.trace}")
    return 1 if result.violation else 0


def _explain(result: Result, bug: str | None, kept: Sequence[int] | None) -> None:
    """What is wrong, and the least schedule under which it is."""
    seed = result.seed
    swarm = draw_swarm(seed)
    schedule = draw_schedule(swarm)
    print(f"seed {seed} FAILS at {result.virtual_ms} ms: {result.violation}")
    print(f"  {swarm}")

    def fails(part: Sequence[int]) -> bool:
        return judge(seed, bug, part).invariant == result.invariant

    small = shrink(range(len(schedule)) if kept is None else kept, fails)
    for index in small:
        print(f"  {index:>3}  {schedule[index]}")
    planted_bug = f" --bug '{bug}'" if bug else ""
    print(f"replay: python -m sim --seed {seed}{planted_bug} --only {','.join(map(str, small)) or 'none'}")


# Many seeds


def _results(seeds: Iterable[int], bug: str | None, jobs: int) -> Iterator[Result]:
    work = partial(judge, bug=bug)
    if jobs <= 1:
        yield from map(work, seeds)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(work, seeds, chunksize=4)


def _many(seeds: range, bug: str | None, jobs: int) -> int:
    started, red, reached, heights = time.monotonic(), [], Counter[str](), 0
    for result in _results(seeds, bug, jobs):
        heights += result.heights
        reached += result.reached
        if result.violation is not None:
            red.append(result.seed)
            print(f"seed {result.seed} FAILS: {result.violation}", flush=True)
            print(f"replay: make sim SEED={result.seed}", flush=True)
    seconds = time.monotonic() - started
    unreached = missing(reached)
    print(f"{len(seeds)} seeds, {len(red)} red, {heights} heights, {seconds:.0f} s, {len(seeds) / seconds:.1f} seeds/s")
    if unreached:
        print("never reached: " + ", ".join(unreached))
    return 1 if red or (unreached and len(seeds) >= REACH_SEEDS_MIN) else 0


def _long(state: Path, jobs: int) -> int:
    """Up to the last seed, in chunks; a stopped run goes on with the chunk that it was in."""
    kept: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
    following: int = kept.get("next", 1)
    red: list[int] = kept.get("red", [])
    reached = Counter[str](kept.get("reached", {}))
    while following <= LONG_SEEDS:
        chunk = range(following, min(following + LONG_CHUNK, LONG_SEEDS + 1))
        for result in _results(chunk, None, jobs):
            reached += result.reached
            if result.violation is not None:
                red.append(result.seed)
                print(f"seed {result.seed} FAILS: {result.violation}; replay: make sim SEED={result.seed}", flush=True)
        following = chunk.stop
        state.write_text(json.dumps({"next": following, "red": red, "reached": dict(reached)}))
        print(f"seeds up to {following - 1}: {len(red)} red", flush=True)
    unreached = missing(reached)
    print(f"red: {red or 'none'}; never reached: {', '.join(unreached) or 'nothing'}")
    return 1 if red or unreached else 0


def _twins(rounds: str, state: Path, jobs: int) -> int:
    """Every scenario, from where it was stopped; 1 where any forks."""
    chosen: Iterator[Scenario] = word_scenarios() if rounds == "words" else scenarios(int(rounds))
    kept: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
    done, red = kept.get(rounds, (0, []))
    chosen = islice(chosen, done, None)
    with get_context("spawn").Pool(jobs) as pool:
        while chunk := list(islice(chosen, TWINS_CHUNK)):
            red += [played.fork for played in play_all(pool, chunk) if played.fork is not None]
            done += len(chunk)
            state.write_text(json.dumps({**kept, rounds: (done, red)}))
            print(f"twins of {rounds} rounds: {done} scenarios, {len(red)} red", flush=True)
    for sentence in red:
        print(sentence)
    print(f"{done} scenarios of {rounds} rounds: {'no fork' if not red else f'{len(red)} red'}")
    return 1 if red else 0


# The tester tested


def _keep(name: str, first: int) -> int:
    """Makes small runs and keeps them: of one bug, of all, or of a seed that is red."""
    if name.isdigit():
        found = keep_red(int(name), "What it was is in the change that mended it.")
        print(found or f"seed {name} is green")
        return 0 if found else 1
    missed = 0
    for bug in BUGS if name == "all" else (name,):
        regression = keep(bug, first)
        missed += regression is None
        faults = "not caught" if regression is None else f"{regression.what}: {len(regression.faults)} faults"
        print(f"{bug}: {faults}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
