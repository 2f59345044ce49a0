"""Everything a node has heard of one height: proposals, votes, and the replica's verdicts on blocks.

What is put in here has been checked (place, signer, signature); this file only remembers it and answers the machine.
"""

from __future__ import annotations

from typing import Final

from concento.evidence import DoubleProposal, double_proposal
from concento.validators import ValidatorSet
from concento.votes import Proposal, Vote, VoteType
from consensus.machine import Proposed
from consensus.messages import Polka
from consensus.proposers import proposer
from consensus.votekeeper import ROUNDS_KEPT, Counted, VoteKeeper

_PREVOTE: Final = VoteType.PREVOTE
_PRECOMMIT: Final = VoteType.PRECOMMIT


class HeightHeard:
    """The messages of one height, as `machine.Heard` and `status` read them."""

    def __init__(
        self, height: int, validators: ValidatorSet, proposers: tuple[bytes, ...], own_key: bytes | None
    ) -> None:
        self.height = height
        self.validators = validators
        self.keeper = VoteKeeper(validators)
        self._proposers = proposers
        self._own_key = own_key
        self._proposals: dict[int, Proposal] = {}
        self._contradicted: dict[int, Proposal] = {}
        self._fits: dict[int, bool] = {}
        self._valid: dict[bytes, bool] = {}

    # Taking in

    def wants_proposal(self, proposal: Proposal) -> bool:
        """Whether this proposal could change anything: asked before its signature is checked."""
        if proposal.proposer != proposer(self._proposers, proposal.round):
            return False
        if not self.is_near(proposal.round):
            return False
        first = self._proposals.get(proposal.round)
        return first is None or (_word(first) != _word(proposal) and proposal.round not in self._contradicted)

    def add_proposal(self, proposal: Proposal) -> DoubleProposal | None:
        """Keeps the first proposal of a round; a second, different one is evidence."""
        first = self._proposals.setdefault(proposal.round, proposal)
        if _word(first) == _word(proposal):
            return None
        self._contradicted[proposal.round] = proposal
        return double_proposal(first, proposal)

    def judge_proposal(self, round_: int, block_id: bytes, fits: bool) -> None:
        """Whether the round's proposal may be prevoted, where it names this block."""
        proposal = self._proposals.get(round_)
        if proposal is not None and proposal.block_id == block_id:
            self._fits[round_] = fits

    def judge_block(self, block_id: bytes, valid: bool) -> None:
        self._valid[block_id] = valid

    def add_polka(self, polka: Polka) -> Counted:
        """Counts a verified polka as one unit."""
        return self.keeper.add_certificate(_PREVOTE, polka_votes(self.validators, polka))

    def advance(self, round_: int, pinned: tuple[int, ...]) -> None:
        """The node is in this round now: forget what is too old to matter."""
        proposal = self._proposals.get(round_)
        if proposal is not None:
            pinned = (*pinned, proposal.pol_round)
        self.keeper.advance(round_, pinned)
        for old in [r for r in self._proposals if r < round_ - ROUNDS_KEPT]:
            del self._proposals[old]
            self._contradicted.pop(old, None)
            self._fits.pop(old, None)

    # Asking: machine.Heard

    def proposed(self, round_: int) -> Proposed | None:
        proposal = self._proposals.get(round_)
        if proposal is None:
            return None
        fits, valid = self._fits.get(round_), self._valid.get(proposal.block_id)
        verdict = None if fits is None or valid is None else fits and valid
        return Proposed(proposal.block_id, proposal.pol_round, verdict)

    def is_valid(self, block_id: bytes) -> bool | None:
        return self._valid.get(block_id)

    def polka(self, round_: int) -> bytes | None:
        return self.keeper.polka(round_)

    def has_any_prevotes(self, round_: int) -> bool:
        return self.keeper.has_any(_PREVOTE, round_)

    def has_any_precommits(self, round_: int) -> bool:
        return self.keeper.has_any(_PRECOMMIT, round_)

    def has_nil_precommits(self, round_: int) -> bool:
        return self.keeper.has_nil_precommits(round_)

    def committed(self) -> tuple[int, bytes] | None:
        return self.keeper.committed()

    def skip_round(self, above: int) -> int | None:
        return self.keeper.skip_round(above)

    def is_proposer(self, round_: int) -> bool:
        return self._own_key is not None and proposer(self._proposers, round_) == self._own_key

    # Asking: status and engine

    def proposal(self, round_: int) -> Proposal | None:
        return self._proposals.get(round_)

    def is_contradicted(self, round_: int) -> bool:
        """Whether the round's proposer is known to have signed two proposals."""
        return round_ in self._contradicted

    def is_near(self, round_: int) -> bool:
        """Whether a proposal of this round is kept: the rounds around the current one."""
        return self.keeper.current - ROUNDS_KEPT <= round_ <= self.keeper.current + 1


def polka_votes(validators: ValidatorSet, polka: Polka) -> list[Vote]:
    """The prevotes a polka stands for; positions must exist."""
    return [
        Vote(_PREVOTE, polka.height, polka.round, polka.block_id, validators.keys[entry.index], entry.signature)
        for entry in polka.signatures
    ]


def _word(proposal: Proposal) -> tuple[bytes, int]:
    return proposal.block_id, proposal.pol_round
