"""Blocks: a header that commits to everything before it, and the ids of the batches it orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from concento.encoding import Bytes32, Natural, Record, encode
from concento.evidence import Evidence
from concento.hashing import tagged_hash
from concento.keys import PublicKey
from concento.limits import BLOCK_BATCHES_MAX, BLOCK_EVIDENCE_MAX
from concento.merkle import merkle_root
from concento.units import Amount
from concento.votes import Commit, Round


class Header(Record):
    """What validators sign. `app_hash` is the state after height - 1 and `results_root` its results."""

    chain_id: Annotated[str, Meta(max_length=64)]
    height: Natural
    round: Round
    time_ms: Natural
    proposer: PublicKey
    parent_id: Bytes32
    content_root: Bytes32
    last_commit_root: Bytes32
    evidence_root: Bytes32
    validators_hash: Bytes32
    next_validators_hash: Bytes32
    app_hash: Bytes32
    results_root: Bytes32
    missed_hash: Bytes32
    protocol: Natural


class Block(Record):
    """A header and what its roots stand for; batch bodies travel apart."""

    header: Header
    batches: Annotated[tuple[Bytes32, ...], Meta(max_length=BLOCK_BATCHES_MAX)]
    last_commit: Commit
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=BLOCK_EVIDENCE_MAX)]


class TransactionResult(Record):
    """What became of the transaction at one position of a block; no prose, the same bytes on every node.

    `events` is the encoded list of what it did, as the ledger writes it.
    """

    id: Bytes32
    status: Literal["ok", "failed", "skipped"]
    kind: str
    fee_ubeat: Amount
    events: bytes


def block_id(header: Header) -> bytes:
    return tagged_hash("block", encode(header))


def content_root(batches: Sequence[bytes]) -> bytes:
    return merkle_root(list(batches))


def commit_root(commit: Commit) -> bytes:
    return tagged_hash("commit", encode(commit))


def evidence_root(evidence: Sequence[Evidence]) -> bytes:
    return merkle_root([encode(item) for item in evidence])


def results_root(results: Sequence[bytes]) -> bytes:
    """The RFC 6962 root of a block's results list: encoded transaction results, then encoded finalisation rows."""
    return merkle_root(list(results))
