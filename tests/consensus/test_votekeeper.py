"""Counting: thresholds once each, certificates as units, bounded memory."""

from __future__ import annotations

import pytest

from concento.errors import Rejected
from concento.evidence import check_evidence
from concento.votes import NIL, VoteType
from consensus.votekeeper import FAR_ROUNDS_MAX, NOTHING, ROUNDS_KEPT, Passed, Threshold, VoteKeeper
from sim.cluster import block_named, fake_key, fake_validators, signed_vote

A, B = block_named("A"), block_named("B")
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT


def keeper(size: int = 4) -> VoteKeeper:
    return VoteKeeper(fake_validators(size))


def add(votes: VoteKeeper, number: int, block_id: bytes, round_: int = 0, kind: VoteType = PREVOTE) -> list[Threshold]:
    return list(votes.add(signed_vote(fake_key(number), kind, 1, round_, block_id)).thresholds)


def test_each_threshold_is_reported_once() -> None:
    votes = keeper()
    assert add(votes, 0, A) == []
    assert add(votes, 1, A) == []
    assert add(votes, 2, A) == [Threshold(Passed.POLKA_ANY, 0), Threshold(Passed.POLKA_VALUE, 0, A)]
    assert add(votes, 3, A) == []


def test_any_and_nil_are_told_apart() -> None:
    votes = keeper()
    add(votes, 0, A)
    add(votes, 1, NIL)
    assert add(votes, 2, NIL) == [Threshold(Passed.POLKA_ANY, 0)]
    assert add(votes, 3, NIL) == [Threshold(Passed.POLKA_NIL, 0, NIL)]


def test_skip_is_reported_for_rounds_ahead_only() -> None:
    votes = keeper()
    add(votes, 0, NIL, 0)
    assert add(votes, 1, NIL, 0) == []
    add(votes, 0, NIL, 5, PREVOTE)
    assert add(votes, 1, NIL, 5, PRECOMMIT) == [Threshold(Passed.SKIP, 5)]
    assert votes.skip_round(0) == 5
    assert votes.skip_round(5) is None


@pytest.mark.parametrize(
    ("size", "quorum", "minority"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (4, 3, 2), (6, 5, 3), (7, 5, 3), (10, 7, 4)]
)
def test_thresholds_are_more_than_two_thirds_and_more_than_one_third(size: int, quorum: int, minority: int) -> None:
    votes = keeper(size)
    for number in range(quorum - 1):
        add(votes, number, A)
    assert votes.polka(0) is None
    add(votes, quorum - 1, A)
    assert votes.polka(0) == A
    ahead = keeper(size)
    for number in range(minority - 1):
        add(ahead, number, A, 7)
    assert ahead.skip_round(0) is None
    add(ahead, minority - 1, A, 7)
    assert ahead.skip_round(0) == 7


def test_second_vote_is_canonical_evidence_and_reported_once() -> None:
    votes = keeper()
    add(votes, 0, B)
    counted = votes.add(signed_vote(fake_key(0), PREVOTE, 1, 0, A))
    assert [evidence.first.block_id for evidence in counted.evidence] == [A]
    check_evidence(counted.evidence[0])
    assert votes.add(signed_vote(fake_key(0), PREVOTE, 1, 0, NIL)) == NOTHING


def test_second_vote_moves_no_count() -> None:
    votes = keeper()
    for block_id in (A, B, NIL):
        add(votes, 0, block_id)
    add(votes, 1, B)
    assert not votes.has_any(PREVOTE, 0)
    add(votes, 2, B)
    assert votes.has_any(PREVOTE, 0)
    assert votes.polka(0) is None


def test_certificate_counts_as_a_unit_and_names_the_equivocator() -> None:
    votes = keeper()
    add(votes, 2, NIL)
    certificate = [signed_vote(fake_key(number), PREVOTE, 1, 0, A) for number in (0, 1, 2)]
    counted = votes.add_certificate(PREVOTE, certificate)
    assert votes.polka(0) == A
    assert Threshold(Passed.POLKA_VALUE, 0, A) in counted.thresholds
    assert [evidence.first.validator for evidence in counted.evidence] == [fake_key(2)]
    proof = votes.polka_certificate(1, 0)
    assert proof is not None
    assert [entry.index for entry in proof.signatures] == [0, 1, 2]


def test_repeated_and_foreign_votes_are_not_wanted() -> None:
    votes = keeper()
    vote = signed_vote(fake_key(0), PREVOTE, 1, 0, A)
    assert votes.is_wanted(vote)
    votes.add(vote)
    assert not votes.is_wanted(vote)
    assert votes.is_wanted(signed_vote(fake_key(0), PREVOTE, 1, 0, B))
    assert not votes.is_wanted(signed_vote(fake_key(9), PREVOTE, 1, 0, A))


def test_one_validator_keeps_at_most_two_far_rounds_the_newest() -> None:
    votes = keeper()
    for round_ in range(2, 1_000):
        add(votes, 3, NIL, round_)
        add(votes, 3, A, round_, PRECOMMIT)
    assert votes.size() == 2 * FAR_ROUNDS_MAX
    assert not votes.is_wanted(signed_vote(fake_key(3), PREVOTE, 1, 500, NIL))
    add(votes, 2, NIL, 999)
    assert votes.skip_round(0) == 999


def test_sixty_rounds_without_a_commit_keep_memory_bounded() -> None:
    votes = keeper()
    sizes = []
    for round_ in range(60):
        votes.advance(round_, (0,))
        for number in range(4):
            add(votes, number, NIL, round_)
            add(votes, number, NIL, round_, PRECOMMIT)
        sizes.append(votes.size())
    assert max(sizes) == (ROUNDS_KEPT + 2) * 8
    assert sizes[30] == sizes[-1]


def test_pinned_round_outlives_the_others() -> None:
    votes = keeper()
    for number in range(3):
        add(votes, number, A, 0)
        add(votes, number, A, 1)
    votes.advance(40, (0,))
    assert votes.polka(0) == A
    assert votes.polka(1) is None


def test_entry_is_what_led_into_the_round() -> None:
    votes = keeper()
    assert votes.entry(0) == ()
    for number in range(3):
        add(votes, number, NIL, 4, PRECOMMIT)
    assert len(votes.entry(5)) == 3
    ahead = keeper()
    add(ahead, 0, NIL, 5)
    add(ahead, 2, A, 5, PRECOMMIT)
    assert [vote.validator for vote in ahead.entry(5)] == [fake_key(0), fake_key(2)]


def test_commit_certificate_lists_its_signers_in_order() -> None:
    votes = keeper()
    for number in (3, 0, 2):
        add(votes, number, A, 0, PRECOMMIT)
    commit = votes.commit_certificate(1)
    assert commit is not None
    assert [entry.index for entry in commit.signatures] == [0, 2, 3]


def test_evidence_for_equal_blocks_is_refused() -> None:
    votes = keeper()
    vote = signed_vote(fake_key(0), PREVOTE, 1, 0, A)
    votes.add(vote)
    assert votes.add(vote) == NOTHING
    counted = votes.add(signed_vote(fake_key(0), PREVOTE, 1, 0, B))
    twisted = type(counted.evidence[0])(counted.evidence[0].second, counted.evidence[0].first)
    with pytest.raises(Rejected):
        check_evidence(twisted)
