"""Every message between nodes: its tag, its record, how large and how frequent it may be, and in which queue it waits.

A payload is one tag byte and the canonical bytes of the record. The transport knows no more than this table: it
refuses a payload by tag, size and rate before anything is decoded, and closes the connection of whoever sent it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from concento.batches import Batch, decode_batch
from concento.blocks import Block
from concento.encoding import Bytes32, Natural, Record, decode, encode
from concento.errors import Rejected
from concento.evidence import Evidence
from concento.limits import BATCH_BYTES_MAX, BLOCK_BATCHES_MAX, FRAME_BYTES_MAX, KIB
from concento.votes import Commit, Proposal, Vote
from consensus.messages import Polka, Status
from node.replica.events import Priority
from state.store.snapshots import FILES, PIECE_BYTES

BLOCKS_PER_REQUEST_MAX: Final = 32
"""Decided blocks that one request asks for; each is an answer of its own."""

Bodies = Annotated[tuple[bytes, ...], Meta(max_length=BLOCK_BATCHES_MAX)]
"""Encoded batches, in the order of a block."""


class ProposalMessage(Record):
    """A proposal and the block that it is about."""

    proposal: Proposal
    block: Block


class CommitMessage(Record):
    """The proof that a block of the receiver's height is final, and that block."""

    commit: Commit
    block: Block


def with_block(decided: Proposal | Commit, block: Block) -> ProposalMessage | CommitMessage:
    """The message that takes the block along."""
    return ProposalMessage(decided, block) if isinstance(decided, Proposal) else CommitMessage(decided, block)


class BatchAck(Record):
    """To their author: these batches are checked and on disk here."""

    ids: Annotated[tuple[Bytes32, ...], Meta(max_length=BLOCK_BATCHES_MAX)]


class BatchRequest(Record):
    """Send these batches, as `Batch` messages, as far as they are held."""

    ids: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=BLOCK_BATCHES_MAX)]


class ProposedRequest(Record):
    """Send the undecided block with this id, as `ProposedBlock`, if it is held."""

    height: Natural
    block_id: Bytes32


class ProposedBlock(Record):
    """A block that somebody proposed, without its proposal; the receiver has asked for its id."""

    block: Block


class BlockRequest(Record):
    """Send decided blocks from this height upwards, as `BlockResponse` each, as far as they are kept."""

    first: Natural
    count: Annotated[int, Meta(ge=1, le=BLOCKS_PER_REQUEST_MAX)]


class BlockResponse(Record):
    """A decided block, the commit that proves it, and every batch that it names."""

    block: Block
    commit: Commit
    bodies: Bodies


class EvidenceMessage(Record):
    """A validator contradicted itself."""

    evidence: Evidence


class SnapshotRequest(Record):
    """Send the manifest of the snapshot of this height, or of the newest where it is 0, as `SnapshotOffer`."""

    height: Natural


class SnapshotOffer(Record):
    """The manifest asked for (`state.store.snapshots.Manifest`); empty where there is none."""

    manifest: bytes


class PieceRequest(Record):
    """Send this piece of a file of the snapshot of this height, as `SnapshotPiece`."""

    height: Natural
    file: Annotated[int, Meta(ge=0, lt=FILES)]
    piece: Natural


class SnapshotPiece(Record):
    """A piece of a file of a snapshot; empty where it is not kept any more."""

    height: Natural
    file: Annotated[int, Meta(ge=0, lt=FILES)]
    piece: Natural
    data: Annotated[bytes, Meta(max_length=PIECE_BYTES)]


Message: TypeAlias = (
    Status
    | Vote
    | Polka
    | ProposalMessage
    | CommitMessage
    | Batch
    | BatchAck
    | BatchRequest
    | ProposedRequest
    | ProposedBlock
    | BlockRequest
    | BlockResponse
    | EvidenceMessage
    | SnapshotRequest
    | SnapshotOffer
    | PieceRequest
    | SnapshotPiece
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the transport holds a message of this kind to. `per_second` averages over ten seconds, per peer."""

    record: type[Message]
    bytes_max: int
    per_second: int
    priority: Priority


_BLOCK_BYTES: Final = 128 * KIB
"""A block without bodies: a commit of 128 signatures, 256 batch ids, 16 pieces of evidence."""

RULES: Final[dict[int, Rule]] = {
    1: Rule(Status, 4 * KIB, 400, Priority.VOTE),
    2: Rule(Vote, KIB, 4_000, Priority.VOTE),
    3: Rule(Polka, 32 * KIB, 400, Priority.VOTE),
    4: Rule(ProposalMessage, _BLOCK_BYTES, 200, Priority.CONSENSUS),
    5: Rule(CommitMessage, _BLOCK_BYTES, 200, Priority.CONSENSUS),
    6: Rule(Batch, BATCH_BYTES_MAX + 16 * KIB, 1_000, Priority.BULK),
    7: Rule(BatchAck, 16 * KIB, 1_000, Priority.BULK),
    8: Rule(BatchRequest, 16 * KIB, 200, Priority.CONSENSUS),
    9: Rule(ProposedRequest, KIB, 200, Priority.CONSENSUS),
    10: Rule(ProposedBlock, _BLOCK_BYTES, 200, Priority.CONSENSUS),
    11: Rule(BlockRequest, KIB, 100, Priority.BULK),
    12: Rule(BlockResponse, FRAME_BYTES_MAX, 3_200, Priority.BULK),
    13: Rule(EvidenceMessage, 2 * KIB, 100, Priority.BULK),
    14: Rule(SnapshotRequest, KIB, 5, Priority.BULK),
    15: Rule(SnapshotOffer, FRAME_BYTES_MAX, 5, Priority.BULK),
    16: Rule(PieceRequest, KIB, 200, Priority.BULK),
    17: Rule(SnapshotPiece, PIECE_BYTES + KIB, 200, Priority.BULK),
}
"""Tag -> rule. A tag is never reused. Rates are some ten times what 128 busy validators send."""

_TAGS: Final[dict[type[Record], int]] = {rule.record: tag for tag, rule in RULES.items()}
_BATCH_TAG: Final = bytes((_TAGS[Batch],))


def encode_message(message: Message) -> bytes:
    return bytes((_TAGS[type(message)],)) + encode(message)


def priority_of(message: Message) -> Priority:
    return RULES[_TAGS[type(message)]].priority


def check_payload(payload: bytes) -> Rule:
    """The rule for this payload, looked at by tag and size only. Raises Rejected."""
    rule = RULES.get(payload[0]) if payload else None
    if rule is None:
        raise Rejected("peer.message", reason="its tag is unknown")
    if len(payload) > rule.bytes_max:
        raise Rejected("peer.message", reason=f"{len(payload)} bytes of {rule.record.__name__}")
    return rule


def batch_payload(raw: bytes) -> bytes:
    """The payload of an encoded batch, without encoding it again."""
    return _BATCH_TAG + raw


def batch_raw(payload: bytes) -> bytes:
    """The encoded batch in the payload of one."""
    return payload[1:]


def decode_message(payload: bytes) -> Message:
    """The message in a payload; a batch is checked against its header, signatures are not. Raises Rejected."""
    rule = check_payload(payload)
    if rule.record is Batch:
        return decode_batch(payload[1:])
    message: Message = decode(rule.record, payload[1:], rule.record.__name__)
    return message
