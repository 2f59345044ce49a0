"""The backend over this project's own engine: the replica's knowledge in the shape that RPC and explorer ask for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from concento import __version__
from concento.blocks import block_id
from concento.errors import Broken, Rejected, Unavailable
from concento.genesis import Genesis
from node import backend, health
from node.backend import Check, PoolEntry, Submission, Watcher
from node.config import NodeConfig
from node.health import LoopLag
from node.metrics import Metrics
from node.p2p.peers import Peers
from node.replica.core import Replica
from node.replica.events import Committed, Outcome
from node.replica.join import Joining
from node.runner import Runner
from node.verify import VerifyThread
from state.store.blockstore import StoredBlock
from state.store.kv import KeyValue
from state.store.opening import committed
from state.store.tree import Tree

TIMED_MAX: Final = 20_000
"""Submitted transactions whose time until finality is being measured; older ones are given up."""


class OwnBackend:
    """What one running node answers; made once, after the replica and before the first request."""

    def __init__(
        self,
        config: NodeConfig,
        genesis: Genesis,
        own: bytes,
        replica: Replica,
        runner: Runner,
        peers: Peers,
        verifier: VerifyThread,
        lag: LoopLag,
        joining: Joining | None = None,
    ) -> None:
        self.genesis = genesis
        self.name = config.name
        self._config = config
        self._own = own
        self._replica = replica
        self._runner = runner
        self._peers = peers
        self._verifier = verifier
        self._lag = lag
        self._joining = joining
        self._loop = asyncio.get_running_loop()
        self._submitted: OrderedDict[bytes, float] = OrderedDict()
        self._up_since: dict[bytes, int] = {}
        self._damage = health.Damage()
        self.counts = Metrics(__version__, config.name, genesis.chain_id, self._gauges)
        runner.watch(self._count)

    @property
    def role(self) -> Literal["validator", "observer"]:
        return "validator" if self._own in self._replica.status().validators else "observer"

    @property
    def store(self) -> KeyValue:
        return self._replica.store.kv

    @property
    def tree(self) -> Tree:
        return self._replica.store.tree

    def status(self) -> dict[str, Any]:
        found = self._replica.status()
        return {
            "chain_id": self.genesis.chain_id,
            "genesis_hash": self.genesis.hash.hex(),
            "dev": self.genesis.dev,
            "name": self.name,
            "role": self.role,
            "version": __version__,
            "protocol": found.protocol,
            "height": found.height,
            "block_id": found.block_id.hex(),
            "app_hash": found.app_hash.hex(),
            "time_ms": found.time_ms,
            "round": found.round,
            "step": found.step if self._joining is None else self._joining.step,
            "proposer": self.name_of(found.proposer),
            "peers": len(self._peers.connected),
            "pool": found.pool_count,
            "syncing": found.syncing or self._joining is not None,
            "ready": all(check.ok for check in self.readiness()),
            "tip_age_ms": self._tip_age_ms(),
            "oldest_height": found.oldest_height,
        }

    def peers(self) -> list[dict[str, Any]]:
        heights = self._replica.status().peer_heights
        known = {**dict.fromkeys(self._peers.targets), **dict.fromkeys(self._peers.connected)}
        return [self._peer(key, heights.get(key)) for key in sorted(known)]

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        now = self._loop.time()
        outcomes = await self._runner.submit(raws)
        refusal = outcomes[0].error if outcomes and outcomes[0].id is None else None
        if isinstance(refusal, Unavailable):
            # It looked at none of them. Raised anew: this frame holds the refusal, which would hold this frame.
            raise Unavailable(refusal.kind, **refusal.numbers)
        submissions = [_submission(outcome) for outcome in outcomes]
        for submission in submissions:
            if submission.error is not None and submission.error.kind == "tx.check_failed":
                self.counts.unchecked()
            if submission.tx is not None and submission.status is not None and not submission.known:
                self._submitted[submission.tx] = now
        while len(self._submitted) > TIMED_MAX:
            self._submitted.popitem(last=False)
        return submissions

    def lookup(self, tx: bytes) -> PoolEntry | None:
        found = self._replica.lookup(tx)
        return None if found is None else PoolEntry(found.status, found.raw, found.skipped)

    def body(self, height: int, index: int) -> bytes | None:
        return self._replica.body(height, index)

    def bodies(self, height: int) -> tuple[bytes, ...] | None:
        return self._replica.bodies(height)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        return self._runner.watch(lambda committed: watcher(_committed(committed.stored)))

    def liveness(self) -> list[Check]:
        return [self._lag.check()]

    def readiness(self) -> list[Check]:
        found = self._replica.status()
        keys = found.validators.keys
        reached = sum(key == self._own or self._peers.link(key) is not None for key in keys)
        return health.readiness(
            health.Facts(
                height=found.height,
                tip_age_ms=self._tip_age_ms(),
                tip_age_ms_max=self._config.tip_age_ready_ms,
                behind=max(0, found.believed_height - found.height),
                nobody_has=found.nobody_has,
                validators_reached=reached,
                validators=len(keys),
                quorum=found.validators.quorum,
                is_validator=self._own in found.validators,
                may_sign=found.guard_usable,
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
        status = self._replica.status()
        names = {observer.name: observer.key for observer in status.observers}
        names |= {member.name: member.key for member in status.validators.members}
        shaped: dict[bytes, dict[str, int]] = {}
        for name, line in links.items():
            if name not in names:
                raise Rejected("node.config_invalid", field="links", reason=f"{name} is no node of this network")
            shaped[names[name]] = line
        self._peers.shape(
            {key for key, line in shaped.items() if line.get("cut")},
            {key: line.get("delay_ms", 0) for key, line in shaped.items()},
        )

    def name_of(self, key: bytes) -> str:
        """What people call the node with this key."""
        status = self._replica.status()
        names = {member.key: member.name for member in self.genesis.validators.members}
        names |= {observer.key: observer.name for observer in status.observers}
        names |= {member.key: member.name for member in status.validators.members}
        return names.get(key, key.hex()[:16])

    def note_peer(self, key: bytes, is_up: bool) -> None:
        """Remembers since when a peer is connected."""
        if is_up:
            self._up_since[key] = time.time_ns() // 1_000_000
        else:
            self._up_since.pop(key, None)

    # Inside

    def _peer(self, key: bytes, height: int | None) -> dict[str, Any]:
        link, target = self._peers.link(key), self._peers.targets.get(key)
        address = link.address if link is not None else f"{target.host}:{target.port}" if target is not None else None
        return {
            "name": self.name_of(key),
            "key": key.hex(),
            "address": address,
            "connected": link is not None,
            "direction": None if link is None else "out" if link.is_dialer else "in",
            "height": height,
            "since_ms": self._up_since.get(key),
            "queued_bytes": 0 if link is None else link.queued_bytes,
        }

    def note_damage(self, reason: str) -> None:
        self._damage.note(reason)

    def _store_fault(self) -> str | None:
        """Why the store cannot be read: found by reading its commit record, or by a client who read something else."""
        try:
            found = committed(self.store)
        except Broken as error:
            return str(error)
        return "the commit record is gone" if found is None else self._damage.first

    def _tip_age_ms(self) -> int:
        """By this machine's clock; a tip from the future is no age old."""
        return max(0, time.time_ns() // 1_000_000 - self._replica.status().time_ms)

    def _gauges(self) -> dict[str, float]:
        found = self._replica.status()
        reached = sum(self._peers.link(key) is not None for key in found.validators.keys if key != self._own)
        others = len(found.validators) - (self._own in found.validators)
        links = [link for key in self._peers.connected if (link := self._peers.link(key)) is not None]
        return {
            "consensus_height": found.height,
            "consensus_rounds": found.round,
            "consensus_validators": len(found.validators),
            "consensus_missing_validators": others - reached,
            "consensus_tip_age_seconds": self._tip_age_ms() / 1000,
            "blocksync_syncing": found.syncing or self._joining is not None,
            "snapshot_files": 0 if self._joining is None else self._joining.done_count,
            "blocksync_behind_blocks": max(0, found.believed_height - found.height),
            "mempool_size": found.pool_count,
            "mempool_bytes": found.pool_bytes,
            "p2p_peers": len(self._peers.connected),
            "p2p_queued_bytes": sum(link.queued_bytes for link in links),
            "verify_waiting": self._verifier.waiting,
            "event_loop_lag_seconds": self._lag.last_s,
            "signer_guard_usable": found.guard_usable,
        }

    def _count(self, committed: Committed) -> None:
        """Counts a committed block, and how long the clients of this node waited for it."""
        stored = committed.stored
        now = self._loop.time()
        statuses: Counter[str] = Counter(outcome.status for outcome in stored.outcomes)
        block = stored.record.block
        self.counts.block(now, block.header.round, statuses, len(block.evidence))
        if self._submitted:
            for outcome in stored.outcomes:
                since = self._submitted.pop(outcome.id, None) if outcome.status != "skipped" else None
                if since is not None:
                    self.counts.final(now - since)


def _submission(outcome: Outcome) -> Submission:
    match outcome.status:
        case "pending" | "shared":
            return Submission(outcome.id, outcome.status, outcome.known, outcome.error)
        case "included" | "refused":
            return Submission(outcome.id, None, outcome.known, outcome.error)


def _committed(stored: StoredBlock) -> backend.Committed:
    header = stored.record.block.header
    return backend.Committed(stored.height, block_id(header), header, stored.record.transactions)
