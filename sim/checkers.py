"""What must hold after every event of every run. A violation ends the run; it is never logged and passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from concento.encoding import decode
from concento.genesis import Genesis
from concento.votes import Proposal, Vote, VoteType
from consensus.guard import decode_slot
from node.replica.batches import AUTHOR_BATCHES_MAX
from node.replica.candidates import UNJUDGED_PER_PEER_MAX
from node.replica.events import (
    Answer,
    Committed,
    Effect,
    Event,
    Halt,
    Log,
    PeerMessage,
    Send,
    Submit,
    Write,
    WriteGuard,
)
from node.replica.pool import POOL_COUNT_MAX
from node.replica.wire import RULES, ProposalMessage, decode_message
from sim.crypto import Signing
from sim.network import Node
from sim.validity import Invalid, SecondOpinion, Verify, header_id, packed
from state.store.blockstore import find_block
from state.store.kv import STATE
from state.store.opening import COMMIT_KEY, CommitRecord
from state.supply import audit
from state.validators import SETS, SetRecord

ROUNDS_HELD_MAX: Final = 32
"""Rounds of votes that a node may hold: those kept behind it, the next, and two far ones of each validator."""
EVENTS_BETWEEN_LOOKS: Final = 16
"""Events between two looks at what a node holds in memory."""


class Violation(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


_SETS: Final = STATE + SETS.prefix

Place = tuple[bytes, int, int, int]
"""(key, height, round, step)."""


@dataclass
class Told:
    """What one honest node has told its clients for ever: its newest height, over crashes but not over a wipe."""

    height: int = 0
    time_ms: int = 0
    handled: int = 0


@dataclass
class Checker:
    """Looks on. `dishonest` are the keys of liars: nothing is asked of them."""

    genesis: Genesis
    signing: Signing
    dishonest: frozenset[bytes]
    reached: Counter[str]
    trace: list[str] | None = None
    said: dict[Place, bytes] = field(default_factory=dict)
    precommits: dict[tuple[bytes, int], dict[int, bytes]] = field(default_factory=dict)
    prevoters: dict[tuple[int, int, bytes], set[bytes]] = field(default_factory=dict)
    blocks: dict[int, bytes] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)

    def __post_init__(self) -> None:
        verify: Verify = self.signing.make(b"", b"").verify
        self.opinion = SecondOpinion(self.genesis, verify)
        self.digest = sha256()
        self._sets = {1: self.opinion.members[1]}
        self._app_hashes: dict[tuple[str, int], bytes] = {}
        self._outcomes: dict[int, bytes] = {}
        self._last: tuple[bytes, str] | None = None

    # What the network shows

    def handled(self, node: Node, event: Event) -> None:
        told = self._told(node)
        told.handled += 1
        kind = type(event).__name__
        self._trace(node, kind, event.payload if isinstance(event, PeerMessage) else b"")
        if isinstance(event, Submit):
            self.reached["submit"] += 1

    def failed(self, node: Node, error: Exception) -> None:
        raise Violation("no exception leaves the core", f"{node.name}: {error!r}") from error

    def performed(self, node: Node, effect: Effect) -> None:
        match effect:
            case WriteGuard(_, data):
                self._trace(node, "guard", data)
                self._guarded(node, data)
            case Write(changes):
                self._written(node, changes)
            case Committed():
                if node.key.public not in self.dishonest:
                    self._committed(node, effect)
            case Halt(sentence):
                if node.key.public not in self.dishonest:
                    raise Violation("no honest node halts", f"{node.name}: {sentence}")
            case Answer(_, outcomes):
                for outcome in outcomes:
                    self.reached[f"answer {outcome.status}"] += 1
            case Log(_, name, _):
                self.reached[f"log {name}"] += 1
            case Send(_, payload, _):
                self._trace(node, "send", payload)
            case _:
                pass

    def sent(self, node: Node, to: bytes, payload: bytes) -> None:
        # A liar may send what cannot be decoded, and a node sends each payload to several: one look is enough.
        rule = RULES.get(payload[0])
        self.reached[f"message {rule.record.__name__}" if rule else "message unknown"] += 1
        if (rule is None or rule.record not in (Vote, ProposalMessage)) or (payload, node.name) == self._last:
            return
        self._last = (payload, node.name)
        honest = node.key.public not in self.dishonest
        try:
            message = decode_message(payload)
        except Exception:
            if honest:
                raise
            return
        match message:
            case Vote(validator=signer) if signer == node.key.public:
                self._voted(message, honest)
            case ProposalMessage(Proposal(height, round_, pol_round, block_id, signer), _) if (
                honest and signer == node.key.public
            ):
                self._say((signer, height, round_, 1), block_id + b"%d" % pol_round)
            case _:
                pass

    def settled(self, node: Node) -> None:
        if node.key.public in self.dishonest:
            return
        told = self._told(node)
        if told.handled % EVENTS_BETWEEN_LOOKS == 0:
            check_resources(node, len(self.genesis.validators))

    def started(self, node: Node) -> None:
        """What its clients were told to be final is still there."""
        self._trace(node, "start", b"")
        if node.key.public in self.dishonest:
            return
        told, tip = self._told(node), node.core.store.commit
        if tip.height < told.height:
            raise Violation("what is final stays", f"{node.name} told of height {told.height}, has {tip.height}")
        for height in range(max(1, tip.height - 3), tip.height + 1):
            record = find_block(node.kv, height)
            if record is None or header_id(record.block.header) != self.blocks.get(height):
                raise Violation("what is final stays", f"{node.name} has another block {height}")

    def wiped(self, node: Node) -> None:
        self.told[node.name] = Told()
        self.reached["guard lost"] += 1

    # Votes

    def _guarded(self, node: Node, data: bytes) -> None:
        """What the guard holds is signed, whether it leaves or not."""
        slot = decode_slot(data)
        if slot is None:
            return
        honest = node.key.public not in self.dishonest
        for vote in (slot.record.prevote, slot.record.precommit):
            if vote is not None and (vote.height, vote.round) == (slot.record.height, slot.record.round):
                self._voted(vote, honest)

    def _voted(self, vote: Vote, honest: bool) -> None:
        if vote.type is VoteType.PREVOTE:
            self.prevoters.setdefault((vote.height, vote.round, vote.block_id), set()).add(vote.validator)
        if not honest:
            return
        if vote.round in (1, 3):
            self.reached[f"round {vote.round}"] += 1
        step = 2 if vote.type is VoteType.PREVOTE else 3
        self._say((vote.validator, vote.height, vote.round, step), vote.block_id)
        locks = self.precommits.setdefault((vote.validator, vote.height), {})
        if vote.type is VoteType.PRECOMMIT:
            if vote.block_id:
                self._check_polka(vote.height, vote.round, vote.block_id)
                locks[vote.round] = vote.block_id
        elif vote.block_id:
            self._check_lock(vote, locks)

    def _say(self, place: Place, word: bytes) -> None:
        """The log outside of all nodes: what a key said at a place, over crashes and wipes."""
        if self.said.setdefault(place, word) != word:
            key, height, round_, step = place
            raise Violation("no double sign", f"{key.hex()[:8]} at height {height} round {round_} step {step}")

    def _check_polka(self, height: int, round_: int, block_id: bytes) -> None:
        voters = self.prevoters.get((height, round_, block_id), set())
        members = self._members(height)
        if members and 3 * len(voters & members) <= 2 * len(members):
            raise Violation("a precommit has a polka", f"height {height} round {round_}: {len(voters)} prevotes")

    def _check_lock(self, vote: Vote, locks: dict[int, bytes]) -> None:
        """A prevote against one's lock has a polka for the other block in a later round."""
        locked = max((round_ for round_ in locks if round_ < vote.round), default=None)
        if locked is None or locks[locked] == vote.block_id:
            return
        members = self._members(vote.height)
        for round_ in range(locked + 1, vote.round):
            voters = self.prevoters.get((vote.height, round_, vote.block_id), set())
            if not members or 3 * len(voters & members) > 2 * len(members):
                return
        raise Violation("the lock rule", f"{vote.validator.hex()[:8]} at height {vote.height} round {vote.round}")

    def _members(self, height: int) -> set[bytes]:
        return set(self.opinion.members.get(height, ()))

    # Blocks

    def _written(self, node: Node, changes: Mapping[bytes, bytes | None]) -> None:
        """The batch of a block: which state it leads to, and who validates later."""
        record = decode(CommitRecord, changes[COMMIT_KEY] or b"", "commit record")
        self._trace(node, "write", record.app_hash)
        self._app_hashes[node.name, record.height] = record.app_hash
        if node.key.public in self.dishonest:
            return
        for key, value in changes.items():
            if key.startswith(_SETS) and value is not None:
                members = tuple(member.key for member in decode(SetRecord, value, "validator set").members)
                first = int.from_bytes(key[len(_SETS) :], "big")
                if self._sets.setdefault(first, members) != members:
                    raise Violation("agreement", f"{node.name} has other validators from height {first}")

    def _committed(self, node: Node, committed: Committed) -> None:
        stored, told = committed.stored, self._told(node)
        height, header = stored.height, stored.record.block.header
        if height != told.height + 1 or header.time_ms <= told.time_ms:
            raise Violation("heights and times grow", f"{node.name} from {told.height} to {height}")
        told.height, told.time_ms = height, header.time_ms
        self.reached["block synced" if committed.synced else "block decided"] += 1
        app_hash = self._app_hashes.pop((node.name, height), None)
        if app_hash is None:
            raise Violation("what is final stays", f"{node.name} told of height {height} before it was on disk")
        outcome = packed((stored.results, stored.closing_events, tuple(stored.record.transactions)))
        whole = sha256(header_id(header) + app_hash + outcome).digest()
        if self._outcomes.setdefault(height, whole) != whole:
            raise Violation("agreement", f"{node.name} has another block or result at height {height}")
        try:
            if height == len(self.opinion.headers) + 1:
                self._news(committed, app_hash)
            else:
                self.opinion.check_commit(stored.record.commit)
        except Invalid as error:
            raise Violation("a second checker agrees", f"{node.name}: {error}") from error

    def _news(self, committed: Committed, app_hash: bytes) -> None:
        """The first node that has this height."""
        stored = committed.stored
        self.blocks[stored.height] = header_id(stored.record.block.header)
        newest = max(first for first in self._sets if first <= stored.height + 2)
        self.opinion.follow(committed, app_hash, self._sets[newest])
        for outcome in stored.outcomes:
            self.reached[f"result {outcome.status}"] += 1
            if outcome.kind:
                self.reached[f"kind {outcome.kind}"] += 1
        if stored.record.block.evidence:
            self.reached["block with evidence"] += 1

    # The end

    def finish(self, nodes: list[Node]) -> None:
        """Once, when all is quiet: the books of every honest node, added up in two ways."""
        for node in nodes:
            if node.key.public in self.dishonest or not node.is_up:
                continue
            self._check_books(node)

    def _check_books(self, node: Node) -> None:
        state = [(key[len(STATE) :], value) for key, value in node.kv.scan(STATE)]
        books = audit(state)
        if books.difference_ubeat or books.deposits_ubeat != books.escrow_ubeat:
            raise Violation("conservation", f"{node.name} is off by {books.difference_ubeat} ubeat")
        if books.minted_ubeat != sum(entry.amount_ubeat for entry in self.genesis.balances):
            raise Violation("conservation", f"{node.name} has another supply than genesis")
        mine = self.opinion.books
        if mine.is_whole and node.core.store.commit.height == len(self.opinion.headers):
            theirs = books.balances_ubeat, books.fees_ubeat, books.burnt_ubeat
            if theirs != (sum(mine.balances.values()), mine.pool, mine.burnt):
                raise Violation("conservation", f"{node.name} has other sums than the second books")

    # Small things

    def _told(self, node: Node) -> Told:
        return self.told.setdefault(node.name, Told())

    def _trace(self, node: Node, kind: str, data: bytes) -> None:
        line = f"{node.name} {kind} {len(data)} "
        self.digest.update(line.encode())
        self.digest.update(data)
        if self.trace is not None:
            self.trace.append(line + data[:48].hex())


def check_resources(node: Node, size: int) -> None:
    """What a node holds is bounded, whatever it was sent."""
    core = node.core
    status = core.status()
    heard = core._engine._heard
    held = {
        "votes": (heard.keeper.size() if heard else 0, 4 * size * ROUNDS_HELD_MAX),
        "early messages": (len(core._engine._early), 8 * size * (size + 1)),
        "blocks": (len(core._candidates._found), (size + 2) * (UNJUDGED_PER_PEER_MAX + ROUNDS_HELD_MAX)),
        "missing blocks": (len(core._candidates._missing), size * ROUNDS_HELD_MAX),
        "batches": (len(list(core._batches.held)), size * AUTHOR_BATCHES_MAX),
        "pool": (status.pool_count, POOL_COUNT_MAX),
        "inputs": (len(core._inputs), 0),
        "evidence": (len(core._evidence), 64),
    }
    for name, (count, count_max) in held.items():
        if count > count_max:
            raise Violation("bounded memory", f"{node.name} holds {count} {name}, not {count_max}")
