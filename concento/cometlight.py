"""The light client's other verifier: headers and commits of CometBFT 0.38, checked with nothing but our genesis.

A header's hash is the RFC 6962 root of its fourteen fields as CometBFT writes them; a validator signs a canonical vote
over that hash. Both are rebuilt here from plain fields, so there is nothing to parse. Every validator has one vote.
Facts: types/block.go, types/canonical.go and types/validator_set.go of tag v0.38.25.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta

from concento.encoding import Natural, Record
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.keys import PublicKey, Signature, verify
from concento.limits import VALIDATORS_MAX
from concento.merkle import merkle_root
from concento.validators import Validator, ValidatorSet

ADDRESS_BYTES: Final = 20
POWER: Final = 1
PRECOMMIT: Final = 2

Address = Annotated[bytes, Meta(min_length=ADDRESS_BYTES, max_length=ADDRESS_BYTES)]
Hash = Annotated[bytes, Meta(max_length=32)]
Nanos = Annotated[int, Meta(ge=0, lt=1_000_000_000)]


class CometTime(Record):
    seconds: Natural
    nanos: Nanos


class CometBlockId(Record):
    """The hash of a header, and of the parts that its block travels in."""

    hash: Hash
    parts: Natural
    parts_hash: Hash


class CometHeader(Record):
    """What CometBFT's validators sign; `app_hash` is the root of our state after height - 1."""

    version_block: Natural
    version_app: Natural
    chain_id: Annotated[str, Meta(max_length=50)]
    height: Natural
    time: CometTime
    last_block: CometBlockId
    last_commit_hash: Hash
    data_hash: Hash
    validators_hash: Hash
    next_validators_hash: Hash
    consensus_hash: Hash
    app_hash: Hash
    last_results_hash: Hash
    evidence_hash: Hash
    proposer: Address


class CometSignature(Record):
    """One precommit for the block: each says its own time."""

    address: Address
    time: CometTime
    signature: Signature


class CometCommit(Record):
    """Precommits for one block; those for nil, and those that are missing, are left out."""

    round: Natural
    block: CometBlockId
    signatures: Annotated[tuple[CometSignature, ...], Meta(max_length=VALIDATORS_MAX)]


@dataclass(frozen=True, slots=True)
class CometHandover:
    """A change of the validator set: the last header of the old set, its commit, and the members of the new set."""

    header: CometHeader
    commit: CometCommit
    members: tuple[Validator, ...]


def chain_id_of(genesis: Genesis) -> str:
    """What CometBFT calls the chain: our name and the beginning of the genesis hash, since it signs no genesis hash."""
    return f"{genesis.chain_id[:40]}-{genesis.hash.hex()[:8]}"


def address_of(key: bytes) -> bytes:
    """What CometBFT calls a validator, and a node, with this key."""
    return sha256(key).digest()[:ADDRESS_BYTES]


def validators_hash(validators: ValidatorSet) -> bytes:
    """What CometBFT's headers say of a set: equal powers are in the order of their addresses."""
    keys = sorted(validators.keys, key=address_of)
    return merkle_root([_part(1, _part(1, key)) + _number(2, POWER) for key in keys])


def header_hash(header: CometHeader) -> bytes:
    """The hash that names the block."""
    version = _number(1, header.version_block) + _number(2, header.version_app)
    hashes = (
        header.last_commit_hash,
        header.data_hash,
        header.validators_hash,
        header.next_validators_hash,
        header.consensus_hash,
        header.app_hash,
        header.last_results_hash,
        header.evidence_hash,
        header.proposer,
    )
    return merkle_root(
        [
            version,
            _part(1, header.chain_id.encode()),
            _number(1, header.height),
            _time(header.time),
            _block_id(header.last_block),
            *(_part(1, field) if field else b"" for field in hashes),
        ]
    )


def sign_bytes(chain_id: str, height: int, commit: CometCommit, time: CometTime) -> bytes:
    """What a validator signs to make a block final: a canonical vote, its length before it."""
    vote = b"".join(
        (
            _number(1, PRECOMMIT),
            _fixed(2, height),
            _fixed(3, commit.round),
            _part(4, _block_id(commit.block)),
            _part(5, _time(time)),
            _part(6, chain_id.encode()),
        )
    )
    return _varint(len(vote)) + vote


def verify_header(
    genesis: Genesis, header: CometHeader, commit: CometCommit, handovers: Sequence[CometHandover]
) -> tuple[int, int]:
    """(valid signatures, validators) of a header. Raises Rejected unless it follows from genesis."""
    validators = genesis.validators
    last = 0
    for handover in handovers:
        if not last < handover.header.height < header.height:
            raise Rejected("proof.invalid", reason="its handovers are not in order")
        last = handover.header.height
        _check_signed(genesis, validators, handover.header, handover.commit)
        validators = ValidatorSet(handover.members)
        if validators_hash(validators) != handover.header.next_validators_hash:
            raise Rejected("proof.invalid", reason="a handover names another validator set")
    return _check_signed(genesis, validators, header, commit), len(validators)


def _check_signed(genesis: Genesis, validators: ValidatorSet, header: CometHeader, commit: CometCommit) -> int:
    chain_id = chain_id_of(genesis)
    if header.chain_id != chain_id:
        raise Rejected("proof.invalid", reason="a header is of another chain")
    if header.validators_hash != validators_hash(validators):
        raise Rejected(
            "proof.invalid", reason="a header was decided by a validator set that does not follow from genesis"
        )
    if commit.block.hash != header_hash(header):
        raise Rejected("commit.invalid", height=header.height, reason="for another block")
    keys: dict[bytes, PublicKey] = {address_of(key): key for key in validators.keys}
    for entry in commit.signatures:
        key = keys.pop(entry.address, None)
        if key is None:
            raise Rejected("commit.invalid", height=header.height, reason="signers repeated or unknown")
        if not verify(key, sign_bytes(chain_id, header.height, commit, entry.time), entry.signature):
            raise Rejected("commit.invalid", height=header.height, reason="a signature does not verify")
    count = len(commit.signatures)
    if count < validators.quorum:
        raise Rejected("commit.invalid", height=header.height, reason=f"{count} of {len(validators)} have signed")
    return count


def _block_id(found: CometBlockId) -> bytes:
    return _part(1, found.hash, 0) + _part(2, _number(1, found.parts) + _part(2, found.parts_hash, 0))


def _time(time: CometTime) -> bytes:
    return _number(1, time.seconds) + _number(2, time.nanos)


def _part(number: int, data: bytes, least: int = -1) -> bytes:
    """A field of bytes or of a message; left out where it has no more than `least` bytes."""
    return b"" if len(data) <= least else _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _fixed(number: int, value: int) -> bytes:
    return _varint(number << 3 | 1) + value.to_bytes(8, "little") if value else b""


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
