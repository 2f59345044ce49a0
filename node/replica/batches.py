"""Batches that are not decided yet: cut here or received, checked, kept on disk, acknowledged, fetched and dropped.

A batch is held once its author's signature and every signature in it are good and its body is in a segment. Only held
batches are named in proposals of this node, acknowledged, or counted as available for a block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from concento.batches import Batch, BatchHeader, batch_check, batch_header, batch_id, decode_batch
from concento.encoding import encode
from concento.errors import Rejected
from concento.hashing import Network, signing_bytes
from concento.limits import BATCH_BYTES_MAX, BLOCK_BATCHES_MAX, BLOCK_BYTES_MAX, MIB
from concento.transactions import Transaction, check_network, decode_transaction
from concento.validators import ValidatorSet
from consensus.signer import Crypto
from node.replica.budget import Budget
from node.replica.events import ArmTimer, Now, Priority
from node.replica.outbox import Outbox
from node.replica.segments import Entry, EntryKind, Segments
from node.replica.verified import Verifier
from node.replica.waste import Waste
from node.replica.wire import BatchAck, BatchRequest, batch_payload
from state.store.blockstore import BodyPlace

PROPOSED_COUNT_MAX: Final = 2_000
"""Transactions that this node puts into one block: a third of a second of work. More in one save nothing, and votes
that wait behind such a block come too late for their round."""
PROPOSED_UNSHARED_MAX: Final = 100
"""Of them, transactions of own batches that too few others are known to hold: 8 ms of checks."""
OWN_COUNT_MAX: Final = 2 * PROPOSED_COUNT_MAX
"""Undecided transactions of this node's batches: enough for its share of any block. Beyond that they wait in the pool,
where they cost the other nodes nothing yet."""
COMPANY_MS_MIN: Final = 20
COMPANY_MS_EACH: Final = 4
COMPANY_MS_MAX: Final = 200
"""A batch costs every node a millisecond besides what is in it. Transactions wait for company so long for each that is
on its way already, within these: where few come nobody waits for nothing, where many come a batch has a hundred."""
AUTHOR_BATCHES_MAX: Final = 256
"""Undecided batches held of one author: as many as one block may name."""
AUTHOR_BYTES_MAX: Final = 16 * MIB
"""Bytes of them: four full blocks, of every author at once still bounded memory."""
SPOILED_MAX: Final = 1_000
"""Ids of bad batches remembered; only a validator can make one, and it is disconnected for each."""
DECIDED_KEPT: Final = 20_000
"""Ids of decided batches remembered, 2 MB: those of minutes. What is in older ones has expired."""
UNDECIDED_MS_MAX: Final = 60_000
"""After so long without being decided a batch is dropped; half of the time its transactions are valid for."""
FETCH_GRACE_MS: Final = 25
"""How long a missing batch may still be on its way before it is asked for."""
FETCH_MS: Final = 150
"""How long a peer has to answer before the next one is asked."""

FLUSH_AGE_MS: Final = 3
"""How long a batch waits for company on its way to the disk: as long as a proposal takes to follow it."""

FETCH_TIMER: Final = ("fetch",)
FLUSH_TIMER: Final = ("flush",)


@dataclass(slots=True)
class HeldBatch:
    """A checked batch. `acks` are the validators known to hold it, `since_ms` when it came (monotonic), `past_count`
    how many of its transactions, from the first on, are known to be in the chain or expired."""

    id: bytes
    author: bytes
    raw: bytes
    transactions: tuple[Transaction, ...]
    place: BodyPlace
    since_ms: int
    acks: dict[bytes, None] = field(default_factory=dict)
    size: int = 0
    past_count: int = 0


@dataclass(slots=True)
class _Wanted:
    """A batch that a block names and this node lacks: whom to ask next, and when."""

    holders: dict[bytes, None]
    asked: int
    next_ms: int


class Batches:
    def __init__(
        self,
        network: Network,
        key: bytes | None,
        crypto: Crypto,
        out: Outbox,
        segments: Segments,
        verifier: Verifier,
        peers: Collection[bytes],
        is_included: Callable[[bytes], bool],
        settled: Callable[[bytes], None],
        budget: Budget,
    ) -> None:
        """`peers`: those connected now, kept by the owner. `is_included`: whether the chain has a transaction id.
        `settled` is called with each batch id that is held or spoiled."""
        self._network = network
        self._key = key
        self._crypto = crypto
        self._out = out
        self._segments = segments
        self._verifier = verifier
        self._peers = peers
        self._is_included = is_included
        self._settled = settled
        self._budget = budget
        self._held: dict[bytes, HeldBatch] = {}
        self._checking: dict[bytes, BatchHeader] = {}
        self._spoiled: dict[bytes, None] = {}
        self._decided: dict[bytes, None] = {}
        self._time_ms = 0
        self._wanted: dict[bytes, _Wanted] = {}
        self._unacknowledged: dict[bytes, list[bytes]] = {}
        self.waste = Waste(out)
        self._number = 0
        self._is_fetching = False
        self._is_flushing = False
        self.validators: ValidatorSet | None = None
        """The set of the current height: whose batches count, and whose acknowledgements."""

    # Reading

    def find(self, identity: bytes) -> HeldBatch | None:
        return self._held.get(identity)

    def is_spoiled(self, identity: bytes) -> bool:
        return identity in self._spoiled

    @property
    def held(self) -> Iterable[HeldBatch]:
        """All that are held, in the order of their arrival."""
        return self._held.values()

    @property
    def company_ms(self) -> int:
        """How long transactions wait for company in the next batch: not at all while none of this node is undecided."""
        count = sum(len(batch.transactions) for batch in self._own)
        return min(max(COMPANY_MS_MIN, count * COMPANY_MS_EACH), COMPANY_MS_MAX) if count else 0

    @property
    def may_cut(self) -> bool:
        """Whether the other nodes should be given another batch of this node yet, and would keep it."""
        own = self._own
        size = sum(batch.size for batch in own) + BATCH_BYTES_MAX
        count = sum(len(batch.transactions) for batch in own)
        return count < OWN_COUNT_MAX and len(own) < AUTHOR_BATCHES_MAX and size <= AUTHOR_BYTES_MAX

    @property
    def _own(self) -> list[HeldBatch]:
        return [batch for batch in self._held.values() if batch.author == self._key]

    def is_shared(self, identity: bytes) -> bool:
        """Whether more than two thirds of the validators, the author counted, have it on disk."""
        batch, validators = self._held.get(identity), self.validators
        if batch is None or validators is None:
            return False
        return sum(key in validators for key in batch.acks) >= validators.quorum

    @property
    def has_any(self) -> bool:
        """Whether a block could name a batch now."""
        return any(self._is_eligible(batch.author) for batch in self._held.values())

    def choose(self) -> tuple[bytes, ...]:
        """The ids for a block that is proposed now: in the order of arrival, as many as fit.

        Of this node's own, which nobody may have checked yet, no more than others check while the proposal is on its
        way, unless there is nothing else.
        """
        chosen: list[bytes] = []
        size = count = unshared_count = 0
        for batch in self._held.values():
            if not self._is_eligible(batch.author) or len(chosen) == BLOCK_BATCHES_MAX:
                continue
            if chosen and count + len(batch.transactions) > PROPOSED_COUNT_MAX:
                break
            if batch.author == self._key and not self.is_shared(batch.id):
                unshared_count += len(batch.transactions)
                if unshared_count > PROPOSED_UNSHARED_MAX:
                    continue
            if size + batch.size <= BLOCK_BYTES_MAX:
                chosen.append(batch.id)
                size += batch.size
                count += len(batch.transactions)
        if not chosen:
            chosen = [batch.id for batch in self._held.values() if self._is_eligible(batch.author)][:1]
        return tuple(chosen)

    def _is_eligible(self, author: bytes) -> bool:
        return self.validators is not None and author in self.validators and not self.waste.is_resting(author)

    # Cutting

    def cut(self, transactions: Sequence[Transaction], now: Now) -> HeldBatch:
        """A batch of these transactions, signed, kept and pushed to every peer."""
        key = self._key or b""
        raws = tuple(transaction.raw for transaction in transactions)
        # Numbers grow over restarts too, without anything to remember.
        self._number = max(self._number + 1, now.wall_ms)
        header = batch_header(key, self._number, raws)
        identity = batch_id(header)
        signature = self._crypto.sign(signing_bytes(self._network, "batch", identity))
        raw = encode(Batch(header, signature, raws))
        place = self._segments.append(EntryKind.BATCH, raw)
        batch = HeldBatch(identity, key, raw, tuple(transactions), place, now.mono_ms, {key: None}, header.bytes)
        self._held[identity] = batch
        self._out.send_bulk(self._peers, batch_payload(raw))
        return batch

    def push_to(self, peer: bytes, now: Now) -> None:
        """What the peer has not acknowledged of this node, after a new connection; beyond its budget it has to ask."""
        self._give(
            peer, [held for held in self._held.values() if held.author == self._key and peer not in held.acks], now
        )

    def flush(self) -> None:
        """The end of an event: what was appended is made durable at once for all, and acknowledged.

        Batches alone wait a moment: mostly a block comes that names them, and one sync is enough for both.
        """
        if self._segments.is_synced or self._segments.is_urgent:
            self.sync()
        elif not self._is_flushing:
            self._is_flushing = True
            self._out.emit(ArmTimer(FLUSH_TIMER, FLUSH_AGE_MS))

    def sync(self) -> None:
        """Makes everything durable and acknowledges it."""
        self._is_flushing = False
        self._segments.sync()
        for author, identities in self._unacknowledged.items():
            self._out.send((author,), BatchAck(tuple(identities[:BLOCK_BATCHES_MAX])))
        self._unacknowledged = {}

    def acknowledged(self, peer: bytes, identities: Sequence[bytes]) -> None:
        for identity in identities:
            batch = self._held.get(identity)
            if batch is not None and batch.author == self._key:
                batch.acks[peer] = None

    # Receiving

    def receive(self, peer: bytes, batch: Batch, raw: bytes, now: Now) -> None:
        """A batch whose header describes its transactions; anything else about it is unknown."""
        identity, author = batch_id(batch.header), batch.header.author
        if identity in self._held or self._is_past_use(identity):
            self._acknowledge(author, identity)
            return
        if identity in self._checking or not self._is_welcome(identity, batch):
            return
        if not self._crypto.verify(*batch_check(self._network, batch)):
            self._out.misbehaved(peer, "a batch whose signature does not verify")
            return
        if identity in self._spoiled:
            self._spoil(identity, author, "a batch with a bad transaction, again")
            return
        try:
            transactions = decode_all(self._network, batch.transactions)
        except Rejected as error:
            self._spoil(identity, author, f"a batch with a bad transaction: {error}")
            return
        self._checking[identity] = batch.header

        def checked(bad: list[int | None]) -> None:
            del self._checking[identity]
            if any(index is not None for index in bad):
                self._spoil(identity, author, "a batch with a bad signature")
            elif identity in self._wanted or not (identity in self._decided or all(map(self._is_past, transactions))):
                self._keep(identity, author, raw, transactions, now.mono_ms)
            else:
                # It comes, or its signatures were checked, after the block that decided it.
                self._acknowledge(author, identity)

        self._verifier.verify(transactions, checked, of_batch=True)

    def restore(self, entry: Entry, mono_ms: int) -> HeldBatch | None:
        """A batch found in a segment, checked before it was written; None where there is nothing left to do in it."""
        batch = decode_batch(entry.payload)
        header = batch.header
        transactions = decode_all(self._network, batch.transactions)
        if all(map(self._is_past, transactions)):
            return None
        self._verifier.trust(transactions)
        identity = batch_id(header)
        acks: dict[bytes, None] = {header.author: None} if header.author == self._key else {}
        held = HeldBatch(identity, header.author, entry.payload, transactions, entry.place, mono_ms, acks, header.bytes)
        self._held[identity] = held
        return held

    def _is_past(self, transaction: Transaction) -> bool:
        """Whether it can enter the chain no more: it is there, or too late."""
        return transaction.body.valid_until_ms <= self._time_ms or self._is_included(transaction.id)

    def _is_past_use(self, identity: bytes) -> bool:
        """Whether a block has named the batch already and none that is judged now names it again."""
        return identity in self._decided and identity not in self._wanted

    def _is_over(self, batch: HeldBatch) -> bool:
        """Whether nothing in it can enter the chain any more; what is past stays so and is not looked up again."""
        transactions = batch.transactions
        while batch.past_count < len(transactions) and self._is_past(transactions[batch.past_count]):
            batch.past_count += 1
        return batch.past_count == len(transactions)

    def _is_welcome(self, identity: bytes, batch: Batch) -> bool:
        """Within the author's quota, or asked for."""
        if identity in self._wanted:
            return True
        author = batch.header.author
        if self.validators is None or author not in self.validators:
            return False
        own = [held.size for held in self._held.values() if held.author == author]
        own += [header.bytes for header in self._checking.values() if header.author == author]
        return len(own) < AUTHOR_BATCHES_MAX and sum(own) + batch.header.bytes <= AUTHOR_BYTES_MAX

    def _keep(
        self, identity: bytes, author: bytes, raw: bytes, transactions: tuple[Transaction, ...], mono_ms: int
    ) -> None:
        place = self._segments.append(EntryKind.BATCH, raw)
        size = sum(len(transaction.raw) for transaction in transactions)
        self._held[identity] = HeldBatch(identity, author, raw, transactions, place, mono_ms, size=size)
        self._wanted.pop(identity, None)
        self._acknowledge(author, identity)
        self._settled(identity)

    def _acknowledge(self, author: bytes, identity: bytes) -> None:
        if author in self._peers and self._key is not None:
            self._unacknowledged.setdefault(author, []).append(identity)

    def _spoil(self, identity: bytes, author: bytes, reason: str) -> None:
        self._spoiled[identity] = None
        while len(self._spoiled) > SPOILED_MAX:
            del self._spoiled[next(iter(self._spoiled))]
        self._wanted.pop(identity, None)
        self._out.misbehaved(author, reason)
        self._settled(identity)

    # Fetching

    def missing(self, identities: Sequence[bytes]) -> list[bytes]:
        return [identity for identity in identities if identity not in self._held]

    def want(self, identities: Iterable[bytes], holders: Iterable[bytes], now: Now) -> None:
        """Ask for these, first from `holders` in this order, then from anybody."""
        for identity in identities:
            wanted = self._wanted.setdefault(identity, _Wanted({}, 0, now.mono_ms + FETCH_GRACE_MS))
            wanted.holders.update((holder, None) for holder in holders)
        if self._wanted and not self._is_fetching:
            self._is_fetching = True
            self._out.emit(ArmTimer(FETCH_TIMER, FETCH_GRACE_MS))

    def unwant(self) -> None:
        """A new height: nothing that was missing is needed any more."""
        self._wanted.clear()

    def fetch(self, now: Now) -> None:
        """The fetch timer: asks the next holder for whatever is overdue."""
        self._is_fetching = bool(self._wanted)
        asked: dict[bytes, list[bytes]] = {}
        for identity, wanted in self._wanted.items():
            others = [peer for peer in self._peers if peer not in wanted.holders]
            sources = [peer for peer in wanted.holders if peer in self._peers] + others
            if wanted.next_ms <= now.mono_ms and sources and identity not in self._checking:
                asked.setdefault(sources[wanted.asked % len(sources)], []).append(identity)
                wanted.asked += 1
                wanted.next_ms = now.mono_ms + FETCH_MS
        for peer, identities in asked.items():
            self._out.send((peer,), BatchRequest(tuple(identities[:BLOCK_BATCHES_MAX])))
        if self._is_fetching:
            self._out.emit(ArmTimer(FETCH_TIMER, FETCH_GRACE_MS))

    def answer(self, peer: bytes, identities: Sequence[bytes], now: Now) -> None:
        """A peer's request, as far as these are held and its budget goes."""
        found = [self._held.get(identity) for identity in dict.fromkeys(identities)]
        self._give(peer, [held for held in found if held is not None], now)

    def _give(self, peer: bytes, batches: Iterable[HeldBatch], now: Now) -> None:
        """Sends these until one is beyond the budget of the peer: it asks again, or somebody else."""
        for batch in batches:
            if not self._budget.give(peer, batch_payload(batch.raw), Priority.BULK, now):
                return

    # Going

    def decided(self, identities: Iterable[bytes]) -> list[bytes]:
        """A block names these; those of them that an earlier block has named as well."""
        again = []
        for identity in identities:
            self._held.pop(identity, None)
            if identity in self._decided:
                again.append(identity)
            self._decided[identity] = None
        while len(self._decided) > DECIDED_KEPT:
            del self._decided[next(iter(self._decided))]
        return again

    def drop_old(self, now: Now, block_time_ms: int, pinned: Collection[bytes]) -> list[HeldBatch]:
        """Drops what was undecided for too long or can do nothing any more; `pinned` are in use. Returns own ones."""
        self._time_ms = block_time_ms
        old = [
            batch
            for batch in self._held.values()
            if batch.id not in pinned and (now.mono_ms - batch.since_ms > UNDECIDED_MS_MAX or self._is_over(batch))
        ]
        for batch in old:
            del self._held[batch.id]
        return [batch for batch in old if batch.author == self._key]


def decode_all(network: Network, raws: Iterable[bytes]) -> tuple[Transaction, ...]:
    """The transactions of a batch. Raises Rejected where one is malformed or of another chain: it spoils the batch."""
    transactions = tuple(decode_transaction(raw) for raw in raws)
    for transaction in transactions:
        check_network(network, transaction)
    return transactions
