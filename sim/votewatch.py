"""What was said, by whom, at which place, over all crashes and lost disks: the rules of voting, from outside.

Everything here follows from the votes and proposals that left a node or were written to its guard. Nothing is asked of
the node itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from concento.votes import Proposal, Vote, VoteType
from sim.violation import Violation

Place = tuple[bytes, int, int, int]
"""(key, height, round, step)."""

_PROPOSAL, _PREVOTE, _PRECOMMIT = 1, 2, 3


@dataclass
class VoteWatch:
    """`members` are the keys that validate at a height, or nothing where that is not known yet."""

    members: Callable[[int], set[bytes]]
    reached: Counter[str]
    said: dict[Place, bytes] = field(default_factory=dict)
    precommits: dict[tuple[bytes, int], dict[int, bytes]] = field(default_factory=dict)
    prevoters: dict[tuple[int, int, bytes], set[bytes]] = field(default_factory=dict)
    proofs: dict[tuple[int, int, bytes], set[int]] = field(default_factory=dict)

    def voted(self, vote: Vote, honest: bool) -> None:
        if vote.type is VoteType.PREVOTE:
            self.prevoters.setdefault((vote.height, vote.round, vote.block_id), set()).add(vote.validator)
        if not honest:
            return
        if vote.round in (1, 3):
            self.reached[f"round {vote.round}"] += 1
        step = _PREVOTE if vote.type is VoteType.PREVOTE else _PRECOMMIT
        if self._say((vote.validator, vote.height, vote.round, step), vote.block_id) or not vote.block_id:
            return
        locks = self.precommits.setdefault((vote.validator, vote.height), {})
        if vote.type is VoteType.PRECOMMIT:
            self._check_polka(vote.height, vote.round, vote.block_id)
            locks[vote.round] = vote.block_id
        else:
            self._check_lock(vote, locks)
            self._check_proof(vote)

    def proposed(self, proposal: Proposal, honest: bool) -> None:
        height, round_, pol_round, block_id = proposal.height, proposal.round, proposal.pol_round, proposal.block_id
        self.proofs.setdefault((height, round_, block_id), set()).add(pol_round)
        if honest:
            self._say((proposal.proposer, height, round_, _PROPOSAL), block_id + b"%d" % pol_round)

    def _say(self, place: Place, word: bytes) -> bool:
        """Whether the key has said this here before. The log is outside of all nodes: it outlives them."""
        known = self.said.get(place)
        if known is None:
            self.said[place] = word
            return False
        if known != word:
            key, height, round_, step = place
            raise Violation("no double sign", f"{key.hex()[:8]} at height {height} round {round_} step {step}")
        return True

    def _has_polka(self, height: int, round_: int, block_id: bytes) -> bool:
        members = self.members(height)
        voters = self.prevoters.get((height, round_, block_id), set())
        return not members or 3 * len(voters & members) > 2 * len(members)

    def _check_polka(self, height: int, round_: int, block_id: bytes) -> None:
        if not self._has_polka(height, round_, block_id):
            raise Violation("a precommit has a polka", f"height {height} round {round_}")

    def _check_lock(self, vote: Vote, locks: dict[int, bytes]) -> None:
        """A prevote against one's lock has a polka for the other block in a later round."""
        locked = max((round_ for round_ in locks if round_ < vote.round), default=None)
        if locked is None or locks[locked] == vote.block_id:
            return
        self.reached["lock given up"] += 1
        if any(self._has_polka(vote.height, round_, vote.block_id) for round_ in range(locked + 1, vote.round)):
            return
        raise Violation("the lock rule", f"{vote.validator.hex()[:8]} at height {vote.height} round {vote.round}")

    def _check_proof(self, vote: Vote) -> None:
        """A block that was proposed with a proof of lock is prevoted only where that proof exists."""
        claimed = self.proofs.get((vote.height, vote.round, vote.block_id))
        if not claimed or -1 in claimed:
            return
        self.reached["proposal with proof"] += 1
        if not any(self._has_polka(vote.height, round_, vote.block_id) for round_ in claimed):
            where = f"{vote.validator.hex()[:8]} at height {vote.height} round {vote.round}"
            raise Violation("a proof of lock is there", f"{where} of rounds {sorted(claimed)}")
