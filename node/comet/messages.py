"""The messages of ABCI 2.0 as CometBFT 0.38 writes them: the fields that are read or written here, by their numbers.

Only field numbers and types travel, so the names are ours. Facts: proto/tendermint/abci/types.proto of tag v0.38.25.
"""

# ruff: noqa: RUF009 - the calls make dataclass fields, once, like `field` itself

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from node.comet.protobuf import (
    LENGTH,
    Malformed,
    encode,
    many,
    many_raw,
    many_text,
    many_uint,
    nested,
    raw,
    read_varint,
    signed,
    text,
    uint,
    varint,
)
from node.comet.protobuf import decode as decode_message


class CheckType(IntEnum):
    NEW = 0
    RECHECK = 1


class Verdict(IntEnum):
    """On a proposal, or on a vote extension."""

    ACCEPT = 1
    REJECT = 2


class SnapshotVerdict(IntEnum):
    ACCEPT = 1
    ABORT = 2
    REJECT = 3


class ChunkVerdict(IntEnum):
    ACCEPT = 1
    ABORT = 2
    RETRY = 3


@dataclass(frozen=True, slots=True)
class Timestamp:
    seconds: int = signed(1)
    nanos: int = signed(2)

    @property
    def ms(self) -> int:
        return self.seconds * 1000 + self.nanos // 1_000_000


@dataclass(frozen=True, slots=True)
class PublicKey:
    ed25519: bytes = raw(1)


@dataclass(frozen=True, slots=True)
class ValidatorUpdate:
    """`power` 0 takes the validator out."""

    key: PublicKey | None = nested(1, PublicKey)
    power: int = signed(2)


@dataclass(frozen=True, slots=True)
class Validator:
    """`address` is the first 20 bytes of the SHA-256 of its key."""

    address: bytes = raw(1)
    power: int = signed(3)


@dataclass(frozen=True, slots=True)
class Misbehavior:
    """`type` is 1 for two votes in one round, 2 for an attack on light clients."""

    type: int = uint(1)
    validator: Validator | None = nested(2, Validator)
    height: int = signed(3)
    time: Timestamp | None = nested(4, Timestamp)
    total_power: int = signed(5)


@dataclass(frozen=True, slots=True)
class Snapshot:
    height: int = uint(1)
    format: int = uint(2)
    chunks: int = uint(3)
    hash: bytes = raw(4)
    metadata: bytes = raw(5)


@dataclass(frozen=True, slots=True)
class ProofOp:
    type: str = text(1)
    key: bytes = raw(2)
    data: bytes = raw(3)


@dataclass(frozen=True, slots=True)
class ProofOps:
    ops: tuple[ProofOp, ...] = many(1, ProofOp)


@dataclass(frozen=True, slots=True)
class ExecTxResult:
    """`code` and `data` are in the header of the next height; `log` and `codespace` are for people."""

    code: int = uint(1)
    data: bytes = raw(2)
    log: str = text(3)
    codespace: str = text(8)


# Requests


@dataclass(frozen=True, slots=True)
class Echo:
    message: str = text(1)


@dataclass(frozen=True, slots=True)
class Flush:
    pass


@dataclass(frozen=True, slots=True)
class Info:
    version: str = text(1)
    abci_version: str = text(4)


@dataclass(frozen=True, slots=True)
class InitChain:
    time: Timestamp | None = nested(1, Timestamp)
    chain_id: str = text(2)
    validators: tuple[ValidatorUpdate, ...] = many(4, ValidatorUpdate)
    app_state: bytes = raw(5)
    initial_height: int = signed(6)


@dataclass(frozen=True, slots=True)
class Query:
    data: bytes = raw(1)
    path: str = text(2)
    height: int = signed(3)
    prove: int = uint(4)


@dataclass(frozen=True, slots=True)
class CheckTx:
    tx: bytes = raw(1)
    type: int = uint(2)


@dataclass(frozen=True, slots=True)
class Commit:
    pass


@dataclass(frozen=True, slots=True)
class ListSnapshots:
    pass


@dataclass(frozen=True, slots=True)
class OfferSnapshot:
    snapshot: Snapshot | None = nested(1, Snapshot)
    app_hash: bytes = raw(2)


@dataclass(frozen=True, slots=True)
class LoadSnapshotChunk:
    height: int = uint(1)
    format: int = uint(2)
    chunk: int = uint(3)


@dataclass(frozen=True, slots=True)
class ApplySnapshotChunk:
    index: int = uint(1)
    chunk: bytes = raw(2)
    sender: str = text(3)


@dataclass(frozen=True, slots=True)
class PrepareProposal:
    bytes_max: int = signed(1)
    txs: tuple[bytes, ...] = many_raw(2)
    height: int = signed(5)
    time: Timestamp | None = nested(6, Timestamp)


@dataclass(frozen=True, slots=True)
class ProcessProposal:
    txs: tuple[bytes, ...] = many_raw(1)
    hash: bytes = raw(4)
    height: int = signed(5)
    time: Timestamp | None = nested(6, Timestamp)


@dataclass(frozen=True, slots=True)
class ExtendVote:
    hash: bytes = raw(1)
    height: int = signed(2)


@dataclass(frozen=True, slots=True)
class VerifyVoteExtension:
    hash: bytes = raw(1)
    extension: bytes = raw(4)


@dataclass(frozen=True, slots=True)
class FinalizeBlock:
    txs: tuple[bytes, ...] = many_raw(1)
    misbehavior: tuple[Misbehavior, ...] = many(3, Misbehavior)
    hash: bytes = raw(4)
    height: int = signed(5)
    time: Timestamp | None = nested(6, Timestamp)
    proposer_address: bytes = raw(8)


# Responses


@dataclass(frozen=True, slots=True)
class ExceptionAnswer:
    error: str = text(1)


@dataclass(frozen=True, slots=True)
class InfoAnswer:
    data: str = text(1)
    version: str = text(2)
    app_version: int = uint(3)
    height: int = signed(4)
    app_hash: bytes = raw(5)


@dataclass(frozen=True, slots=True)
class InitChainAnswer:
    app_hash: bytes = raw(3)


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    code: int = uint(1)
    log: str = text(3)
    key: bytes = raw(6)
    value: bytes = raw(7)
    proof: ProofOps | None = nested(8, ProofOps)
    height: int = signed(9)
    codespace: str = text(10)


@dataclass(frozen=True, slots=True)
class CheckTxAnswer:
    code: int = uint(1)
    log: str = text(3)
    codespace: str = text(8)


@dataclass(frozen=True, slots=True)
class CommitAnswer:
    retain_height: int = signed(3)


@dataclass(frozen=True, slots=True)
class ListSnapshotsAnswer:
    snapshots: tuple[Snapshot, ...] = many(1, Snapshot)


@dataclass(frozen=True, slots=True)
class OfferSnapshotAnswer:
    result: int = uint(1)


@dataclass(frozen=True, slots=True)
class LoadSnapshotChunkAnswer:
    chunk: bytes = raw(1)


@dataclass(frozen=True, slots=True)
class ApplySnapshotChunkAnswer:
    result: int = uint(1)
    refetch_chunks: tuple[int, ...] = many_uint(2)
    reject_senders: tuple[str, ...] = many_text(3)


@dataclass(frozen=True, slots=True)
class PrepareProposalAnswer:
    txs: tuple[bytes, ...] = many_raw(1)


@dataclass(frozen=True, slots=True)
class ProcessProposalAnswer:
    status: int = uint(1)


@dataclass(frozen=True, slots=True)
class ExtendVoteAnswer:
    extension: bytes = raw(1)


@dataclass(frozen=True, slots=True)
class VerifyVoteExtensionAnswer:
    status: int = uint(1)


@dataclass(frozen=True, slots=True)
class FinalizeBlockAnswer:
    results: tuple[ExecTxResult, ...] = many(2, ExecTxResult)
    validators: tuple[ValidatorUpdate, ...] = many(3, ValidatorUpdate)
    app_hash: bytes = raw(5)


@dataclass(frozen=True, slots=True)
class EchoAnswer:
    message: str = text(1)


@dataclass(frozen=True, slots=True)
class FlushAnswer:
    pass


REQUESTS: Final[dict[int, type[Any]]] = {
    1: Echo,
    2: Flush,
    3: Info,
    5: InitChain,
    6: Query,
    8: CheckTx,
    11: Commit,
    12: ListSnapshots,
    13: OfferSnapshot,
    14: LoadSnapshotChunk,
    15: ApplySnapshotChunk,
    16: PrepareProposal,
    17: ProcessProposal,
    18: ExtendVote,
    19: VerifyVoteExtension,
    20: FinalizeBlock,
}
"""The number of each request in the one-of that is called Request."""

RESPONSES: Final[dict[int, type[Any]]] = {
    1: ExceptionAnswer,
    2: EchoAnswer,
    3: FlushAnswer,
    4: InfoAnswer,
    6: InitChainAnswer,
    7: QueryAnswer,
    9: CheckTxAnswer,
    12: CommitAnswer,
    13: ListSnapshotsAnswer,
    14: OfferSnapshotAnswer,
    15: LoadSnapshotChunkAnswer,
    16: ApplySnapshotChunkAnswer,
    17: PrepareProposalAnswer,
    18: ProcessProposalAnswer,
    19: ExtendVoteAnswer,
    20: VerifyVoteExtensionAnswer,
    21: FinalizeBlockAnswer,
}
"""The same for Response: mostly one more than the request's."""

_REQUEST_NUMBERS: Final = {kind: number for number, kind in REQUESTS.items()}
_RESPONSE_NUMBERS: Final = {kind: number for number, kind in RESPONSES.items()}


def decode_request(data: bytes) -> Any:
    """The request in one frame. Raises Malformed."""
    return _one_of(REQUESTS, data)


def decode_response(data: bytes) -> Any:
    """The response in one frame. Raises Malformed."""
    return _one_of(RESPONSES, data)


def encode_request(request: Any) -> bytes:
    """One frame without its length."""
    return _wrapped(_REQUEST_NUMBERS[type(request)], request)


def encode_response(response: Any) -> bytes:
    """One frame without its length."""
    return _wrapped(_RESPONSE_NUMBERS[type(response)], response)


def frame(payload: bytes) -> bytes:
    """A request or response as it travels: its length, then its bytes."""
    return varint(len(payload)) + payload


def _wrapped(number: int, message: Any) -> bytes:
    body = encode(message)
    return b"".join((varint(number << 3 | LENGTH), varint(len(body)), body))


def _one_of(kinds: dict[int, type[Any]], data: bytes) -> Any:
    tag, at = read_varint(data, 0)
    size, at = read_varint(data, at)
    kind = kinds.get(tag >> 3)
    if kind is None or tag & 7 != LENGTH:
        raise Malformed(f"nothing is known by tag {tag}")
    if len(data) - at != size:
        raise Malformed("a frame holds one message and nothing else")
    return decode_message(kind, data[at:])
