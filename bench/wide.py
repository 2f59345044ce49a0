"""What a table of many holders costs: its registration, a payment to it, its sweep beside a load of transactions.

Run with `python -m bench.wide --rows 1000000 --compared-every 8`; it takes half an hour.
A vault is filled in chunks by transactions and holds all shares of a work; the work is sold once, and the vault's
holders are paid by the sweep while every block has a steady load of transfers. A second chain has the same vault and
transfers and no sale: what its blocks cost is what the others are compared with. Both are whole ledgers in one process,
on disk. Times are CPU times of the one thread that makes blocks, and the time on the clock beside them: LevelDB
compacts in a thread of its own, and may make a write wait.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import quantiles
from time import perf_counter, thread_time

from bench.ledger import Bench, open_bench
from concento.development import development_account, development_seed
from concento.limits import VAULT_ROWS_PER_ACTION_MAX
from concento.messages import Action
from concento.messages.assets import Description, RegisterWork, Split
from concento.messages.licences import BuyLicence, CreateOffer, Price
from concento.messages.royalties import AddVaultRows, OpenVault, SealVault, TransferShares
from concento.terms import make_terms, terms_hash
from concento.transactions import Body, Transaction, decode_transaction, object_id, sign_transaction
from node.app import GC_THRESHOLDS
from state.modules import inbox, royalties, shares
from state.modules.identity import ACCOUNTS
from state.modules.revenue import PayoutRow, decode_row
from state.transition import apply_block
from state.view import View

TERMS = make_terms(allow=("analysis",))
CHUNKS_PER_BLOCK = 10
WARM_BLOCKS = 20
"""Blocks of both chains before anything is compared."""


@dataclass(slots=True)
class Times:
    """Seconds of each block: CPU of applying it, CPU with tree and store, and those on the clock."""

    apply_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    clock_s: list[float] = field(default_factory=list)

    def add(self, done: Done) -> None:
        self.apply_s.append(done.apply_s)
        self.whole_s.append(done.whole_s)
        self.clock_s.append(done.clock_s)


@dataclass(frozen=True, slots=True)
class Done:
    """One block: its seconds as in `Times`, and how many accounts it paid income."""

    apply_s: float
    whole_s: float
    clock_s: float
    paid: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.wide", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--transactions", type=int, default=1_000, help="transfers in every block")
    parser.add_argument("--compared-every", type=int, default=1, help="blocks with a sweep for one without")
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    with tempfile.TemporaryDirectory(prefix="concento-bench-") as folder:
        wide = open_bench(Path(folder) / "wide", 10_000)
        plain = open_bench(Path(folder) / "plain", 10_000)
        print(json.dumps(measure(wide, plain, options.rows, options.transactions, options.compared_every)))
        wide.store.kv.close()
        plain.store.kv.close()
    return 0


def measure(wide: Bench, plain: Bench, rows: int, transactions: int, compared_every: int) -> dict[str, object]:
    """Fills, sells and sweeps; every figure of the blocks with the sweep beside that of those without."""
    register(plain, rows)
    began = thread_time()
    work, vault = register(wide, rows)
    registered_s = thread_time() - began
    for _ in range(WARM_BLOCKS):
        plain.time_ms = wide.time_ms
        raws = wide.transfers(transactions)
        for bench in (wide, plain):
            block(bench, [decode_transaction(raw) for raw in raws])
    buy(wide, work, rows * wide.genesis.params.revenue.row_threshold * 2)
    swept, alone = Times(), Times()
    most = 0
    began_wall = perf_counter()
    while is_queued(wide) or not swept.apply_s:
        raws = wide.transfers(transactions)
        if len(swept.apply_s) % compared_every == 0:
            plain.time_ms = wide.time_ms
            alone.add(block(plain, [decode_transaction(raw) for raw in raws]))
        done = block(wide, [decode_transaction(raw) for raw in raws])
        most = max(most, done.paid)
        swept.add(done)
        if len(swept.apply_s) % 100 == 0:
            _tell(f"{len(swept.apply_s)} blocks swept after {perf_counter() - began_wall:.0f} s")
    check_paid(wide, vault, rows)
    return {
        "rows": rows,
        "transactions_per_block": transactions,
        "registered_us_per_row": round(registered_s * 1e6 / rows, 1),
        "blocks": len(swept.apply_s),
        "rows_of_a_block_max": most,
        "apply_ms": _shown(swept.apply_s, alone.apply_s),
        "with_tree_and_store_ms": _shown(swept.whole_s, alone.whole_s),
        "on_the_clock_ms": _shown(swept.clock_s, alone.clock_s),
    }


def register(bench: Bench, rows: int) -> tuple[bytes, bytes]:
    """A work of alice's, all of whose shares belong to a vault of so many accounts; returns both ids."""
    alice = development_account("alice")
    work, vault = (object_id(kind, alice, bytes(16), index) for kind, index in (("asset", 0), ("vault", 2)))
    price = Price("one-off", rows * bench.genesis.params.revenue.row_threshold * 2)
    split = (Split(alice, royalties.SPLIT_SHARES),)
    first = min(rows, VAULT_ROWS_PER_ACTION_MAX)
    opening: list[Action] = [
        RegisterWork(Description("Wide", (), "audio", "", 0), "", split, TERMS),
        CreateOffer(work, TERMS, ("work",), (price,), None, None),
        OpenVault("Wide", _fans(0, first)),
    ]
    block(bench, [_signed(bench, "alice", opening, bytes(16))])
    chunks: list[Transaction] = []
    for start in range(first, rows, VAULT_ROWS_PER_ACTION_MAX):
        stop = min(start + VAULT_ROWS_PER_ACTION_MAX, rows)
        chunks.append(_signed(bench, "alice", [AddVaultRows(vault, start, _fans(start, stop))]))
        if len(chunks) == CHUNKS_PER_BLOCK or stop == rows:
            block(bench, chunks)
            chunks = []
        if stop % 100_000 == 0:
            _tell(f"{stop:,} rows registered")
    everything = TransferShares(work, 0, 0, "vault", vault, 0, royalties.SPLIT_SHARES)
    block(bench, [_signed(bench, "alice", [SealVault(vault), everything])])
    return work, vault


def buy(bench: Bench, work: bytes, price_ubeat: int) -> None:
    """Bob buys a licence: enough for every holder to be worth a visit."""
    offer = object_id("offer", development_account("alice"), bytes(16), 1)
    block(bench, [_signed(bench, "bob", [BuyLicence(offer, terms_hash(TERMS), price_ubeat, "analysis", 0)])])


def block(bench: Bench, transactions: Sequence[Transaction]) -> Done:
    """Applies and writes a block."""
    view = bench.view()
    began, began_clock = thread_time(), perf_counter()
    outcome = apply_block(view, bench.context(list(transactions)))
    applied = thread_time()
    bench.store.kv.write(bench.batch(transactions, outcome))
    written, ended_clock = thread_time(), perf_counter()
    bench.moved_on(outcome)
    rows = [decode_row(row) for row in outcome.rows]
    paid = sum(len(row.payouts) for row in rows if isinstance(row, PayoutRow))
    return Done(applied - began, written - began, ended_clock - began_clock, paid)


def is_queued(bench: Bench) -> bool:
    """Whether a table waits for the sweep."""
    flow = inbox.flow(bench.view())
    return flow.queue_head != flow.queue_tail


def check_paid(bench: Bench, vault: bytes, rows: int) -> None:
    """Raises unless every holder has the same part of what the vault was credited."""
    table = shares.find_table(bench.view(), 2)
    owed = table.credited // rows
    view: View = bench.view()
    missing = 0
    for number in range(rows):
        account = view.find(ACCOUNTS, _fan(number))
        missing += account is None or account.balance_ubeat != owed
    if missing or not owed or table.rows != rows:
        raise RuntimeError(f"{missing} of {rows} holders of vault {vault.hex()} were not paid {owed} ubeat")


def _shown(swept: list[float], alone: list[float]) -> dict[str, object]:
    """Milliseconds with and without, and their ratio: in the middle, at the 99th of 100, at the longest."""
    at: dict[str, Callable[[list[float]], float]] = {
        "p50": lambda times: quantiles(times, n=100)[49] if len(times) > 1 else times[0],
        "p99": lambda times: quantiles(times, n=100)[98] if len(times) > 1 else times[0],
        "longest": max,
    }
    return {
        name: [round(of(swept) * 1_000, 1), round(of(alone) * 1_000, 1), round(of(swept) / of(alone), 2)]
        for name, of in at.items()
    }


def _signed(bench: Bench, name: str, actions: Sequence[Action], nonce: bytes | None = None) -> Transaction:
    if nonce is None:
        bench.number += 1
        nonce = bench.number.to_bytes(16, "big")
    body = Body(
        chain_id=bench.genesis.chain_id,
        genesis_prefix=bench.genesis.hash[:8],
        sender=development_account(name),
        nonce=nonce,
        valid_until_ms=bench.time_ms + 60_000,
        max_fee_ubeat=10**9,
        actions=tuple(actions),
        memo="",
    )
    return sign_transaction(bench.genesis.network, body, [development_seed(name)])


def _fans(start: int, stop: int) -> tuple[Split, ...]:
    return tuple(Split(_fan(number), 1) for number in range(start, stop))


def _fan(number: int) -> bytes:
    return sha256(b"fan %d" % number).digest()


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
