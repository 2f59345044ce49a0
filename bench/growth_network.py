"""How costs grow with the number of validators: real processes on this machine, at the same few blocks a second.

    python -m bench.growth_network --validators 4,7,10,16

Each network is given as many blocks twice, with few transactions in each and with many: so what a block costs and what
a transaction costs are told apart. CPU (of a machine that checks a signature in 75 us) and bytes are those of one node,
the mean over all; what the nodes do when nothing happens is measured first and taken off. A block costs votes of all
validators, so it may grow as they do; a transaction may not. Finality is that of the small blocks. `python -m sim.size`
goes on where the machine ends.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Final

from bench.growth import FLAT, Ratio, tell
from bench.limit import CHECK_US, Pace
from bench.load import offer, percentile
from bench.mixes import MIXES, bench_genesis
from bench.networks import Running, running
from bench.targets import Item
from bench.usage import Usage
from concento.client import Client

ARM: Final = "C"
BLOCKS_PER_S: Final = 4
FEW: Final = 2
MANY: Final = 50
"""Transactions of a block."""
IDLE_S: Final = 3.0
ACCOUNTS: Final = 10_000
RECEIVED: Final = "concento_p2p_received_bytes_total "


@dataclass(frozen=True, slots=True)
class Costs:
    """What one node of a network of so many validators spends, and how soon a transaction is final."""

    validators: int
    idle_cores: float
    block_us: float
    block_bytes: float
    transaction_us: float
    transaction_bytes: float
    finality_ms: float
    finality_p99_ms: float

    def __str__(self) -> str:
        return (
            f"{self.validators:>3} validators, of one node: idle {self.idle_cores:.3f} cores; a block "
            f"{self.block_us / 1000:.2f} ms and {self.block_bytes / 1000:.1f} kB; a transaction "
            f"{self.transaction_us:.0f} us and {self.transaction_bytes:.0f} B; "
            f"final after {self.finality_ms:.0f} ms (p99 {self.finality_p99_ms:.0f})"
        )


def main() -> int:
    """Prints a line a network, then a line a ratio; 1 where one is too large."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth_network", description=__doc__)
    parser.add_argument("--validators", default="4,7,10,16")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each of the two loads of a network")
    parser.add_argument("--base-port", type=int, default=27_600)
    options = parser.parse_args()
    found = []
    for count in map(int, options.validators.split(",")):
        found.append(measure(count, options.seconds, options.base_port))
        print(found[-1], flush=True)
    return tell(ratios(found), "a transaction costs the same, a block as much as its votes: not O(state)")


def ratios(found: Sequence[Costs]) -> Iterator[Ratio]:
    """Each network beside the one before it."""
    for little, much in pairwise(found):
        times = much.validators / little.validators
        between = f"{little.validators} -> {much.validators} validators"
        yield Ratio(f"CPU of a transaction, {between}", much.transaction_us, little.transaction_us, FLAT)
        yield Ratio(f"bytes of a transaction, {between}", much.transaction_bytes, little.transaction_bytes, FLAT, "B")
        yield Ratio(f"CPU of a block, {between}", much.block_us, little.block_us, FLAT * times)
        yield Ratio(f"bytes of a block, {between}", much.block_bytes, little.block_bytes, FLAT * times, "B")
        yield Ratio(f"finality, {between}", much.finality_ms, little.finality_ms, FLAT * times**2, "ms")


def measure(validators: int, seconds: float, base_port: int) -> Costs:
    with (
        tempfile.TemporaryDirectory(prefix="concento-growth-") as folder,
        running(ARM, bench_genesis(validators), Path(folder) / ARM, validators, base_port) as network,
    ):
        sign_more = MIXES["transfers"].prepare(Client(*network.urls, timeout_s=60), ACCOUNTS)
        _load(network, sign_more, FEW, 2.0)
        before, began = Spent.of(network), time.perf_counter()
        time.sleep(IDLE_S)
        idle = (Spent.of(network).cpu_s - before.cpu_s) / (time.perf_counter() - began)
        few, many = (_load(network, sign_more, count, seconds) for count in (FEW, MANY))
    return solve(validators, idle, few, many)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One load: how long, what was in the blocks, and what one node spent on it."""

    seconds: float
    blocks: int
    transactions: int
    cpu_s: float
    received_bytes: float
    finality_ms: tuple[float, ...]


def solve(validators: int, idle: float, few: Loaded, many: Loaded) -> Costs:
    """The cost of a block and of a transaction: two loads, two unknowns."""
    transaction_s, block_s = _two_unknowns(few, many, lambda load: load.cpu_s - idle * load.seconds)
    transaction_bytes, block_bytes = _two_unknowns(few, many, lambda load: load.received_bytes)
    return Costs(
        validators=validators,
        idle_cores=idle,
        block_us=block_s * 1e6,
        block_bytes=block_bytes,
        transaction_us=transaction_s * 1e6,
        transaction_bytes=transaction_bytes,
        finality_ms=percentile(few.finality_ms, 0.5),
        finality_p99_ms=percentile(few.finality_ms, 0.99),
    )


def _two_unknowns(few: Loaded, many: Loaded, spent: Callable[[Loaded], float]) -> tuple[float, float]:
    """(x, y) of x * transactions + y * blocks = spent."""
    determinant = many.transactions * few.blocks - few.transactions * many.blocks
    x = (spent(many) * few.blocks - spent(few) * many.blocks) / determinant
    return x, (spent(few) - x * few.transactions) / few.blocks


def _load(network: Running, sign_more: Callable[[int], list[Item]], in_a_block: int, seconds: float) -> Loaded:
    rate = in_a_block * BLOCKS_PER_S
    items = sign_more(round(rate * seconds))
    before, began = Spent.of(network), time.perf_counter()
    with Pace() as pace:
        found = offer(ARM, network.urls, items, rate, 1 / BLOCKS_PER_S)
    after, took = Spent.of(network), time.perf_counter() - began
    return Loaded(
        seconds=took,
        blocks=found.blocks,
        transactions=found.transactions,
        cpu_s=(after.cpu_s - before.cpu_s) * CHECK_US / pace.check_us,
        received_bytes=after.received_bytes - before.received_bytes,
        finality_ms=found.finality_ms,
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """What one node has used so far, the mean over all."""

    cpu_s: float
    received_bytes: float

    @staticmethod
    def of(network: Running) -> Spent:
        return Spent(mean(Usage.of(network).cpu_s), mean(map(_received, network.urls)))


def _received(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return next((float(line.removeprefix(RECEIVED)) for line in lines if line.startswith(RECEIVED)), 0.0)


if __name__ == "__main__":
    sys.exit(main())
