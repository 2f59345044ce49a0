"""What a node counts, in Prometheus' text format; the only user of prometheus_client.

A registry per node: several nodes can live in one process. No label holds an address, an asset or a transaction:
the number of series is fixed. Gauges that mirror the node's state are read when somebody asks, not kept up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

PREFIX: Final = "concento"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets from a local cache hit to a stalled network."""

_GAUGES: Final[dict[str, str]] = {
    "consensus_height": "Height of the newest block.",
    "consensus_rounds": "Round of the height that is being decided.",
    "consensus_validators": "Validators of that height.",
    "consensus_missing_validators": "Validators of that height that this node is not connected to, itself not counted.",
    "consensus_tip_age_seconds": "Age of the newest block by this machine's clock.",
    "blocksync_syncing": "1 while the node catches up with blocks of its peers.",
    "snapshot_files": "Files that are here of the snapshot that the node begins with, of 258.",
    "blocksync_behind_blocks": "Blocks between this node and the newest that is believed to be decided.",
    "mempool_size": "Transactions waiting in the pool.",
    "mempool_bytes": "Bytes waiting in the pool.",
    "p2p_peers": "Connected peers.",
    "p2p_queued_bytes": "Bytes waiting to be sent to peers.",
    "verify_waiting": "Signatures waiting to be checked.",
    "event_loop_lag_seconds": "How much later than asked the last measurement of the event loop came.",
    "signer_guard_usable": "1 if this node's signing guard allows it to vote; 0 also for observers.",
}

Reading = Callable[[], Mapping[str, float]]
"""Gives the present value of each gauge; one that is missing keeps its last value."""


class Metrics:
    """The metrics of one node."""

    def __init__(self, version: str, name: str, chain_id: str, reading: Reading) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._reading = reading
        self._gauges = {
            gauge: Gauge(gauge, text, namespace=PREFIX, registry=self._registry) for gauge, text in _GAUGES.items()
        }
        Info("node", "What is running.", namespace=PREFIX, registry=self._registry).info(
            {"version": version, "name": name, "chain_id": chain_id}
        )
        self._checks = Gauge(
            "check_ok", "1 if this check of /readyz passes.", ["check"], namespace=PREFIX, registry=self._registry
        )
        self._rounds = Counter(
            "consensus_round_changes",
            "Rounds beyond the first that blocks needed.",
            namespace=PREFIX,
            registry=self._registry,
        )
        self._blocks = Counter(
            "consensus_blocks", "Blocks committed by this process.", namespace=PREFIX, registry=self._registry
        )
        self._byzantine = Gauge(
            "consensus_byzantine_validators",
            "Validators that the newest block convicts.",
            namespace=PREFIX,
            registry=self._registry,
        )
        self._transactions = Counter(
            "transactions",
            "Transactions in committed blocks, by status.",
            ["status"],
            namespace=PREFIX,
            registry=self._registry,
        )
        self._interval = Histogram(
            "consensus_block_interval_seconds",
            "Time between blocks.",
            buckets=_SECONDS,
            namespace=PREFIX,
            registry=self._registry,
        )
        self._finality = Histogram(
            "finality_seconds",
            "From a client's submission to this node until final.",
            buckets=_SECONDS,
            namespace=PREFIX,
            registry=self._registry,
        )
        self._requests = Histogram(
            "rpc_request_duration_seconds",
            "RPC requests.",
            ["method", "kind"],
            buckets=_SECONDS,
            namespace=PREFIX,
            registry=self._registry,
        )
        self._refused = Counter(
            "p2p_refused", "Connections that ended before their handshake.", namespace=PREFIX, registry=self._registry
        )
        self._lost = Counter(
            "p2p_disconnected", "Connections to peers that ended.", namespace=PREFIX, registry=self._registry
        )
        self._received = Counter(
            "p2p_received_bytes", "Payload bytes from peers.", namespace=PREFIX, registry=self._registry
        )
        self._unchecked = Counter(
            "admission_broken",
            "Transactions refused because checking them failed by a mistake of the node.",
            namespace=PREFIX,
            registry=self._registry,
        )
        self._last_block_s: float | None = None

    def block(self, now_s: float, round_: int, statuses: Mapping[str, int], evidence: int) -> None:
        """Counts one committed block."""
        self._blocks.inc()
        self._rounds.inc(round_)
        self._byzantine.set(evidence)
        for status, count in statuses.items():
            self._transactions.labels(status).inc(count)
        if self._last_block_s is not None:
            self._interval.observe(now_s - self._last_block_s)
        self._last_block_s = now_s

    def final(self, seconds: float) -> None:
        self._finality.observe(seconds)

    def request(self, method: str, kind: str, seconds: float) -> None:
        self._requests.labels(method, kind).observe(seconds)

    def unchecked(self) -> None:
        self._unchecked.inc()

    def refused(self) -> None:
        self._refused.inc()

    def lost(self) -> None:
        self._lost.inc()

    def received(self, size: int) -> None:
        self._received.inc(size)

    def exposition(self, checks: Mapping[str, bool]) -> bytes:
        """The text of `/metrics`."""
        for name, value in self._reading().items():
            self._gauges[name].set(value)
        for check, passes in checks.items():
            self._checks.labels(check).set(passes)
        return generate_latest(self._registry)
