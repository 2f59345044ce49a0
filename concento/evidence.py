"""Proof that one validator said two things at once: two votes, or two proposals, for one place and different blocks."""

from __future__ import annotations

from typing import TypeAlias

from concento.encoding import Record as _Record
from concento.encoding import encode
from concento.errors import Rejected
from concento.hashing import Network, tagged_hash
from concento.keys import Check
from concento.votes import Proposal, Vote, proposal_check, vote_check


class DoubleVote(_Record, tag="double-vote"):
    """Two votes of one validator of the same type, height and round for different blocks, smaller block id first."""

    first: Vote
    second: Vote


class DoubleProposal(_Record, tag="double-proposal"):
    """Two proposals of one validator for the same height and round, smaller block id first."""

    first: Proposal
    second: Proposal


Evidence: TypeAlias = DoubleVote | DoubleProposal


def double_vote(left: Vote, right: Vote) -> DoubleVote:
    """Evidence in its canonical order."""
    return DoubleVote(*sorted((left, right), key=lambda vote: vote.block_id))


def double_proposal(left: Proposal, right: Proposal) -> DoubleProposal:
    """Evidence in its canonical order."""
    return DoubleProposal(*sorted((left, right), key=lambda proposal: (proposal.block_id, proposal.pol_round)))


def evidence_id(evidence: Evidence) -> bytes:
    return tagged_hash("evidence", encode(evidence))


def offender(evidence: Evidence) -> bytes:
    """The key that contradicted itself."""
    return evidence.first.validator if isinstance(evidence, DoubleVote) else evidence.first.proposer


def evidence_height(evidence: Evidence) -> int:
    return evidence.first.height


def check_evidence(evidence: Evidence) -> None:
    """Raises Rejected unless the two halves contradict each other and stand in canonical order."""
    if isinstance(evidence, DoubleVote):
        one, two = evidence.first, evidence.second
        same = (one.type, one.height, one.round, one.validator) == (two.type, two.height, two.round, two.validator)
        ordered = one.block_id < two.block_id
    else:
        left, right = evidence.first, evidence.second
        same = (left.height, left.round, left.proposer) == (right.height, right.round, right.proposer)
        ordered = (left.block_id, left.pol_round) < (right.block_id, right.pol_round)
    if not same or not ordered:
        raise Rejected("evidence.invalid", height=evidence_height(evidence))


def evidence_checks(network: Network, evidence: Evidence) -> tuple[Check, Check]:
    """The two signature checks that make it proof."""
    if isinstance(evidence, DoubleVote):
        return vote_check(network, evidence.first), vote_check(network, evidence.second)
    return proposal_check(network, evidence.first), proposal_check(network, evidence.second)
