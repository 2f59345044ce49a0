"""The backend over CometBFT: what RPC and explorer ask for, from our store and from what the engine says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from concento import __version__
from concento.blocks import block_id
from concento.cometlight import address_of
from concento.errors import Broken, Rejected, Unavailable
from concento.genesis import Genesis
from concento.transactions import Transaction
from node import health
from node.backend import Check, Committed, PoolEntry, Submission, Watcher
from node.comet.application import Application
from node.comet.blocks import Decided, find_bodies, tip_time_ms, validators_at
from node.comet.engine import Broadcast, Engine
from node.config import NodeConfig, peer_targets
from node.health import LoopLag
from node.metrics import Metrics
from state.modules.governance_changes import protocol_at, switches_of
from state.store.blockstore import find_block, find_transaction
from state.store.kv import KeyValue
from state.store.opening import committed
from state.store.tree import Tree
from state.view import open_view

POLL_S: Final = 1.0
"""How often the engine is asked for its peers: it does not tell by itself."""
TIMED_MAX: Final = 20_000
"""Submitted transactions whose time until finality is being measured; older ones are given up."""
BEHIND: Final = 1_000_000
"""Blocks that a node counts as behind while the engine says that it catches up, but not by how much."""


class CometBackend:
    """What one running node answers."""

    def __init__(
        self, config: NodeConfig, genesis: Genesis, own: bytes, application: Application, engine: Engine, lag: LoopLag
    ) -> None:
        self.genesis = genesis
        self.name = config.name
        self._config = config
        self._own = own
        self._application = application
        self._engine = engine
        self._lag = lag
        self._damage = health.Damage()
        self._loop = asyncio.get_running_loop()
        self._watchers: dict[int, Watcher] = {}
        self._watcher_count = 0
        self._submitted: OrderedDict[bytes, float] = OrderedDict()
        self._is_syncing = True
        self._peers: dict[str, dict[str, Any]] = {}
        self._targets = peer_targets(config, genesis, own)
        self.counts = Metrics(__version__, config.name, genesis.chain_id, self._gauges)

    @property
    def role(self) -> Literal["validator", "observer"]:
        return "validator" if self._own in validators_at(self.store, self._height + 1) else "observer"

    @property
    def store(self) -> KeyValue:
        return self._application.store.kv

    @property
    def tree(self) -> Tree:
        return self._application.store.tree

    def status(self) -> dict[str, Any]:
        commit = self._application.store.commit
        record = find_block(self.store, commit.height) if commit.height else None
        return {
            "chain_id": self.genesis.chain_id,
            "genesis_hash": self.genesis.hash.hex(),
            "dev": self.genesis.dev,
            "name": self.name,
            "role": self.role,
            "version": __version__,
            "protocol": protocol_at(switches_of(open_view(self.store)), commit.height + 1),
            "height": commit.height,
            "block_id": commit.block_id.hex(),
            "app_hash": commit.app_hash.hex(),
            "time_ms": self._time_ms,
            "round": 0,
            "step": "comet",
            "proposer": self.name if record is None else self._name_of(record.block.header.proposer),
            "peers": len(self._peers),
            "pool": len(self._application.waiting),
            "syncing": self._is_syncing,
            "ready": all(check.ok for check in self.readiness()),
            "tip_age_ms": self._tip_age_ms(),
            "oldest_height": commit.oldest_height,
        }

    def peers(self) -> list[dict[str, Any]]:
        keys = {
            address_of(key).hex(): key for key in (*self._targets, *validators_at(self.store, self._height + 1).keys)
        }
        keys = {node: key for node, key in keys.items() if key != self._own}
        return [self._peer(node, keys.get(node)) for node in sorted({*keys, *self._peers})]

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        found = [self._first_look(raw) for raw in raws]
        fresh = [entry for entry in found if isinstance(entry, Transaction)]
        now = self._loop.time()
        try:
            answers = await self._engine.broadcast([transaction.raw for transaction in fresh])
            judged = [self._judged(*pair) for pair in zip(fresh, answers, strict=True)]
        except Unavailable as error:
            judged = [Submission(transaction.id, None, False, error) for transaction in fresh]
        for submission in judged:
            if submission.tx is not None and submission.error is None and not submission.known:
                self._submitted[submission.tx] = now
        while len(self._submitted) > TIMED_MAX:
            self._submitted.popitem(last=False)
        rest = iter(judged)
        return [next(rest) if isinstance(entry, Transaction) else entry for entry in found]

    def lookup(self, tx: bytes) -> PoolEntry | None:
        found = self._application.waiting.get(tx)
        return None if found is None else PoolEntry("pending", found.transaction.raw, found.skipped)

    def body(self, height: int, index: int) -> bytes | None:
        found = find_bodies(self.store, height)
        return None if found is None else found[index]

    def bodies(self, height: int) -> tuple[bytes, ...] | None:
        """There are no batches under this engine."""
        return None

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watcher_count += 1
        number = self._watcher_count
        self._watchers[number] = watcher

        def unwatch() -> None:
            self._watchers.pop(number, None)

        return unwatch

    def liveness(self) -> list[Check]:
        return [self._lag.check()]

    def readiness(self) -> list[Check]:
        validators = validators_at(self.store, self._height + 1)
        reached = sum(key == self._own or address_of(key).hex() in self._peers for key in validators.keys)
        return health.readiness(
            health.Facts(
                height=self._height,
                tip_age_ms=self._tip_age_ms(),
                tip_age_ms_max=self._config.tip_age_ready_ms,
                behind=BEHIND if self._is_syncing else 0,
                nobody_has=None,
                validators_reached=reached,
                validators=len(validators),
                quorum=validators.quorum,
                is_validator=self._own in validators,
                may_sign=True,
                store_fault=self._store_fault(),
                disk_free_bps=health.disk_free_bps(self._config.home),
                disk_free_bps_min=self._config.disk_free_ready_bps,
            )
        )

    def metrics(self) -> bytes:
        return self.counts.exposition({check.name: check.ok for check in (*self.liveness(), *self.readiness())})

    def observe_request(self, method: str, kind: str, seconds: float) -> None:
        self.counts.request(method, kind, seconds)

    def set_links(self, links: dict[str, dict[str, int]]) -> None:
        raise Rejected("node.config_invalid", field="links", reason="CometBFT's lines cannot be cut from here")

    # What the node's parts call

    def committed(self, decided: Decided) -> None:
        """Tell everybody about a block that is on disk."""
        stored = decided.stored
        header = stored.record.block.header
        statuses: Counter[str] = Counter(outcome.status for outcome in stored.outcomes)
        now = self._loop.time()
        self.counts.block(now, header.round, statuses, len(decided.request.misbehavior))
        for outcome in stored.outcomes:
            since = self._submitted.pop(outcome.id, None) if self._submitted else None
            if since is not None and outcome.status != "skipped":
                self.counts.final(now - since)
        told = Committed(stored.height, block_id(header), header, stored.record.transactions)
        for watcher in list(self._watchers.values()):
            watcher(told)

    async def follow_engine(self) -> None:
        """Keeps asking the engine how it is; runs until it is cancelled."""
        while True:
            with contextlib.suppress(Unavailable, KeyError, TypeError):
                status, net = await self._engine.ask("status"), await self._engine.ask("net_info")
                self._is_syncing = bool(status["sync_info"]["catching_up"])
                self._peers = {peer["node_info"]["id"]: peer for peer in net["peers"]}
            await asyncio.sleep(POLL_S)

    # Inside

    @property
    def _height(self) -> int:
        return self._application.store.commit.height

    @property
    def _time_ms(self) -> int:
        return tip_time_ms(self.genesis, self.store, self._height)

    def _first_look(self, raw: bytes) -> Transaction | Submission:
        """What needs no engine: form, network, whether it is known."""
        try:
            transaction = self._application.signatures.decode(raw)
        except Rejected as error:
            return Submission(None, None, False, error)
        return self._known(transaction) or transaction

    def _known(self, transaction: Transaction) -> Submission | None:
        if find_transaction(self.store, transaction.id) is not None:
            return Submission(transaction.id, None, True, None)
        if transaction.id in self._application.waiting:
            return Submission(transaction.id, "pending", True, None)
        return None

    def _judged(self, transaction: Transaction, answer: Broadcast) -> Submission:
        if answer.code == 0 and not answer.error:
            return Submission(transaction.id, "pending", False, None)
        known = self._known(transaction)
        if answer.error and known is not None:
            return known
        refusal = self._application.refusals.get(transaction.digest)
        if answer.code and refusal is not None:
            return Submission(transaction.id, None, False, refusal)
        # Its mempool is full, or its cache still holds what it has just thrown out.
        busy = Unavailable("node.busy", count=len(self._application.waiting))
        return Submission(transaction.id, None, False, busy)

    def _name_of(self, key: bytes) -> str:
        members = (*validators_at(self.store, self._height + 1).members, *self.genesis.validators.members)
        return next((member.name for member in members if member.key == key), key.hex()[:16])

    def _peer(self, node: str, key: bytes | None) -> dict[str, Any]:
        peer = self._peers.get(node)
        target = self._targets.get(key) if key is not None else None
        address = None if target is None else f"{target.host}:{target.port}"
        if address is None and peer is not None:
            address = str(peer["remote_ip"])
        return {
            "name": node if key is None else self._name_of(key),
            "key": node if key is None else key.hex(),
            "address": address,
            "connected": peer is not None,
            "direction": None if peer is None else "out" if peer["is_outbound"] else "in",
            "height": None,
            "since_ms": None,
            "queued_bytes": 0,
        }

    def note_damage(self, reason: str) -> None:
        self._damage.note(reason)

    def _store_fault(self) -> str | None:
        try:
            found = committed(self.store)
        except Broken as error:
            return str(error)
        return "the commit record is gone" if found is None else self._damage.first

    def _tip_age_ms(self) -> int:
        return max(0, time.time_ns() // 1_000_000 - self._time_ms)

    def _gauges(self) -> dict[str, float]:
        validators = validators_at(self.store, self._height + 1)
        missing = sum(key != self._own and address_of(key).hex() not in self._peers for key in validators.keys)
        waiting = self._application.waiting
        return {
            "consensus_height": self._height,
            "consensus_validators": len(validators),
            "consensus_missing_validators": missing,
            "consensus_tip_age_seconds": self._tip_age_ms() / 1000,
            "blocksync_syncing": self._is_syncing,
            "mempool_size": len(waiting),
            "mempool_bytes": sum(len(held.transaction.raw) for held in waiting.values()),
            "p2p_peers": len(self._peers),
            "event_loop_lag_seconds": self._lag.last_s,
        }
