"""What must hold after every event of every run. A violation ends the run; it is never logged and passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from concento.blocks import Block
from concento.encoding import decode
from concento.genesis import Genesis
from concento.votes import Vote
from consensus.guard import decode_slot
from node.replica.events import (
    Answer,
    Append,
    Committed,
    Effect,
    Event,
    Halt,
    Log,
    PeerMessage,
    Send,
    Stop,
    Write,
    WriteGuard,
)
from node.replica.wire import RULES, BatchRequest, ProposalMessage, ProposedRequest, decode_message
from sim.crypto import Signing
from sim.network import Node
from sim.nodewatch import NodeWatch, check_resources, check_round
from sim.validity import Invalid, SecondOpinion, Verify, header_id, packed
from sim.violation import Violation
from sim.votewatch import VoteWatch
from state.modules.tokens import balance
from state.store.blockstore import find_block
from state.store.kv import STATE
from state.store.opening import COMMIT_KEY, CommitRecord
from state.supply import audit
from state.validators import SETS, SetRecord

EVENTS_BETWEEN_LOOKS: Final = 16
"""Events between two looks at what a node holds in memory."""


_SETS: Final = STATE + SETS.prefix
_MESSAGES: Final = {tag: f"message {rule.record.__name__}" for tag, rule in RULES.items()}
_WATCHED: Final = (Vote, ProposalMessage, BatchRequest, ProposedRequest)


@dataclass
class Told:
    """What one honest node has told its clients for ever: its newest height, over crashes but not over a wipe."""

    height: int = 0
    time_ms: int = 0
    handled: int = 0


@dataclass
class Checker:
    """Looks on. `dishonest` are the keys of liars: nothing is asked of them. `has_books`: the ledger keeps accounts."""

    genesis: Genesis
    signing: Signing
    dishonest: frozenset[bytes]
    reached: Counter[str]
    trace: list[str] | None = None
    has_books: bool = True
    blocks: dict[int, bytes] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)

    def __post_init__(self) -> None:
        verify: Verify = self.signing.make(b"", b"").verify
        self.opinion = SecondOpinion(self.genesis, verify, self.has_books)
        self.digest = sha256()
        self._sets = {1: self.opinion.members[1]}
        self._member_sets: dict[int, set[bytes]] = {}
        self._app_hashes: dict[tuple[str, int], bytes] = {}
        self._outcomes: dict[int, bytes] = {}
        self.votes = VoteWatch(self._members, self.reached)
        self.nodes = NodeWatch(self.opinion.is_signed)

    # What the network shows

    def handled(self, node: Node, event: Event) -> None:
        self._told(node).handled += 1
        self._trace(node, type(event).__name__, event.payload if isinstance(event, PeerMessage) else b"")

    def failed(self, node: Node, error: Exception) -> None:
        raise Violation("no exception leaves the core", f"{node.name}: {error!r}") from error

    def performed(self, node: Node, effect: Effect) -> None:
        match effect:
            case WriteGuard(_, data):
                self._trace(node, "guard", data)
                self._guarded(node, data)
            case Append() if node.key.public not in self.dishonest:
                self.nodes.appended(node, effect)
            case Write(changes):
                self._written(node, changes)
            case Committed():
                if node.key.public not in self.dishonest:
                    self._committed(node, effect)
            case Halt() | Stop():
                if node.key.public not in self.dishonest:
                    raise Violation("no honest node halts", f"{node.name}: {node.halted}")
            case Answer(_, outcomes):
                for outcome in outcomes:
                    self.reached[f"answer {outcome.status}"] += 1
                    if outcome.error is not None:
                        self.reached[f"refused {outcome.error.kind}"] += 1
            case Log(_, name, _):
                self.reached[f"log {name}"] += 1
            case Send(_, payload, _) if self.trace is not None:
                self.trace.append(f"{node.name} send {len(payload)} {payload[:48].hex()}")
            case _:
                pass

    def sent(self, node: Node, peers: Sequence[bytes], payload: bytes) -> None:
        # A liar may send what cannot be decoded.
        rule = RULES.get(payload[0])
        self.reached[_MESSAGES.get(payload[0], "message unknown")] += len(peers)
        if rule is None or rule.record not in _WATCHED:
            return
        honest = node.key.public not in self.dishonest
        if rule.record in (BatchRequest, ProposedRequest):
            if honest:
                self.nodes.requested(node, tuple(peers), payload)
            return
        try:
            message = decode_message(payload)
        except Exception:
            if honest:
                raise
            return
        match message:
            case Vote(validator=signer) if signer == node.key.public:
                self.votes.voted(message, honest)
            case ProposalMessage(proposal, block) if proposal.proposer == node.key.public:
                self.votes.proposed(proposal, honest)
                if honest and proposal.pol_round < 0:
                    self._check_proposed(node, block)
            case _:
                pass

    def _check_proposed(self, node: Node, block: Block) -> None:
        """What an honest node proposes, on top of what is known to be decided, is valid."""
        if block.header.height == len(self.opinion.headers) + 1:
            try:
                self.opinion.check_block(block)
            except Invalid as error:
                raise Violation("an honest proposal is valid", f"{node.name}: {error}") from error

    def settled(self, node: Node) -> None:
        if node.key.public in self.dishonest:
            return
        check_round(node)
        if self._told(node).handled % EVENTS_BETWEEN_LOOKS == 0:
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
        self.nodes.wiped(node)
        self.reached["guard lost"] += 1

    # Votes

    def _guarded(self, node: Node, data: bytes) -> None:
        """What the guard holds is signed, whether it leaves or not."""
        slot = decode_slot(data)
        if slot is None:
            return
        honest, record = node.key.public not in self.dishonest, slot.record
        place = record.height, record.round
        if record.proposal is not None and (record.proposal.height, record.proposal.round) == place:
            self.votes.proposed(record.proposal, honest)
        for vote in (record.prevote, record.precommit):
            if vote is not None and (vote.height, vote.round) == place:
                self.votes.voted(vote, honest)
        precommit = record.precommit
        if honest and precommit is not None and precommit.block_id and (precommit.height, precommit.round) == place:
            self.nodes.precommitted(node, precommit.block_id)

    def _members(self, height: int) -> set[bytes]:
        members = self._member_sets.get(height)
        if members is None and height in self.opinion.members:
            members = self._member_sets[height] = set(self.opinion.members[height])
        return members or set()

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
        for transaction, outcome in zip(committed.transactions, stored.outcomes, strict=True):
            self.reached[f"result {outcome.status}"] += 1
            if outcome.kind:
                self.reached[f"kind {outcome.kind}"] += 1
            if outcome.status == "ok" and self.has_books:
                for action in transaction.body.actions:
                    self.reached[f"action {type(action).__name__}"] += 1
        if stored.record.block.evidence:
            self.reached["block with evidence"] += 1

    # The end

    def finish(self, nodes: list[Node]) -> None:
        """Once, when all is quiet: the books of every honest node, added up in two ways."""
        for node in nodes:
            if not self.has_books or node.key.public in self.dishonest or not node.is_up:
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
            view = node.core._chain.view()
            for account, amount in mine.balances.items():
                if balance(view, account) != amount:
                    raise Violation("conservation", f"{node.name} has another balance than the second books")

    # Small things

    def _told(self, node: Node) -> Told:
        told = self.told.get(node.name)
        if told is None:
            told = self.told[node.name] = Told()
        return told

    def _trace(self, node: Node, kind: str, data: bytes) -> None:
        line = f"{node.name} {kind} {len(data)} "
        self.digest.update(line.encode() + data)
        if self.trace is not None:
            self.trace.append(line + data[:48].hex())
