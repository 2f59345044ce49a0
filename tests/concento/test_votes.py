"""A commit is proof only if more than two thirds of the right set signed exactly this block of this network."""

import pytest

from concento.accounts import account_of_key
from concento.errors import Rejected
from concento.evidence import check_evidence, double_proposal, double_vote, evidence_checks, offender
from concento.hashing import Network
from concento.keys import public_key, sign, verify
from concento.validators import Validator, ValidatorSet
from concento.votes import (
    NIL,
    Commit,
    CommitSignature,
    Proposal,
    Vote,
    VoteType,
    proposal_bytes,
    verify_commit,
    vote_bytes,
)

NETWORK = Network("test-chain", bytes(32))
BLOCK, OTHER = b"\x0b" * 32, b"\x0c" * 32


def seeds(count: int) -> list[bytes]:
    return sorted((bytes([number]) * 32 for number in range(1, count + 1)), key=public_key)


def validator_set(count: int) -> ValidatorSet:
    keys = [public_key(seed) for seed in seeds(count)]
    return ValidatorSet(Validator(key, f"v{index}", account_of_key(key)) for index, key in enumerate(keys))


def commit(
    signers: list[int],
    count: int = 4,
    network: Network = NETWORK,
    height: int = 5,
    round_: int = 1,
    block: bytes = BLOCK,
) -> Commit:
    message = vote_bytes(network, VoteType.PRECOMMIT, height, round_, block)
    return Commit(
        height, round_, block, tuple(CommitSignature(index, sign(seeds(count)[index], message)) for index in signers)
    )


@pytest.mark.parametrize(
    ("count", "faults", "quorum", "minority"),
    [(1, 0, 1, 1), (2, 0, 2, 1), (3, 0, 3, 2), (4, 1, 3, 2), (6, 1, 5, 3), (7, 2, 5, 3), (9, 2, 7, 4), (10, 3, 7, 4)],
)
def test_a_quorum_is_more_than_two_thirds_and_a_minority_more_than_one_third(
    count: int, faults: int, quorum: int, minority: int
) -> None:
    members = validator_set(count)
    assert (members.faults_max, members.quorum, members.minority) == (faults, quorum, minority)


def test_three_of_four_signatures_prove_finality() -> None:
    assert verify_commit(NETWORK, validator_set(4), commit([0, 2, 3]), 5, BLOCK) == 3


def test_exactly_two_thirds_prove_nothing() -> None:
    for count, signers in ((3, [0, 1]), (6, [0, 1, 2, 3])):
        with pytest.raises(Rejected):
            verify_commit(NETWORK, validator_set(count), commit(signers, count), 5, BLOCK)


@pytest.mark.parametrize(
    "forged",
    [
        commit([0, 0, 1]),
        commit([1, 0, 2]),
        Commit(5, 1, BLOCK, (*commit([0, 1]).signatures, CommitSignature(7, bytes(64)))),
        Commit(5, 1, BLOCK, (*commit([0, 1]).signatures, CommitSignature(2, bytes(64)))),
        Commit(5, 1, BLOCK, commit([0, 1, 2], round_=2).signatures),
        commit([0, 1, 2], network=Network("other-chain", bytes(32))),
        commit([0, 1, 2], network=Network("test-chain", b"\x01" * 32)),
        commit([0, 1, 2], height=6),
        commit([0, 1, 2], block=OTHER),
        commit([0, 1, 2], block=NIL),
    ],
    ids=[
        "one validator twice",
        "unsorted",
        "unknown signer",
        "zero signature",
        "other round",
        "other chain",
        "other genesis",
        "other height",
        "other block",
        "nil",
    ],
)
def test_forged_commits_are_refused(forged: Commit) -> None:
    changed = Commit(forged.height, forged.round, forged.block_id, forged.signatures)
    with pytest.raises(Rejected) as refused:
        verify_commit(NETWORK, validator_set(4), changed, 5, BLOCK)
    assert refused.value.kind == "commit.invalid"


def test_a_commit_of_another_set_is_refused() -> None:
    with pytest.raises(Rejected):
        verify_commit(NETWORK, validator_set(5), commit([0, 1, 2]), 5, BLOCK)


def vote(block: bytes, round_: int = 0, seed: bytes = b"\x01" * 32) -> Vote:
    message = vote_bytes(NETWORK, VoteType.PREVOTE, 3, round_, block)
    return Vote(VoteType.PREVOTE, 3, round_, block, public_key(seed), sign(seed, message))


def test_two_votes_for_different_blocks_are_evidence_in_one_order_only() -> None:
    evidence = double_vote(vote(OTHER), vote(BLOCK))
    assert evidence == double_vote(vote(BLOCK), vote(OTHER))
    check_evidence(evidence)
    assert all(verify(*check) for check in evidence_checks(NETWORK, evidence))
    assert offender(evidence) == public_key(b"\x01" * 32)
    with pytest.raises(Rejected):
        check_evidence(type(evidence)(evidence.second, evidence.first))


def test_a_vote_for_nil_and_one_for_a_block_contradict_each_other() -> None:
    check_evidence(double_vote(vote(NIL), vote(BLOCK)))


@pytest.mark.parametrize("other", [vote(BLOCK), vote(OTHER, round_=1), vote(OTHER, seed=b"\x02" * 32)])
def test_votes_that_do_not_contradict_each_other_are_no_evidence(other: Vote) -> None:
    with pytest.raises(Rejected):
        check_evidence(double_vote(vote(BLOCK), other))


def test_two_proposals_for_one_round_are_evidence() -> None:
    def proposal(block: bytes) -> Proposal:
        seed = b"\x01" * 32
        return Proposal(3, 0, -1, block, public_key(seed), sign(seed, proposal_bytes(NETWORK, 3, 0, -1, block)))

    evidence = double_proposal(proposal(OTHER), proposal(BLOCK))
    check_evidence(evidence)
    assert all(verify(*check) for check in evidence_checks(NETWORK, evidence))


def test_a_set_is_sorted_by_key_and_refuses_a_key_twice() -> None:
    members = validator_set(4).members
    assert ValidatorSet(reversed(members)).hash == ValidatorSet(members).hash
    for wrong in ((), (*members, members[0])):
        with pytest.raises(Rejected):
            ValidatorSet(wrong)
