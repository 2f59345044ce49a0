"""`python -m bench.million`: what very many accounts cost, and how soon a node votes again after an orderly restart.

The arm C of `bench` in a state of a million accounts: rate beside the limit, memory and disk. Then, while a trickle of
transfers goes on, one node is asked to end and started again; the clock stops at the first block of which another node
says that this one has proposed or signed it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.arms import Plan, measure_mix, network_with_accounts
from bench.mixes import MIXES
from bench.networks import Running
from bench.targets import Item, target
from concento.client import Client

ARM: Final = "C"
RESTARTED: Final = 0
"""The place of the node that is restarted; the one behind it is asked."""
TRICKLE_EVERY_S: Final = 0.05
POLL_S: Final = 0.02
PATIENCE_S: Final = 60.0
RESTART_S_MAX: Final = 10.0
GOALS: Final = ((100_000, 0.55, 400), (1_000_000, 0.45, 1_000))
"""Up to so many accounts: the least share of the limit, and the most memory of a node in MB."""


def main() -> int:
    """Prints the record and a line a goal; 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.million", description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--load-s", type=float, default=15.0)
    parser.add_argument("--base-port", type=int, default=27_600)
    options = parser.parse_args()
    plan = Plan(accounts=options.accounts, base_port=options.base_port, load_s=options.load_s, level_s=0)
    with tempfile.TemporaryDirectory(prefix="concento-bench-") as folder:
        record = measure(plan, Path(folder) / ARM)
    print(json.dumps(record))
    verdicts = judged(record)
    for text, is_met in verdicts:
        print(f"{text} {'ok' if is_met else 'MISSED'}")
    return 0 if all(is_met for _, is_met in verdicts) else 1


def measure(plan: Plan, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True)
    with network_with_accounts(ARM, plan, folder, _tell) as network:
        sign_more = MIXES["transfers"].prepare(Client(*network.urls, timeout_s=60), plan.accounts)
        record = measure_mix(network, "transfers", sign_more, plan, _tell)
        _tell("one node is asked to end, and started again")
        return record | restart(network, sign_more)


def judged(record: dict[str, Any]) -> list[tuple[str, bool]]:
    """What was to be reached, and whether it was."""
    ratio_min, memory_max = next(
        ((ratio, memory) for accounts, ratio, memory in GOALS if record["accounts"] <= accounts), GOALS[-1][1:]
    )
    ratio, memory, vote_s = record["ratio"], max(record["memory_mb"]), record["vote_s"]
    return [
        (f"{ratio:.2f} of the limit (at least {ratio_min})", ratio >= ratio_min),
        (f"{memory} MB in the largest node (at most {memory_max})", memory <= memory_max),
        (f"{vote_s:.1f} s from the start to the first vote (at most {RESTART_S_MAX:.0f})", vote_s <= RESTART_S_MAX),
    ]


def restart(network: Running, sign_more: Callable[[int], list[Item]]) -> dict[str, float]:
    """Seconds to end one node, to start it until it says that it is ready, and until its first vote counts."""
    pid, other = network.pids[RESTARTED], Client(network.urls[RESTARTED + 1], timeout_s=20)
    name = network.names[RESTARTED]
    with _trickle(network.urls[RESTARTED + 1], sign_more(round(PATIENCE_S * 4 / TRICKLE_EVERY_S))):
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        _wait(lambda: not Path(f"/proc/{pid}").exists(), "the node does not end")
        ended = time.monotonic()
        height = other.status()["height"]
        process = subprocess.Popen([sys.executable, "-m", "node.app", "--home", str(network.home(name))])
        try:
            votes = _Votes(other, name, height)
            _wait(votes.are_seen, "the node does not vote")
            voted = time.monotonic()
        finally:
            process.terminate()
            process.wait()
    return {"stop_s": round(ended - began, 1), "vote_s": round(voted - ended, 1)}


class _Votes:
    """Looks through the blocks above a height for one that this node has proposed or signed."""

    def __init__(self, client: Client, name: str, height: int) -> None:
        self._client = client
        self._name = name
        self._height = height

    def are_seen(self) -> bool:
        while self._height < self._client.status()["height"]:
            self._height += 1
            block = self._client.call("chain_getBlock", height=self._height)
            if self._name in (block["proposer_name"], *block["commit"]["signer_names"]):
                return True
        return False


@contextmanager
def _trickle(url: str, items: Sequence[Item]) -> Iterator[None]:
    """A transfer every now and then, so that there are blocks to vote on."""
    stop = threading.Event()

    def run() -> None:
        node, waiting = target(ARM, url), iter(items)
        while not stop.wait(TRICKLE_EVERY_S):
            node.submit([next(waiting)])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _wait(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{otherwise} within {PATIENCE_S:.0f} s")
        time.sleep(POLL_S)


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
