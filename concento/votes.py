"""Proposals, votes and commits: their bytes, what their signatures cover, and when a commit is a proof of finality."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from concento.encoding import Bytes32, Natural, Record, encode
from concento.errors import Rejected
from concento.hashing import Network, signing_bytes
from concento.keys import Check, PublicKey, Signature, verify
from concento.limits import VALIDATORS_MAX
from concento.validators import ValidatorSet

ROUND_MAX: Final = 1_000_000
"""Rounds of one height; at the capped timeouts this is a month without a commit."""

Round = Annotated[int, Meta(ge=0, le=ROUND_MAX)]
PolRound = Annotated[int, Meta(ge=-1, le=ROUND_MAX)]
BlockId = Bytes32
MaybeBlockId = Annotated[bytes, Meta(max_length=32)]
"""A block id, or the empty string: a vote for nil."""

NIL: Final = b""


class VoteType(IntEnum):
    PREVOTE = 1
    PRECOMMIT = 2


class Vote(Record):
    """One validator's word in one step of one round: for a block, or for nil."""

    type: VoteType
    height: Natural
    round: Round
    block_id: MaybeBlockId
    validator: PublicKey
    signature: Signature


class Proposal(Record):
    """The proposer's word that `block_id` is what to vote on; `pol_round` is -1 or the round of its proof of lock."""

    height: Natural
    round: Round
    pol_round: PolRound
    block_id: BlockId
    proposer: PublicKey
    signature: Signature


class CommitSignature(Record):
    """One precommit of a commit: the position of its signer in the validator set of the height."""

    index: Annotated[int, Meta(ge=0, lt=VALIDATORS_MAX)]
    signature: Signature


class Commit(Record):
    """Precommits of more than two thirds for one block, sorted by signer: the proof that the block is final."""

    height: Natural
    round: Round
    block_id: MaybeBlockId
    signatures: Annotated[tuple[CommitSignature, ...], Meta(max_length=VALIDATORS_MAX)]


EMPTY_COMMIT: Final = Commit(0, 0, NIL, ())
"""The last commit that block 1 carries: nothing was decided before it."""


def vote_bytes(network: Network, kind: VoteType, height: int, round_: int, block_id: bytes) -> bytes:
    """What a vote's signature covers."""
    return signing_bytes(network, "vote", encode((int(kind), height, round_, block_id)))


def proposal_bytes(network: Network, height: int, round_: int, pol_round: int, block_id: bytes) -> bytes:
    """What a proposal's signature covers."""
    return signing_bytes(network, "proposal", encode((height, round_, pol_round, block_id)))


def vote_check(network: Network, vote: Vote) -> Check:
    """The signature check of a vote."""
    message = vote_bytes(network, vote.type, vote.height, vote.round, vote.block_id)
    return vote.validator, message, vote.signature


def proposal_check(network: Network, proposal: Proposal) -> Check:
    """The signature check of a proposal."""
    message = proposal_bytes(network, proposal.height, proposal.round, proposal.pol_round, proposal.block_id)
    return proposal.proposer, message, proposal.signature


def commit_votes(validators: ValidatorSet, commit: Commit) -> list[Vote]:
    """The precommits that a commit stands for. Raises Rejected where a position does not exist or repeats."""
    votes = []
    last = -1
    for entry in commit.signatures:
        if not last < entry.index < len(validators):
            raise Rejected("commit.invalid", height=commit.height, reason="signers unsorted, repeated or unknown")
        last = entry.index
        key = validators.keys[entry.index]
        votes.append(Vote(VoteType.PRECOMMIT, commit.height, commit.round, commit.block_id, key, entry.signature))
    return votes


def verify_commit(network: Network, validators: ValidatorSet, commit: Commit, height: int, block_id: bytes) -> int:
    """The number of valid signatures of a commit for this block. Raises Rejected unless it proves finality.

    Every signature must be valid: a commit with a bad one was not made by an honest node.
    """
    if (commit.height, commit.block_id) != (height, block_id) or len(block_id) != 32:
        raise Rejected("commit.invalid", height=height, reason="for another block")
    votes = commit_votes(validators, commit)
    if len(votes) < validators.quorum:
        raise Rejected("commit.invalid", height=height, reason=f"{len(votes)} of {len(validators)} have signed")
    for vote in votes:
        if not verify(*vote_check(network, vote)):
            raise Rejected("commit.invalid", height=height, reason="a signature does not verify")
    return len(votes)
