"""A cluster of consensus engines in one process: a virtual clock, a network that can do anything, disks that survive
crashes.

Each node is an engine with the smallest replica around it (blocks are made-up ids). After every decision the cluster
checks agreement, and on everything an honest node sends, that it never says two things at one place.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from random import Random

import msgspec

from concento.evidence import Evidence
from concento.genesis import ConsensusParams
from concento.hashing import Network
from concento.validators import Validator, ValidatorSet
from concento.votes import Commit, Proposal, Vote, VoteType, proposal_bytes, vote_bytes
from consensus.effects import (
    ArmTimer,
    BlockFetched,
    Broadcast,
    Build,
    Built,
    Decide,
    Due,
    Effect,
    Fetch,
    Input,
    Judge,
    Misbehaved,
    PeerConnected,
    Persist,
    ProposalJudged,
    Received,
    ReportEvidence,
    RolledBack,
    SendTo,
    StartHeight,
    TimerFired,
)
from consensus.engine import Engine
from consensus.guard import FILE_BYTES, FRESH, Slot, encode_slot, newest_slot, place, slot_offset
from consensus.messages import Message, Polka, Status
from consensus.proposers import FIRST_TURNS, Turns, after_block, order, proposer

NETWORK = Network("test-net", bytes(32))
PARAMS = ConsensusParams(500, 250, 3_000, 250, 125, 1_500, 5_000, 10, 500, 120_000, 86_400_000, 4)


class FakeCrypto:
    """Keyed hashes instead of signatures: as deterministic, a hundred times cheaper."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.verified = 0

    def sign(self, message: bytes) -> bytes:
        return fake_signature(self.key, message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        self.verified += 1
        return signature == fake_signature(key, message)


def fake_signature(key: bytes, message: bytes) -> bytes:
    return sha256(key + message).digest() * 2


def fake_key(number: int) -> bytes:
    return bytes((number + 1,)) * 32


def fake_validators(size: int) -> ValidatorSet:
    return ValidatorSet(Validator(fake_key(number), f"v{number}", bytes(32)) for number in range(size))


def block_named(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def signed_vote(key: bytes, kind: VoteType, height: int, round_: int, block_id: bytes) -> Vote:
    payload = vote_bytes(NETWORK, kind, height, round_, block_id)
    return Vote(kind, height, round_, block_id, key, fake_signature(key, payload))


def signed_proposal(key: bytes, height: int, round_: int, pol_round: int, block_id: bytes) -> Proposal:
    payload = proposal_bytes(NETWORK, height, round_, pol_round, block_id)
    return Proposal(height, round_, pol_round, block_id, key, fake_signature(key, payload))


@dataclass(frozen=True)
class FakeBlock:
    """What the cluster's replicas know of a block."""

    height: int
    round: int
    proposer: bytes
    parent: bytes
    time_ms: int
    last_commit_round: int


@dataclass(frozen=True)
class Decided:
    """Decided blocks in order, on their way to a peer that is behind."""

    blocks: tuple[tuple[Commit, FakeBlock], ...]


class Crashed(Exception):
    """Ends the performing of effects where a test wants the process to die."""


@dataclass
class Node:
    """A validator: its engine while it runs, and what its disk holds."""

    number: int
    key: bytes
    guard_file: bytearray = field(default_factory=lambda: bytearray(FILE_BYTES))
    sequence: int = 0
    chain: list[Commit] = field(default_factory=list)
    blocks: dict[bytes, FakeBlock] = field(default_factory=dict)
    turns: list[Turns] = field(default_factory=lambda: [FIRST_TURNS])
    engine: Engine | None = None
    crypto: FakeCrypto | None = None
    order: tuple[bytes, ...] = ()
    life: int = 0
    pending: list[Judge | Fetch] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    misbehaved: list[Misbehaved] = field(default_factory=list)
    rolled_back: bool = False
    crash_after: int | None = None

    @property
    def height(self) -> int:
        return len(self.chain)


Drop = Callable[[int, int, object], bool]
"""(from, to, message) -> whether the network loses it."""


class Cluster:
    """`size` validators, numbered from 0 in the order of their keys; all start at once unless told otherwise."""

    def __init__(
        self,
        size: int = 4,
        seed: int = 0,
        down: tuple[int, ...] = (),
        idle: bool = False,
        puppets: tuple[int, ...] = (),
        twins: tuple[int, ...] = (),
        spacing_ms: int = PARAMS.block_spacing_min_ms,
        first_proposer: int = 0,
        params: ConsensusParams = PARAMS,
        heights: int | None = None,
    ) -> None:
        """`heights`: whoever has decided so many begins no other, but still answers."""
        self.params = msgspec.structs.replace(params, block_spacing_min_ms=spacing_ms)
        self.heights_max = heights
        self.random = Random(seed)
        self.first_proposer = first_proposer
        self.validators = fake_validators(size)
        self.nodes = [Node(number, fake_key(number)) for number in range(size)]
        self.nodes += [Node(size + number, fake_key(twin)) for number, twin in enumerate(twins)]
        self.puppets = set(puppets)
        self.misled: set[tuple[int, int, int]] = set()
        self._recent: list[bytes] = []
        self.now_ms = 0
        self.idle = idle
        self.delay_ms = (1, 5)
        self.loss = 0.0
        self.duplicates = 0.0
        self.judge_ms = 0
        self.groups: list[set[int]] = []
        self.drop: Drop = lambda source, target, message: False
        self.decided: dict[int, bytes] = {}
        self.said: dict[tuple[bytes, str, int, int], bytes] = {}
        self.honest = set(range(size)) - set(down) - self.puppets - set(twins)
        self.log: list[tuple[int, int, Effect]] = []
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = count()
        self._names = count()
        for node in self.nodes:
            if node.number not in down and node.number not in self.puppets:
                self.restart(node.number)

    # Time

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now_ms + delay_ms, next(self._sequence), action))

    def run(self, for_ms: int) -> None:
        """Lets virtual time pass."""
        until = self.now_ms + for_ms
        while self._queue and self._queue[0][0] <= until:
            self.now_ms, _, action = heapq.heappop(self._queue)
            action()
        self.now_ms = until

    def run_until_height(self, height: int, within_ms: int, of: tuple[int, ...] | None = None) -> int:
        """Lets time pass until these nodes have decided the height; returns how long it took. Fails after
        `within_ms`."""
        start, wanted = self.now_ms, tuple(self.honest) if of is None else of
        while any(self.nodes[number].height < height for number in wanted):
            if self.now_ms - start > within_ms or not self._queue:
                raise AssertionError(f"no height {height} within {within_ms} ms: {self.heights()}")
            self.now_ms, _, action = heapq.heappop(self._queue)
            action()
        return self.now_ms - start

    def heights(self) -> list[int]:
        return [node.height for node in self.nodes]

    # Faults

    def crash(self, number: int) -> None:
        node = self.nodes[number]
        node.engine, node.life, node.pending = None, node.life + 1, []

    def restart(self, number: int) -> None:
        """Starts a node from its disk."""
        node = self.nodes[number]
        slot = newest_slot(bytes(node.guard_file))
        node.life += 1
        node.crypto = FakeCrypto(node.key)
        node.engine = Engine(NETWORK, node.key, node.crypto, self.params, FRESH if slot is None else slot.record)
        self._start_height(node, resumed=True)
        for peer in self.nodes:
            if peer.engine is not None and peer is not node:
                self.handle(node, PeerConnected(fake_key(peer.number)))
                self.handle(peer, PeerConnected(fake_key(node.number)))

    def wipe(self, number: int) -> None:
        """Loses the disk of a node that is down, its guard included."""
        self.nodes[number] = Node(number, fake_key(number), life=self.nodes[number].life)

    def partition(self, *groups: set[int]) -> None:
        self.groups = list(groups)

    def heal(self) -> None:
        self.groups, self.loss, self.drop = [], 0.0, lambda source, target, message: False

    # The smallest replica

    def handle(self, node: Node, event: Input) -> None:
        if node.engine is None:
            return
        effects = node.engine.handle(event)
        try:
            for effect in effects:
                self._count_down(node)
                self.log.append((self.now_ms, node.number, effect))
                self._perform(node, effect)
        except Crashed:
            self.crash(node.number)

    def _count_down(self, node: Node) -> None:
        if node.crash_after is None:
            return
        if node.crash_after == 0:
            node.crash_after = None
            raise Crashed
        node.crash_after -= 1

    def _perform(self, node: Node, effect: Effect) -> None:
        match effect:
            case Persist(record):
                node.sequence += 1
                data = encode_slot(Slot(node.sequence, bytes(32), node.key, record))
                offset = slot_offset(node.sequence)
                node.guard_file[offset : offset + len(data)] = data
            case Broadcast(message):
                self._check_honesty(node, message)
                if isinstance(message, Proposal):
                    self._recent = [*self._recent[-2:], message.block_id]
                for peer in self.nodes:
                    if peer is not node:
                        self.send(node.number, peer.number, message)
            case SendTo(key, message):
                self.send(node.number, self.number_of(key), message)
            case ArmTimer(height, round_, timer, delay_ms):
                self._later(node, delay_ms, TimerFired(height, round_, timer))
            case Build(height, round_):
                block_id = self.make_block(node, height, round_)
                self._later(node, self.judge_ms, Built(height, round_, block_id))
            case Judge() | Fetch():
                node.pending.append(effect)
                self._settle(node)
            case Decide(commit):
                self._decide(node, commit)
            case ReportEvidence(evidence):
                node.evidence.append(evidence)
            case Misbehaved():
                node.misbehaved.append(effect)
            case RolledBack():
                node.rolled_back = True

    def make_block(self, node: Node, height: int, round_: int) -> bytes:
        block_id = block_named(f"h{height} r{round_} by {node.number} #{next(self._names)}")
        parent = node.chain[-1].block_id if node.chain else b""
        last_round = node.chain[-1].round if node.chain else 0
        node.blocks[block_id] = FakeBlock(height, round_, node.key, parent, self.now_ms, last_round)
        return block_id

    def _settle(self, node: Node) -> None:
        """Answers what the replica was asked as soon as the block is there; else asks for it again and again."""
        waiting, node.pending = node.pending, []
        for asked in waiting:
            wanted = asked.proposal if isinstance(asked, Judge) else asked
            block = node.blocks.get(wanted.block_id)
            if block is None:
                node.pending.append(asked)
                self._ask_for_block(node, asked)
                continue
            parent = node.chain[wanted.height - 2].block_id if wanted.height > 1 else b""
            valid = block.height == wanted.height and block.parent == parent
            if isinstance(asked, Judge):
                pol_round = asked.proposal.pol_round
                fits = block.round == wanted.round if pol_round < 0 else block.round <= pol_round
                answer: Input = ProposalJudged(wanted.height, wanted.round, wanted.block_id, valid, fits)
            else:
                answer = BlockFetched(wanted.height, wanted.block_id, valid)
            self._later(node, self.judge_ms, answer)

    def _ask_for_block(self, node: Node, asked: Judge | Fetch) -> None:
        holders = (asked.proposal.proposer,) if isinstance(asked, Judge) else asked.holders
        wanted = asked.proposal if isinstance(asked, Judge) else asked
        life = node.life
        for key in holders:
            holder = self.nodes[self.number_of(key)]
            is_up = holder.engine is not None or holder.number in self.puppets
            if is_up and wanted.block_id in holder.blocks:
                self.send(holder.number, node.number, (wanted.block_id, holder.blocks[wanted.block_id]))

        def again() -> None:
            if node.life == life and asked in node.pending and wanted.height == node.height + 1:
                self._settle(node)

        self.at(100, again)

    def _later(self, node: Node, delay_ms: int, event: Input) -> None:
        life = node.life

        def fire() -> None:
            if node.life == life:
                self.handle(node, event)

        self.at(delay_ms, fire)

    def _decide(self, node: Node, commit: Commit) -> None:
        known = self.decided.setdefault(commit.height, commit.block_id)
        if known != commit.block_id:
            raise AssertionError(f"fork at height {commit.height}: {known!r} and {commit.block_id!r}")
        block = node.blocks[commit.block_id]
        node.chain.append(commit)
        node.turns.append(
            after_block(
                node.turns[-1], self.validators, node.order, block.last_commit_round, block.proposer, block.time_ms
            )
        )
        node.pending = []
        if self.heights_max is None or node.height < self.heights_max:
            self._start_height(node, resumed=False)

    def _start_height(self, node: Node, resumed: bool) -> None:
        parent_time_ms = node.blocks[node.chain[-1].block_id].time_ms if node.chain else 0
        height = node.height + 1
        turned = order(self.validators, height, node.turns[-1], parent_time_ms)
        node.order = turned[self.first_proposer :] + turned[: self.first_proposer]
        due = resumed or not self.idle
        self.handle(node, StartHeight(height, self.validators, node.order, due, not node.rolled_back))

    def due(self, number: int) -> None:
        node = self.nodes[number]
        self.handle(node, Due(node.height + 1))

    # The network

    def number_of(self, key: bytes) -> int:
        return key[0] - 1

    def send(self, source: int, target: int, message: object) -> None:
        """Puts a message on the wire; with a proposal travels its block."""
        apart = any((source in group) != (target in group) for group in self.groups)
        if apart or self.random.random() < self.loss or self.drop(source, target, message):
            return
        block: FakeBlock | None = None
        if isinstance(message, Proposal | Commit):
            block = self.nodes[source].blocks.get(message.block_id)
        for _ in range(2 if self.random.random() < self.duplicates else 1):
            delay_ms = self.random.randint(*self.delay_ms)
            self.at(delay_ms, lambda: self._deliver(source, target, message, block))

    def inject(self, target: int, message: Message) -> None:
        """Delivers a made-up message, as if node 0 had sent it."""
        self.at(1, lambda: self._deliver(0, target, message, None))

    def _deliver(self, source: int, target: int, message: object, block: FakeBlock | None) -> None:
        node = self.nodes[target]
        if node.number in self.puppets and source in self.honest and isinstance(message, Proposal | Vote):
            self._mislead(node, message.height, message.round)
        if node.engine is None:
            return
        match message:
            case Decided(blocks):
                for commit, decided_block in blocks:
                    if commit.height == node.height + 1 and node.engine is not None:
                        node.blocks[commit.block_id] = decided_block
                        self._decide(node, commit)
            case (bytes() as block_id, FakeBlock() as fetched):
                node.blocks.setdefault(block_id, fetched)
                self._settle(node)
            case Proposal(block_id=name) | Commit(block_id=name) if block is not None:
                node.blocks.setdefault(name, block)
                self._settle(node)
                self.handle(node, Received(fake_key(source), message))
            case Proposal() | Vote() | Polka() | Status() | Commit():
                self._answer_lower(node, source, message)
                self.handle(node, Received(fake_key(source), message))
            case _:
                raise AssertionError(f"nobody sends {message!r}")

    def _answer_lower(self, node: Node, source: int, message: Message) -> None:
        if isinstance(message, Status) and message.height <= node.height:
            lacking = node.chain[message.height - 1 : message.height + 49]
            self.send(node.number, source, Decided(tuple((commit, node.blocks[commit.block_id]) for commit in lacking)))

    # A Byzantine validator: it has no engine, only a key, and tells everybody something else

    def _mislead(self, puppet: Node, height: int, round_: int) -> None:
        """Once per place: proposals that differ where it is in turn, and votes of both types for anything, per peer."""
        if (puppet.number, height, round_) in self.misled:
            return
        self.misled.add((puppet.number, height, round_))
        leader = max((self.nodes[number] for number in self.honest), key=lambda node: node.height)
        puppet.chain = leader.chain[: height - 1]
        blocks = [b""]
        if proposer(leader.order, round_) == puppet.key and leader.height == height - 1:
            blocks += [self.make_block(puppet, height, round_) for _ in range(2)]
        for peer in self.nodes:
            if peer is puppet:
                continue
            if len(blocks) > 1:
                pol_round = self.random.choice((-1, -1, round_ - 1)) if round_ else -1
                proposal = signed_proposal(puppet.key, height, round_, pol_round, self.random.choice(blocks[1:]))
                self.send(puppet.number, peer.number, proposal)
            for kind in VoteType:
                block_id = self.random.choice(blocks + self._recent)
                ahead = self.random.choice((0, 0, 0, 1, 7))
                self.send(puppet.number, peer.number, signed_vote(puppet.key, kind, height, round_ + ahead, block_id))

    # Checks

    def _check_honesty(self, node: Node, message: Message) -> None:
        if not isinstance(message, Proposal | Vote) or node.number not in self.honest:
            return
        height, round_, step = place(message)
        what = (node.key, f"step {step}", height, round_)
        if self.said.setdefault(what, message.signature) != message.signature:
            raise AssertionError(f"node {node.number} contradicts itself at {what[1:]}")

    def sent(self, kind: type[object], by: int | None = None) -> list[object]:
        """The messages of a type that were broadcast, in order."""
        messages = [e.message for _, n, e in self.log if isinstance(e, Broadcast) and by in (None, n)]
        return [message for message in messages if isinstance(message, kind)]

    def proposer_of(self, round_: int, node: int = 0) -> int:
        return self.number_of(proposer(self.nodes[node].order, round_))
