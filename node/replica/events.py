"""All that can happen to a replica (events) and all that it asks for (effects): two closed unions, the seam to the
shell.

    replica = open_replica(genesis, key, kv, files, crypto, now)     key None: an observer
    effects = replica.handle(event, now)                        now = Now(mono_ms, wall_ms)

The first event is `Started`. The runner performs the effects **in order, without handling another event or letting a
reader of the store in between**, and only then calls `handle` again: what is written before a `Send` is on disk before
it leaves. A failed `Append`, `Sync`, `WriteGuard` or `Write` stops the process; nothing after it may be performed.
The effects that take long and are not part of that order - `Verify` - are only started in their turn, and their
answer is an event of its own. `handle` never blocks, never reads a clock, and raises only `Broken`: then the process
stops.

A peer is its node key (32 bytes): the transport has proved it and let only members and configured observers in. There
is at most one `PeerUp` per key without a `PeerDown`. A payload is one message as `node/replica/wire.py` writes it:
one tag byte, then the record. The transport checks size and rate by the tag before it decodes or queues anything.

A stale `TimerFired` is ignored. Arming the same timer again before it fired adds another one, unless they share a
`slot`: of those only the one that was armed last need fire.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Literal, TypeAlias

from msgspec import Struct

from concento.errors import ConcentoError
from concento.keys import Check
from concento.transactions import Transaction
from state.store.blockstore import StoredBlock

TimerId: TypeAlias = tuple[str | int, ...]
"""Opaque to the shell: given back as it is."""

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

Token: TypeAlias = int
"""Ties an answer to its question. The runner chooses those of `Submit`, the replica those of `Verify`."""


class Priority(IntEnum):
    """Which queue of a peer's connection a payload waits in; a lower number goes first."""

    VOTE = 0
    CONSENSUS = 1
    BULK = 2


class Now(Struct, frozen=True, gc=False):
    """The time of an event: a clock that only grows, for durations, and the time of day, for block time."""

    mono_ms: int
    wall_ms: int


# Events


class Started(Struct, frozen=True, gc=False):
    """The first event, once the runner is ready to perform effects."""


class PeerUp(Struct, frozen=True, gc=False):
    """A connection to this node key is open for both sides."""

    peer: bytes


class PeerDown(Struct, frozen=True, gc=False):
    """The connection is gone; nothing sent to this peer after its last message is known to have arrived."""

    peer: bytes


class PeerMessage(Struct, frozen=True, gc=False):
    """One payload from a connected peer, whole, not decoded."""

    peer: bytes
    payload: bytes


class Submit(Struct, frozen=True, gc=False):
    """Transactions from a client of this node; answered by one `Answer` with the same token, maybe much later."""

    token: Token
    raw: tuple[bytes, ...]


class Verified(Struct, frozen=True, gc=False):
    """The verdicts on the checks of a `Verify`, in order."""

    token: Token
    verdicts: tuple[bool, ...]


class TimerFired(Struct, frozen=True, gc=False):
    """The time of an `ArmTimer` has come."""

    timer: TimerId


class OverrideGuard(Struct, frozen=True, gc=False):
    """The operator of a node without a usable guard takes the risk of a double signature: it signs from `height` on."""

    height: int


Event: TypeAlias = Started | PeerUp | PeerDown | PeerMessage | Submit | Verified | TimerFired | OverrideGuard


# Effects: what must be durable


class Append(Struct, frozen=True, gc=False):
    """Append to this file of `Files`; it holds `offset` bytes now. Not durable before its `Sync`."""

    file: str
    offset: int
    data: bytes


class Sync(Struct, frozen=True, gc=False):
    """Make everything appended to this file durable."""

    file: str


class Remove(Struct, frozen=True, gc=False):
    """Delete this file of `Files`: nothing that is kept lies in it any more."""

    file: str


class WriteGuard(Struct, frozen=True, gc=False):
    """Overwrite the guard file at this offset and make it durable."""

    offset: int
    data: bytes


class Write(Struct, frozen=True, gc=False):
    """`KeyValue.write`: one atomic durable batch. One per block, and whatever belongs to that block is in it."""

    changes: Mapping[bytes, bytes | None]


# Effects: what leaves


class Send(Struct, frozen=True, gc=False):
    """One payload to each of these peers, encoded once. One that is gone is passed over; one whose queue is
    full is disconnected, never skipped."""

    peers: tuple[bytes, ...]
    payload: bytes
    priority: Priority


class Disconnect(Struct, frozen=True, gc=False):
    """Close the connection (a `PeerDown` follows) and accept none from this peer for `ban_ms`."""

    peer: bytes
    reason: str
    ban_ms: int


class ArmTimer(Struct, frozen=True, gc=False):
    """Answer with `TimerFired(timer)` in `delay_ms`, on the clock of `Now.mono_ms`.

    Counted from `since_ms` on that clock, otherwise from when the event is handled. It makes the one that was armed
    before in the same `slot` stale.
    """

    timer: TimerId
    delay_ms: int
    since_ms: int | None = None
    slot: int | None = None


class Verify(Struct, frozen=True, gc=False):
    """Check these signatures away from the loop, in chunks, and answer with `Verified`. Any order among several.

    `of_batch`: what validators wait for, to be checked before what clients hand in.
    """

    token: Token
    checks: tuple[Check, ...]
    of_batch: bool


class Outcome(Struct, frozen=True):
    """What became of one submitted transaction. `id` is None where the bytes are not even a
    transaction, or were not looked at.

    `known`: this node has met exactly this id before. `error` is None where the node now holds it or the chain has it.
    It comes without its traceback, which would know this outcome and all that was handed in; were one to be set, the
    garbage collector must see both, or neither ever goes.
    """

    id: bytes | None
    status: Literal["pending", "shared", "included", "refused"]
    known: bool
    error: ConcentoError | None


class Answer(Struct, frozen=True):
    """The outcomes of a `Submit`, one per transaction, in order."""

    token: Token
    outcomes: tuple[Outcome, ...]


class Committed(Struct, frozen=True, gc=False):
    """A block is final, applied and on disk: for subscribers, indexers and metrics. `synced`: taken from a peer
    afterwards, not decided with this node's own engine."""

    stored: StoredBlock
    transactions: tuple[Transaction, ...]
    synced: bool


class Log(Struct, frozen=True, gc=False):
    """Something an operator may want to know: an event name and its fields, never prose to be parsed."""

    level: Level
    name: str
    fields: Mapping[str, int | str | bytes]


class Halt(Struct, frozen=True, gc=False):
    """Stop the process with this sentence: going on would be unsafe."""

    sentence: str


class Stop(Struct, frozen=True):
    """End the process in good order: it cannot take part any more, for this reason, which says what to do."""

    reason: ConcentoError


class Finished(Struct, frozen=True, gc=False):
    """The core has done what it was made for: another one takes over."""


Effect: TypeAlias = (
    Append
    | Sync
    | Remove
    | WriteGuard
    | Write
    | Send
    | Disconnect
    | ArmTimer
    | Verify
    | Answer
    | Committed
    | Log
    | Halt
    | Stop
    | Finished
)
