"""What the shell may read of a replica between two events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from concento.batches import pick
from concento.validators import ValidatorSet
from node.replica.chain import Chain
from node.replica.segments import Segments
from state.modules.governance_changes import Observer
from state.store.blockstore import find_block


class ReplicaStatus(Struct, frozen=True):
    """Where a replica stands. `height` and what belongs to it are of the newest decided block; `round`, `step` and
    `proposer` of the height being decided, as is the version `protocol`. `peer_heights` are the newest heights that
    connected peers told, and `believed_height` what is to be believed of that. `nobody_has` is the block that this node
    needs next where no peer has it any more. `observers` may connect though they do not vote."""

    height: int
    block_id: bytes
    app_hash: bytes
    time_ms: int
    round: int
    step: str
    proposer: bytes
    pool_count: int
    pool_bytes: int
    syncing: bool
    nobody_has: int | None
    oldest_height: int
    protocol: int
    validators: ValidatorSet
    next_validators: ValidatorSet
    observers: tuple[Observer, ...]
    peer_heights: dict[bytes, int]
    believed_height: int
    guard_usable: bool


@dataclass(frozen=True, slots=True)
class PoolView:
    """A transaction that is not in the chain: `skipped` is the kind of its last skip."""

    status: Literal["pending", "shared"]
    raw: bytes
    skipped: str | None


def bodies_at(chain: Chain, segments: Segments, height: int) -> tuple[bytes, ...] | None:
    """The encoded batches of a decided block, in order, or None where they are not kept."""
    record = find_block(chain.records, height)
    return None if record is None else tuple(segments.read(place) for place in record.bodies)


def body_at(chain: Chain, segments: Segments, height: int, index: int) -> bytes | None:
    """The bytes of the transaction at this position of a decided block."""
    record = find_block(chain.records, height)
    return pick(map(segments.read, record.bodies if record else ()), index)
