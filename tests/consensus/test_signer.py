"""The signer: one word per place, whatever it is asked."""

from __future__ import annotations

from concento.votes import NIL, Proposal, VoteType
from consensus.guard import FRESH, GuardRecord
from consensus.heard import HeightHeard
from consensus.machine import State
from consensus.signer import Signer
from sim.cluster import NETWORK, FakeCrypto, block_named, fake_key, fake_validators, signed_vote

A, B = block_named("A"), block_named("B")
VALIDATORS = fake_validators(4)
HEARD = HeightHeard(1, VALIDATORS, VALIDATORS.keys, fake_key(1))
STATE = State(1)


def signer(record: GuardRecord = FRESH, enabled: bool = True) -> Signer:
    made = Signer(NETWORK, fake_key(1), FakeCrypto(fake_key(1)), record)
    made.enabled = enabled
    return made


def test_signature_is_in_the_record_when_it_is_handed_out() -> None:
    mine = signer()
    vote = mine.vote(STATE, HEARD, VoteType.PREVOTE, 0, A)
    assert vote == signed_vote(fake_key(1), VoteType.PREVOTE, 1, 0, A)
    assert mine.record.prevote == vote
    assert mine.has_unsaved


def test_same_word_at_a_signed_place_gives_the_stored_bytes_again() -> None:
    first = signer()
    vote = first.vote(STATE, HEARD, VoteType.PREVOTE, 0, A)
    again = signer(first.record)
    assert again.vote(STATE, HEARD, VoteType.PREVOTE, 0, A) == vote
    assert not again.has_unsaved


def test_other_word_at_a_signed_place_is_never_said() -> None:
    mine = signer()
    mine.vote(STATE, HEARD, VoteType.PREVOTE, 0, A)
    before = mine.record
    assert mine.vote(STATE, HEARD, VoteType.PREVOTE, 0, B) is None
    assert mine.vote(STATE, HEARD, VoteType.PREVOTE, 0, NIL) is None
    assert mine.record is before


def test_nothing_is_signed_behind_the_record() -> None:
    mine = signer()
    mine.vote(STATE, HEARD, VoteType.PRECOMMIT, 3, A)
    assert mine.vote(STATE, HEARD, VoteType.PREVOTE, 3, A) is None
    assert mine.vote(STATE, HEARD, VoteType.PRECOMMIT, 2, A) is None
    assert mine.proposal(STATE, HEARD, 3, -1, A) is None
    assert mine.vote(STATE, HEARD, VoteType.PREVOTE, 4, A) is not None


def test_proposal_with_another_proof_round_is_another_word() -> None:
    mine = signer()
    assert isinstance(mine.proposal(STATE, HEARD, 2, -1, A), Proposal)
    assert mine.proposal(STATE, HEARD, 2, 0, A) is None


def test_disabled_signer_gives_out_nothing_not_even_what_is_stored() -> None:
    first = signer()
    first.vote(STATE, HEARD, VoteType.PREVOTE, 0, A)
    assert signer(first.record, enabled=False).vote(STATE, HEARD, VoteType.PREVOTE, 0, A) is None


def test_unknown_own_signature_disables_the_signer() -> None:
    mine = signer()
    assert mine.contradicts(signed_vote(fake_key(1), VoteType.PREVOTE, 1, 0, A), fake_key(1))
    assert mine.vote(STATE, HEARD, VoteType.PREVOTE, 5, A) is None
    assert not signer().contradicts(signed_vote(fake_key(2), VoteType.PREVOTE, 1, 0, A), fake_key(2))
