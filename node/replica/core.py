"""The whole replica of one node: what happens goes in, what is to be done comes out, in order.

`handle` only dispatches. Consensus (`consensus/`) orders block ids, `chain` makes, checks and applies blocks,
`candidates` and `batches` bring together what they consist of, `pool` holds what clients gave, `sync` catches up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, assert_never

from concento.batches import Batch
from concento.blocks import Block
from concento.errors import Broken, Rejected
from concento.evidence import Evidence, offender
from concento.genesis import PROTOCOL, Genesis
from concento.votes import Commit, Proposal, Vote
from consensus import effects as asked
from consensus.engine import Engine
from consensus.guard import FRESH
from consensus.messages import Message as ConsensusMessage
from consensus.messages import Polka, Status
from consensus.signer import Crypto
from node.replica.admission import Admission
from node.replica.batches import FETCH_TIMER, FLUSH_TIMER, Batches, HeldBatch
from node.replica.budget import Budget
from node.replica.candidates import BLOCK_TIMER, Candidates
from node.replica.chain import Chain, open_chain
from node.replica.events import (
    ArmTimer,
    Committed,
    Effect,
    Event,
    Halt,
    Now,
    OverrideGuard,
    PeerDown,
    PeerMessage,
    PeerUp,
    Started,
    Stop,
    Submit,
    TimerFired,
    Verified,
    Write,
)
from node.replica.evidence import EvidencePool
from node.replica.files import Files
from node.replica.guardfile import Guard, open_guard, rests_on_block
from node.replica.outbox import Outbox
from node.replica.pool import Pool
from node.replica.retention import ARCHIVE, Retention, unused_segments
from node.replica.segments import Entry, EntryKind, Marks, Segments, open_segments
from node.replica.serving import SERVE_TIMER, Serving
from node.replica.shelf import EmptyShelf, Shelf, offers, pieces
from node.replica.sync import SYNC_TIMER, Sync
from node.replica.traces import AWAKE_MS, contradicts, is_older_than_blocks, may_wake
from node.replica.verified import Verifier
from node.replica.view import PoolView, ReplicaStatus, bodies_at, body_at
from node.replica.waste import REST_TIMER
from node.replica.wire import (
    BatchAck,
    BatchRequest,
    BlockRequest,
    BlockResponse,
    CommitMessage,
    EvidenceMessage,
    PieceRequest,
    ProposalMessage,
    ProposedBlock,
    ProposedRequest,
    SnapshotOffer,
    SnapshotPiece,
    SnapshotRequest,
    batch_raw,
    decode_message,
    with_block,
)
from state.ledger import LEDGER, Ledger
from state.store.kv import KeyValue
from state.store.opening import OpenStore

CUT_TIMER: Final = ("cut",)
AWAKE_TIMER: Final = ("awake",)
RETIRE_MS: Final = 2_000
"""How long a node whose release is too old still gives away the last block that it could decide: others may lack it."""
RETIRE_TIMER: Final = ("retire",)


class Replica:
    """One node between its seams. Made by `open_replica`; `handle` is the one way in."""

    def __init__(
        self,
        chain: Chain,
        key: bytes | None,
        crypto: Crypto,
        guard: Guard | None,
        out: Outbox,
        segments: Segments,
        protocol_max: int = PROTOCOL,
        shelf: Shelf | None = None,
    ) -> None:
        self._chain = chain
        self._shelf = shelf or EmptyShelf()
        self._protocol_max = protocol_max
        self._is_retiring = False
        self._key = key
        self._crypto = crypto
        self._guard = guard
        self._out = out
        self._segments = segments
        self._network = chain.network
        self._peers: dict[bytes, None] = {}
        self._now = Now(0, 0)
        self._inputs: deque[asked.Input] = deque()
        self._pool = Pool()
        self._evidence = EvidencePool()
        self._verifier = Verifier(self._network, out)
        budget = Budget(out)
        self._batches = Batches(
            self._network,
            key,
            crypto,
            out,
            segments,
            self._verifier,
            self._peers,
            chain.is_included,
            self._batch_settled,
            budget,
        )
        self._batches.validators = chain.validators
        self._serving = Serving(out, budget)
        self._sync = Sync(chain, crypto, self._batches, segments, out, self._peers)
        self._candidates = Candidates(chain, self._batches, segments, out, self._peers, self._inputs.append, budget)
        self._admission = Admission(chain, key, self._pool, self._batches, self._verifier, out, self._work_waits)
        record = guard.record if guard else FRESH
        self._engine = Engine(self._network, key, crypto, chain.genesis.params.consensus, record)
        self._is_cutting = False
        self._first_tips: dict[bytes, int] = {}
        self._is_awake = guard is None or guard.record == FRESH
        self._is_halted = False

    # The one way in

    def handle(self, event: Event, now: Now) -> list[Effect]:
        """What to do about this event, in order. Raises Broken where an invariant of our own has failed."""
        self._now = now
        self._chain.records.written()
        if self._is_halted:
            return []
        match event:
            case Started():
                self._begin()
            case PeerUp(peer):
                self._peer_up(peer)
            case PeerDown(peer):
                self._peer_down(peer)
            case PeerMessage(peer, payload):
                self._peer_message(peer, payload)
            case Submit(token, raw):
                self._admission.submit(token, raw, now)
            case Verified(token, verdicts):
                self._verifier.answered(token, verdicts)
            case TimerFired(timer):
                self._timer_fired(timer)
            case OverrideGuard(height):
                self._override_guard(height)
            case _:
                assert_never(event)
        self._run_engine()
        self._batches.flush()
        return self._out.take()

    def restore(self, entries: Sequence[Entry], now: Now) -> None:
        """Takes up what the newest block did not decide, as the segments hold it. Before the first event."""
        self._now = now
        for entry in entries:
            if entry.kind is EntryKind.BLOCK:
                self._candidates.restore(entry, now)
                continue
            held = self._batches.restore(entry, now.mono_ms)
            if held is not None and held.author == self._key:
                self._pool.restore(held.transactions, held.id)

    # Reading, between events

    @property
    def store(self) -> OpenStore:
        return self._chain.store

    def status(self) -> ReplicaStatus:
        chain, state, newest = self._chain, self._engine.state, self._chain.store.commit
        return ReplicaStatus(
            height=newest.height,
            block_id=newest.block_id,
            app_hash=newest.app_hash,
            time_ms=chain.tip_time_ms,
            round=state.round,
            step=state.step.name.lower(),
            proposer=chain.proposers[state.round % len(chain.proposers)],
            pool_count=len(self._pool),
            pool_bytes=self._pool.size,
            syncing=self._sync.is_catching_up,
            nobody_has=self._sync.nobody_has,
            oldest_height=newest.oldest_height,
            protocol=chain.protocol,
            validators=chain.validators,
            next_validators=chain.next_validators,
            observers=chain.observers,
            peer_heights={peer: tip for peer in self._peers if (tip := self._sync.tip_of(peer)) is not None},
            believed_height=self._sync.believed_tip,
            guard_usable=self._guard is not None and self._guard.may_sign(chain.height),
        )

    def has_left(self, peer: bytes) -> bool:
        """Whether this node was a validator or an observer once, and is neither any more."""
        return self._chain.has_left(peer)

    def lookup(self, identity: bytes) -> PoolView | None:
        """What the pool knows of this transaction."""
        return self._admission.lookup(identity)

    def bodies(self, height: int) -> tuple[bytes, ...] | None:
        """The encoded batches of a decided block, in order, or None where they are not kept."""
        return bodies_at(self._chain, self._segments, height)

    def body(self, height: int, index: int) -> bytes | None:
        """The bytes of the transaction at this position of a decided block."""
        return body_at(self._chain, self._segments, height, index)

    # Peers

    def _peer_up(self, peer: bytes) -> None:
        self._peers[peer] = None
        self._inputs.append(asked.PeerConnected(peer))
        self._batches.push_to(peer, self._now)

    def _peer_down(self, peer: bytes) -> None:
        self._peers.pop(peer, None)
        self._sync.peer_gone(peer)
        self._serving.gone(peer, self._now)
        self._inputs.append(asked.PeerGone(peer))
        if self._is_due():
            self._inputs.append(asked.Due(self._chain.height))

    def _peer_message(self, peer: bytes, payload: bytes) -> None:
        if peer not in self._peers:
            return
        try:
            message = decode_message(payload)
        except Rejected as error:
            self._out.misbehaved(peer, str(error))
            return
        match message:
            case Status():
                self._heard_status(peer, message)
            case Vote() | Polka():
                self._inputs.append(asked.Received(peer, message))
            case ProposalMessage(proposal, block):
                self._heard_block(peer, block, proposal.block_id, proposal)
            case CommitMessage(commit, block):
                self._heard_block(peer, block, commit.block_id, commit)
            case ProposedBlock(block):
                self._heard_block(peer, block, None, None)
            case Batch():
                self._batches.receive(peer, message, batch_raw(payload), self._now)
            case BatchAck(ids):
                self._batches.acknowledged(peer, ids)
            case BatchRequest(ids):
                self._batches.answer(peer, ids, self._now)
            case ProposedRequest(_, identity):
                self._candidates.give(peer, identity, self._now)
            case BlockRequest(first, count):
                self._serving.ask(peer, self._sync.answers(first, count), self._now)
            case BlockResponse():
                self._heard_decided(peer, message)
            case EvidenceMessage(evidence):
                self._heard_evidence(evidence)
            case SnapshotRequest(height):
                self._serving.ask(peer, offers(self._shelf, height), self._now)
            case PieceRequest():
                self._serving.ask(peer, pieces(self._shelf, message), self._now)
            case SnapshotOffer() | SnapshotPiece():
                pass  # Asked for before this node had a state of its own.
            case _:
                assert_never(message)

    def _heard_status(self, peer: bytes, status: Status) -> None:
        tip = max(0, status.height - 1)
        self._sync.note_tip(peer, tip)
        if self._guard is not None:
            self._guard.note_claim(peer, tip)
            self._look_at_guard()
        if status.height < self._chain.height:
            self._sync.tell_behind(peer, self._now)
        self._first_tips.setdefault(peer, tip)
        if self._wake(is_late=False):
            self._inputs.append(self._start_height())
        self._sync.run(self._now)
        self._inputs.append(asked.Received(peer, status))

    def _heard_block(
        self, peer: bytes, block: Block, identity: bytes | None, message: Proposal | Commit | None
    ) -> None:
        """A block, and what it came with: the block first, so that a judgement finds it."""
        found = self._candidates.offer(peer, block, self._now)
        if found is None or identity not in (None, found):
            self._out.misbehaved(peer, "a block that is not what its id says")
        elif message is not None:
            # Precommits in the parent's commit that contradict those heard here are evidence.
            self._inputs.append(asked.Received(peer, block.last_commit))
            self._inputs.append(asked.Received(peer, message))

    def _heard_evidence(self, evidence: Evidence) -> None:
        if self._chain.is_news(evidence, self._now.wall_ms) and self._evidence.add(evidence):
            self._work_waits()

    # Timers and work

    def _timer_fired(self, timer: tuple[str | int, ...]) -> None:
        match timer:
            case ("consensus", int(height), int(round_), asked.Timer() as kind):
                self._inputs.append(asked.TimerFired(height, round_, kind))
            case ("cut",):
                self._is_cutting = False
                self._cut()
            case _ if timer == RETIRE_TIMER:
                self._is_halted = True
                self._out.emit(Stop(self._chain.too_new_for(self._protocol_max)))
            case ("awake",):
                if self._wake(is_late=True):
                    self._inputs.append(self._start_height())
            case _ if timer == FETCH_TIMER:
                self._batches.fetch(self._now)
            case _ if timer == FLUSH_TIMER:
                self._batches.sync()
            case _ if timer == BLOCK_TIMER:
                self._candidates.ask(self._now)
            case _ if timer == SYNC_TIMER:
                self._sync.tick(self._now)
            case _ if timer == REST_TIMER:
                self._batches.waste.rest_over(self._now)
                self._work_waits()
            case _ if timer == SERVE_TIMER:
                self._serving.go_on(self._now)
            case _:
                raise Broken("a timer that nobody armed fired: {timer}", timer=repr(timer))

    def _work_waits(self) -> None:
        """Something new for a block, or for a batch."""
        if self._pool.waiting_count:
            wait_ms = 0 if self._pool.fills_batch else self._batches.company_ms
            if wait_ms == 0:
                self._cut()
            elif not self._is_cutting:
                self._is_cutting = True
                self._out.emit(ArmTimer(CUT_TIMER, wait_ms))
        if self._is_due():
            self._inputs.append(asked.Due(self._chain.height))

    def _cut(self) -> None:
        if self._key is None or self._key not in self._chain.validators:
            return
        while self._batches.may_cut and (transactions := self._pool.take()):
            batch = self._batches.cut(transactions, self._now)
            self._pool.mark_batched(transactions, batch.id)
            if not self._pool.fills_batch:
                break

    def _is_due(self) -> bool:
        """Whether there is a reason for a block; a node that is catching up leaves blocks to the others."""
        if self._sync.is_behind:
            return False
        return self._chain.lacks_root or self._batches.has_any or bool(self._evidence_for_block(alone=True))

    def _evidence_for_block(self, alone: bool) -> tuple[Evidence, ...]:
        return self._chain.choose_evidence(self._evidence, self._now.wall_ms, alone)

    def _batch_settled(self, identity: bytes) -> None:
        self._candidates.batch_settled(identity, self._now)
        if self._is_due():
            self._inputs.append(asked.Due(self._chain.height))

    # Consensus

    def _run_engine(self) -> None:
        """Gives consensus its inputs and does what it asks; the answers are inputs again, behind those that wait."""
        while self._inputs and not self._is_halted:
            for effect in self._engine.handle(self._inputs.popleft()):
                self._perform(effect)

    def _perform(self, effect: asked.Effect) -> None:
        match effect:
            case asked.Persist(record):
                if rests_on_block(record):
                    self._segments.sync()
                if self._guard is None:
                    raise Broken("an observer was asked to sign")
                self._guard.write(record, self._out)
            case asked.Broadcast(message):
                self._send_consensus(tuple(self._peers), message)
            case asked.SendTo(peer, message):
                self._send_consensus((peer,), message)
            case asked.ArmTimer(height, round_, timer, delay_ms):
                # From decision to decision: whoever is late because applying the last block took long waits no longer.
                since_ms = self._now.mono_ms if timer is asked.Timer.SPACING else None
                self._out.emit(ArmTimer(("consensus", height, round_, timer), delay_ms, since_ms, slot=timer))
            case asked.Build(height, round_):
                self._build(height, round_)
            case asked.Judge(proposal):
                self._candidates.judge(proposal, self._now)
            case asked.Fetch():
                self._candidates.fetch(effect, self._now)
            case asked.Decide(commit):
                self._decide(commit)
            case asked.ReportEvidence(evidence):
                self._out.log("consensus.equivocation", "warning", key=offender(evidence))
                if self._evidence.add(evidence):
                    self._out.send(self._peers, EvidenceMessage(evidence))
            case asked.Misbehaved(peer, reason):
                self._out.misbehaved(peer, reason)
            case asked.RolledBack(height):
                self._rolled_back(height)
            case _:
                assert_never(effect)

    def _send_consensus(self, peers: tuple[bytes, ...], message: ConsensusMessage) -> None:
        """A proposal and a commit take their block along."""
        match message:
            case Proposal() | Commit():
                block = self._candidates.find(message.block_id)
                if block is not None:
                    self._out.send(peers, with_block(message, block))
            case Vote() | Polka() | Status():
                self._out.send(peers, message)
            case _:
                assert_never(message)

    def _build(self, height: int, round_: int) -> None:
        if height != self._chain.height or self._key is None:
            return
        batches = self._batches.choose()
        block = self._chain.build(round_, self._now.wall_ms, self._key, batches, self._evidence_for_block(not batches))
        self._inputs.append(asked.Built(height, round_, self._candidates.add_own(block)))

    def _rolled_back(self, height: int) -> None:
        self._out.log("signer.rolled_back", "error", height=height)
        if self._guard is not None:
            self._guard.distrust(self._out)

    def _begin(self) -> None:
        """After a start: what the disk says of this key, then listen before signing."""
        guard, key, chain = self._guard, self._key, self._chain
        may_sign = guard is not None and guard.may_sign(chain.height)
        if guard is not None and key is not None and may_sign and is_older_than_blocks(guard.record, key, chain):
            self._rolled_back(chain.height)
        self._wake(is_late=False)
        self._inputs.append(self._start_height())
        if not self._is_awake:
            self._out.emit(ArmTimer(AWAKE_TIMER, AWAKE_MS))

    def _wake(self, is_late: bool) -> bool:
        """Sign from now on, if what was told of the tips lets it. True where it wakes now."""
        if self._is_awake:
            return False
        self._is_awake = may_wake(self._first_tips, self._chain, is_late)
        return self._is_awake

    def _override_guard(self, height: int) -> None:
        if self._guard is not None and not self._guard.may_sign(self._chain.height):
            self._out.log("signer.override", "warning", height=height)
            self._guard.signs_from = height
            self._inputs.append(self._start_height())

    def _look_at_guard(self) -> None:
        if (guard := self._guard) is not None and guard.reached(self._chain.height - 1, self._chain.validators):
            self._out.log("signer.observing", height=self._chain.height, signs_from=guard.signs_from or 0)

    def _start_height(self) -> asked.StartHeight:
        chain, guard, due = self._chain, self._guard, self._is_due()
        self._look_at_guard()
        signing = guard is not None and guard.may_sign(chain.height) and self._is_awake
        return asked.StartHeight(chain.height, chain.validators, chain.proposers, due, signing, chain.tip_count)

    # Decided blocks

    def _decide(self, commit: Commit) -> None:
        if commit.height != self._chain.height:
            return
        block = self._candidates.find(commit.block_id)
        if block is None:
            raise Broken("a block was decided that is not here", height=commit.height)
        held = [self._batches.find(identity) for identity in block.batches]
        self._commit(block, commit, [batch for batch in held if batch is not None], synced=False)

    def _commit(self, block: Block, commit: Commit, held: Sequence[HeldBatch], synced: bool) -> None:
        """Applies a decided block; everything about it goes to the store in one batch."""
        if len(held) != len(block.batches):
            raise Broken("a block was decided whose batches are not here", height=commit.height)
        self._segments.sync()
        self._compare_guard(block, commit)
        transactions = tuple(transaction for batch in held for transaction in batch.transactions)
        again = self._batches.decided(block.batches)
        undecided = tuple(batch.place for batch in self._batches.held)
        marks = Marks(self._segments.end, undecided)
        applied = self._chain.apply(block, commit, tuple(batch.place for batch in held), transactions, marks)
        self._out.emit(Write(applied.batch))
        if self._chain.store.commit.oldest_height > 1:
            self._drop_segments(marks)
        self._out.emit(Committed(applied.stored, transactions, synced))
        self._admission.decided(applied.outcome.results)
        if not synced:
            self._batches.waste.judge(held, applied.outcome.results, self._now, block.header.proposer, again)
        self._settle(block)
        if self._chain.protocol > self._protocol_max:
            self._retire()
        else:
            self._wake(is_late=False)
            self._inputs.append(self._start_height())

    def _drop_segments(self, marks: Marks) -> None:
        """Deletes the files of bodies whose blocks are no longer kept, once the store says so on disk."""
        chain, first = self._chain, self._segments.first
        self._segments.remove(unused_segments(chain.records, first, marks, chain.store.commit.oldest_height))

    def _compare_guard(self, block: Block, commit: Commit) -> None:
        guard, chain, key = self._guard, self._chain, self._key
        if guard is None or key is None or not guard.may_sign(chain.height):
            return
        if contradicts(guard.record, key, block, commit, chain.validators):
            self._rolled_back(chain.height)

    def _settle(self, block: Block) -> None:
        """After a block: forget what belongs to it, drop what is too old, cut the next batch."""
        chain = self._chain
        self._batches.validators = chain.validators
        self._batches.unwant()
        self._evidence.decided(block.evidence)
        self._candidates.start_height()
        self._pool.expire(block.header.time_ms)
        dropped = self._batches.drop_old(self._now, block.header.time_ms, self._candidates.pinned)
        self._pool.requeue(transaction.id for batch in dropped for transaction in batch.transactions)
        self._work_waits()

    def _heard_decided(self, peer: bytes, response: BlockResponse) -> None:
        """A decided block that this node has asked for: proved by its commit, it is applied without a vote."""
        held = None if self._is_retiring else self._sync.proved(peer, response, self._now)
        if held is None:
            return
        try:
            self._chain.check(response.block)
        except Rejected as error:
            self._halt(error)
            return
        self._commit(response.block, response.commit, held, synced=True)
        self._sync.delivered(self._now)

    def _retire(self) -> None:
        """The next block is made by rules that this program does not know: it votes no more, and ends soon."""
        self._is_retiring = True
        self._out.log("protocol.unknown", "error", protocol=self._chain.protocol, height=self._chain.height)
        self._out.emit(ArmTimer(RETIRE_TIMER, RETIRE_MS))

    def _halt(self, error: Rejected) -> None:
        """More than two thirds decided what this node computes otherwise: its own state is wrong, or its software."""
        self._is_halted = True
        misfit = f"the network decided block {self._chain.height}, which does not fit this node's state: {error}"
        self._out.emit(Halt(f"{misfit}; run: concento node repair, then: concento node resync"))


def open_replica(
    genesis: Genesis,
    key: bytes | None,
    kv: KeyValue,
    files: Files,
    crypto: Crypto,
    now: Now,
    ledger: Ledger = LEDGER,
    protocol_max: int = PROTOCOL,
    retention: Retention = ARCHIVE,
    shelf: Shelf | None = None,
) -> Replica:
    """The replica of this node as its store and files have it; an empty store gets the genesis state.

    `key` None is an observer; `protocol_max` is the newest protocol that this program speaks. Raises Rejected where
    store or files are damaged or of another network, or the next block is of a newer protocol.
    """
    out = Outbox()
    chain = open_chain(genesis, kv, crypto, ledger)
    if chain.protocol > protocol_max:
        raise chain.too_new_for(protocol_max)
    chain.retention = retention
    segments, entries = open_segments(files, out, chain.marks)
    guard = open_guard(files, key, genesis.hash) if key is not None else None
    replica = Replica(chain, key, crypto, guard, out, segments, protocol_max, shelf)
    replica.restore(entries, now)
    return replica
