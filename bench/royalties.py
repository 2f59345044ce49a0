"""`python -m bench.royalties`: one block of payments over a deep graph of derivations, in one process.

By default 2,000 purchases of the younger half of 1,000 assets, which have hundreds of ancestors each and 1,000 holders.
Prints the CPU of applying the block, of its payments and pass alone (no transactions around them), of tree and store.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random

from concento.accounts import account_of_key
from concento.devnet import development_genesis
from concento.encoding import decode
from concento.keys import public_key
from concento.messages.assets import Description
from concento.messages.licences import BuyLicence, Price, Rate
from concento.terms import LAYERS, make_terms, terms_hash
from concento.transactions import Body, Transaction, sign_transaction
from state.calls import Call
from state.modules import identity
from state.modules.assets import ASSETS, Asset
from state.modules.lineage import Basis, lineage_of, plan_links, register_child
from state.modules.offers import OFFERS, Offer
from state.modules.revenue import FinalisationRow, NodeRow, PayoutRow
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
from state.store.kv import HISTORY, STATE
from state.store.leveldb import LevelDb
from state.store.tree import Tree
from state.transition import BlockContext, apply_block, write_genesis
from state.view import View, open_view

TERMS = make_terms(allow=("derive-remix", "train-generative"))
PRICE = Price("one-off", 1_000_000)
GENESIS = development_genesis()
BUYERS = 200
PARENTS = 3
"""Of each asset, out of the 120 before it: some three hundred ancestors for the later ones."""


@dataclass(frozen=True, slots=True)
class Market:
    """A store with assets on offer, and who will buy."""

    kv: LevelDb
    tree: Tree
    assets: list[bytes]
    offers: list[bytes]
    seeds: list[bytes]
    ancestors: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.royalties", description=__doc__)
    parser.add_argument("--payments", type=int, default=2_000)
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--holders", type=int, default=1_000)
    parser.add_argument("--profile", action="store_true", help="print the dearest functions")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concento-bench-") as folder:
        market = make_market(Path(folder), options.assets, options.holders)
        print(json.dumps(measure(market, options.payments, options.profile)))
        market.kv.close()
    return 0


def make_market(folder: Path, count: int, holders: int) -> Market:
    """Assets in the order of their birth, each made from a few of those before it; a holder has several shares."""
    random = Random(1)
    kv = LevelDb.create(folder / "store")
    view = View(lambda _key: None)
    write_genesis(view, GENESIS)
    view.height, view.time_ms = 1, GENESIS.time_ms
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
    tree = Tree()
    changes = view.changes()
    tree.apply(changes)
    kv.write({STATE + key: value for key, value in changes.items()})
    return Market(kv, tree, assets, offers, seeds, ancestors)


def measure(market: Market, payments: int, profile: bool) -> dict[str, object]:
    """CPU milliseconds of each part; the best of three, each on the same state."""
    random = Random(2)
    transactions = [_purchase(market, random, number) for number in range(payments)]
    context = BlockContext(
        height=2,
        time_ms=GENESIS.time_ms + 1_000,
        proposer=GENESIS.validators.keys[0],
        validators=GENESIS.validators,
        evidence=(),
        transactions=transactions,
        params=GENESIS.params,
        network=GENESIS.network,
    )
    if profile:
        with cProfile.Profile() as profiler:
            apply_block(open_view(market.kv), context)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    runs = []
    for _ in range(3):
        started = time.process_time()
        outcome = apply_block(open_view(market.kv), context)
        runs.append(time.process_time() - started)
    failed = [result.kind for result in outcome.results if result.status != "ok"]
    if failed:
        raise RuntimeError(f"{len(failed)} payments did not succeed: {failed[0]}")
    tree_ms = _cpu_ms(lambda: market.tree.apply(outcome.changes))
    batch = {STATE + key: value for key, value in outcome.changes.items()}
    batch |= {HISTORY + key: value for key, value in outcome.history.items()}
    store_ms = _cpu_ms(lambda: market.kv.write(batch))
    rows: list[FinalisationRow] = [decode(FinalisationRow, row) for row in outcome.rows]  # type: ignore[arg-type]
    paid = {payout.account for row in rows if isinstance(row, PayoutRow) for payout in row.payouts}
    return {
        "payments": payments,
        "ancestors": market.ancestors,
        "holders_paid": len(paid),
        "records": len(outcome.changes),
        "history": len(outcome.history),
        "rows": len(outcome.rows),
        "nodes": sum(isinstance(row, NodeRow) for row in rows),
        "apply_block_cpu_ms": round(min(runs) * 1_000, 1),
        "payments_and_pass_cpu_ms": min(_pass_ms(market, payments) for _ in range(3)),
        "tree_cpu_ms": tree_ms,
        "store_cpu_ms": store_ms,
    }


def _pass_ms(market: Market, payments: int) -> float:
    """The money algorithm by itself: every payment taken in, then the end of the block."""
    random = Random(2)
    view = open_view(market.kv)
    view.height, view.time_ms, view.tx = 2, GENESIS.time_ms + 1_000, bytes(32)
    payer = account_of_key(public_key(market.seeds[0]))
    call = Call(payer, bytes(16), 0, bytes(32), (), 2, view.time_ms, GENESIS.params, GENESIS.network)
    sold = [random.choice(market.assets[len(market.assets) // 2 :]) for _ in range(payments)]

    def run() -> None:
        for asset_id in sold:
            pay_asset(view, call, asset_id, PRICE.amount_ubeat, "sale", bytes(32), payer)
        finalise(view, GENESIS.params, 0)

    return _cpu_ms(run)


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


def _purchase(market: Market, random: Random, number: int) -> Transaction:
    """One of the younger half of the assets: those have the most ancestors."""
    seed = market.seeds[number % len(market.seeds)]
    offer_id = random.choice(market.offers[len(market.offers) // 2 :])
    body = Body(
        chain_id=GENESIS.chain_id,
        genesis_prefix=GENESIS.hash[:8],
        sender=account_of_key(public_key(seed)),
        nonce=number.to_bytes(16, "big"),
        valid_until_ms=GENESIS.time_ms + 60_000,
        max_fee_ubeat=10**6,
        actions=(BuyLicence(offer_id, terms_hash(TERMS), PRICE.amount_ubeat, "derive-remix", 0),),
        memo="",
    )
    return sign_transaction(GENESIS.network, body, [seed])


def _cpu_ms(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return round((time.process_time() - started) * 1_000, 1)


if __name__ == "__main__":
    raise SystemExit(main())
