"""`python -m bench.overload`: several times more is offered than a network can take; what must not suffer.

The rate of committed transfers, the memory of the nodes, that every block is decided in its first round, and that what
a node said to be shared becomes final. What is refused as busy goes to the end of the line and is offered again, so
the pressure stays the same all the time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from bench.arms import Usage
from bench.load import BATCH, sustain
from bench.mixes import MIXES, bench_genesis, fill
from bench.networks import Running, running
from bench.targets import Item, target
from concento.client import Client
from concento.errors import ConcentoError

ARM: Final = "C"
SIGNED_S: Final = 20.0
"""So much of the network's capacity is kept signed ahead: far less than a transaction is valid for."""
SAMPLE_EVERY: Final = 200
"""Of what was taken, every so many is asked for: is it shared, and did it become final."""
SETTLE_S: Final = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of each overload")
    parser.add_argument("--factors", default="2,5", help="of the sustained rate")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--base-port", type=int, default=27_600)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="concento-bench-") as folder,
        running(ARM, bench_genesis(4), Path(folder) / ARM, 4, options.base_port) as network,
    ):
        client = Client(*network.urls, timeout_s=60)
        fill(client, options.accounts, lambda text: print(f"  {text}", file=sys.stderr, flush=True))
        sign_more = MIXES["transfers"].prepare(client, options.accounts)
        best = sustain(ARM, network.urls, sign_more(15_000)).rate
        print(f"sustained {best:,.0f} tx/s")
        for factor in map(float, options.factors.split(",")):
            print(json.dumps(overload(network, sign_more, best, factor, options.seconds)), flush=True)
    return 0


def overload(
    network: Running, sign_more: Callable[[int], list[Item]], best: float, factor: float, seconds: float
) -> dict[str, Any]:
    """Offers `factor` times the best rate for so long; what became of it."""
    queue: deque[Item] = deque(sign_more(round(best * SIGNED_S)))
    counted = _Counts()
    stop = threading.Event()
    client = Client(*network.urls)
    first, memory = client.status()["height"], [max(Usage.of(network).memory_mb)]
    began = time.perf_counter()
    with ThreadPoolExecutor(len(network.urls)) as pool:
        rate = best * factor / len(network.urls)
        jobs = [pool.submit(_press, url, queue, rate, stop, counted) for url in network.urls]
        while time.perf_counter() - began < seconds:
            time.sleep(1.0)
            if len(queue) < best * SIGNED_S / 2:
                queue.extend(sign_more(round(best * 2)))
            if round(time.perf_counter() - began) % 10 == 0:
                memory.append(max(Usage.of(network).memory_mb))
            counted.ask(client)
        last, took = client.status()["height"], time.perf_counter() - began
        stop.set()
        for job in jobs:
            job.result()
    blocks = _blocks(client, first, last)
    committed = sum(block["transactions"] for block in blocks)
    half = memory[len(memory) // 2 :]
    return {
        "factor": factor,
        "seconds": round(took),
        "tx_s": round(committed / took),
        "of_best": round(committed / took / best, 2),
        "offered_tx_s": round(counted.offered / took),
        "busy": counted.busy,
        "blocks": len(blocks),
        "rounds_above_0": sum(block["round"] > 0 for block in blocks),
        "memory_mb": [round(memory[0]), round(memory[len(memory) // 2]), round(memory[-1])],
        "memory_slope_mb_per_min": round((half[-1] - half[0]) / max(1, len(half) - 1) * 6, 1),
        "shared_asked": len(counted.shared),
        "shared_lost": _lost(client, counted.shared),
    }


class _Counts:
    """What the pressing threads did, and the sample of what they were told."""

    def __init__(self) -> None:
        self.offered = 0
        self.busy = 0
        self.shared: list[str] = []
        self._sample: deque[str] = deque()
        self._taken = 0
        self._lock = threading.Lock()

    def note(self, offered: Sequence[Item], refused: Sequence[Item]) -> None:
        refused_keys = {item.key for item in refused}
        with self._lock:
            self.offered += len(offered)
            self.busy += bool(refused)
            for item in offered:
                if item.key not in refused_keys:
                    self._taken += 1
                    if self._taken % SAMPLE_EVERY == 0:
                        self._sample.append(item.key)

    def ask(self, client: Client) -> None:
        """Asks for those of the sample that wait; remembers which are said to be shared, or more."""
        with self._lock:
            keys, self._sample = list(self._sample), deque()
        for key in keys:
            try:
                if client.transaction(key)["status"] in ("shared", "final"):
                    self.shared.append(key)
            except ConcentoError:
                continue


def _press(url: str, queue: deque[Item], rate: float, stop: threading.Event, counted: _Counts) -> None:
    """One node is offered this many a second, whatever it answers."""
    node = target(ARM, url)
    began, offered = time.perf_counter(), 0
    while not stop.is_set():
        due = int((time.perf_counter() - began) * rate) - offered
        if due < BATCH:
            time.sleep(0.005)
            continue
        items = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
        offered += BATCH
        if not items:
            continue
        refused = node.submit(items)
        counted.note(items, refused)
        queue.extend(refused)


def _blocks(client: Client, first: int, last: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = str(last)
    while True:
        page = client.call("chain_getBlocks", limit=100, cursor=cursor)
        found += [block for block in page["items"] if first < block["height"] <= last]
        cursor = page["next"]
        if cursor is None or int(cursor) <= first:
            return found


def _lost(client: Client, keys: Sequence[str]) -> int:
    """How many of those said to be shared did not become final, given time."""
    deadline = time.monotonic() + SETTLE_S
    waiting = list(keys)
    while waiting and time.monotonic() < deadline:
        waiting = [key for key in waiting if client.transaction(key)["status"] != "final"]
        time.sleep(0.2 if waiting else 0)
    return len(waiting)


if __name__ == "__main__":
    sys.exit(main())
