"""CPU microseconds per transaction of everything a validator does with a transfer, stage by stage, in one process.

Run with `python -m bench.stages`. The figures are medians over blocks, of CPU time of all threads; the budget is what
a prototype needed on a quiet machine and stands there to be compared with. Signatures are shown beside the
library's own time for the same checks, in the same run. No network: what is left out is TLS and the event loop.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import Final, TypeVar

from bench.ledger import Bench, open_bench
from concento.batches import cut_batch, decode_batch
from concento.development import development_seed
from concento.encoding import encode
from concento.keys import public_key, verify, verify_many
from concento.transactions import Transaction, decode_transaction, signature_checks
from state.store.blockstore import BlockRecord, StoredBlock
from state.store.opening import advance
from state.transition import BlockOutcome, apply_block, check_transaction

T = TypeVar("T")

BUDGET_US: Final[dict[str, float]] = {
    "decode": 1.0,
    "verify": 56.0,
    "admit": 4.0,
    "batch": 1.0,
    "apply": 4.7,
    "tree": 5.0,
    "records": 3.8,
    "write": 4.0,
}
"""Stage -> microseconds per transaction."""
LIBRARY: Final = "libsodium alone"


@dataclass(slots=True)
class Clock:
    """CPU times of one block, by stage."""

    times_us: dict[str, float]
    transactions: int

    def time(self, stage: str, work: Callable[[], T]) -> T:
        began = process_time()
        done = work()
        self.times_us[stage] = (process_time() - began) * 1e6 / self.transactions
        return done


def main() -> None:
    """Prints one line a stage, or with --json one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=1_000, help="transactions of a block")
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concento-stages-") as folder:
        bench = open_bench(Path(folder) / "store", options.accounts)
        found = measure(bench, options.size, options.blocks)
        bench.store.kv.close()
    if options.json:
        print(json.dumps({"accounts": options.accounts, "size": options.size, "us": found}))
        return
    print(f"{options.accounts:,} accounts, blocks of {options.size:,} transfers; CPU microseconds per transfer")
    print(f"{'stage':<16}{'us':>8}{'budget':>8}")
    for stage, cost_us in found.items():
        budget = f"{BUDGET_US[stage]:>8.1f}" if stage in BUDGET_US else ""
        print(f"{stage:<16}{cost_us:>8.1f}{budget}")
    rest = {stage: us for stage, us in found.items() if stage not in (LIBRARY, "verify")}
    budget_us = sum(us for stage, us in BUDGET_US.items() if stage != "verify")
    print(f"{'all but verify':<16}{sum(rest.values()):>8.1f}{budget_us:>8.1f}")


def measure(bench: Bench, size: int, blocks: int) -> dict[str, float]:
    """Stage -> median microseconds per transaction."""
    clocks = [_one_block(bench, bench.transfers(size)) for _ in range(blocks)]
    return {stage: median(clock.times_us[stage] for clock in clocks) for stage in clocks[0].times_us}


def _one_block(bench: Bench, raws: list[bytes]) -> Clock:
    clock = Clock({}, len(raws))
    transactions = clock.time("decode", lambda: [decode_transaction(raw) for raw in raws])
    _verify(clock, bench, transactions)
    clock.time("batch", lambda: _batches(bench, raws))
    view = bench.view()
    outcome = clock.time("apply", lambda: apply_block(view, bench.context(transactions)))
    changes = outcome.changes
    clock.time("tree", lambda: bench.store.tree.apply(changes))
    # The tree is up to date already: what is measured now is everything else that a block's batch takes.
    stored = _stored(bench, transactions, outcome)
    batch = clock.time("records", lambda: _records(bench, stored, outcome))
    clock.time("admit", lambda: _admit(bench, transactions))
    clock.time("write", lambda: bench.store.kv.write(batch))
    bench.moved_on(outcome)
    return clock


def _verify(clock: Clock, bench: Bench, transactions: list[Transaction]) -> None:
    def check() -> list[bool]:
        network = bench.genesis.network
        return verify_many([check for one in transactions for check in signature_checks(network, one)])

    verdicts = clock.time("verify", check)
    if not all(verdicts):
        raise RuntimeError("a signature of the benchmark does not verify")
    network = bench.genesis.network
    checks = [check for one in transactions for check in signature_checks(network, one)]

    def alone() -> None:
        for key, message, signature in checks:
            verify(key, message, signature)

    clock.time(LIBRARY, alone)


def _admit(bench: Bench, transactions: list[Transaction]) -> None:
    genesis = bench.genesis
    view = bench.view()
    for transaction in transactions:
        check_transaction(view, transaction, bench.height, bench.time_ms, genesis.params, genesis.network)


def _batches(bench: Bench, raws: list[bytes]) -> None:
    """Cut by one validator, received by another: each does a part of this, so it is counted whole."""
    seed = development_seed("node1")
    for start in range(0, len(raws), 250):
        batch = cut_batch(bench.genesis.network, seed, public_key(seed), 1, tuple(raws[start : start + 250]))
        decode_batch(encode(batch))


def _stored(bench: Bench, transactions: list[Transaction], outcome: BlockOutcome) -> StoredBlock:
    ids = tuple(transaction.id for transaction in transactions)
    return StoredBlock(
        BlockRecord(bench.block(), bench.block().last_commit, (), ids),
        tuple(outcome.results),
        tuple(outcome.leaves),
        outcome.closing_events,
    )


def _records(bench: Bench, stored: StoredBlock, outcome: BlockOutcome) -> dict[bytes, bytes | None]:
    batch = advance(bench.store, stored, {}, outcome.history)
    batch.update((b"s" + key, value) for key, value in outcome.changes.items())
    return batch


if __name__ == "__main__":
    main()
