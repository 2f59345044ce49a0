"""What the nodes' consensus parts say to each other, beside proposals, votes and commits.

These are records: they go over the wire as they are. A block itself is not here: consensus knows blocks by id only, and
the replica sends the block (and batches) along with every proposal.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from concento.encoding import Natural, Record
from concento.limits import VALIDATORS_MAX
from concento.votes import BlockId, Commit, CommitSignature, PolRound, Proposal, Round, Vote

STATUS_ROUNDS_MAX: Final = 4
"""Rounds that one status lists: the current one, those of the valid and of the proposed value, and the one before."""

BITMAP_BYTES_MAX: Final = (VALIDATORS_MAX + 7) // 8

Bitmap = Annotated[bytes, Meta(max_length=BITMAP_BYTES_MAX)]
"""Who is meant, by position in the validator set: position p is bit p % 8 of byte p // 8; unused bits are zero."""


class Step(IntEnum):
    """Where a node stands in a round. NEW_HEIGHT is before round 0: nothing is due yet."""

    NEW_HEIGHT = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    DECIDED = 4


class Polka(Record):
    """Prevotes of more than two thirds for one block in one round, sorted by signer; counted as one unit."""

    height: Natural
    round: Round
    block_id: BlockId
    signatures: Annotated[tuple[CommitSignature, ...], Meta(max_length=VALIDATORS_MAX)]


class RoundVotes(Record):
    """What the sender of a status holds of one round."""

    round: Round
    has_proposal: bool
    has_polka: bool
    prevotes: Bitmap
    precommits: Bitmap


class Status(Record):
    """Where the sender stands and what it holds, so that the receiver can send what is missing and nothing else.

    `valid_round` is -1 where the sender knows no valid value. `rounds` are distinct and ascending.
    """

    height: Natural
    round: Round
    step: Step
    valid_round: PolRound
    rounds: Annotated[tuple[RoundVotes, ...], Meta(max_length=STATUS_ROUNDS_MAX)]


Message: TypeAlias = Proposal | Vote | Polka | Commit | Status
