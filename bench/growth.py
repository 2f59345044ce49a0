"""How the cost of a transfer grows with what grows: block size, accounts, history, records waiting. Ratios first.

Run with `python -m bench.growth`. Every figure is CPU time of one process, a median over blocks, and every ratio is of
two figures of the same run: what it must not pass stands beside it. Nothing may cost as much as the state is large.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import process_time

from bench.ledger import open_bench
from bench.stages import measure
from concento.transactions import decode_transaction
from node.replica.pool import Pool
from state.store.opening import close_store, distrust, open_store

STAGES = ("apply", "tree", "records", "write")
"""What a block costs every validator, signatures and transport aside."""
PER_TEN_TIMES = 2.0
"""Ten times the accounts: one more level of the tree for sixteen times, and memory that is not at hand."""
FLAT = 1.3
"""What must not grow, with room for the noise of a shared machine."""
FLAT_START = 2.0
"""A start of less than a millisecond: more noise."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The cost of much over the cost of little."""

    what: str
    much_us: float
    little_us: float
    ratio_max: float

    @property
    def ratio(self) -> float:
        return self.much_us / self.little_us

    def __str__(self) -> str:
        verdict = "ok" if self.ratio <= self.ratio_max else "TOO MUCH"
        return (
            f"{self.what:<52}{self.little_us:>9.1f} -> {self.much_us:>8.1f} us"
            f"{self.ratio:>7.2f} (at most {self.ratio_max:.1f}) {verdict}"
        )


def main() -> int:
    """Prints a line a ratio; 1 where one is too large."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 100_000])
    options = parser.parse_args()
    good = True
    for ratio in ratios(options.accounts):
        print(ratio, flush=True)
        good = good and ratio.ratio <= ratio.ratio_max
    return 0 if good else 1


def ratios(accounts: list[int]) -> Iterator[Ratio]:
    costs = [_by_accounts(count) for count in accounts]
    for (little, few), (much, many) in pairwise(costs):
        times = many / few
        per_times = PER_TEN_TIMES ** (times / 10)
        yield Ratio(f"a transfer, {few:,} -> {many:,} accounts", much.transfer_us, little.transfer_us, per_times)
        yield Ratio(f"a start after an orderly stop, {few:,} -> {many:,}", much.start_us, little.start_us, FLAT_START)
        yield Ratio(
            f"a start after a crash, per key, {few:,} -> {many:,}",
            much.rebuild_us,
            little.rebuild_us,
            per_times,
        )
    with tempfile.TemporaryDirectory(prefix="concento-growth-") as folder:
        bench = open_bench(Path(folder) / "store", accounts[0])
        small, large = (_sum(measure(bench, size, 3)) for size in (250, 2_000))
        yield Ratio("a transfer, blocks of 250 -> 2,000", large, small, FLAT)
        after = _sum(measure(bench, 250, 3))
        yield Ratio("a transfer, 0 -> 7,500 transfers of history", after, small, FLAT)
        bench.store.kv.close()
    yield _pool(1_000, 4_000)


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds of a transfer, of a start after an orderly stop, and of each key at a start after a crash."""

    transfer_us: float
    start_us: float
    rebuild_us: float


def _by_accounts(count: int) -> tuple[Costs, int]:
    """The costs with so many accounts, and the count."""
    with tempfile.TemporaryDirectory(prefix="concento-growth-") as folder:
        bench = open_bench(Path(folder) / "store", count)
        kv, network = bench.store.kv, bench.genesis.network
        close_store(bench.store)
        starts_us = [_cpu_us(lambda: open_store(kv, network)) for _ in range(5)]
        distrust(kv)
        rebuild_us = _cpu_us(lambda: open_store(kv, network)) / bench.store.tree.count
        transfer_us = _sum(measure(bench, 1_000, 3))
        kv.close()
    return Costs(transfer_us, min(starts_us), rebuild_us), count


def _cpu_us(work: Callable[[], object]) -> float:
    began = process_time()
    work()
    return (process_time() - began) * 1e6


def _sum(found: dict[str, float]) -> float:
    return sum(found[stage] for stage in STAGES)


def _pool(few: int, many: int) -> Ratio:
    """Taking in and giving out a batch while so many wait."""
    with tempfile.TemporaryDirectory(prefix="concento-growth-") as folder:
        bench = open_bench(Path(folder) / "store", 2_000)
        waiting = [decode_transaction(raw) for raw in bench.transfers(many)]
        bench.store.kv.close()
    costs = []
    for count in (few, many):
        pool = Pool()
        for transaction in waiting[:count]:
            pool.add(transaction, 10**12)
        began = process_time()
        for _ in range(5):
            taken = pool.take()
            pool.requeue(transaction.id for transaction in taken)
        costs.append((process_time() - began) * 1e6 / (5 * len(taken)))
    return Ratio(f"a turn of a batch, {few:,} -> {many:,} in the pool", costs[1], costs[0], FLAT)


if __name__ == "__main__":
    sys.exit(main())
