"""A real node killed at its first writes and syncs, one after the other and each kind, on a real disk.

    python -m bench.crashes                    every kind of place and every number up to 40, in every way: once
    python -m bench.crashes --times 50         `make crash-long`; goes on where it was stopped

One node of four is started so that it dies at a place (`sim/faultydisk.py`): before the operation, in the middle of
it, behind it, or with everything unsynced gone. Then it is started again for the next place. It must come back by
itself each time, with the app hash of the others, and never say two things at one place. A place is the n-th of all, or
the n-th of its kind: what a node writes first in a life is always what it missed. One that is not reached in time is
told as such.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.faultload import Trickle
from bench.faultnet import FaultNetwork, double_signatures, forks, signatures
from bench.resumed import add_options, done_before, remember

BASE_PORT: Final = 28_100
STATE: Final = Path(".crashes-state.json")
HOWS: Final = ("before", "torn", "after", "power")
KINDS: Final = (
    "append.batch",
    "append.block",
    "sync",
    "guard.propose",
    "guard.prevote",
    "guard.precommit",
    "store.write",
)
"""The ways and places of `sim/faultydisk.py`, which the process that dies knows; a test compares them."""
PLACES: Final = 40
"""More than a life in which the node catches up, proposes once and commits three blocks."""
OF_KIND: Final = 3
LIFE_S: Final = 20.0
TRANSFERS_PER_S: Final = 20.0
VICTIM: Final = "node2"
LIVES_PER_NETWORK: Final = 122
LIVES_BETWEEN: Final = 10
"""After so many it lives until it is at the tip: one that is for ever behind only ever writes what it missed."""
CATCH_UP_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Life:
    """How one life of the victim ends: at the n-th place of all, or of a kind."""

    number: int
    how: str
    kind: str | None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.crashes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=1, help="how often the round of all places is made, in all")
    add_options(parser, BASE_PORT, STATE)
    options = parser.parse_args()
    done = done_before(options, {"next": 0, "killed": {}, "wrong": []})
    every = lives_of_a_round()
    while (first := done["next"]) < len(every) * options.times:
        count = min(LIVES_PER_NETWORK, len(every) * options.times - first)
        found = run_network([every[number % len(every)] for number in range(first, first + count)], options.base_port)
        done["next"] += count
        done["killed"] = dict(Counter(done["killed"]) + Counter(found["killed"]))
        done["wrong"] += found["wrong"]
        remember(options, done)
        print(json.dumps(found), flush=True)
    print(f"{'place':<16}" + "".join(f"{how:>9}" for how in HOWS))
    for kind in sorted({name.rsplit("/", 1)[0] for name in done["killed"]} | set(KINDS)):
        print(f"{kind:<16}" + "".join(f"{done['killed'].get(f'{kind}/{how}', 0):>9}" for how in HOWS))
    print(f"{sum(done['killed'].values())} deaths in {done['next']} lives; wrong: {done['wrong'] or 'nothing'}")
    return 1 if done["wrong"] else 0


def lives_of_a_round() -> list[Life]:
    """Every kind of place, the first to the third time, and every number up to the last, in every way."""
    kinds = [Life(number, how, kind) for number in range(1, OF_KIND + 1) for kind in KINDS for how in HOWS]
    return kinds + [Life(number, how, None) for number in range(1, PLACES + 1) for how in HOWS]


def run_network(lives: list[Life], base_port: int) -> dict[str, Any]:
    """One new network; the victim lives and dies so often. What was killed how often, and what was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="concento-crashes-"))
    network = FaultNetwork(folder, base_port)
    killed: Counter[str] = Counter()
    began = time.monotonic()
    try:
        for name in network.names:
            if name != VICTIM:
                network.start(name)
        # Also the one that dies is handed transactions: its own batches are places, too.
        trickle = Trickle(network.urls, TRANSFERS_PER_S, seed=1)
        for number, life in enumerate(lives, start=1):
            if number % LIVES_BETWEEN == 0:
                catch_up(network, VICTIM)
                network.kill(VICTIM)
            kind = live_once(network, VICTIM, life)
            killed[f"{kind or 'not reached'}/{life.how}"] += 1
        catch_up(network, VICTIM)
        trickle.stop()
        wrong = audit(network)
    finally:
        network.close()
    found: dict[str, Any] = {"killed": dict(killed), "wrong": wrong, "seconds": round(time.monotonic() - began)}
    if wrong:
        found["folder"] = str(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def catch_up(network: FaultNetwork, name: str) -> None:
    """It starts by itself and comes back to the tip. Raises RuntimeError where it does not."""
    network.start(name)
    network.wait_ready(name, CATCH_UP_S)


def live_once(network: FaultNetwork, name: str, life: Life) -> str | None:
    """One life that ends at its place: the kind of the place, or None where it was not reached in time.

    Raises RuntimeError where the process ended of itself: what the life before left on its disk kept it from starting.
    """
    trace = network.folder / f"{name}.places"
    trace.unlink(missing_ok=True)
    options = ["--crash-at", str(life.number), "--crash-how", life.how, "--trace", str(trace)]
    process = network.start(name, *options, *(["--at-kind", life.kind] if life.kind else []))
    try:
        code = process.wait(LIFE_S)
    except subprocess.TimeoutExpired:
        network.kill(name)
        return None
    if code != -signal.SIGKILL:
        raise RuntimeError(f"{name} ended with {code} before {life}: {network.errors(name)[-800:]}")
    return trace.read_text().splitlines()[-1].split()[1]


def audit(network: FaultNetwork) -> list[str]:
    """What is wrong with this network: two words of one validator, or two histories."""
    tip = max(map(network.height, network.names))
    network.wait_level(tip)
    double = [f"{n}: {what}" for n in network.names for what in double_signatures(signatures(network.audit(n)))]
    return double + forks({name: network.blocks(name, tip) for name in network.names})


if __name__ == "__main__":
    sys.exit(main())
