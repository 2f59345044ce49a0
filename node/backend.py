"""What RPC and explorer need of a node, whatever engine decides its blocks: the protocol, and its records.

All reads are synchronous and of the latest committed height; the event loop owns the replica, so that nothing changes
between two reads without an `await` between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from msgspec import Struct

from concento.blocks import Header
from concento.errors import ConcentoError
from concento.genesis import Genesis
from state.store.kv import KeyValue
from state.store.tree import Tree

Held = Literal["pending", "shared"]
"""In this node's pool; or in a batch that more than two thirds, its author counted, have acknowledged."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to one submitted transaction: taken (`known`: not for the first time), or refused with a reason.

    `tx` is None where the bytes are no transaction at all; `status` is None where it was refused, or is in the chain.
    """

    tx: bytes | None
    status: Held | None
    known: bool
    error: ConcentoError | None


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """What the pool knows of a transaction that is not in the chain; `skipped` is the kind of its last skip."""

    status: Held
    raw: bytes
    skipped: str | None


class Committed(Struct, frozen=True, gc=False):
    """A decided block, told to watchers once it is on disk. Events and results are in the store by then."""

    height: int
    block_id: bytes
    header: Header
    transactions: tuple[bytes, ...]
    """Ids in block order, the skipped ones included."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `/readyz`: its name, whether it passes, and the reason in words."""

    name: str
    ok: bool
    text: str


Watcher = Callable[[Committed], None]


class Backend(Protocol):
    """A running node."""

    genesis: Genesis
    name: str

    @property
    def role(self) -> Literal["validator", "observer"]:
        """Whether the node's key is in the set that decides the next height."""

    @property
    def store(self) -> KeyValue:
        """The records of the latest committed height, for `state.queries`."""

    @property
    def tree(self) -> Tree:
        """The tree over the same state."""

    def status(self) -> dict[str, Any]:
        """`node_getStatus`, complete: ids as hex, numbers as they are."""

    def peers(self) -> list[dict[str, Any]]:
        """One entry a known peer: name, key, address, connected, direction, height, since_ms, queued_bytes."""

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        """Offers encoded transactions to the pool; answers once each is verified and admitted, or refused.

        Raises Unavailable where the node takes none now, whatever it is.
        """

    def lookup(self, tx: bytes) -> PoolEntry | None:
        """What the pool knows of this id."""

    def body(self, height: int, index: int) -> bytes | None:
        """The bytes of the transaction at this position of the chain, or None where they are pruned."""

    def bodies(self, height: int) -> tuple[bytes, ...] | None:
        """The bytes of all batches of a decided block (each a `concento.batches.Batch`), in order."""

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Calls `watcher` after every commit, in order, until the returned function is called."""

    def liveness(self) -> list[Check]:
        """The checks of `/livez`: whether the event loop answers; never whether there are peers."""

    def readiness(self) -> list[Check]:
        """The checks of `/readyz`."""

    def metrics(self) -> bytes:
        """The exposition of `/metrics`, in Prometheus' text format."""

    def observe_request(self, method: str, kind: str, seconds: float) -> None:
        """Counts one RPC request; `kind` is "ok" or the kind of the error."""

    def note_damage(self, reason: str) -> None:
        """A client has read what is damaged on the disk: for the log, and not ready from now on."""

    def set_links(self, links: dict[str, dict[str, int]]) -> None:
        """`dev_setLinks`: {peer name: {"cut": 0|1, "delay_ms": n}}; peers not named are healed."""
