"""Status: what a node tells, what it refuses, and what it sends to a peer that lacks something."""

from __future__ import annotations

import msgspec
import pytest

from concento.encoding import decode, encode
from concento.votes import NIL, Commit, Proposal, Vote, VoteType
from consensus.heard import HeightHeard
from consensus.machine import State
from consensus.messages import Polka, RoundVotes, Status, Step
from consensus.status import answer, is_well_formed, status
from sim.cluster import block_named, fake_key, fake_validators, signed_proposal, signed_vote

A = block_named("A")
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT
VALIDATORS = fake_validators(4)


def heard(*messages: Proposal | Vote) -> HeightHeard:
    known = HeightHeard(1, VALIDATORS, VALIDATORS.keys, None)
    for message in messages:
        if isinstance(message, Proposal):
            known.add_proposal(message)
        else:
            known.keeper.add(message)
    return known


def proposal(round_: int = 0, pol_round: int = -1) -> Proposal:
    return signed_proposal(fake_key(round_ % 4), 1, round_, pol_round, A)


def vote(number: int, kind: VoteType = PREVOTE, round_: int = 0, block_id: bytes = A) -> Vote:
    return signed_vote(fake_key(number), kind, 1, round_, block_id)


def at(round_: int, step: Step = Step.PREVOTE, valid_round: int = -1) -> State:
    return State(1, round_, step, valid_round=valid_round)


NOTHING = status(at(0, Step.PROPOSE), heard())


def test_status_shows_what_is_held() -> None:
    told = status(at(0), heard(proposal(), vote(0), vote(2), vote(3, PRECOMMIT)))
    assert told == Status(1, 0, Step.PREVOTE, -1, (RoundVotes(0, True, False, b"\x05", b"\x08"),))
    assert decode(Status, encode(told)) == told


def test_status_lists_the_rounds_that_a_proposal_may_rest_on() -> None:
    told = status(at(5, valid_round=1), heard(proposal(5, 3)))
    assert [entry.round for entry in told.rounds] == [1, 3, 4, 5]


def test_peer_that_lacks_everything_gets_everything_proposal_first() -> None:
    held = [proposal(), vote(0), vote(2), vote(3, PRECOMMIT)]
    assert answer(NOTHING, at(0), heard(*held)) == held


def test_peer_that_lacks_nothing_gets_nothing() -> None:
    known = heard(proposal(), vote(0), vote(2), vote(3, PRECOMMIT))
    assert answer(status(at(0), known), at(0), known) == []


def test_only_missing_votes_are_sent() -> None:
    theirs = status(at(0), heard(vote(0), vote(1, PRECOMMIT)))
    assert answer(theirs, at(0), heard(vote(0), vote(2), vote(1, PRECOMMIT))) == [vote(2)]


def test_polka_goes_before_the_proposal_that_rests_on_it() -> None:
    known = heard(*(vote(number) for number in range(3)), proposal(1, 0))
    theirs = status(at(1, Step.PROPOSE), heard())
    sent = answer(theirs, at(1), known)
    assert [type(message) for message in sent[:2]] == [Polka, Proposal]


def test_newer_valid_round_is_shown_by_its_polka() -> None:
    known = heard(*(vote(number) for number in range(3)))
    theirs = msgspec.structs.replace(status(at(3), heard()), rounds=())
    sent = answer(theirs, at(3, valid_round=0), known)
    assert [(type(message), message.round) for message in sent] == [(Polka, 0)]


def test_peer_in_an_earlier_round_gets_the_votes_of_ours_and_of_the_one_before() -> None:
    held = [vote(number, PRECOMMIT, 4, NIL) for number in range(3)] + [vote(1, PREVOTE, 5, NIL)]
    assert answer(NOTHING, at(5), heard(*held)) == held


def test_commit_answers_everything_else() -> None:
    known = heard(proposal(), *(vote(number, PRECOMMIT) for number in range(3)))
    sent = answer(NOTHING, at(0, Step.PRECOMMIT), known)
    assert [type(message) for message in sent] == [Commit]


def test_peer_that_has_decided_lacks_nothing() -> None:
    theirs = msgspec.structs.replace(NOTHING, step=Step.DECIDED)
    assert answer(theirs, at(0), heard(proposal(), vote(0))) == []


@pytest.mark.parametrize(
    "entry",
    [
        RoundVotes(0, False, False, b"", b"\x00"),
        RoundVotes(0, False, False, b"\x00", b"\x00\x00"),
        RoundVotes(0, False, False, b"\x10", b"\x00"),
        RoundVotes(0, False, False, b"\x00", b"\xff"),
    ],
)
def test_bitmap_that_does_not_fit_the_validators_is_refused(entry: RoundVotes) -> None:
    assert not is_well_formed(Status(1, 0, Step.PROPOSE, -1, (entry,)), VALIDATORS)


def test_rounds_out_of_order_or_twice_are_refused() -> None:
    entries = [RoundVotes(round_, False, False, b"\x00", b"\x0f") for round_ in (0, 1)]
    assert is_well_formed(Status(1, 1, Step.PROPOSE, -1, tuple(entries)), VALIDATORS)
    assert not is_well_formed(Status(1, 1, Step.PROPOSE, -1, (entries[1], entries[0])), VALIDATORS)
    assert not is_well_formed(Status(1, 1, Step.PROPOSE, -1, (entries[0], entries[0])), VALIDATORS)
