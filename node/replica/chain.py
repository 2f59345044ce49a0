"""The decided chain and the block on top of it: made, checked, applied, found again after a restart.

Whether a block is valid is a function of the block and of what is committed below it; every node answers the same.
Batches are looked at elsewhere: here they are ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from concento.blocks import Block, Header, commit_root, content_root, evidence_root, results_root
from concento.encoding import decode, encode
from concento.errors import Broken, Rejected
from concento.evidence import Evidence, check_evidence, evidence_checks, evidence_height, evidence_id, offender
from concento.genesis import Genesis
from concento.hashing import NO_HASH
from concento.transactions import Transaction
from concento.validators import ValidatorSet
from concento.votes import EMPTY_COMMIT, Commit, commit_votes, vote_check
from consensus.proposers import FIRST_TURNS, Turns, after_block, after_suspension, missed_hash, order, proposer
from consensus.signer import Crypto
from node.replica.evidence import EvidencePool, check_for_block
from node.replica.retention import ARCHIVE, prune, used_changes
from node.replica.segments import FIRST_MARKS, MARKS_KEY, Marks
from state.ledger import LEDGER, Ledger
from state.modules.governance_changes import Observer, Switch, observers_of, protocol_at, switches_of
from state.store.blockstore import (
    BlockRecord,
    BodyPlace,
    StoredBlock,
    find_block,
    find_results,
    find_transaction,
)
from state.store.cache import StateCache
from state.store.kept import find_base, find_header
from state.store.kv import REPLICA, STATE, KeyValue, KeyValueView
from state.store.opening import OpenStore, advance, create_store, is_empty, open_store
from state.store.recent import load_recent
from state.transition import BlockContext, BlockOutcome
from state.validators import DEPARTURES, PUNISHMENTS, SETS, SUSPENSIONS, SetRecord, height_key, left_unpunished
from state.view import View

TURNS_KEY: Final = REPLICA + b"turns"
_GOVERNANCE_EVENTS: Final = ("observers.", "protocol.", "validators.")
"""Kinds of events after which who may connect, or what is spoken, must be read again."""


@dataclass(slots=True)
class Applied:
    """A block on top of the chain: what to write in one batch, and what it did."""

    stored: StoredBlock
    outcome: BlockOutcome
    batch: dict[bytes, bytes | None]


class Pending:
    """The newest records: what is about to be written over what the store holds.

    A block's batch is an effect, performed after the event is handled; what follows in the same event must see it.
    """

    def __init__(self, kv: KeyValue) -> None:
        self._kv = kv
        self._changes: dict[bytes, bytes | None] = {}

    def add(self, changes: Mapping[bytes, bytes | None]) -> None:
        self._changes.update(changes)

    def written(self) -> None:
        """Everything added so far is in the store."""
        if self._changes:
            self._changes = {}

    def get(self, key: bytes) -> bytes | None:
        return self._changes[key] if key in self._changes else self._kv.get(key)

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Of what the store holds only: nobody scans in the event that commits."""
        if self._changes:
            raise Broken("the store was scanned before the block of this event was written")
        return self._kv.scan(prefix, after, reverse)

    def close(self) -> None:
        self._changes = {}


class Chain:
    """The chain of one node up to its newest decided block."""

    def __init__(self, genesis: Genesis, store: OpenStore, crypto: Crypto, ledger: Ledger = LEDGER) -> None:
        self.genesis = genesis
        self.ledger = ledger
        self.network = genesis.network
        self.store = store
        self.records = Pending(store.kv)
        self._state = StateCache(self.records)
        self._recent = load_recent(self.records, store.commit.height, genesis.params.consensus.replay_window_ms)
        self._crypto = crypto
        self.retention = ARCHIVE
        self.tip_count = 0
        """Transactions of the newest block, if this process has applied it."""
        height = store.commit.height
        self.tip, self._results_root = _tip(store.kv, height)
        self._turns = _turns(store.kv)
        self.marks = _marks(store.kv)
        self.validators = self._stored_set(height + 1)
        self.next_validators = self._stored_set(height + 2)
        self.observers: tuple[Observer, ...] = ()
        self._switches: tuple[Switch, ...] = ()
        self._read_governance()
        self._previous = self._stored_set(height) if height else self.validators
        self._order: tuple[bytes, ...] | None = None

    # Where the chain stands

    @property
    def height(self) -> int:
        """The height being decided: one above the newest decided block."""
        return self.store.commit.height + 1

    @property
    def tip_id(self) -> bytes:
        return self.store.commit.block_id if self.tip else NO_HASH

    @property
    def tip_time_ms(self) -> int:
        return self.tip.block.header.time_ms if self.tip else self.genesis.time_ms

    @property
    def lacks_root(self) -> bool:
        """Whether no header carries the current state root yet: a reason for a block."""
        return self.tip is None or self.tip.block.header.app_hash != self.store.commit.app_hash

    @property
    def proposers(self) -> tuple[bytes, ...]:
        """Who proposes at the current height, by round."""
        if self._order is None:
            self._order = order(self.validators, self.height, self._turns, self.tip_time_ms)
        return self._order

    @property
    def protocol(self) -> int:
        """The protocol version of the height being decided."""
        return protocol_at(self._switches, self.height)

    def too_new_for(self, protocol_max: int) -> Rejected:
        """Why a program that speaks protocols up to this one cannot decide the current height."""
        return Rejected("node.protocol_new", height=self.height, protocol=self.protocol, protocol_max=protocol_max)

    def has_left(self, key: bytes) -> bool:
        """Whether the node with this key validated or observed once and no longer does either."""
        is_member = key in self.validators or key in self.next_validators
        is_observer = any(observer.key == key for observer in self.observers)
        return not is_member and not is_observer and self.view().find(DEPARTURES, key) is not None

    def validators_at(self, height: int) -> ValidatorSet:
        """The set that decides this height, at most one above the current one."""
        if height >= self.height:
            return self.validators if height == self.height else self.next_validators
        return self._previous if height == self.height - 1 else self._stored_set(height)

    def time_at(self, height: int) -> int | None:
        """The block time of a decided height, or None where it is not kept."""
        if self.tip is not None and height == self.tip.block.header.height:
            return self.tip_time_ms
        header = find_header(self.records, height)
        return header.time_ms if header else None

    def is_punished(self, key: bytes, height: int) -> bool:
        return self.view().find(PUNISHMENTS, key + height_key(height)) is not None

    def view(self) -> View:
        """A fresh view of the state after the newest block."""
        return View(self._state.get, self.is_recent)

    def is_recent(self, transaction_id: bytes) -> bool:
        """Whether the chain has this transaction, which has not expired."""
        return self._recent.has(transaction_id)

    def is_included(self, transaction_id: bytes) -> bool:
        """The same of any transaction: looked up on disk."""
        return find_transaction(self.records, transaction_id) is not None

    # Making and checking

    def block_time(self, wall_ms: int) -> int:
        return max(wall_ms, self.tip_time_ms + 1)

    def build(
        self, round_: int, wall_ms: int, proposer_key: bytes, batches: tuple[bytes, ...], evidence: tuple[Evidence, ...]
    ) -> Block:
        """A block of the current height with these contents."""
        last_commit = self.tip.commit if self.tip else EMPTY_COMMIT
        time_ms = self.block_time(wall_ms)
        header = self._header(round_, time_ms, proposer_key, batches, last_commit, evidence)
        return Block(header, batches, last_commit, evidence)

    def check(self, block: Block) -> None:
        """Raises Rejected unless the block is valid on top of this chain, its batches aside."""
        header = block.header
        expected = self._header(
            header.round, header.time_ms, header.proposer, block.batches, block.last_commit, block.evidence
        )
        for field in Header.__struct_fields__:
            if getattr(header, field) != getattr(expected, field):
                raise self._invalid(f"its {field} is not what it must be")
        if header.proposer != proposer(self.proposers, header.round):
            raise self._invalid("its proposer is not the one of its round")
        if header.time_ms <= self.tip_time_ms:
            raise self._invalid("its time does not grow")
        if len(set(block.batches)) != len(block.batches):
            raise self._invalid("it names a batch twice")
        self._check_last_commit(block.last_commit)
        self._check_evidence(block)

    def check_commit(self, commit: Commit, identity: bytes) -> None:
        """Raises Rejected unless the commit proves a block of the current height final."""
        self._check_signatures(commit, self.validators, self.height, identity)

    def is_good_evidence(self, evidence: Evidence, wall_ms: int) -> bool:
        """Whether a block that is built at this time may carry it, and it would change anything there."""
        key = offender(evidence)
        if key not in self.next_validators and not left_unpunished(self.view(), key):
            # Nothing more happens to a key that left for signing twice: carried once, it would come back for ever.
            return False
        try:
            self._check_piece(evidence, self.block_time(wall_ms))
        except Rejected:
            return False
        return True

    def is_news(self, evidence: Evidence, wall_ms: int) -> bool:
        """Whether the next block may carry it, or the one after: equivocation at the height that is being decided."""
        if evidence_height(evidence) != self.height:
            return self.is_good_evidence(evidence, wall_ms)
        try:
            check_evidence(evidence)
        except Rejected:
            return False
        checks = evidence_checks(self.network, evidence)
        return offender(evidence) in self.validators and all(self._crypto.verify(*check) for check in checks)

    def choose_evidence(self, pool: EvidencePool, wall_ms: int, alone: bool) -> tuple[Evidence, ...]:
        """What a block of this height carries. One without batches (`alone`) is not made for the sake of somebody who
        is suspended already: or whoever signs twice in every block could make an idle network decide for ever."""
        # By the time of the block it would be in: a piece that grows too old must not spoil every block from now on.
        good = pool.choose(lambda piece: self.is_good_evidence(piece, wall_ms), self.height)
        return good if not alone or any(map(self._calls_for_block, good)) else ()

    def _calls_for_block(self, evidence: Evidence) -> bool:
        suspension = self.view().find(SUSPENSIONS, offender(evidence))
        return suspension is None or suspension.until_ms < self.tip_time_ms

    def _header(
        self,
        round_: int,
        time_ms: int,
        proposer_key: bytes,
        batches: Sequence[bytes],
        last_commit: Commit,
        evidence: Sequence[Evidence],
    ) -> Header:
        """The one header that a block with these contents has at the current height."""
        return Header(
            chain_id=self.genesis.chain_id,
            height=self.height,
            round=round_,
            time_ms=time_ms,
            proposer=proposer_key,
            parent_id=self.tip_id,
            content_root=content_root(batches),
            last_commit_root=commit_root(last_commit),
            evidence_root=evidence_root(evidence),
            validators_hash=self.validators.hash,
            next_validators_hash=self.next_validators.hash,
            app_hash=self.store.commit.app_hash,
            results_root=self._results_root,
            missed_hash=missed_hash(self._turns),
            protocol=self.protocol,
        )

    def _check_last_commit(self, commit: Commit) -> None:
        if self.tip is None:
            if commit != EMPTY_COMMIT:
                raise self._invalid("the first block carries a commit")
        elif commit != self.tip.commit:
            # Any good commit for the parent will do: the proposer may have seen other precommits than this node.
            self._check_signatures(commit, self._previous, self.height - 1, self.tip_id)

    def _check_signatures(self, commit: Commit, validators: ValidatorSet, height: int, identity: bytes) -> None:
        """`votes.verify_commit` through the seam for signatures."""
        if (commit.height, commit.block_id) != (height, identity):
            raise Rejected("commit.invalid", height=height, reason="for another block")
        votes = commit_votes(validators, commit)
        if len(votes) < validators.quorum:
            raise Rejected("commit.invalid", height=height, reason=f"{len(votes)} of {len(validators)} have signed")
        if not all(self._crypto.verify(*vote_check(self.network, vote)) for vote in votes):
            raise Rejected("commit.invalid", height=height, reason="a signature does not verify")

    def _check_evidence(self, block: Block) -> None:
        if list(block.evidence) != sorted(block.evidence, key=evidence_id):
            raise self._invalid("its evidence is unsorted")
        places = [(offender(piece), evidence_height(piece)) for piece in block.evidence]
        if len(set(places)) != len(places):
            raise self._invalid("it punishes twice for one height")
        for piece in block.evidence:
            self._check_piece(piece, block.header.time_ms)

    def _check_piece(self, piece: Evidence, time_ms: int) -> None:
        age_ms = self.genesis.params.consensus.evidence_age_ms
        check_for_block(self.network, self._crypto, self, piece, self.height, time_ms, age_ms)

    def _invalid(self, reason: str) -> Rejected:
        return Rejected("block.invalid", height=self.height, reason=reason)

    # Applying

    def apply(
        self,
        block: Block,
        commit: Commit,
        places: tuple[BodyPlace, ...],
        transactions: Sequence[Transaction],
        marks: Marks,
    ) -> Applied:
        """Moves the chain on by a decided block, in memory; its batch must be written before anything else is done."""
        header = block.header
        context = BlockContext(
            height=header.height,
            time_ms=header.time_ms,
            proposer=header.proposer,
            validators=self.validators,
            evidence=[(offender(piece), evidence_height(piece)) for piece in block.evidence],
            transactions=transactions,
            params=self.genesis.params,
            network=self.network,
        )
        self.tip_count = len(transactions)
        view = self.view()
        outcome = self.ledger.apply_block(view, context)
        ids = tuple(transaction.id for transaction in transactions)
        stored = StoredBlock(
            BlockRecord(block, commit, places, ids),
            tuple(outcome.results),
            tuple(outcome.leaves),
            outcome.closing_events,
        )
        turns = after_block(
            self._turns,
            self.validators,
            self.proposers,
            block.last_commit.round if self.tip else 0,
            header.proposer,
            header.time_ms,
        )
        for key, until_ms in _suspended(outcome):
            turns = after_suspension(turns, self.validators, key, header.time_ms, until_ms)
        batch = advance(self.store, stored, outcome.changes, outcome.history)
        batch.update(used_changes(places, header.height))
        batch.update(self._prune(header.time_ms))
        batch[TURNS_KEY] = encode(turns)
        batch[MARKS_KEY] = encode(marks)
        self.records.add(batch)
        self._move_on(stored, outcome, turns, marks)
        self._state.update(outcome.changes)
        if any(event.kind.startswith(_GOVERNANCE_EVENTS) for event in outcome.closing):
            self._read_governance()
        return Applied(stored, outcome, batch)

    def _prune(self, time_ms: int) -> dict[bytes, bytes | None]:
        """What is dropped in the write of the newest block; the commit record goes with it."""
        reach_ms = self.retention.reach_ms(self.genesis.params.consensus)
        if reach_ms is None:
            return {}
        floor = self.retention.snapshot_height()
        changes, self.store.commit = prune(self.records, self.store.commit, time_ms, reach_ms, floor)
        return changes

    def _move_on(self, stored: StoredBlock, outcome: BlockOutcome, turns: Turns, marks: Marks) -> None:
        self.tip = stored.record
        included = (outcome.id for outcome in stored.outcomes if outcome.status != "skipped")
        self._recent.add(self.tip_time_ms, included)
        self._results_root = outcome.results_root
        self._turns = turns
        self.marks = marks
        self._order = None
        self._previous, self.validators = self.validators, self.next_validators
        self.next_validators = outcome.validators

    def _read_governance(self) -> None:
        view = self.view()
        self.observers, self._switches = observers_of(view), switches_of(view)

    def _stored_set(self, height: int) -> ValidatorSet:
        """The newest set whose first height is not above this one."""
        prefix = STATE + SETS.prefix
        above = prefix + height_key(height + 1)
        # What is about to be written holds sets of later heights only.
        for _, value in self.store.kv.scan(prefix, after=above, reverse=True):
            return ValidatorSet(decode(SetRecord, value, "validator set").members)
        raise Broken("the state has no validators for height {height}", height=height)


def _tip(view: KeyValueView, height: int) -> tuple[BlockRecord | None, bytes]:
    """The newest block and the root of its results; after a snapshot neither is kept in the usual way."""
    if height == 0:
        return None, results_root(())
    record = find_block(view, height)
    if record is not None:
        return record, results_root(find_results(view, height) or ())
    base = find_base(view)
    if base is None or base.block.header.height != height:
        raise Broken("the newest block is not in the store; run: concento node repair")
    return BlockRecord(base.block, base.commit, (), ()), base.results_root


def open_chain(genesis: Genesis, kv: KeyValue, crypto: Crypto, ledger: Ledger = LEDGER) -> Chain:
    """The chain in this store; an empty store gets the genesis state first. Raises Rejected where it is damaged."""
    if is_empty(kv):
        create_chain_store(genesis, kv, ledger)
    return Chain(genesis, open_store(kv, genesis.network), crypto, ledger)


def create_chain_store(genesis: Genesis, kv: KeyValue, ledger: Ledger = LEDGER) -> None:
    """Writes the state before block 1 into an empty store."""
    view = View(lambda _key: None)
    ledger.write_genesis(view, genesis)
    state = {key: value for key, value in view.changes().items() if value is not None}
    create_store(kv, genesis.network, state, view.history())


def _suspended(outcome: BlockOutcome) -> list[tuple[bytes, int]]:
    """Who was suspended by this block, and until when: equivocators that the set cannot spare."""
    fields = [event.fields for event in outcome.closing if event.kind == "validators.suspended"]
    return [
        (key, until) for f in fields if isinstance(key := f["key"], bytes) and isinstance(until := f["until_ms"], int)
    ]


def _turns(kv: KeyValueView) -> Turns:
    raw = kv.get(TURNS_KEY)
    return FIRST_TURNS if raw is None else decode(Turns, raw, "turns")


def _marks(kv: KeyValueView) -> Marks:
    raw = kv.get(MARKS_KEY)
    return FIRST_MARKS if raw is None else decode(Marks, raw, "segment marks")
