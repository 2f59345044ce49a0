"""`make fuzz` gives every target 20 seconds of spoilt input, `make fuzz-long` ten minutes; TARGET, SEED and CASE replay
one case, with its bytes and the whole traceback."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from multiprocessing import get_context

from fuzz.play import TARGETS, case, outcome, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--target", choices=list(TARGETS), help="only this one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="replay this case of --target")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    if options.case is not None:
        return _replay(options.target or parser.error("--case needs --target"), options.seed, options.case)
    names = [options.target] if options.target else list(TARGETS)
    red = 0
    # Each target has a process of its own: the memory that it takes is nobody else's.
    with get_context("spawn").Pool(options.jobs, maxtasksperchild=1) as pool:
        for played in pool.imap_unordered(
            partial(play, seed=options.seed, seconds=options.seconds), names, chunksize=1
        ):
            print(played.sentence, flush=True)
            red += played.red is not None
    print(f"{len(names)} targets, {red or 'none'} red")
    return 1 if red else 0


def _replay(name: str, seed: int, number: int) -> int:
    target = TARGETS[name]()
    data = case(target, name, seed, number)
    print(f"{len(data)} bytes: {data[:400]!r}{' ...' if len(data) > 400 else ''}")
    try:
        ended, took_s = outcome(target, data)
    finally:
        target.close()
    print(f"{ended} in {took_s * 1_000:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
