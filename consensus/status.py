"""Who lacks what: a node tells where it stands and what it holds, and whoever hears it sends what is missing.

This alone delivers everything in the end, whatever the network loses: messages are otherwise sent once and never again.
"""

from __future__ import annotations

from itertools import pairwise

from concento.validators import ValidatorSet
from concento.votes import Vote, VoteType
from consensus.heard import HeightHeard
from consensus.machine import State
from consensus.messages import Message, RoundVotes, Status, Step


def status(state: State, heard: HeightHeard) -> Status:
    """What this node tells its peers: the current round, the one before, and those whose polka a proposal may rest
    on."""
    proposal = heard.proposal(state.round)
    pol_round = -1 if proposal is None else proposal.pol_round
    wanted = {round_: None for round_ in (state.valid_round, pol_round, state.round - 1, state.round) if round_ >= 0}
    rounds = tuple(_round_votes(heard, round_) for round_ in sorted(wanted))
    return Status(state.height, state.round, state.step, state.valid_round, rounds)


def is_well_formed(theirs: Status, validators: ValidatorSet) -> bool:
    """Whether the bitmaps of a status fit the validator set of its height, and its rounds ascend."""
    rounds = [entry.round for entry in theirs.rounds]
    ascending = all(left < right for left, right in pairwise(rounds))
    bitmaps = [bitmap for entry in theirs.rounds for bitmap in (entry.prevotes, entry.precommits)]
    return ascending and all(_fits(bitmap, len(validators)) for bitmap in bitmaps)


def answer(theirs: Status, state: State, heard: HeightHeard) -> list[Message]:
    """What the sender of a well-formed status of this height lacks and this node holds, in the order to send it.

    A commit answers everything else. Certificates go before the proposals that rest on them, and those before votes.
    """
    if theirs.step is Step.DECIDED:
        return []
    commit = heard.keeper.commit_certificate(state.height)
    if commit is not None:
        return [commit]
    listed = {entry.round: entry for entry in theirs.rounds}
    ahead = [round_ for round_ in (state.round - 1, state.round) if round_ > theirs.round and round_ not in listed]
    rounds = [*theirs.rounds, *(_nothing_of(round_, heard.validators) for round_ in ahead)]
    return [*_polkas(rounds, theirs, state, heard), *_proposals(rounds, theirs, heard), *_votes(rounds, heard)]


def _polkas(rounds: list[RoundVotes], theirs: Status, state: State, heard: HeightHeard) -> list[Message]:
    wanted = {entry.round: None for entry in rounds if not entry.has_polka}
    if state.valid_round > theirs.valid_round:
        wanted[state.valid_round] = None
    for entry in rounds:
        proposal = heard.proposal(entry.round)
        if not entry.has_proposal and proposal is not None and proposal.pol_round >= 0:
            wanted[proposal.pol_round] = None
    have = [entry.round for entry in rounds if entry.has_polka]
    found = [heard.keeper.polka_certificate(state.height, round_) for round_ in sorted(wanted) if round_ not in have]
    return [polka for polka in found if polka is not None]


def _proposals(rounds: list[RoundVotes], theirs: Status, heard: HeightHeard) -> list[Message]:
    missing = [entry.round for entry in rounds if not entry.has_proposal and entry.round >= theirs.round]
    found = [heard.proposal(round_) for round_ in missing]
    return [proposal for proposal in found if proposal is not None]


def _votes(rounds: list[RoundVotes], heard: HeightHeard) -> list[Message]:
    found: list[Message] = []
    for entry in rounds:
        found += _lacking(heard.keeper.votes(VoteType.PREVOTE, entry.round), entry.prevotes)
        found += _lacking(heard.keeper.votes(VoteType.PRECOMMIT, entry.round), entry.precommits)
    return found


def _lacking(votes: dict[int, Vote], bitmap: bytes) -> list[Vote]:
    return [votes[index] for index in sorted(votes) if not bitmap[index // 8] >> index % 8 & 1]


def _round_votes(heard: HeightHeard, round_: int) -> RoundVotes:
    size = len(heard.validators)
    return RoundVotes(
        round_,
        heard.proposal(round_) is not None,
        bool(heard.polka(round_)),
        _bitmap(heard.keeper.votes(VoteType.PREVOTE, round_), size),
        _bitmap(heard.keeper.votes(VoteType.PRECOMMIT, round_), size),
    )


def _nothing_of(round_: int, validators: ValidatorSet) -> RoundVotes:
    empty = bytes((len(validators) + 7) // 8)
    return RoundVotes(round_, False, False, empty, empty)


def _bitmap(votes: dict[int, Vote], size: int) -> bytes:
    bits = 0
    for index in votes:
        bits |= 1 << index
    return bits.to_bytes((size + 7) // 8, "little")


def _fits(bitmap: bytes, size: int) -> bool:
    return len(bitmap) == (size + 7) // 8 and int.from_bytes(bitmap, "little") >> size == 0
