"""A ledger on disk with many accounts, and blocks of transfers for it: what the benchmarks of one process share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from concento.accounts import account_of_key
from concento.blocks import Block, Header
from concento.devnet import development_genesis
from concento.encoding import encode
from concento.genesis import Genesis
from concento.hashing import NO_HASH
from concento.keys import public_key
from concento.messages.tokens import Transfer
from concento.transactions import Body, Transaction, sign_transaction
from concento.validators import ValidatorSet
from concento.votes import EMPTY_COMMIT
from state.modules.identity import ACCOUNTS, Account
from state.store.blockstore import BlockRecord, StoredBlock
from state.store.cache import StateCache
from state.store.leveldb import LevelDb
from state.store.opening import OpenStore, advance, create_store
from state.store.recent import Recent, load_recent
from state.transition import BlockContext, BlockOutcome, write_genesis
from state.view import View

SENDERS: Final = 2_000
"""Accounts that pay; they are among the others and pay whom they please."""
STRIDE: Final = 7_919
"""Receivers follow each other by this prime, so that a block touches keys all over the tree."""


@dataclass(slots=True)
class Bench:
    """The chain of one node without consensus: every block is decided as it is given."""

    genesis: Genesis
    store: OpenStore
    accounts: list[bytes]
    seeds: list[bytes]
    time_ms: int
    recent: Recent
    state: StateCache
    number: int = 0

    @property
    def height(self) -> int:
        """Of the next block."""
        return self.store.commit.height + 1

    def view(self) -> View:
        """As a node makes it: records read or written before are still in memory."""
        return View(self.state.get, self.recent.has)

    def transfers(self, count: int) -> list[bytes]:
        """Signed transfers for the next block, each of another sender as long as there are any."""
        raws = []
        for _ in range(count):
            self.number += 1
            sender = self.number % len(self.seeds)
            body = Body(
                chain_id=self.genesis.chain_id,
                genesis_prefix=self.genesis.hash[:8],
                sender=self.accounts[sender],
                nonce=self.number.to_bytes(16, "big"),
                valid_until_ms=self.time_ms + 60_000,
                max_fee_ubeat=5_000,
                actions=(Transfer(self.accounts[self.number * STRIDE % len(self.accounts)], 1),),
                memo="",
            )
            raws.append(sign_transaction(self.genesis.network, body, [self.seeds[sender]]).raw)
        return raws

    def context(self, transactions: list[Transaction]) -> BlockContext:
        validators: ValidatorSet = self.genesis.validators
        return BlockContext(
            height=self.height,
            time_ms=self.time_ms,
            proposer=validators.keys[0],
            validators=validators,
            evidence=(),
            transactions=transactions,
            params=self.genesis.params,
            network=self.genesis.network,
        )

    def block(self) -> Block:
        """A block of the next height; nobody has signed it."""
        header = Header(
            chain_id=self.genesis.chain_id,
            height=self.height,
            round=0,
            time_ms=self.time_ms,
            proposer=self.genesis.validators.keys[0],
            parent_id=NO_HASH,
            content_root=NO_HASH,
            last_commit_root=NO_HASH,
            evidence_root=NO_HASH,
            validators_hash=NO_HASH,
            next_validators_hash=NO_HASH,
            app_hash=NO_HASH,
            results_root=NO_HASH,
            missed_hash=NO_HASH,
            protocol=self.genesis.protocol,
        )
        return Block(header, (), EMPTY_COMMIT, ())

    def batch(self, transactions: Sequence[Transaction], outcome: BlockOutcome) -> dict[bytes, bytes | None]:
        """Brings the tree up to date with a block that was applied; returns everything that a node writes of it."""
        block, ids = self.block(), tuple([transaction.id for transaction in transactions])
        record = BlockRecord(block, block.last_commit, (), ids)
        stored = StoredBlock(record, tuple(outcome.results), tuple(outcome.leaves), outcome.closing_events)
        return advance(self.store, stored, outcome.changes, outcome.history)

    def moved_on(self, outcome: BlockOutcome) -> None:
        """The block was written. Raises where anything in it went wrong: such a block measures nothing."""
        failed = [result.kind for result in outcome.results if result.status != "ok"]
        if failed:
            raise RuntimeError(f"{len(failed)} transfers of the benchmark did not succeed: {failed[0]}")
        self.state.update(outcome.changes)
        self.recent.add(self.time_ms, [result.id for result in outcome.results])
        self.time_ms += 100


def open_bench(path: Path, accounts: int) -> Bench:
    """A new store with this many accounts; the first of them have keys."""
    genesis = development_genesis()
    seeds = [number.to_bytes(32, "big") for number in range(1, 1 + min(SENDERS, accounts))]
    names = [account_of_key(public_key(seed)) for seed in seeds]
    names += [sha256(number.to_bytes(8, "big")).digest() for number in range(accounts - len(names))]
    view = View(lambda _key: None)
    write_genesis(view, genesis)
    state = {key: value for key, value in view.changes().items() if value is not None}
    rich = encode(Account(1_000_000_000, None))
    state.update((ACCOUNTS.key(name), rich) for name in names)
    kv = LevelDb.create(path)
    store = create_store(kv, genesis.network, state, view.history())
    recent = load_recent(kv, 0, genesis.params.consensus.replay_window_ms)
    return Bench(genesis, store, names, seeds, genesis.time_ms + 1_000, recent, StateCache(kv))
