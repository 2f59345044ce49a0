"""`python -m bench.overload`: several times more is offered than a network can take; what must not suffer.

The rate of committed transfers, the memory of the nodes, that blocks are decided in their first round and without
gaps, that refusals say *busy, later*, and that what a node said to be shared becomes final. What is refused goes to
the head of the line and is offered again, so the pressure stays the same all the time. Everything is signed before
the clock starts, each for the time at which it is likely to be handed in. Rates are compared as shares of the signature
limit, sampled during each load: a shared machine is faster at some minutes than at others. The whole takes a quarter
of an hour; `--seconds 20` shows that it works.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from pathlib import Path
from random import random
from statistics import linear_regression
from typing import Any, Final

from bench.arms import Plan, network_with_accounts
from bench.limit import Pace
from bench.load import BATCH, percentile, sustain
from bench.mixes import SignTransfers, transfers
from bench.networks import Running
from bench.targets import Item, LedgerNode
from bench.usage import Usage
from concento.client import Client
from concento.errors import ConcentoError

ARM: Final = "C"
NODES: Final = 4
OF_BEST_MAX: Final = 1.15
"""As much of the best rate could be taken at most: so much is signed."""
OF_BEST_PLANNED: Final = 0.9
"""Each is signed for the time at which it is handed in at this share of the best rate."""
EARLY_MS: Final = 35_000
"""So much longer before that time a transaction is valid, and so much shorter after it: a faster network takes it
early, a slower one late."""
LATE_S: Final = 35.0
"""Who comes later than this has made another one: what waits in pools and batches for half a minute must not expire."""
POOLS_COUNT: Final = 40_000
"""What waits in the pools and in the line at the end."""
SIGNING_US_MAX: Final = 180
"""What signing one takes at most, to know when the load can begin."""
PRESSING_LANES: Final = 12
"""Connections to each node. One that is answered "busy" is free at once; one whose transactions are taken waits until
their signatures are checked, which a node does for some eight requests at a time."""
SAMPLE_EVERY: Final = 400
"""Of what was taken, every so many is asked for: is it shared, and did it become final."""
ASKED_AT_ONCE: Final = 10
"""Of those so many each half second: a question costs a node as much as eight transfers."""
MEMORY_EVERY_S: Final = 5.0
SETTLE_S: Final = 100.0
"""As long as full pools need to empty."""
BEST_RUNS: Final = 2
"""Half a minute each: a shorter one ends before LevelDB merges what it has written."""
OF_BEST_MIN: Final = 0.9
SLOPE_MB_PER_MIN_MAX: Final = 10.0
"""Of the largest node, over the second half of a load; the pool has been full for long then."""
ROUNDS_ABOVE_0_MAX: Final = 0.01
"""The share of blocks that may need another round."""
GAP_MS_MAX: Final = 5_000
BUSY_KINDS: Final = frozenset({"node.busy"})


def main() -> int:
    """Prints a record an overload and a line a goal; 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of each overload")
    parser.add_argument("--factors", type=_factors, default="2,5", help="of the sustained rate [2,5]")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--best-transactions", type=int, default=100_000, help="of each run that finds the best rate")
    parser.add_argument("--base-port", type=int, default=27_600)
    options = parser.parse_args()
    plan = Plan(nodes=NODES, accounts=options.accounts, base_port=options.base_port)
    good = True
    # A million transactions are held at once: looking through them for cycles takes longer than signing them.
    gc.disable()
    with tempfile.TemporaryDirectory(prefix="concento-bench-") as name:
        folder = Path(name) / ARM
        folder.mkdir()
        with network_with_accounts(ARM, plan, folder, _tell) as network:
            sign_more = transfers(Client(*network.urls, timeout_s=60), options.accounts)
            best = max((_best(network, sign_more, options.best_transactions) for _ in range(BEST_RUNS)),
                       key=lambda found: found.ratio)  # fmt: skip
            print(f"sustained {best.rate:,.0f} tx/s, {best.ratio:.2f} of the limit, CPU in us each: {best.cpu_us}")
            for factor in options.factors:
                record = overload(network, sign_more, best, factor, options.seconds)
                print(json.dumps(record), flush=True)
                for text, is_met in judged(record):
                    print(f"  {text} {'ok' if is_met else 'MISSED'}", flush=True)
                    good = good and is_met
    return 0 if good else 1


def _factors(text: str) -> list[float]:
    """Raises ArgumentTypeError."""
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = [0.0]
    if not all(0 < factor < inf for factor in found):
        raise argparse.ArgumentTypeError(f"numbers above 0, between commas, not {text!r}")
    return found


@dataclass(frozen=True, slots=True)
class Best:
    """The best that the network did when it was offered no more than it took. `cpu_us` as `_each_us` has it."""

    rate: float
    ratio: float
    cpu_us: dict[str, int]


def _best(network: Running, sign_more: SignTransfers, count: int) -> Best:
    items = sign_more(count)
    before_s = _cpu_s(network)
    with Pace() as pace:
        found = sustain(ARM, network.urls, items)
    return Best(found.rate, found.rate / pace.limit(NODES), _each_us(before_s, _cpu_s(network), found.transactions))


def judged(record: dict[str, Any]) -> list[tuple[str, bool]]:
    """What must not suffer, and whether it did not."""
    late = record["rounds_above_0"] / max(1, record["blocks"])
    slope, gap_ms, lost = record["memory_slope_mb_per_min"], record["gap_ms"]["longest"], record["shared_lost"]
    kinds = set(record["refusals"])
    return [
        (f"{record['of_best']:.2f} of the best rate (at least {OF_BEST_MIN})", record["of_best"] >= OF_BEST_MIN),
        (f"memory grows by {slope} MB a minute (at most {SLOPE_MB_PER_MIN_MAX})", slope <= SLOPE_MB_PER_MIN_MAX),
        (f"{late:.1%} of the blocks needed another round (at most {ROUNDS_ABOVE_0_MAX:.0%})",
         late <= ROUNDS_ABOVE_0_MAX),
        (f"the longest wait for a block was {gap_ms} ms (at most {GAP_MS_MAX})", gap_ms <= GAP_MS_MAX),
        (f"refusals say {', '.join(sorted(kinds)) or 'nothing: there were none'}", bool(kinds) and kinds <= BUSY_KINDS),
        (f"{lost} of {record['shared_asked']} that were shared did not become final",
         not lost and record["shared_asked"] > 0),
    ]  # fmt: skip


def overload(network: Running, sign_more: SignTransfers, best: Best, factor: float, seconds: float) -> dict[str, Any]:
    """Offers `factor` times the best rate for so long; what became of it."""
    line = _signed(sign_more, best.rate, seconds)
    counted, stop, client = _Counts(), threading.Event(), Client(*network.urls, timeout_s=60)
    lanes = [url for url in network.urls for _ in range(PRESSING_LANES)]
    first, memory = client.status()["height"], _Memory(network)
    began, before_s = time.perf_counter(), _cpu_s(network)
    with Pace() as pace, ThreadPoolExecutor(len(lanes)) as pool:
        jobs = [pool.submit(_press, url, line, best.rate * factor / len(lanes), stop, counted) for url in lanes]
        try:
            while time.perf_counter() - began < seconds:
                time.sleep(0.5)
                memory.look()
                counted.ask(client)
            last, took = client.status()["height"], time.perf_counter() - began
            after_s = _cpu_s(network)
        finally:
            stop.set()
        for job in jobs:
            job.result()
    lost = _lost(client, counted.shared)
    blocks, limit = _blocks(client, first, last), pace.limit(NODES)
    final = sum(block["transactions"] for block in blocks)
    rate = final / took
    return {
        "factor": factor,
        "seconds": round(took),
        "tx_s": round(rate),
        "limit_tx_s": round(limit),
        "of_best": round(rate / limit / best.ratio, 2),
        "cpu_us": _each_us(before_s, after_s, final),
        "offered_tx_s": round(counted.offered / took),
        "refusals": dict(counted.refusals),
        "blocks": len(blocks),
        "rounds_above_0": sum(block["round"] > 0 for block in blocks),
        "gap_ms": _gaps_ms(blocks),
        "memory_mb": [round(memory.seen[at][1]) for at in (0, len(memory.seen) // 2, -1)],
        "memory_slope_mb_per_min": round(memory.slope_mb_per_min(), 1),
        "shared_asked": len(counted.shared),
        "shared_lost": lost,
    }


def _signed(sign_more: SignTransfers, best: float, seconds: float) -> _Line:
    """What can be taken in this time where this is the best rate, and fill the pools; returns when the load can
    begin."""
    count = round(best * OF_BEST_MAX * seconds) + POOLS_COUNT
    began = time.perf_counter()
    signing_s = count * SIGNING_US_MAX / 1e6
    line = _Line()
    for number in range(0, count, BATCH):
        due_s = began + signing_s + max(0, number - POOLS_COUNT) / (best * OF_BEST_PLANNED)
        line.add(sign_more(BATCH, round((due_s - time.perf_counter()) * 1_000) - EARLY_MS), due_s + LATE_S)
    early_s = began + signing_s - time.perf_counter()
    if early_s < 0:
        raise RuntimeError(f"signing {count:,} transactions took {-early_s:.0f} s too long: they would expire")
    time.sleep(early_s)
    return line


class _Line:
    """What is signed and waits to be offered, for many threads."""

    def __init__(self) -> None:
        self._batches: deque[tuple[list[Item], float]] = deque()
        self._lock = threading.Lock()

    def add(self, items: list[Item], until_s: float) -> None:
        """At the end; offered until then and not later."""
        self._batches.append((items, until_s))

    def put_back(self, items: list[Item], until_s: float) -> None:
        with self._lock:
            self._batches.appendleft((items, until_s))

    def take(self) -> tuple[list[Item], float]:
        """The next that are to be offered, as many as one request carries at most; none where the line is empty."""
        with self._lock:
            while self._batches:
                items, until_s = self._batches.popleft()
                if time.perf_counter() < until_s:
                    return items, until_s
        return [], 0.0


@dataclass
class _Counts:
    """What the pressing threads did, and the sample of what they were told."""

    offered: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    shared: list[str] = field(default_factory=list)
    _sample: deque[str] = field(default_factory=deque)
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, offered: Sequence[Item], refused: Sequence[Item]) -> None:
        refused_keys = {item.key for item in refused}
        with self._lock:
            self.offered += len(offered)
            for item in offered:
                if item.key not in refused_keys:
                    self._taken += 1
                    if self._taken % SAMPLE_EVERY == 0:
                        self._sample.append(item.key)

    def note_refusals(self, refusals: Counter[str]) -> None:
        with self._lock:
            self.refusals += refusals

    def ask(self, client: Client) -> None:
        """Asks for the first of the sample that wait; remembers which are said to be shared, or more."""
        with self._lock:
            keys = [self._sample.popleft() for _ in range(min(ASKED_AT_ONCE, len(self._sample)))]
        for key in keys:
            try:
                status = client.transaction(key)["status"]
            except ConcentoError:
                continue
            if status in ("shared", "final"):
                self.shared.append(key)
            elif status == "pending":
                with self._lock:
                    self._sample.append(key)


def _cpu_s(network: Running) -> tuple[float, float]:
    """CPU seconds so far: of a node, on average, and of this process, which offers the load."""
    spent_s = Usage.of(network).cpu_s
    return sum(spent_s) / len(spent_s), time.process_time()


def _each_us(before_s: tuple[float, float], after_s: tuple[float, float], count: int) -> dict[str, int]:
    """Microseconds of CPU between the two for each of so many transactions."""
    node, generator = (
        round((after - before) * 1e6 / max(1, count)) for before, after in zip(before_s, after_s, strict=True)
    )
    return {"node": node, "generator": generator}


class _Memory:
    """What the largest node holds, over time."""

    def __init__(self, network: Running) -> None:
        self._network = network
        self.seen: list[tuple[float, float]] = []
        self.look()

    def look(self) -> None:
        now = time.perf_counter()
        if not self.seen or now - self.seen[-1][0] >= MEMORY_EVERY_S:
            self.seen.append((now, max(Usage.of(self._network).memory_mb)))

    def slope_mb_per_min(self) -> float:
        """Of the line through the second half; 0 where nothing was seen in it."""
        half = self.seen[len(self.seen) // 2 :]
        if len(half) < 2:
            return 0.0
        times, sizes = zip(*half, strict=True)
        return linear_regression(times, sizes).slope * 60


def _press(url: str, line: _Line, rate: float, stop: threading.Event, counted: _Counts) -> None:
    """One node is offered this many a second, whatever it answers."""
    node = LedgerNode(url)
    due = time.perf_counter() + random() * BATCH / rate
    while not stop.wait(max(0.0, due - time.perf_counter())):
        due += BATCH / rate
        items, until_s = line.take()
        if items:
            refused = node.submit(items)
            counted.note(items, refused)
            if refused:
                line.put_back(refused, until_s)
    counted.note_refusals(node.refusals)


def _blocks(client: Client, first: int, last: int) -> list[dict[str, Any]]:
    """All blocks above the first height, up to the last, the newest first."""
    found: list[dict[str, Any]] = []
    cursor: str | None = str(last)
    while cursor is not None and int(cursor) > first:
        page = client.call("chain_getBlocks", limit=100, cursor=cursor)
        found += [block for block in page["items"] if first < block["height"] <= last]
        cursor = page["next"]
    return found


def _gaps_ms(blocks: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Between the times of blocks that follow each other."""
    gaps = sorted(later["time_ms"] - earlier["time_ms"] for later, earlier in pairwise(blocks))
    return {"p50": round(percentile(gaps, 0.5)), "p99": round(percentile(gaps, 0.99)), "longest": max(gaps, default=0)}


def _lost(client: Client, keys: Sequence[str]) -> int:
    """How many of those said to be shared did not become final, given time."""
    deadline = time.monotonic() + SETTLE_S
    waiting = list(keys)
    while waiting and time.monotonic() < deadline:
        waiting = [key for key in waiting if client.transaction(key)["status"] != "final"]
        time.sleep(0.2 if waiting else 0)
    return len(waiting)


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
