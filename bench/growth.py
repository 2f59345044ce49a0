"""How costs grow with what grows: accounts, blocks, history, the pool, holders of a table, subscribers. Ratios first.

Run with `python -m bench.growth`; it takes some minutes, most of them with a million accounts. Every figure is CPU time
of one process, the median or the least of several, held against signature checks of the same moment, and every ratio
is of two figures of the same run: what it must not pass stands beside it. Nothing may cost as much as the state is
large. `bench.growth_network` has the rest: the number of validators.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, Final

from bench.ledger import Bench, open_bench
from bench.limit import CHECK_US, check_us
from bench.stages import LIBRARY, measure
from bench.wide import block, buy, is_queued, register
from concento.transactions import Transaction, decode_transaction
from node.app import GC_THRESHOLDS
from node.replica.pool import POOL_COUNT_MAX, Pool
from node.rpc.dispatch import encode_json
from node.rpc.feed import Feed, wanted_by
from state.store.opening import CLOSED_KEY, close_store, open_store

STAGES: Final = ("apply", "tree", "records", "write")
"""What a block costs every validator, signatures and transport aside."""
PER_TEN_TIMES: Final = 2.0
"""Ten times the accounts: one more level of the tree for sixteen times, and memory that is not at hand."""
FLAT: Final = 1.3
"""What must not grow, with room for the noise of a shared machine."""
CACHES: Final = 1.6
"""What must not grow, where much more memory is touched: it costs more to reach."""
FLAT_START: Final = 2.0
"""A start of less than a millisecond: more noise."""
TURN: Final = 1_000
EVENTS: Final = 200
PAYING_BLOCKS: Final = 20


@dataclass(frozen=True, slots=True)
class Ratio:
    """The cost of much over the cost of little."""

    what: str
    much: float
    little: float
    ratio_max: float
    unit: str = "us"

    @property
    def ratio(self) -> float:
        return self.much / self.little if self.little else float(self.much > 0)

    @property
    def is_good(self) -> bool:
        return self.ratio <= self.ratio_max

    def __str__(self) -> str:
        verdict = "ok" if self.is_good else "TOO MUCH"
        return (
            f"{self.what:<60}{self.little:>9,.1f} -> {self.much:>9,.1f} {self.unit:<3}"
            f"{self.ratio:>7.2f} (at most {self.ratio_max:.1f}) {verdict}"
        )


def main() -> int:
    """Prints a line a ratio; 1 where one is too large."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    return tell(ratios(options.accounts), "nothing here grows with the state: not O(state)")


def tell(found: Iterator[Ratio], good: str) -> int:
    """Prints each ratio as soon as it is there, and the verdict; 1 where one is too large."""
    bad = 0
    for ratio in found:
        print(ratio, flush=True)
        bad += not ratio.is_good
    print(f"{bad} of these grow too much" if bad else good)
    return 1 if bad else 0


def ratios(accounts: Sequence[int]) -> Iterator[Ratio]:
    costs = [_by_accounts(count) for count in accounts]
    for (little, few), (much, many) in pairwise(costs):
        per_times = PER_TEN_TIMES ** (many / few / 10)
        between = f"{few:,} -> {many:,}"
        yield Ratio(f"a transfer, {between} accounts", much.transfer_us, little.transfer_us, per_times)
        yield Ratio(f"a start after an orderly stop, {between}", much.start_us, little.start_us, FLAT_START)
        yield Ratio(f"a start after a crash, per key, {between}", much.rebuild_us, little.rebuild_us, per_times)
    yield from _by_size_and_history(accounts[0])
    yield from _by_pool(TURN, POOL_COUNT_MAX - TURN)
    yield from _by_holders(5_000, 50_000)
    yield from _by_subscribers(10, 400)


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
        kv.write({CLOSED_KEY: None})  # as a crash leaves it
        rebuild_us = _cpu_us(lambda: open_store(kv, network)) / bench.store.tree.count
        transfer_us = _least_us(bench, 1_000)
        kv.close()
    return Costs(transfer_us, min(starts_us), rebuild_us), count


def _by_size_and_history(accounts: int) -> Iterator[Ratio]:
    with tempfile.TemporaryDirectory(prefix="concento-growth-") as folder:
        bench = open_bench(Path(folder) / "store", accounts)
        small = _least_us(bench, 250)
        before = bench.number
        for size in (2_000, 5_000):
            yield Ratio(f"a transfer, blocks of 250 -> {size:,}", _least_us(bench, size), small, FLAT)
        after = bench.number
        again = _least_us(bench, 250)
        yield Ratio(f"a transfer, {before:,} -> {after:,} transfers of history", again, small, FLAT)
        bench.store.kv.close()


def _least_us(bench: Bench, size: int) -> float:
    """Of several blocks: now and then one pays for what LevelDB tidies up behind many others."""
    found = [measure(bench, size, 1) for _ in range(6)]
    return min(_sum(times_us) * CHECK_US / times_us[LIBRARY] for times_us in found)


def _by_pool(few: int, many: int) -> Iterator[Ratio]:
    """A transaction's way through the pool (in, into a batch, out) while so many others wait."""
    with tempfile.TemporaryDirectory(prefix="concento-growth-") as folder:
        bench = open_bench(Path(folder) / "store", 2_000)
        waiting = [decode_transaction(raw) for raw in bench.transfers(many + 5 * TURN)]
        bench.store.kv.close()
    costs = [_turn_us(waiting[:count], waiting[many:]) for count in (few, many)]
    yield Ratio(f"a transaction's way through the pool, {few:,} -> {many:,} in it", costs[1], costs[0], CACHES)


def _turn_us(waiting: Sequence[Transaction], coming: Sequence[Transaction]) -> float:
    pool = Pool()
    for transaction in waiting:
        pool.add(transaction, 10**12)
    arriving = iter(coming)
    turns_us = []
    while batch := list(islice(arriving, TURN)):
        turns_us.append(_cpu_us(partial(_turn, pool, batch)) / len(batch))
    return min(turns_us)


def _turn(pool: Pool, coming: Sequence[Transaction]) -> None:
    for transaction in coming:
        pool.add(transaction, 10**12)
    for transaction in pool.take():
        pool.remove(transaction.id)


def _by_holders(few: int, many: int) -> Iterator[Ratio]:
    """Blocks while the holders of a table are paid: more holders take more blocks, never longer ones."""
    found = [_paying(few), _paying(many)]
    yield Ratio(f"the block of a sale, {few:,} -> {many:,} holders", found[1].sale_us, found[0].sale_us, CACHES)
    yield Ratio(f"a block that pays them, {few:,} -> {many:,} holders", found[1].block_us, found[0].block_us, CACHES)
    yield Ratio(f"a holder paid, {few:,} -> {many:,} holders", found[1].row_us, found[0].row_us, CACHES)


@dataclass(frozen=True, slots=True)
class Paying:
    """Microseconds of the block of a sale, of the middle one of those that pay, and of each holder paid."""

    sale_us: float
    block_us: float
    row_us: float


def _paying(rows: int) -> Paying:
    with tempfile.TemporaryDirectory(prefix="concento-growth-") as folder:
        bench = open_bench(Path(folder) / "store", 1_000)
        work, _vault = register(bench, rows)
        sale_us = _cpu_us(lambda: buy(bench, work, rows * bench.genesis.params.revenue.row_threshold * 2))
        blocks_us: list[float] = []
        paid = 0
        while is_queued(bench) and len(blocks_us) < PAYING_BLOCKS:
            done = block(bench, _transfers(bench, 100))
            blocks_us.append(done.whole_s * 1e6 * CHECK_US / check_us())
            paid += done.paid
        bench.store.kv.close()
    return Paying(sale_us, median(blocks_us), sum(blocks_us) / paid)


def _transfers(bench: Bench, count: int) -> list[Transaction]:
    return [decode_transaction(raw) for raw in bench.transfers(count)]


def _by_subscribers(few: int, many: int) -> Iterator[Ratio]:
    """An event to a reader, encoded as it leaves, while so many read."""
    costs = [min(asyncio.run(_reading_us(readers)) for _ in range(3)) for readers in (few, many)]
    yield Ratio(f"an event told to a subscriber, {few:,} -> {many:,} of them", costs[1], costs[0], FLAT)


class _Events:
    """A chain with one event a height."""

    height = 0
    oldest_height = 1

    def damaged(self, reason: str) -> None:
        raise RuntimeError(reason)

    def events(self, height: int) -> list[dict[str, Any]]:
        event = {"from": "11" * 32, "to": "22" * 32, "amount_ubeat": str(height)}
        return [{"cursor": f"{height}.0", "index": 0, "topic": "tokens.transferred", "event": event}]


async def _reading_us(readers: int) -> float:
    source = _Events()
    feed = Feed(source)
    told = [0]

    async def read() -> None:
        async for event in feed.read("0", wanted_by(("22" * 32,))):
            encode_json(event)
            told[0] += 1

    tasks = [asyncio.create_task(read()) for _ in range(readers)]
    began = process_time()
    for _ in range(EVENTS):
        source.height += 1
        feed.advance()
        while told[0] < source.height * readers:
            await asyncio.sleep(0)
    spent_us = (process_time() - began) * 1e6 * CHECK_US / check_us()
    feed.close()
    await asyncio.gather(*tasks)
    return spent_us / told[0]


def _cpu_us(work: Callable[[], object]) -> float:
    before_us, began = check_us(), process_time()
    work()
    spent_us = (process_time() - began) * 1e6
    return spent_us * CHECK_US * 2 / (before_us + check_us())


def _sum(found: dict[str, float]) -> float:
    return sum(found[stage] for stage in STAGES)


if __name__ == "__main__":
    sys.exit(main())
