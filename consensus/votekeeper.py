"""Counting the votes of one height: thresholds, certificates and contradictions, in bounded memory.

The first vote of a validator per type and round counts. A second, different one is evidence and counts nowhere -
except inside a certificate (a polka or a commit), which is accepted as one unit: otherwise a validator that votes
twice could hide a real quorum from the node that saw its other vote first.

Kept are the rounds around the current one, the rounds that are pinned, and for each validator at most two rounds far
ahead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from concento.evidence import DoubleVote, double_vote
from concento.validators import ValidatorSet
from concento.votes import NIL, Commit, CommitSignature, Vote, VoteType
from consensus.messages import Polka

ROUNDS_KEPT: Final = 16
"""Rounds before the current one whose votes are kept: at capped timeouts more than a minute. A block decided in an
older round still arrives as a commit, which needs no single votes."""

FAR_ROUNDS_MAX: Final = 2
"""Rounds beyond the next one that one validator can make us keep: it goes up by itself, so the newest matter."""


class Passed(Enum):
    """A threshold, reported when it is first passed in a round."""

    POLKA_ANY = auto()
    POLKA_NIL = auto()
    POLKA_VALUE = auto()
    PRECOMMIT_ANY = auto()
    PRECOMMIT_NIL = auto()
    PRECOMMIT_VALUE = auto()
    SKIP = auto()


_THRESHOLDS: Final = {
    VoteType.PREVOTE: (Passed.POLKA_ANY, Passed.POLKA_NIL, Passed.POLKA_VALUE),
    VoteType.PRECOMMIT: (Passed.PRECOMMIT_ANY, Passed.PRECOMMIT_NIL, Passed.PRECOMMIT_VALUE),
}
"""What a quorum of this type is: of any votes, for nil, for one block."""


class Threshold(Struct, frozen=True, gc=False):
    passed: Passed
    round: int
    block_id: bytes | None = None


class Counted(Struct, frozen=True, gc=False):
    """What one vote or certificate has changed."""

    thresholds: tuple[Threshold, ...] = ()
    evidence: tuple[DoubleVote, ...] = ()


NOTHING: Final = Counted()


@dataclass(slots=True)
class _Tally:
    """The votes of one type in one round."""

    votes: dict[int, Vote] = field(default_factory=dict)
    counts: dict[bytes, int] = field(default_factory=dict)
    contradicted: dict[int, Vote] = field(default_factory=dict)
    certificate: tuple[bytes, tuple[CommitSignature, ...]] | None = None


@dataclass(slots=True)
class _Round:
    prevotes: _Tally = field(default_factory=_Tally)
    precommits: _Tally = field(default_factory=_Tally)
    passed: list[Threshold] = field(default_factory=list)

    def of(self, kind: VoteType) -> _Tally:
        return self.prevotes if kind is VoteType.PREVOTE else self.precommits

    def senders(self) -> int:
        voted = self.prevotes.votes
        return len(voted) + sum(1 for index in self.precommits.votes if index not in voted)


class VoteKeeper:
    """The votes of one height. Every vote given to `add` has a verified signature."""

    def __init__(self, validators: ValidatorSet) -> None:
        self.validators = validators
        self._rounds: dict[int, _Round] = {}
        self._far: dict[int, list[int]] = {}
        self._pinned: tuple[int, ...] = ()
        self.current = 0

    # Taking in

    def is_wanted(self, vote: Vote) -> bool:
        """Whether this vote could change anything: asked before its signature is checked."""
        index = self.validators.index_of(vote.validator)
        if index is None or not self._is_kept(index, vote.round):
            return False
        if vote.round not in self._rounds:
            return True
        tally = self._rounds[vote.round].of(vote.type)
        first = tally.votes.get(index)
        return first is None or (first.block_id != vote.block_id and index not in tally.contradicted)

    def add(self, vote: Vote) -> Counted:
        """Counts a vote, once."""
        index = self.validators.index_of(vote.validator)
        if index is None or not self._is_kept(index, vote.round):
            return NOTHING
        self._make_room(index, vote.round)
        round_ = self._rounds.setdefault(vote.round, _Round())
        tally = round_.of(vote.type)
        first = tally.votes.get(index)
        if first is None:
            tally.votes[index] = vote
            tally.counts[vote.block_id] = tally.counts.get(vote.block_id, 0) + 1
            return Counted(self._newly_passed(vote.type, vote.round))
        if first.block_id == vote.block_id or index in tally.contradicted:
            return NOTHING
        tally.contradicted[index] = vote
        return Counted(evidence=(double_vote(first, vote),))

    def add_certificate(self, kind: VoteType, votes: list[Vote]) -> Counted:
        """Counts verified votes of one type, round and block as a unit. The caller has checked that they are a
        quorum."""
        round_, block_id = votes[0].round, votes[0].block_id
        self._rounds.setdefault(round_, _Round())
        thresholds: tuple[Threshold, ...] = ()
        evidence: tuple[DoubleVote, ...] = ()
        for vote in votes:
            counted = self.add(vote)
            thresholds += counted.thresholds
            evidence += counted.evidence
        tally = self._rounds.setdefault(round_, _Round()).of(kind)
        if tally.certificate is None:
            places = [(self.validators.keys.index(vote.validator), vote.signature) for vote in votes]
            tally.certificate = (block_id, tuple(CommitSignature(*place) for place in sorted(places)))
        return Counted(thresholds + self._newly_passed(kind, round_), evidence)

    def advance(self, round_: int, pinned: tuple[int, ...]) -> None:
        """The node is now in this round; drop what is old, but for the pinned rounds."""
        self.current = round_
        self._pinned = pinned
        for old in [r for r in self._rounds if r < round_ - ROUNDS_KEPT and r not in pinned]:
            del self._rounds[old]
        for index, far in list(self._far.items()):
            self._far[index] = [r for r in far if r > round_ + 1]

    # Asking

    def polka(self, round_: int) -> bytes | None:
        return self._quorum(VoteType.PREVOTE, round_)

    def has_any(self, kind: VoteType, round_: int) -> bool:
        return round_ in self._rounds and len(self._rounds[round_].of(kind).votes) >= self.validators.quorum

    def has_nil_precommits(self, round_: int) -> bool:
        return self._quorum(VoteType.PRECOMMIT, round_) == NIL

    def committed(self) -> tuple[int, bytes] | None:
        for round_ in self._rounds:
            block_id = self._quorum(VoteType.PRECOMMIT, round_)
            if block_id:
                return round_, block_id
        return None

    def skip_round(self, above: int) -> int | None:
        """The greatest round above this one with votes of more than a third, both types together."""
        rounds = [r for r, votes in self._rounds.items() if r > above and votes.senders() >= self.validators.minority]
        return max(rounds, default=None)

    def votes(self, kind: VoteType, round_: int) -> dict[int, Vote]:
        """The counted votes by position; the caller does not change them."""
        return self._rounds[round_].of(kind).votes if round_ in self._rounds else {}

    def polka_certificate(self, height: int, round_: int) -> Polka | None:
        """The proof of a polka for a block, or None where there is none."""
        block_id = self._quorum(VoteType.PREVOTE, round_)
        if not block_id:
            return None
        return Polka(height, round_, block_id, self._signatures(VoteType.PREVOTE, round_, block_id))

    def commit_certificate(self, height: int) -> Commit | None:
        """The proof that a block is final, or None."""
        committed = self.committed()
        if committed is None:
            return None
        round_, block_id = committed
        return Commit(height, round_, block_id, self._signatures(VoteType.PRECOMMIT, round_, block_id))

    def voters(self, kind: VoteType, round_: int, block_id: bytes) -> tuple[bytes, ...]:
        """The keys of those who are known to have voted for this block."""
        return tuple(self.validators.keys[entry.index] for entry in self._signatures(kind, round_, block_id))

    def entry(self, round_: int) -> tuple[Vote, ...]:
        """The votes that allow to be in this round: a quorum of precommits of the round before, or what made us
        skip."""
        if round_ == 0:
            return ()
        before = self.votes(VoteType.PRECOMMIT, round_ - 1)
        if len(before) >= self.validators.quorum:
            return tuple(before[index] for index in sorted(before))
        prevotes, precommits = self.votes(VoteType.PREVOTE, round_), self.votes(VoteType.PRECOMMIT, round_)
        return tuple({**precommits, **prevotes}[index] for index in sorted({**precommits, **prevotes}))

    def size(self) -> int:
        """How many votes are held; what the memory bound is about."""
        return sum(
            len(tally.votes) + len(tally.contradicted)
            for round_ in self._rounds.values()
            for tally in (round_.prevotes, round_.precommits)
        )

    # Inside

    def _quorum(self, kind: VoteType, round_: int) -> bytes | None:
        if round_ not in self._rounds:
            return None
        tally = self._rounds[round_].of(kind)
        if tally.certificate is not None:
            return tally.certificate[0]
        for block_id, count in tally.counts.items():
            if count >= self.validators.quorum:
                return block_id
        return None

    def _signatures(self, kind: VoteType, round_: int, block_id: bytes) -> tuple[CommitSignature, ...]:
        tally = self._rounds[round_].of(kind)
        if tally.certificate is not None and tally.certificate[0] == block_id:
            return tally.certificate[1]
        counted = sorted(index for index, vote in tally.votes.items() if vote.block_id == block_id)
        return tuple(CommitSignature(index, tally.votes[index].signature) for index in counted)

    def _is_kept(self, index: int, round_: int) -> bool:
        """Whether a vote of this validator for this round has a place, perhaps in exchange for an older one."""
        if round_ <= self.current + 1:
            return round_ >= self.current - ROUNDS_KEPT or round_ in self._pinned
        far = self._far.get(index, [])
        return round_ in far or len(far) < FAR_ROUNDS_MAX or round_ > min(far)

    def _make_room(self, index: int, round_: int) -> None:
        if round_ <= self.current + 1:
            return
        far = self._far.setdefault(index, [])
        if round_ in far:
            return
        far.append(round_)
        if len(far) > FAR_ROUNDS_MAX:
            oldest = min(far)
            far.remove(oldest)
            self._forget(index, oldest)

    def _forget(self, index: int, round_: int) -> None:
        held = self._rounds.get(round_)
        if held is None:
            return
        for tally in (held.prevotes, held.precommits):
            vote = tally.votes.pop(index, None)
            tally.contradicted.pop(index, None)
            if vote is not None:
                tally.counts[vote.block_id] -= 1
        if not held.prevotes.votes and not held.precommits.votes:
            del self._rounds[round_]

    def _newly_passed(self, kind: VoteType, round_: int) -> tuple[Threshold, ...]:
        """What the votes of this type and round have passed and had not before."""
        held = self._rounds[round_]
        new = [threshold for threshold in self._passed(kind, round_, held) if threshold not in held.passed]
        held.passed.extend(new)
        return tuple(new)

    def _passed(self, kind: VoteType, round_: int, held: _Round) -> list[Threshold]:
        found = []
        some, nil, value = _THRESHOLDS[kind]
        if self.has_any(kind, round_):
            found.append(Threshold(some, round_))
        block_id = self._quorum(kind, round_)
        if block_id is not None:
            found.append(Threshold(value if block_id else nil, round_, block_id))
        if round_ > self.current and held.senders() >= self.validators.minority:
            found.append(Threshold(Passed.SKIP, round_))
        return found
