"""All that can happen to the consensus engine (inputs) and all that it asks for (effects): two closed unions.

The seam to the replica:

    engine = Engine(network, key, crypto, timing, guard)      key None: an observer; guard: the record read from disk
    effects = engine.handle(input)

`handle` never blocks, never reads a clock and never raises on what a peer sent. Time enters only as `TimerFired`. The
effects are performed **in order**; the next input waits until they are done. An input that answers an effect (`Built`,
`ProposalJudged`, `BlockFetched`) may come at once or much later; while it is missing the engine goes on, its timers
alive.

One height, as the replica sees it:
 1. `StartHeight(h, ...)` - after start, after each `Decide`, and after a block taken from block sync (at any moment).
 2. `Due(h)` as soon as a reason for a block appears (a batch or evidence is held). Heartbeat and spacing are timers of
    the engine.
 3. `Build` -> the replica makes a block, stores and syncs it, answers `Built`. An own block needs no further
    judgement.
 4. `Received(proposal)` -> `Judge(proposal)` -> the replica finds the block and its batches (fetching what is
    missing), checks it, answers `ProposalJudged`. Hold the answer while anything is missing; never answer "invalid"
    for "missing".
 5. `Fetch` -> a quorum voted for a block this node has not judged: find it (nodes in `holders` have it), answer
    `BlockFetched`. May name a block for which `Judge` is still open: then it only adds holders; answering both is
    fine.
 6. `Decide(commit)` -> apply the block, then `StartHeight(h + 1)`.

Signatures: the engine verifies what it receives (after all cheaper checks) and signs its own messages through
`Crypto`. Whatever it signed is part of the guard record, and `Persist(record)` stands before the message's
`Broadcast`: when Persist returns, the record is on disk and synced; if that fails the node stops. Before it writes a
record with a new proposal or precommit, the replica syncs the segments that hold blocks and batches, so that nobody
comes to rest on a block that a crash could lose.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from concento.evidence import Evidence
from concento.validators import ValidatorSet
from concento.votes import Commit, Proposal
from consensus.guard import GuardRecord
from consensus.messages import Message

Peer: TypeAlias = bytes
"""A connected peer as the node names it; opaque here."""


class Timer(IntEnum):
    """What a timer is for. A stale timer is ignored when it fires; whoever runs them may cancel it."""

    SPACING = 1
    HEARTBEAT = 2
    PROPOSE = 3
    PREVOTE = 4
    PRECOMMIT = 5
    STATUS = 6


# Inputs


class StartHeight(Struct, frozen=True, gc=False):
    """All before `height` is committed and applied; forget whatever belongs to lower heights.

    `proposers` is `proposers.order(...)` of this height. `due`: there is a reason for a block already (work is held,
    or the tip's header lacks the current state root). `signing`: this node's guard is usable at this height; without
    it the node follows and decides but signs nothing (also where it is no member of `validators`).
    `last_count`: transactions of the last block, where this node knows them; behind a large one the next waits longer,
    and is waited for longer.
    """

    height: int
    validators: ValidatorSet
    proposers: tuple[bytes, ...]
    due: bool
    signing: bool
    last_count: int = 0


class Due(Struct, frozen=True, gc=False):
    """Work for a block of `height` has appeared."""

    height: int


class Received(Struct, frozen=True, gc=False):
    """A decoded message from a peer. A `Status` of a lower height is the replica's to answer, with the decided block.

    The last commit inside a proposed block may be handed in as a message too: a precommit in it that differs from the
    one this node has seen is evidence.
    """

    peer: Peer
    message: Message


class PeerConnected(Struct, frozen=True, gc=False):
    peer: Peer


class PeerGone(Struct, frozen=True, gc=False):
    peer: Peer


class Built(Struct, frozen=True, gc=False):
    """The answer to `Build`: the block is stored, synced, and valid."""

    height: int
    round: int
    block_id: bytes


class ProposalJudged(Struct, frozen=True, gc=False):
    """The answer to `Judge`, once block and batches are at hand.

    `valid`: the block may be decided; a function of block and committed state alone, the same on every node. `fits`:
    this node may prevote the block in this proposal: its header's round fits the proposal (equal to `round` where
    pol_round is -1, else at most pol_round), and a fresh proposal is timely. Counts only for the prevote on this
    proposal.
    """

    height: int
    round: int
    block_id: bytes
    valid: bool
    fits: bool


class BlockFetched(Struct, frozen=True, gc=False):
    """The answer to `Fetch`, once block and batches are at hand; `valid` as in ProposalJudged."""

    height: int
    block_id: bytes
    valid: bool


class TimerFired(Struct, frozen=True, gc=False):
    """The fields of the `ArmTimer` that has run out."""

    height: int
    round: int
    timer: Timer


Input: TypeAlias = (
    StartHeight | Due | Received | PeerConnected | PeerGone | Built | ProposalJudged | BlockFetched | TimerFired
)


# Effects


class Persist(Struct, frozen=True, gc=False):
    """Write the guard record into the older slot and sync it, before anything that follows is done."""

    record: GuardRecord


class Broadcast(Struct, frozen=True, gc=False):
    """Send to every connected peer. With a Proposal go its block and, as the replica sees fit, batch bodies."""

    message: Message


class SendTo(Struct, frozen=True, gc=False):
    """Send to one peer. With a Proposal goes its block; with a Commit (of this height) its block as well."""

    peer: Peer
    message: Message


class ArmTimer(Struct, frozen=True, gc=False):
    """Answer with `TimerFired(height, round, timer)` in `delay_ms`. A newer one of the same timer may replace it."""

    height: int
    round: int
    timer: Timer
    delay_ms: int


class Build(Struct, frozen=True, gc=False):
    """This node proposes: make a block with header.round = `round` and answer `Built`; late answers are ignored."""

    height: int
    round: int


class Judge(Struct, frozen=True, gc=False):
    """Find and check the block of a proposal whose signature and place are right; answer `ProposalJudged`."""

    proposal: Proposal


class Fetch(Struct, frozen=True, gc=False):
    """More than two thirds voted for a block this node has not judged; `holders` are the keys of those who did."""

    height: int
    round: int
    block_id: bytes
    holders: tuple[bytes, ...]


class Decide(Struct, frozen=True, gc=False):
    """The block is final; `commit` proves it. The engine then rests until the next `StartHeight`."""

    commit: Commit


class ReportEvidence(Struct, frozen=True, gc=False):
    """One validator contradicted itself; both signatures are verified. Each pair is reported once per height."""

    evidence: Evidence


class Misbehaved(Struct, frozen=True, gc=False):
    """The peer sent what no honest node sends (a bad signature, a malformed bitmap): disconnect it. `reason` is for
    logs."""

    peer: Peer
    reason: str


class RolledBack(Struct, frozen=True, gc=False):
    """A signature of this node's own key was met that its guard does not know: `signer.rolled_back`.

    The engine signs nothing more at this height; the replica keeps `signing` False until `guard.signs_from` allows it.
    """

    height: int


Effect: TypeAlias = (
    Persist | Broadcast | SendTo | ArmTimer | Build | Judge | Fetch | Decide | ReportEvidence | Misbehaved | RolledBack
)
