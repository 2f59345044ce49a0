"""A state made for a benchmark: whole, of the network it is for, and with no money more than genesis has."""

from __future__ import annotations

from pathlib import Path

from bench.million import judged
from bench.mixes import bench_genesis, receivers
from bench.prepared import AMOUNT_UBEAT, write_store
from state.modules.identity import ACCOUNTS
from state.store.leveldb import LevelDb
from state.store.opening import is_closed, open_store
from state.view import open_view


def test_a_prepared_store_opens_at_once_and_holds_all_accounts_and_the_supply_of_genesis(tmp_path: Path) -> None:
    genesis, accounts = bench_genesis(4), receivers(500)
    write_store(tmp_path / "store", genesis, accounts)
    kv = LevelDb.open(tmp_path / "store")
    try:
        store = open_store(kv, genesis.network)
        assert is_closed(kv, store.commit)
        assert store.commit.height == 0
        view = open_view(kv)
        assert all(view.get(ACCOUNTS, account).balance_ubeat == AMOUNT_UBEAT for account in accounts)
        held = [view.get(ACCOUNTS, entry.account).balance_ubeat for entry in genesis.balances]
        assert sum(held) + AMOUNT_UBEAT * len(accounts) == genesis.supply_ubeat
    finally:
        kv.close()


def test_the_goals_of_a_million_accounts_are_not_those_of_a_hundred_thousand() -> None:
    record = {"ratio": 0.5, "memory_mb": [300, 900], "vote_s": 4.0}
    assert [is_met for _, is_met in judged({"accounts": 1_000_000, **record})] == [True, True, True]
    assert [is_met for _, is_met in judged({"accounts": 100_000, **record})] == [False, False, True]
