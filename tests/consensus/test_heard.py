"""What a node remembers of a height: near proposals, and the polka that a proposal rests on however old it is."""

from __future__ import annotations

from concento.votes import CommitSignature, VoteType
from consensus.heard import HeightHeard
from consensus.machine import Changed, State, step
from consensus.messages import Polka, Step
from consensus.votekeeper import ROUNDS_KEPT
from sim.cluster import block_named, fake_key, fake_validators, signed_proposal, signed_vote

A = block_named("A")
VALIDATORS = fake_validators(4)


def heard_at(round_: int) -> HeightHeard:
    heard = HeightHeard(1, VALIDATORS, VALIDATORS.keys, None)
    heard.advance(round_, ())
    return heard


def test_polka_that_a_waiting_proposal_rests_on_is_not_forgotten() -> None:
    heard = heard_at(ROUNDS_KEPT)
    for number in range(3):
        heard.keeper.add(signed_vote(fake_key(number), VoteType.PREVOTE, 1, 0, A))
    heard.add_proposal(signed_proposal(fake_key((ROUNDS_KEPT + 1) % 4), 1, ROUNDS_KEPT + 1, 0, A))
    heard.advance(ROUNDS_KEPT + 1, ())
    assert heard.polka(0) == A


def test_proposal_may_rest_on_a_polka_older_than_all_rounds_kept() -> None:
    heard = heard_at(60)
    heard.add_proposal(signed_proposal(fake_key(0), 1, 60, 2, A))
    heard.judge_proposal(60, A, True)
    heard.judge_block(A, True)
    state = State(1, 60, Step.PROPOSE)
    assert step(state, Changed(), heard)[0].step is Step.PROPOSE
    votes = [signed_vote(fake_key(number), VoteType.PREVOTE, 1, 2, A) for number in range(3)]
    heard.add_polka(Polka(1, 2, A, tuple(CommitSignature(n, vote.signature) for n, vote in enumerate(votes))))
    assert step(state, Changed(), heard)[0].step is Step.PREVOTE


def test_proposals_far_from_the_current_round_are_not_wanted() -> None:
    heard = heard_at(40)
    wanted = [
        round_ for round_ in range(80) if heard.wants_proposal(signed_proposal(fake_key(round_ % 4), 1, round_, -1, A))
    ]
    assert wanted == list(range(40 - ROUNDS_KEPT, 42))


def test_old_proposals_are_forgotten() -> None:
    heard = heard_at(0)
    heard.add_proposal(signed_proposal(fake_key(0), 1, 0, -1, A))
    heard.add_proposal(signed_proposal(fake_key(0), 1, 0, -1, block_named("B")))
    assert heard.is_contradicted(0)
    heard.advance(ROUNDS_KEPT + 1, ())
    assert heard.proposal(0) is None
    assert not heard.is_contradicted(0)
