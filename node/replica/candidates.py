"""Blocks that somebody proposed for the current height: found, completed with their batches, judged, kept.

A judgement waits while anything is missing; the timers of consensus go on meanwhile. Whether a block is valid depends
on the block and the chain alone; whether it came in time is noticed once, when it first arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from concento.blocks import Block, block_id, commit_root, content_root, evidence_root
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.limits import BLOCK_BYTES_MAX
from concento.votes import Proposal
from consensus.effects import BlockFetched, Fetch, Input, ProposalJudged
from node.replica.batches import FETCH_MS, Batches
from node.replica.budget import Budget
from node.replica.chain import Chain
from node.replica.events import ArmTimer, Now
from node.replica.outbox import Outbox
from node.replica.segments import Entry, EntryKind, Segments
from node.replica.wire import ProposedBlock, ProposedRequest, encode_message, priority_of

UNJUDGED_PER_PEER_MAX: Final = 16
"""Blocks kept of one peer before anything vouches for them: two rounds of two heights, several times over."""

BLOCK_TIMER: Final = ("block",)


@dataclass(slots=True)
class Candidate:
    """A block whose parts belong to its id. `verdict` is None while it is not judged."""

    id: bytes
    block: Block
    peer: bytes
    timely: bool
    verdict: bool | None = None
    is_checked: bool = False
    is_stored: bool = False
    is_fetched: bool = False
    proposals: list[Proposal] = field(default_factory=list)
    holders: dict[bytes, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Missing:
    """A block that is asked for: what it is to answer, who may have it, whom to ask next."""

    height: int
    proposals: list[Proposal] = field(default_factory=list)
    is_fetched: bool = False
    holders: dict[bytes, None] = field(default_factory=dict)
    asked: int = 0


class Candidates:
    def __init__(
        self,
        chain: Chain,
        batches: Batches,
        segments: Segments,
        out: Outbox,
        peers: Collection[bytes],
        answer: Callable[[Input], None],
        budget: Budget,
    ) -> None:
        """`answer` takes what consensus is to be told."""
        self._chain = chain
        self._batches = batches
        self._segments = segments
        self._out = out
        self._peers = peers
        self._answer = answer
        self._budget = budget
        self._found: dict[bytes, Candidate] = {}
        self._missing: dict[bytes, _Missing] = {}
        self._is_asking = False

    def find(self, identity: bytes) -> Block | None:
        candidate = self._found.get(identity)
        return candidate.block if candidate else None

    @property
    def pinned(self) -> set[bytes]:
        """The batches that blocks under judgement name."""
        return {identity for candidate in self._found.values() for identity in candidate.block.batches}

    def offer(self, peer: bytes, block: Block, now: Now) -> bytes | None:
        """Keeps a block of this height or the next; its id, or None where its parts do not belong to its header."""
        header = block.header
        identity = block_id(header)
        parts = content_root(block.batches), commit_root(block.last_commit), evidence_root(block.evidence)
        if parts != (header.content_root, header.last_commit_root, header.evidence_root):
            return None
        if identity in self._found:
            self._found[identity].holders[peer] = None
            return identity
        if not self._chain.height <= header.height <= self._chain.height + 1:
            return identity
        self._make_room(peer)
        candidate = Candidate(identity, block, peer, self._is_timely(block, now), holders={peer: None})
        self._found[identity] = candidate
        missing = self._missing.pop(identity, None)
        if missing is not None:
            candidate.proposals += missing.proposals
            candidate.is_fetched = missing.is_fetched
            candidate.holders.update(missing.holders)
            self._examine(candidate, now)
        return identity

    def restore(self, entry: Entry, now: Now) -> None:
        """A block found in a segment: judged before it was written, judged again when consensus asks."""
        block = decode(Block, entry.payload, "block")
        identity = block_id(block.header)
        if block.header.height == self._chain.height:
            self._found[identity] = Candidate(identity, block, b"", self._is_timely(block, now), is_stored=True)

    def add_own(self, block: Block) -> bytes:
        """Keeps a block that this node has made; it is on disk before anything that follows the next sync."""
        identity = block_id(block.header)
        if identity not in self._found:
            self._segments.append(EntryKind.BLOCK, encode(block))
            own = Candidate(identity, block, b"", timely=True, verdict=True, is_checked=True, is_stored=True)
            self._found[identity] = own
        return identity

    def judge(self, proposal: Proposal, now: Now) -> None:
        """Answers `ProposalJudged`, now or once everything is here."""
        if proposal.height != self._chain.height:
            return
        candidate = self._found.get(proposal.block_id)
        if candidate is None:
            missing = self._miss(proposal.block_id, proposal.height, (proposal.proposer,))
            missing.proposals.append(proposal)
            return
        candidate.proposals.append(proposal)
        candidate.holders[proposal.proposer] = None
        self._examine(candidate, now)

    def fetch(self, wanted: Fetch, now: Now) -> None:
        """Answers `BlockFetched`, now or once everything is here."""
        if wanted.height != self._chain.height:
            return
        candidate = self._found.get(wanted.block_id)
        if candidate is None:
            self._miss(wanted.block_id, wanted.height, wanted.holders).is_fetched = True
            return
        candidate.is_fetched = True
        candidate.holders.update((holder, None) for holder in wanted.holders)
        self._examine(candidate, now)

    def give(self, peer: bytes, identity: bytes, now: Now) -> None:
        """A peer's request for a proposed block, where it is held and the peer's budget goes so far."""
        block = self.find(identity)
        if block is not None:
            message = ProposedBlock(block)
            self._budget.give(peer, encode_message(message), priority_of(message), now)

    def batch_settled(self, identity: bytes, now: Now) -> None:
        """A batch is held now, or known to be bad."""
        for candidate in list(self._found.values()):
            wants = candidate.is_fetched or candidate.proposals
            if wants and candidate.verdict is None and identity in candidate.block.batches:
                self._examine(candidate, now)

    def ask(self, now: Now) -> None:
        """The block timer: asks the next holder of each missing block."""
        self._is_asking = bool(self._missing)
        for identity, missing in self._missing.items():
            others = [peer for peer in self._peers if peer not in missing.holders]
            sources = [peer for peer in missing.holders if peer in self._peers] + others
            if sources:
                peer = sources[missing.asked % len(sources)]
                missing.asked += 1
                self._out.send((peer,), ProposedRequest(missing.height, identity))
        if self._is_asking:
            self._out.emit(ArmTimer(BLOCK_TIMER, FETCH_MS))

    def start_height(self) -> None:
        """Forgets what belongs to lower heights."""
        height = self._chain.height
        self._found = {
            identity: found for identity, found in self._found.items() if found.block.header.height >= height
        }
        self._missing = {}
        for found in self._found.values():
            # What was said of it below its own height says nothing: a proposer may name a block that is too early.
            found.verdict, found.is_checked, found.is_fetched, found.proposals = None, False, False, []

    def _miss(self, identity: bytes, height: int, holders: Iterable[bytes]) -> _Missing:
        missing = self._missing.setdefault(identity, _Missing(height))
        missing.holders.update((holder, None) for holder in holders)
        if not self._is_asking:
            # Asked at once: a proposal comes with its block, so that a block that is missing is not on its way.
            self._is_asking = True
            self._out.emit(ArmTimer(BLOCK_TIMER, 0))
        return missing

    def _examine(self, candidate: Candidate, now: Now) -> None:
        """Judges it if nothing is missing, and answers whoever asked."""
        if candidate.verdict is None:
            candidate.verdict = self._verdict(candidate, now)
        if candidate.verdict is None:
            return
        if candidate.verdict and not candidate.is_stored:
            self._segments.append(EntryKind.BLOCK, encode(candidate.block))
            candidate.is_stored = True
        height = self._chain.height
        proposals, candidate.proposals = candidate.proposals, []
        for proposal in proposals:
            fits = _fits(candidate, proposal)
            self._answer(ProposalJudged(height, proposal.round, candidate.id, candidate.verdict, fits))
        if candidate.is_fetched:
            candidate.is_fetched = False
            self._answer(BlockFetched(height, candidate.id, candidate.verdict))

    def _verdict(self, candidate: Candidate, now: Now) -> bool | None:
        block = candidate.block
        if not candidate.is_checked:
            try:
                self._chain.check(block)
            except Rejected as error:
                self._out.log("block.invalid", "warning", height=block.header.height, reason=str(error))
                return False
            candidate.is_checked = True
        if any(self._batches.is_spoiled(identity) for identity in block.batches):
            return False
        missing = self._batches.missing(block.batches)
        if missing:
            self._batches.want(missing, candidate.holders, now)
            return None
        held = [batch for identity in block.batches if (batch := self._batches.find(identity)) is not None]
        by_members = all(batch.author in self._chain.validators for batch in held)
        return by_members and sum(batch.size for batch in held) <= BLOCK_BYTES_MAX

    def _is_timely(self, block: Block, now: Now) -> bool:
        """Not ahead of this node's clock, or no further ahead than a child must be of its parent.

        Where most clocks were set back no block would else be timely, and rounds would fail as fast as votes travel
        until the clocks have caught up.
        """
        parent = self._found.get(block.header.parent_id)
        parent_ms = self._chain.tip_time_ms if parent is None else parent.block.header.time_ms
        latest_ms = now.wall_ms + self._chain.genesis.params.consensus.clock_precision_ms
        return block.header.time_ms <= max(latest_ms, parent_ms + 1)

    def _make_room(self, peer: bytes) -> None:
        """Drops the oldest block of this peer that nothing vouches for, where it has sent too many."""
        loose = [
            found
            for found in self._found.values()
            if found.peer == peer and found.verdict is None and not found.proposals and not found.is_fetched
        ]
        if len(loose) >= UNJUDGED_PER_PEER_MAX:
            del self._found[loose[0].id]


def _fits(candidate: Candidate, proposal: Proposal) -> bool:
    """Whether the block may be prevoted in this proposal: fresh and in time, or as old as its proof of lock."""
    round_ = candidate.block.header.round
    if proposal.pol_round < 0:
        return round_ == proposal.round and candidate.timely
    return round_ <= proposal.pol_round
