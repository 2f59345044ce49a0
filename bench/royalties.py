"""`python -m bench.royalties`: blocks of payments over a deep graph of derivations, in one process.

By default 2,000 purchases a block, of the younger half of 1,000 assets, which have hundreds of ancestors each and 1,000
holders. The chain goes on from block to block as a node's does, with what it read before in memory; the first block
reads everything from disk. Prints the CPU of applying a block, of the tree, of the write to the store and of all three;
of payments and pass alone, with no transactions around them; and of the same purchases 16 to a transaction.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

from bench.ledger import Bench
from concento.accounts import account_of_key
from concento.devnet import development_genesis
from concento.keys import public_key
from concento.messages.assets import Description
from concento.messages.licences import BuyLicence, Price, Rate
from concento.terms import LAYERS, make_terms, terms_hash
from concento.transactions import Body, Transaction, sign_transaction
from node.app import GC_THRESHOLDS
from state.calls import Call
from state.modules import identity
from state.modules.assets import ASSETS, Asset
from state.modules.lineage import Basis, lineage_of, plan_links, register_child
from state.modules.offers import OFFERS, Offer
from state.modules.revenue import NodeRow, PayoutRow, decode_row
from state.modules.royalties import (
    ALL,
    SPLIT_SHARES,
    account_holder,
    finalise,
    new_asset,
    new_table,
    pay_asset,
    table_leg,
)
from state.store.leveldb import LevelDb
from state.store.opening import create_store
from state.store.recent import load_recent
from state.transition import BlockOutcome, apply_block, write_genesis
from state.view import View

TERMS = make_terms(allow=("derive-remix", "train-generative"))
PRICE = Price("one-off", 1_000_000)
GENESIS = development_genesis()
BUYERS = 200
ACTIONS = 16
"""Purchases of a transaction that buys several, as a service does for its catalogue."""
PARENTS = 3
"""Of each asset, out of the 120 before it: some three hundred ancestors for the later ones."""


@dataclass(frozen=True, slots=True)
class Market:
    """A chain with assets on offer, and who will buy."""

    bench: Bench
    assets: list[bytes]
    offers: list[bytes]
    seeds: list[bytes]
    ancestors: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.royalties", description=__doc__)
    parser.add_argument("--payments", type=int, default=2_000)
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--holders", type=int, default=1_000)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--profile", action="store_true", help="print the dearest functions")
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    with tempfile.TemporaryDirectory(prefix="concento-bench-") as folder:
        market = make_market(Path(folder), options.assets, options.holders)
        if options.profile:
            with cProfile.Profile() as profiler:
                _blocks(market, options.payments, 1, 3)
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        print(json.dumps(measure(market, options.payments, options.blocks)))
        market.bench.store.kv.close()
    return 0


def make_market(folder: Path, count: int, holders: int) -> Market:
    """Assets in the order of their birth, each made from a few of those before it; a holder has several shares."""
    random = Random(1)
    view = View(lambda _key: None)
    write_genesis(view, GENESIS)
    accounts = [account_holder(sha256(b"holder %d" % number).digest()) for number in range(holders)]
    seeds = [sha256(b"buyer %d" % number).digest() for number in range(BUYERS)]
    for seed in seeds:
        buyer = account_of_key(public_key(seed))
        view.put(identity.ACCOUNTS, buyer, identity.Account(10**12, None))
        view.put(identity.PARTIES, buyer, identity.Party("buyer", "person", ("developer",), bytes(32), 0))
    assets: list[bytes] = []
    offers: list[bytes] = []
    for number in range(count):
        assets.append(_make_asset(view, random, number, assets, accounts))
        offers.append(_make_offer(view, number, assets[-1]))
    sold = assets[count // 2 :]
    ancestors = sum(len(lineage_of(view, one).ancestors) for one in sold) // len(sold)
    kv = LevelDb.create(folder / "store")
    state = {key: value for key, value in view.changes().items() if value is not None}
    store = create_store(kv, GENESIS.network, state, view.history())
    recent = load_recent(kv, 0, GENESIS.params.consensus.replay_window_ms)
    bench = Bench(GENESIS, store, [], seeds, GENESIS.time_ms + 1_000, recent)
    return Market(bench, assets, offers, seeds, ancestors)


def measure(market: Market, payments: int, blocks: int) -> dict[str, object]:
    """CPU milliseconds of each part of a block: the first, the median and the least of those that follow."""
    first, *rest = _blocks(market, payments, 1, blocks)
    together = _blocks(market, payments, ACTIONS, blocks)
    outcome = first.outcome
    rows = [decode_row(row) for row in outcome.rows]
    paid = {payout.account for row in rows if isinstance(row, PayoutRow) for payout in row.payouts}
    return {
        "payments": payments,
        "ancestors": market.ancestors,
        "holders_paid": len(paid),
        "records": len(outcome.changes),
        "history": len(outcome.history),
        "rows": len(outcome.rows),
        "nodes": sum(isinstance(row, NodeRow) for row in rows),
        "first_block_ms": first.times_ms,
        "median_ms": _shown(rest, median),
        "least_ms": _shown(rest, min),
        f"least_ms_{ACTIONS}_to_a_transaction": _shown(together, min),
        "payments_and_pass_least_ms": min(_pass_ms(market, payments) for _ in range(blocks)),
    }


@dataclass(frozen=True, slots=True)
class Measured:
    """One block: CPU milliseconds of applying it, of its tree, of its write, and of all."""

    times_ms: dict[str, float]
    outcome: BlockOutcome


def _blocks(market: Market, payments: int, actions: int, count: int) -> list[Measured]:
    return [_block(market, _purchases(market, payments, actions)) for _ in range(count)]


def _block(market: Market, transactions: list[Transaction]) -> Measured:
    bench = market.bench
    view = bench.view()
    marks = [process_time()]
    outcome = apply_block(view, bench.context(transactions))
    marks.append(process_time())
    batch = bench.batch(transactions, outcome)
    marks.append(process_time())
    bench.store.kv.write(batch)
    marks.append(process_time())
    bench.moved_on(outcome)
    parts = [round((later - earlier) * 1_000, 1) for earlier, later in pairwise(marks)]
    names = ("apply", "tree", "store")
    return Measured({**dict(zip(names, parts, strict=True)), "all": round(sum(parts), 1)}, outcome)


def _shown(blocks: list[Measured], of: Callable[[list[float]], float]) -> dict[str, float]:
    return {name: round(of([block.times_ms[name] for block in blocks]), 1) for name in blocks[0].times_ms}


def _pass_ms(market: Market, payments: int) -> float:
    """The money algorithm by itself: every payment taken in, then the end of the block."""
    random = Random(2)
    view = market.bench.view()
    view.height, view.time_ms, view.tx = market.bench.height, market.bench.time_ms, bytes(32)
    payer = account_of_key(public_key(market.seeds[0]))
    call = Call(payer, bytes(16), 0, bytes(32), (), view.height, view.time_ms, GENESIS.params, GENESIS.network)
    sold = [random.choice(market.assets[len(market.assets) // 2 :]) for _ in range(payments)]
    began = process_time()
    for asset_id in sold:
        pay_asset(view, call, asset_id, PRICE.amount_ubeat, "sale", bytes(32), payer)
    finalise(view, GENESIS.params, 0)
    return round((process_time() - began) * 1_000, 1)


def _make_asset(view: View, random: Random, number: int, older: list[bytes], accounts: list[bytes]) -> bytes:
    asset_id = sha256(b"asset %d" % number).digest()
    call = Call(bytes(32), bytes(16), 0, bytes(32), (), 1, GENESIS.time_ms, GENESIS.params, GENESIS.network)
    asset = Asset(
        kind="remix",
        owner=bytes(32),
        description=Description(f"asset {number}", (), "audio", "", 0),
        version=0,
        identifier="",
        legs=(),
        parts=(),
        facts=None,
        sealed=True,
        retired=False,
        height=1,
        time_ms=GENESIS.time_ms,
        tx=bytes(32),
    )
    rows = [(holder, SPLIT_SHARES // 4) for holder in random.sample(accounts, 4)]
    parents = random.sample(older[-120:], min(len(older), PARENTS))
    rate = Rate(1_500, 0, None)
    bases = [Basis(one, bytes(32), None, "derive-remix", TERMS, ("recording",), rate, ALL) for one in parents]
    if bases:
        register_child(view, call, asset_id, asset, plan_links(view, bases, TERMS, 1_024), rows)
    else:
        table = new_table(view, rows)
        new_asset(view, asset_id, "recording", [table_leg(table, 10_000)])
        view.put(ASSETS, asset_id, asset)
    return asset_id


def _make_offer(view: View, number: int, asset_id: bytes) -> bytes:
    offer_id = sha256(b"offer %d" % number).digest()
    offer = Offer(
        asset=asset_id,
        owner=bytes(32),
        terms=TERMS,
        terms_hash=terms_hash(TERMS),
        layers=LAYERS,
        pricing=(PRICE,),
        expires_ms=None,
        supply=None,
        sold=0,
        closed=False,
        height=1,
        time_ms=GENESIS.time_ms,
        tx=bytes(32),
    )
    view.put(OFFERS, offer_id, offer)
    return offer_id


def _purchases(market: Market, payments: int, actions: int) -> list[Transaction]:
    """So many to a transaction, of the younger half of the assets: those have the most ancestors."""
    bench = market.bench
    random = Random(bench.height)
    offers = [random.choice(market.offers[len(market.offers) // 2 :]) for _ in range(payments)]
    transactions: list[Transaction] = []
    for start in range(0, payments, actions):
        bench.number += 1
        seed = market.seeds[bench.number % len(market.seeds)]
        body = Body(
            chain_id=GENESIS.chain_id,
            genesis_prefix=GENESIS.hash[:8],
            sender=account_of_key(public_key(seed)),
            nonce=bench.number.to_bytes(16, "big"),
            valid_until_ms=bench.time_ms + 60_000,
            max_fee_ubeat=10**6,
            actions=tuple(
                BuyLicence(offer_id, terms_hash(TERMS), PRICE.amount_ubeat, "derive-remix", 0)
                for offer_id in offers[start : start + actions]
            ),
            memo="",
        )
        transactions.append(sign_transaction(GENESIS.network, body, [seed]))
    return transactions


if __name__ == "__main__":
    raise SystemExit(main())
