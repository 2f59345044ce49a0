"""Replicas in one process, on a virtual clock, over memory files and stores: for scenarios of the whole node.

Effects are performed as the real runner performs them, in order and before the next event. Everything that leaves a
node passes here: it can be lost, late, doubled or rewritten, and every signature is kept, so that a test can tell that
nobody signed two things. One thread, no real clock, nothing drawn: chance is the caller's, by the hooks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, Protocol, assert_never

from concento.development import development_account, development_seed
from concento.devnet import development_genesis
from concento.genesis import Genesis
from concento.keys import public_key as public_key_of
from concento.messages import Action
from concento.messages.tokens import Transfer
from concento.transactions import Body, Transaction
from concento.votes import Proposal, Vote
from consensus.effects import Timer
from node.replica.chain import create_chain_store
from node.replica.core import Replica, open_replica
from node.replica.events import (
    Answer,
    Append,
    ArmTimer,
    Committed,
    Disconnect,
    Effect,
    Event,
    Finished,
    Halt,
    Log,
    Now,
    Outcome,
    OverrideGuard,
    PeerDown,
    PeerMessage,
    PeerUp,
    Remove,
    Send,
    Started,
    Stop,
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
from sim.crypto import ED25519, Key, Signing
from sim.disk import Loss, after_crash
from sim.violation import Violation
from state.ledger import LEDGER, Ledger
from state.modules import tokens
from state.store.kv import KeyValue, MemoryKeyValue

LATENCY_MS: Final = 2
VERIFY_MS: Final = 1
WORK_WINDOW_MS: Final = 100
WORK_MAX: Final = 1_000
"""Events of one node in such a window, on average over all nodes: four times what any of 1,500 runs has."""
START_MS: Final = 1_000
"""Between the birth of the chain and the start of the clocks."""
MILLION: Final = 1_000_000
MAX_FEE_UBEAT: Final = 10_000_000
ROUND_TIMERS: Final = (Timer.PROPOSE, Timer.PREVOTE, Timer.PRECOMMIT)

genesis_of = cache(development_genesis)
public_key = cache(public_key_of)


@cache
def _first_records(genesis: Genesis, ledger: Ledger) -> dict[bytes, bytes]:
    """What an empty store holds after its first start: the same for every node and every run."""
    kv = MemoryKeyValue()
    create_chain_store(genesis, kv, ledger)
    return dict(kv.scan(b""))


@cache
def _pair(one: str, other: str) -> frozenset[str]:
    return frozenset((one, other))


class PowerCut(Exception):
    """The node stops where it is; of what was not synced its disk keeps at most `kept` bytes a file."""

    def __init__(self, kept: int = 0, loss: Loss | None = None) -> None:
        super().__init__(kept)
        self.kept = kept
        self.loss = loss


class Watcher(Protocol):
    """Who looks on: nothing that it does changes the run."""

    def handled(self, node: Node, event: Event) -> None:
        """The node is about to handle this event."""

    def performed(self, node: Node, effect: Effect) -> None:
        """This effect was just performed."""

    def sent(self, node: Node, peers: Sequence[bytes], payload: bytes) -> None:
        """A payload leaves the node for these peers, whether it arrives or not."""

    def settled(self, node: Node) -> None:
        """All effects of an event were performed."""

    def started(self, node: Node) -> None:
        """The node has opened what is on its disk."""

    def failed(self, node: Node, error: Exception) -> None:
        """The core of the node raised."""


@dataclass
class Node:
    """One machine: what is on its disk, its clocks, and the replica while it runs. `epoch` tells its runs apart."""

    name: str
    key: Key
    kv: KeyValue
    files: MemoryFiles
    is_validator: bool = True
    replica: Replica | None = None
    epoch: int = 0
    answers: dict[int, tuple[Outcome, ...]] = field(default_factory=dict)
    committed: list[Committed] = field(default_factory=list)
    disconnected: list[tuple[bytes, str]] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    halted: str | None = None
    wall_offset_ms: int = 0
    drift_ppm: int = 0
    paused_until_ms: int = 0
    waiting: list[tuple[int, Event]] = field(default_factory=list)
    hurry: int = 1
    """How many times too early its consensus timers fire."""

    @property
    def is_up(self) -> bool:
        return self.replica is not None

    @property
    def core(self) -> Replica:
        if self.replica is None:
            raise RuntimeError(f"{self.name} is down")
        return self.replica

    @property
    def height(self) -> int:
        return self.core.status().height

    @property
    def app_hash(self) -> bytes:
        return self.core.status().app_hash


class Network:
    """`size` validators named node1, node2, ... and maybe observers; fully connected unless cut."""

    def __init__(
        self,
        size: int = 4,
        observers: int = 0,
        genesis: Genesis | None = None,
        signing: Signing = ED25519,
        new_store: Callable[[str], KeyValue] | None = None,
        reopen: Callable[[KeyValue], KeyValue] = lambda kv: kv,
        watcher: Watcher | None = None,
        ledger: Ledger = LEDGER,
    ) -> None:
        """`new_store` makes the empty store of the node of this name; `reopen`: what its process does after a crash."""
        self.genesis = genesis or genesis_of(size)
        self.signing = signing
        self.ledger = ledger
        self.mono_ms = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._work = (0, 0)
        self._nonces = count()
        self._new_store = new_store or self._memory_store
        self._reopen = reopen
        self.watcher = watcher
        self.nodes = {
            f"node{number}": self._new_node(f"node{number}", number <= size)
            for number in range(1, size + observers + 1)
        }
        self.by_key = {node.key.public: node for node in self.nodes.values()}
        self.links: dict[frozenset[str], int] = {}
        self.severed: Counter[frozenset[str]] = Counter()
        self.silent: Counter[tuple[str, str]] = Counter()
        self.bans_ms: dict[frozenset[str], int] = {}
        self.reconnects = False
        self.is_lost: Callable[[str, str, Any], bool] | None = None
        self.delays: Callable[[str, str, bytes], tuple[int, ...]] | None = None
        self.twist: dict[str, Callable[[Node, Send], Iterable[tuple[bytes, bytes]]]] = {}
        self.before_effect: Callable[[Node, Effect], None] | None = None
        self.signed: dict[tuple[bytes, str, int, int], set[bytes]] = {}
        self.sent_count = 0

    def _new_node(self, name: str, is_validator: bool) -> Node:
        key = self.signing.key(development_seed(name))
        files = MemoryFiles()
        if is_validator:
            create_guard(files, key.public, self.genesis.hash)
        return Node(name, key, self._new_store(name), files, is_validator)

    def _memory_store(self, _name: str) -> KeyValue:
        return MemoryKeyValue(_first_records(self.genesis, self.ledger))

    @property
    def now(self) -> Now:
        """The time of a right clock."""
        return Now(self.mono_ms, self.genesis.time_ms + START_MS + self.mono_ms)

    def now_of(self, node: Node) -> Now:
        """The time as this node has it: its clocks drift together, and the one on the wall is off by an offset."""
        mono_ms = self.mono_ms * (MILLION + node.drift_ppm) // MILLION
        return Now(mono_ms, self.genesis.time_ms + START_MS + mono_ms + node.wall_offset_ms)

    def _true_ms(self, node: Node, delay_ms: int) -> int:
        """How long it is until this node's clock has gone on by so much: a timer is never early, nor due at once."""
        due_ms = self.now_of(node).mono_ms + delay_ms
        return -(-due_ms * MILLION // (MILLION + node.drift_ppm)) - self.mono_ms

    # Machines and links

    def start(self, *names: str) -> None:
        """Starts these nodes, or all, and connects them to everybody who is up and not cut off."""
        for name in names or self.nodes:
            node = self.nodes[name]
            node.epoch += 1
            key = node.key.public if node.is_validator else None
            now = self.now_of(node)
            node.replica = open_replica(self.genesis, key, node.kv, node.files, node.key, now, self.ledger)
            if self.watcher is not None:
                self.watcher.started(node)
            self._post(0, node, Started())
        for name in names or self.nodes:
            for other in self.nodes:
                self.connect(name, other)

    def kill(self, name: str, kept: int = 0, loss: Loss | None = None) -> None:
        """Cuts the power: the disk keeps what was synced, and of unsynced tails at most `kept` bytes, or what `loss`
        says."""
        node = self.nodes[name]
        for other in self.nodes:
            self.disconnect(name, other)
        node.replica = None
        node.epoch += 1
        node.waiting.clear()
        node.kv = self._reopen(node.kv)
        node.files = node.files.crash(kept) if loss is None else after_crash(node.files, loss)

    def wipe(self, name: str, keeps_guard: bool = False) -> None:
        """A dead node loses its disk, but for the key."""
        node = self.nodes[name]
        guard = node.files.read(GUARD_FILE, 0, 1 << 20) if keeps_guard else None
        node.kv.close()
        node.kv, node.files = self._new_store(name), MemoryFiles()
        if guard is not None:
            node.files.write_at(GUARD_FILE, 0, guard)

    def connect(self, left: str, right: str) -> None:
        pair = _pair(left, right)
        one, two = self.nodes[left], self.nodes[right]
        if left == right or pair in self.links or not (one.is_up and two.is_up):
            return
        if self.severed[pair] > 0 or self.bans_ms.get(pair, 0) > self.mono_ms:
            return
        self.links[pair] = next(self._order)
        self._post(0, one, PeerUp(two.key.public))
        self._post(0, two, PeerUp(one.key.public))

    def disconnect(self, left: str, right: str) -> None:
        pair = _pair(left, right)
        if pair in self.links:
            del self.links[pair]
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

    def at(self, time_ms: int, action: Callable[[], None]) -> None:
        """Does this at that time, or now where it is past."""
        self._at(max(0, time_ms - self.mono_ms), action)

    def run(self, duration_ms: int, until: Callable[[], bool] | None = None) -> bool:
        """Lets virtual time pass, at most this long; whether `until` came true."""
        end = self.mono_ms + duration_ms
        while self._queue and self._queue[0][0] <= end:
            self.mono_ms, _, action = heappop(self._queue)
            self._count_work()
            action()
            if until is not None and until():
                return True
        self.mono_ms = end
        return until is not None and until()

    def run_until(self, until: Callable[[], bool], at_most_ms: int = 60_000) -> None:
        if not self.run(at_most_ms, until):
            places = (f"{node.name} at {node.core.status() if node.is_up else 'down'}" for node in self.nodes.values())
            raise AssertionError(f"not within {at_most_ms} ms: " + ", ".join(places))

    @property
    def up(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_up]

    def reached(self, height: int, *names: str) -> Callable[[], bool]:
        nodes = [self.nodes[name] for name in names] or None
        return lambda: all(node.is_up and node.height >= height for node in nodes or self.up)

    # Clients

    def transfer(self, sender: str, to: str, amount_ubeat: int, valid_ms: int = 60_000, **changes: Any) -> Transaction:
        return self.act(sender, Transfer(development_account(to), amount_ubeat), valid_ms=valid_ms, **changes)

    def act(self, sender: str, *actions: Action, valid_ms: int = 60_000, **changes: Any) -> Transaction:
        """A transaction of this development account."""
        fields: dict[str, Any] = {
            "chain_id": self.genesis.chain_id,
            "genesis_prefix": self.genesis.hash[:8],
            "sender": development_account(sender),
            "nonce": next(self._nonces).to_bytes(16, "big"),
            "valid_until_ms": self.now.wall_ms + valid_ms,
            "max_fee_ubeat": MAX_FEE_UBEAT,
            "actions": actions,
            "memo": "",
        }
        seeds = [development_seed(sender)]
        return self.signing.transaction(self.genesis.network, Body(**{**fields, **changes}), seeds)

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
        return tokens.balance(view, development_account(account))

    # Checks

    def check_agreement(self) -> None:
        """No two nodes ever had different blocks or states at one height, and nobody signed two things."""
        blocks: dict[int, bytes] = {}
        for node in self.nodes.values():
            for committed in node.committed:
                encoded = repr(committed.stored.record.block.header).encode()
                if blocks.setdefault(committed.stored.height, encoded) != encoded:
                    raise AssertionError(f"{node.name} has another block at height {committed.stored.height}")
        for place, words in self.signed.items():
            if len(words) != 1:
                raise AssertionError(f"{self.by_key[place[0]].name} signed two things at {place[1:]}")

    # Inside

    def _count_work(self) -> None:
        """Whoever answers answers without end would hold up time itself, and no run would ever end."""
        window = self.mono_ms // WORK_WINDOW_MS
        self._work = (window, self._work[1] + 1 if self._work[0] == window else 1)
        if self._work[1] > WORK_MAX * len(self.nodes):
            raise Violation("bounded work", f"{self._work[1]} events within {WORK_WINDOW_MS} ms")

    def _at(self, delay_ms: int, action: Callable[[], None]) -> None:
        heappush(self._queue, (self.mono_ms + delay_ms, next(self._order), action))

    def _post(self, delay_ms: int, node: Node, event: Event) -> None:
        epoch = node.epoch
        self._at(delay_ms, lambda: self._handle(node, epoch, event))

    def _handle(self, node: Node, epoch: int, event: Event) -> None:
        if node.replica is None or node.epoch != epoch:
            return
        if node.paused_until_ms > self.mono_ms or node.waiting:
            # In order, also behind those that wait: whatever reaches a process that stands still is kept for it.
            node.waiting.append((epoch, event))
            if len(node.waiting) == 1:
                self._at(max(0, node.paused_until_ms - self.mono_ms), lambda: self._wake(node))
            return
        self._act(node, event)

    def _wake(self, node: Node) -> None:
        if node.paused_until_ms > self.mono_ms:
            self._at(node.paused_until_ms - self.mono_ms, lambda: self._wake(node))
            return
        waiting, node.waiting = node.waiting, []
        for epoch, event in waiting:
            self._handle(node, epoch, event)

    def resume(self, node: Node) -> None:
        """A process that stood still goes on."""
        node.paused_until_ms = min(node.paused_until_ms, self.mono_ms)
        self._wake(node)

    def _act(self, node: Node, event: Event) -> None:
        if node.replica is None:
            return
        if self.watcher is not None:
            self.watcher.handled(node, event)
        try:
            effects = node.replica.handle(event, self.now_of(node))
        except Exception as error:
            if self.watcher is None:
                raise
            self.watcher.failed(node, error)
            return
        try:
            for effect in effects:
                if self.before_effect is not None:
                    self.before_effect(node, effect)
                self._perform(node, effect)
                if self.watcher is not None:
                    self.watcher.performed(node, effect)
        except PowerCut as cut:
            self.kill(node.name, cut.kept, cut.loss)
        if self.watcher is not None and node.is_up:
            self.watcher.settled(node)

    def _perform(self, node: Node, effect: Effect) -> None:
        match effect:
            case Append(file, offset, data):
                node.files.append(file, offset, data)
            case Sync(file):
                node.files.sync(file)
            case Remove(file):
                node.files.remove(file)
            case WriteGuard(offset, data):
                node.files.write_at(GUARD_FILE, offset, data)
            case Write(changes):
                node.kv.write(changes)
            case Send(peers, payload, _):
                self._leave(node, effect, peers, payload)
            case Disconnect(peer, reason, ban_ms):
                node.disconnected.append((peer, reason))
                self._ban(node.name, self.by_key[peer].name, ban_ms)
            case ArmTimer(timer, delay_ms):
                if node.hurry > 1 and timer[0] == "consensus" and timer[3] in ROUND_TIMERS:
                    delay_ms //= node.hurry
                self._post(self._true_ms(node, delay_ms), node, TimerFired(timer))
            case Verify(token, checks, _):
                self._post(VERIFY_MS, node, Verified(token, self.signing.verdicts(checks)))
            case Answer(token, outcomes):
                node.answers[token] = outcomes
            case Committed():
                node.committed.append(effect)
            case Log():
                node.logs.append(effect)
            case Halt(sentence):
                node.halted = sentence
                node.replica = None
            case Stop(reason):
                node.halted = str(reason)
                node.replica = None
            case Finished():
                # Who joins in a test asks its core.
                pass
            case _:
                assert_never(effect)

    def _ban(self, name: str, other: str, ban_ms: int) -> None:
        self.disconnect(name, other)
        if self.reconnects:
            self.bans_ms[frozenset((name, other))] = self.mono_ms + ban_ms
            self._at(ban_ms, lambda: self.connect(name, other))

    def _leave(self, node: Node, effect: Send, peers: tuple[bytes, ...], payload: bytes) -> None:
        twist = self.twist.get(node.name)
        if twist is not None:
            for peer, twisted in twist(node, effect):
                if self.watcher is not None:
                    self.watcher.sent(node, (peer,), twisted)
                self._send(node, self.by_key[peer], twisted)
            return
        if self.watcher is None:
            self._note_signatures(payload)
        else:
            self.watcher.sent(node, peers, payload)
        for peer in peers:
            self._send(node, self.by_key[peer], payload)

    def _send(self, node: Node, other: Node, payload: bytes) -> None:
        self.sent_count += 1
        source, target = node.name, other.name
        pair = _pair(source, target)
        link = self.links.get(pair)
        if link is None or (self.silent and self.silent[source, target] > 0):
            return
        if self.is_lost is not None and self.is_lost(source, target, decode_message(payload)):
            return
        epoch, event = other.epoch, PeerMessage(node.key.public, payload)

        def arrive() -> None:
            if self.links.get(pair) == link:
                self._handle(other, epoch, event)

        for delay_ms in (LATENCY_MS,) if self.delays is None else self.delays(source, target, payload):
            self._at(delay_ms, arrive)

    def _note_signatures(self, payload: bytes) -> None:
        message = decode_message(payload)
        match message:
            case Vote(kind, height, round_, block_id, key):
                self.signed.setdefault((key, kind.name, height, round_), set()).add(block_id)
            case ProposalMessage(Proposal(height, round_, pol_round, block_id, key), _):
                self.signed.setdefault((key, "PROPOSAL", height, round_), set()).add(block_id + b"%d" % pol_round)
            case _:
                pass
