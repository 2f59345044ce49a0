"""A node without network or consensus: blocks are decided on demand, with real headers, batches, commits and a store.

It is a `Backend`: RPC, queries and light client see what a running node would show them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from concento.batches import batch_id, cut_batch, decode_batch
from concento.blocks import Block, Header, block_id, commit_root, content_root, evidence_root, results_root
from concento.development import development_seed
from concento.encoding import encode
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.hashing import NO_HASH
from concento.keys import sign, verify_many
from concento.merkle import merkle_root
from concento.transactions import Transaction, check_network, decode_transaction, signature_checks
from concento.validators import ValidatorSet
from concento.votes import EMPTY_COMMIT, Commit, CommitSignature, VoteType, vote_bytes
from node.backend import Check, Committed, PoolEntry, Submission, Watcher
from state.store.blockstore import BlockRecord, BodyPlace, StoredBlock
from state.store.kv import KeyValue, MemoryKeyValue
from state.store.opening import advance, create_store
from state.transition import BlockOutcome, apply_block, check_transaction
from support.ledger import Ledger


class DecidedLedger(Ledger):
    """The ledger of one node whose blocks are stored, signed and linked as on a network."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        super().__init__(genesis)
        state, history = self.state(), self.history()
        self.kv = MemoryKeyValue()
        self.opened = create_store(self.kv, self.genesis.network, state, history)
        self.tree = self.opened.tree
        self.commits: list[Commit] = [EMPTY_COMMIT]
        self.headers: list[Header] = []
        self.batches: dict[int, tuple[bytes, ...]] = {}
        self.results_root = results_root([])

    def block(
        self,
        *transactions: Transaction,
        time_ms: int | None = None,
        evidence: tuple[tuple[bytes, int], ...] = (),
    ) -> BlockOutcome:
        context = self.context(transactions, time_ms, evidence)
        height = context.height
        batches = self._cut(transactions)
        header = self._header(height, context.time_ms, tuple(batch_id(batch.header) for batch in batches))
        outcome = apply_block(self.view(), context)
        self.height, self.time_ms = height, context.time_ms
        self.validators[height + 2] = outcome.validators
        commit = self._commit(header)
        block = Block(header, tuple(batch_id(batch.header) for batch in batches), self.commits[-1], ())
        record = BlockRecord(
            block, commit, tuple(BodyPlace(0, 0, 0) for _ in batches), tuple(tx.id for tx in transactions)
        )
        stored = StoredBlock(record, outcome.results, tuple(outcome.leaves), outcome.closing_events)
        self.kv.write(advance(self.opened, stored, outcome.changes, outcome.history))
        self.batches[height] = tuple(encode(batch) for batch in batches)
        self.results_root = outcome.results_root
        self.headers.append(header)
        self.commits.append(commit)
        self.outcomes.append(outcome)
        self.decided(header, tuple(tx.id for tx in transactions))
        return outcome

    def decided(self, header: Header, transactions: tuple[bytes, ...]) -> None:
        """For whoever watches."""

    def _cut(self, transactions: Sequence[Transaction]) -> list[Any]:
        if not transactions:
            return []
        seed = development_seed("node1")
        author = next(entry.key for entry in self.genesis.record.validators if entry.name == "node1")
        raws = tuple(transaction.raw for transaction in transactions)
        return [cut_batch(self.genesis.network, seed, author, self.height, raws)]

    def _header(self, height: int, time_ms: int, batches: tuple[bytes, ...]) -> Header:
        validators = self.validators[height]
        return Header(
            chain_id=self.genesis.chain_id,
            height=height,
            round=0,
            time_ms=time_ms,
            proposer=validators.keys[0],
            parent_id=block_id(self.headers[-1]) if self.headers else NO_HASH,
            content_root=content_root(batches),
            last_commit_root=commit_root(self.commits[-1]),
            evidence_root=evidence_root(()),
            validators_hash=validators.hash,
            next_validators_hash=self.validators[height + 1].hash,
            app_hash=self.tree.root,
            results_root=self.results_root,
            missed_hash=merkle_root([]),
            protocol=self.genesis.protocol,
        )

    def _commit(self, header: Header) -> Commit:
        return signed_commit(self.genesis, self.validators[header.height], header)


def signed_commit(genesis: Genesis, validators: ValidatorSet, header: Header) -> Commit:
    """A commit by the first validators of the set, as few as make one."""
    identity = block_id(header)
    message = vote_bytes(genesis.network, VoteType.PRECOMMIT, header.height, 0, identity)
    signatures = tuple(
        CommitSignature(index, sign(development_seed(member.name), message))
        for index, member in enumerate(validators.members[: validators.quorum])
    )
    return Commit(header.height, 0, identity, signatures)


class DecidedNode(DecidedLedger):
    """A `Backend` over such a ledger. What is submitted waits in the pool until `decide`."""

    name = "node1"
    role: Any = "validator"

    def __init__(self, genesis: Genesis | None = None) -> None:
        super().__init__(genesis)
        self.pool: dict[bytes, Transaction] = {}
        self.skips: dict[bytes, str] = {}
        self.links: dict[str, dict[str, int]] = {}
        self.observed: list[tuple[str, str]] = []
        self.damaged: list[str] = []
        self.checks = [Check("tip", True, "fresh")]
        self.watchers: list[Watcher] = []

    @property
    def store(self) -> KeyValue:
        return self.kv

    def decide(self) -> BlockOutcome:
        """The next block, with all of the pool."""
        transactions, self.pool = list(self.pool.values()), {}
        return self.block(*transactions)

    def decided(self, header: Header, transactions: tuple[bytes, ...]) -> None:
        # `Ledger.__init__` never decides a block: the watchers exist by now.
        for watcher in list(self.watchers):
            watcher(Committed(header.height, block_id(header), header, transactions))

    def status(self) -> dict[str, Any]:
        return {
            "chain_id": self.genesis.chain_id,
            "genesis_hash": self.genesis.hash.hex(),
            "dev": self.genesis.dev,
            "name": self.name,
            "role": self.role,
            "version": "0",
            "protocol": self.genesis.protocol,
            "height": self.height,
            "block_id": (block_id(self.headers[-1]) if self.headers else NO_HASH).hex(),
            "app_hash": self.tree.root.hex(),
            "time_ms": self.time_ms,
            "round": 0,
            "step": "new_height",
            "proposer": self.name,
            "peers": 3,
            "pool": len(self.pool),
            "syncing": False,
            "ready": all(check.ok for check in self.checks),
            "tip_age_ms": 0,
            "oldest_height": 1,
        }

    def peers(self) -> list[dict[str, Any]]:
        return [{"name": "node2", "connected": True}]

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        return [self._admit(raw) for raw in raws]

    def _admit(self, raw: bytes) -> Submission:
        identity = None
        try:
            transaction = decode_transaction(raw)
            identity = transaction.id
            check_network(self.genesis.network, transaction)
            if not all(verify_many(signature_checks(self.genesis.network, transaction))):
                raise Rejected("tx.signature", index=0)
            known = identity in self.pool or self.view().is_included(identity)
            if not known:
                check_transaction(
                    self.view(), transaction, self.height + 1, self.time_ms, self.params, self.genesis.network
                )
                self.pool[identity] = transaction
        except Rejected as error:
            return Submission(identity, None, False, error)
        return Submission(identity, "pending", known, None)

    def lookup(self, tx: bytes) -> PoolEntry | None:
        found = self.pool.get(tx)
        return None if found is None else PoolEntry("pending", found.raw, self.skips.get(tx))

    def body(self, height: int, index: int) -> bytes | None:
        raws = [raw for batch in self.batches[height] for raw in _transactions(batch)]
        return raws[index]

    def bodies(self, height: int) -> tuple[bytes, ...] | None:
        return self.batches.get(height)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self.watchers.append(watcher)
        return lambda: self.watchers.remove(watcher)

    def liveness(self) -> list[Check]:
        return []

    def readiness(self) -> list[Check]:
        return self.checks

    def metrics(self) -> bytes:
        return b"concento_consensus_height 1\n"

    def observe_request(self, method: str, kind: str, seconds: float) -> None:
        self.observed.append((method, kind))

    def note_damage(self, reason: str) -> None:
        self.damaged.append(reason)

    def set_links(self, links: dict[str, dict[str, int]]) -> None:
        self.links = links


def _transactions(batch: bytes) -> tuple[bytes, ...]:
    return decode_batch(batch).transactions
