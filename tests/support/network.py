"""Replicas in one process, on a virtual clock, over memory files and stores: for scenarios of the whole node.

Effects are performed as the real runner performs them, in order and before the next event. Everything that leaves a
node passes here: it can be lost, and every signature is kept, so that a test can tell that nobody signed two things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

from concento.accounts import account_of_key
from concento.development import development_seed
from concento.devnet import development_genesis
from concento.genesis import Genesis
from concento.keys import public_key, sign, verify, verify_many
from concento.messages.tokens import Transfer
from concento.transactions import Body, Transaction, sign_transaction
from concento.votes import Proposal, Vote
from node.replica.core import Replica, open_replica
from node.replica.events import (
    Answer,
    Append,
    ArmTimer,
    Committed,
    Disconnect,
    Effect,
    Event,
    Halt,
    Log,
    Now,
    Outcome,
    OverrideGuard,
    PeerDown,
    PeerMessage,
    PeerUp,
    Send,
    Started,
    Submit,
    Sync,
    TimerFired,
    Verified,
    Verify,
    Write,
    WriteGuard,
)
from node.replica.files import GUARD_FILE, MemoryFiles
from node.replica.guardfile import create_guard
from node.replica.wire import Message, ProposalMessage, decode_message, encode_message
from state.modules import tokens
from state.store.kv import MemoryKeyValue

LATENCY_MS = 2
VERIFY_MS = 1


class PowerCut(Exception):
    """The node stops where it is; of what was not synced its disk keeps at most `kept` bytes a file."""

    def __init__(self, kept: int = 0) -> None:
        super().__init__(kept)
        self.kept = kept


@dataclass(frozen=True, slots=True)
class Key:
    seed: bytes
    public: bytes

    def sign(self, message: bytes) -> bytes:
        return sign(self.seed, message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return verify(key, message, signature)


@dataclass
class Node:
    """One machine: what is on its disk, and the replica while it runs. `epoch` tells its runs apart."""

    name: str
    key: Key
    kv: MemoryKeyValue
    files: MemoryFiles
    is_validator: bool = True
    replica: Replica | None = None
    epoch: int = 0
    answers: dict[int, tuple[Outcome, ...]] = field(default_factory=dict)
    committed: list[Committed] = field(default_factory=list)
    disconnected: list[tuple[bytes, str]] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    halted: str | None = None

    @property
    def is_up(self) -> bool:
        return self.replica is not None

    @property
    def core(self) -> Replica:
        assert self.replica is not None, f"{self.name} is down"
        return self.replica

    @property
    def height(self) -> int:
        return self.core.status().height

    @property
    def app_hash(self) -> bytes:
        return self.core.status().app_hash


class Network:
    """`size` validators named node1, node2, ... and maybe observers; fully connected unless cut."""

    def __init__(self, size: int = 4, observers: int = 0, genesis: Genesis | None = None) -> None:
        self.genesis = genesis or development_genesis(size)
        self.mono_ms = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._nonces = count()
        self.nodes = {
            f"node{number}": self._new_node(f"node{number}", number <= size)
            for number in range(1, size + observers + 1)
        }
        self.by_key = {node.key.public: node for node in self.nodes.values()}
        self.links: set[frozenset[str]] = set()
        self.is_lost: Callable[[str, str, Any], bool] | None = None
        self.before_effect: Callable[[Node, Effect], None] | None = None
        self.signed: dict[tuple[bytes, str, int, int], set[bytes]] = {}
        self.sent_count = 0

    def _new_node(self, name: str, is_validator: bool) -> Node:
        seed = development_seed(name)
        files = MemoryFiles()
        if is_validator:
            create_guard(files, public_key(seed), self.genesis.hash)
        return Node(name, Key(seed, public_key(seed)), MemoryKeyValue(), files, is_validator)

    @property
    def now(self) -> Now:
        return Now(self.mono_ms, self.genesis.time_ms + 1_000 + self.mono_ms)

    # Machines and links

    def start(self, *names: str) -> None:
        """Starts these nodes, or all, and connects them to everybody who is up and not cut off."""
        for name in names or self.nodes:
            node = self.nodes[name]
            node.epoch += 1
            key = node.key.public if node.is_validator else None
            node.replica = open_replica(self.genesis, key, node.kv, node.files, node.key, self.now)
            self._post(0, node, Started())
        for name in names or self.nodes:
            for other in self.nodes:
                self.connect(name, other)

    def kill(self, name: str, kept: int = 0) -> None:
        """Cuts the power: the disk keeps what was synced and at most `kept` bytes of each unsynced tail."""
        node = self.nodes[name]
        for other in self.nodes:
            self.disconnect(name, other)
        node.replica = None
        node.epoch += 1
        node.files = node.files.crash(kept)

    def wipe(self, name: str, keeps_guard: bool = False) -> None:
        """A dead node loses its disk, but for the key."""
        node = self.nodes[name]
        guard = node.files.read(GUARD_FILE, 0, 1 << 20) if keeps_guard else None
        node.kv, node.files = MemoryKeyValue(), MemoryFiles()
        if guard is not None:
            node.files.write_at(GUARD_FILE, 0, guard)

    def connect(self, left: str, right: str) -> None:
        pair = frozenset((left, right))
        one, two = self.nodes[left], self.nodes[right]
        if left == right or pair in self.links or not (one.is_up and two.is_up):
            return
        self.links.add(pair)
        self._post(0, one, PeerUp(two.key.public))
        self._post(0, two, PeerUp(one.key.public))

    def disconnect(self, left: str, right: str) -> None:
        pair = frozenset((left, right))
        if pair in self.links:
            self.links.discard(pair)
            one, two = self.nodes[left], self.nodes[right]
            self._post(0, one, PeerDown(two.key.public))
            self._post(0, two, PeerDown(one.key.public))

    def partition(self, *groups: Iterable[str]) -> None:
        """Only nodes of the same group stay connected."""
        side = {name: index for index, group in enumerate(groups) for name in group}
        for left in self.nodes:
            for right in self.nodes:
                if side.get(left) != side.get(right):
                    self.disconnect(left, right)

    def heal(self) -> None:
        self.is_lost = None
        for left in self.nodes:
            for right in self.nodes:
                self.connect(left, right)

    # Time

    def run(self, duration_ms: int, until: Callable[[], bool] | None = None) -> bool:
        """Lets virtual time pass, at most this long; whether `until` came true."""
        end = self.mono_ms + duration_ms
        while self._queue and self._queue[0][0] <= end:
            self.mono_ms, _, action = heappop(self._queue)
            action()
            if until is not None and until():
                return True
        self.mono_ms = end
        return until is not None and until()

    def run_until(self, until: Callable[[], bool], at_most_ms: int = 60_000) -> None:
        assert self.run(at_most_ms, until), f"not within {at_most_ms} ms: " + ", ".join(
            f"{node.name} at {node.core.status() if node.is_up else 'down'}" for node in self.nodes.values()
        )

    @property
    def up(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_up]

    def reached(self, height: int, *names: str) -> Callable[[], bool]:
        nodes = [self.nodes[name] for name in names] or None
        return lambda: all(node.is_up and node.height >= height for node in nodes or self.up)

    # Clients

    def transfer(self, sender: str, to: str, amount_ubeat: int, valid_ms: int = 60_000, **changes: Any) -> Transaction:
        seed = development_seed(sender)
        fields: dict[str, Any] = {
            "chain_id": self.genesis.chain_id,
            "genesis_prefix": self.genesis.hash[:8],
            "sender": account_of_key(public_key(seed)),
            "nonce": next(self._nonces).to_bytes(16, "big"),
            "valid_until_ms": self.now.wall_ms + valid_ms,
            "max_fee_ubeat": 10_000,
            "actions": (Transfer(account_of_key(public_key(development_seed(to))), amount_ubeat),),
            "memo": "",
        }
        return sign_transaction(self.genesis.network, Body(**{**fields, **changes}), [seed])

    def submit(self, name: str, *transactions: Transaction | bytes) -> int:
        """Hands transactions to a node; the token under which its outcomes will be in `answers`."""
        token = next(self._order)
        raw = tuple(item if isinstance(item, bytes) else item.raw for item in transactions)
        self._post(0, self.nodes[name], Submit(token, raw))
        return token

    def inject(self, origin: str, to: str, message: Message | bytes) -> None:
        """Delivers a message as if this node had sent it, whatever its replica thinks."""
        payload = message if isinstance(message, bytes) else encode_message(message)
        self._post(LATENCY_MS, self.nodes[to], PeerMessage(self.nodes[origin].key.public, payload))

    def override_guard(self, name: str, height: int) -> None:
        self._post(0, self.nodes[name], OverrideGuard(height))

    def is_final(self, transaction: Transaction, *names: str) -> Callable[[], bool]:
        """Whether every node that is up, or each of these, has the transaction in its chain."""

        def has(node: Node) -> bool:
            return node.is_up and node.kv.get(b"t" + transaction.id) is not None

        return lambda: all(has(self.nodes[name]) for name in names or [node.name for node in self.up])

    def balance(self, name: str, account: str) -> int:
        view = self.nodes[name].core._chain.view()
        return tokens.balance(view, account_of_key(public_key(development_seed(account))))

    # Checks

    def check_agreement(self) -> None:
        """No two nodes ever had different blocks or states at one height, and nobody signed two things."""
        blocks: dict[int, bytes] = {}
        for node in self.nodes.values():
            for committed in node.committed:
                encoded = repr(committed.stored.record.block.header).encode()
                assert blocks.setdefault(committed.stored.height, encoded) == encoded
        for place, words in self.signed.items():
            assert len(words) == 1, f"{self.by_key[place[0]].name} signed two things at {place[1:]}"

    # Inside

    def _at(self, delay_ms: int, action: Callable[[], None]) -> None:
        heappush(self._queue, (self.mono_ms + delay_ms, next(self._order), action))

    def _post(self, delay_ms: int, node: Node, event: Event) -> None:
        epoch = node.epoch
        self._at(delay_ms, lambda: self._handle(node, epoch, event))

    def _handle(self, node: Node, epoch: int, event: Event) -> None:
        if node.replica is None or node.epoch != epoch:
            return
        try:
            for effect in node.replica.handle(event, self.now):
                if self.before_effect is not None:
                    self.before_effect(node, effect)
                self._perform(node, effect)
        except PowerCut as cut:
            self.kill(node.name, cut.kept)

    def _perform(self, node: Node, effect: Effect) -> None:
        match effect:
            case Append(file, offset, data):
                node.files.append(file, offset, data)
            case Sync(file):
                node.files.sync(file)
            case WriteGuard(offset, data):
                node.files.write_at(GUARD_FILE, offset, data)
            case Write(changes):
                node.kv.write(changes)
            case Send(peers, payload, _):
                self._note_signatures(node, payload)
                for peer in peers:
                    self._send(node, self.by_key[peer], payload)
            case Disconnect(peer, reason, _):
                node.disconnected.append((peer, reason))
                self.disconnect(node.name, self.by_key[peer].name)
            case ArmTimer(timer, delay_ms):
                self._post(delay_ms, node, TimerFired(timer))
            case Verify(token, checks):
                self._post(VERIFY_MS, node, Verified(token, tuple(verify_many(checks))))
            case Answer(token, outcomes):
                node.answers[token] = outcomes
            case Committed():
                node.committed.append(effect)
            case Log():
                node.logs.append(effect)
            case Halt(sentence):
                node.halted = sentence
                node.replica = None

    def _send(self, node: Node, other: Node, payload: bytes) -> None:
        pair = frozenset((node.name, other.name))
        self.sent_count += 1
        if pair not in self.links:
            return
        if self.is_lost is not None and self.is_lost(node.name, other.name, decode_message(payload)):
            return

        def arrive(epoch: int = other.epoch) -> None:
            if pair in self.links:
                self._handle(other, epoch, PeerMessage(node.key.public, payload))

        self._at(LATENCY_MS, arrive)

    def _note_signatures(self, node: Node, payload: bytes) -> None:
        message = decode_message(payload)
        match message:
            case Vote(kind, height, round_, block_id, key):
                self.signed.setdefault((key, kind.name, height, round_), set()).add(block_id)
            case ProposalMessage(Proposal(height, round_, pol_round, block_id, key), _):
                self.signed.setdefault((key, "PROPOSAL", height, round_), set()).add(block_id + b"%d" % pol_round)
