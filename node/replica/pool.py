"""Transactions that clients gave to this node and that are not final yet.

An entry waits in line until a batch of this node takes it, and goes when the chain has it or it has expired. What was
skipped stays, with the reason, until then: another node may still bring it in. Fees that waiting transactions may
cost are reserved, so that one balance cannot fill the pool.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from concento.errors import Unavailable
from concento.limits import BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, MIB
from concento.transactions import Transaction
from state.modules.tokens import balance_low

POOL_COUNT_MAX: Final = 5_000
"""Four such pools are some five seconds of the fastest network's work: beyond that a client should hear "busy" rather
than wait. What waits longer also costs more: it is in no cache any more when its turn comes."""
POOL_BYTES_MAX: Final = 64 * MIB
"""Memory that strangers' bytes may take; decoded they are some four times as large."""
POOL_SENDER_COUNT_MAX: Final = POOL_COUNT_MAX // 2
"""No one account may take more than half of the pool."""
EXPIRED_BYTES_MAX: Final = 8 * MIB
"""Expired transactions that are still known, so that whoever waits for one learns its fate: as many as a pool holds."""


@dataclass(slots=True)
class Held:
    """One transaction of the pool. `batch` is the id of the batch of this node that carries it, `skipped` a kind."""

    transaction: Transaction
    batch: bytes | None = None
    skipped: str | None = None


@dataclass(slots=True)
class _Sender:
    count: int = 0
    reserved_ubeat: int = 0


class Pool:
    def __init__(self) -> None:
        self._held: dict[bytes, Held] = {}
        self._line: dict[bytes, None] = {}
        self._line_bytes = 0
        self._bytes = 0
        self._senders: dict[bytes, _Sender] = {}
        self._expiries: list[tuple[int, bytes]] = []
        self._expired: dict[bytes, Held] = {}
        self._expired_bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def find(self, identity: bytes) -> Held | None:
        """What is held under this id, or was until it expired lately."""
        return self._held.get(identity) or self._expired.get(identity)

    def find_live(self, identity: bytes) -> Held | None:
        return self._held.get(identity)

    @property
    def size(self) -> int:
        """Bytes of all transactions held."""
        return self._bytes

    @property
    def waiting_count(self) -> int:
        """Transactions in line for a batch."""
        return len(self._line)

    @property
    def fills_batch(self) -> bool:
        """Whether waiting longer could not make the next batch larger."""
        return len(self._line) >= BATCH_TRANSACTIONS_MAX or self._line_bytes >= BATCH_BYTES_MAX

    def check_room(self, count: int, size: int) -> None:
        """Raises Unavailable where so many more transactions, of so many bytes, do not fit."""
        if len(self._held) + count > POOL_COUNT_MAX or self._bytes + size > POOL_BYTES_MAX:
            raise Unavailable("node.busy", count=len(self._held))

    def add(self, transaction: Transaction, balance_ubeat: int) -> None:
        """Takes a checked transaction. Raises Unavailable for room, Rejected where reserved fees exceed the balance."""
        body = transaction.body
        sender = self._senders.get(body.sender) or _Sender()
        self.check_room(1, len(transaction.raw))
        if sender.count >= POOL_SENDER_COUNT_MAX:
            raise Unavailable("node.busy", count=sender.count)
        if sender.reserved_ubeat + body.max_fee_ubeat > balance_ubeat:
            needed = sender.reserved_ubeat + body.max_fee_ubeat
            raise balance_low(balance_ubeat, needed)
        self._keep(Held(transaction))
        self._queue(transaction)

    def restore(self, transactions: Iterable[Transaction], batch: bytes) -> None:
        """Takes what a batch of this node carries, found again after a restart."""
        for transaction in transactions:
            if transaction.id not in self._held:
                self._keep(Held(transaction, batch=batch))

    def take(self) -> list[Transaction]:
        """The transactions of the next batch, no longer in line; at most a batch's count and bytes."""
        taken: list[Transaction] = []
        size = 0
        for identity in self._line:
            transaction = self._held[identity].transaction
            size += len(transaction.raw)
            if len(taken) == BATCH_TRANSACTIONS_MAX or size > BATCH_BYTES_MAX:
                break
            taken.append(transaction)
        for transaction in taken:
            self._unqueue(transaction.id)
        return taken

    def mark_batched(self, transactions: Iterable[Transaction], batch: bytes) -> None:
        for transaction in transactions:
            self._held[transaction.id].batch = batch

    def requeue(self, identities: Iterable[bytes]) -> None:
        """Back at the head of the line: their batch was dropped, or the block was full."""
        back = [held for identity in dict.fromkeys(identities) if (held := self._off_line(identity)) is not None]
        if back:
            line, self._line = self._line, {}
            for held in back:
                held.batch = None
                self._queue(held.transaction)
            self._line.update(line)

    def skip(self, identity: bytes, kind: str) -> None:
        """Remembers why the chain passed over it."""
        held = self._held.get(identity)
        if held is not None:
            held.skipped = kind

    def remove(self, identity: bytes) -> None:
        """Forgets a transaction; one that is not held stays so."""
        held = self._held.get(identity)
        if held is None:
            return
        self._unqueue(identity)
        del self._held[identity]
        body = held.transaction.body
        self._bytes -= len(held.transaction.raw)
        sender = self._senders[body.sender]
        sender.count -= 1
        sender.reserved_ubeat -= body.max_fee_ubeat
        if sender.count == 0:
            del self._senders[body.sender]

    def clear(self) -> None:
        """Forgets everything that waits."""
        for identity in list(self._held):
            self.remove(identity)

    def expire(self, time_ms: int) -> None:
        """Removes what the block of this time is too late for."""
        while self._expiries and self._expiries[0][0] < time_ms:
            _, identity = heappop(self._expiries)
            held = self._held.get(identity)
            if held is not None:
                self.remove(identity)
                self._expired[identity] = held
                self._expired_bytes += len(held.transaction.raw)
        while len(self._expired) > POOL_COUNT_MAX or self._expired_bytes > EXPIRED_BYTES_MAX:
            oldest = self._expired.pop(next(iter(self._expired)))
            self._expired_bytes -= len(oldest.transaction.raw)

    def _off_line(self, identity: bytes) -> Held | None:
        """What is held under this id and does not wait for a batch."""
        return None if identity in self._line else self._held.get(identity)

    def _keep(self, held: Held) -> None:
        transaction = held.transaction
        body = transaction.body
        self._held[transaction.id] = held
        self._bytes += len(transaction.raw)
        sender = self._senders.setdefault(body.sender, _Sender())
        sender.count += 1
        sender.reserved_ubeat += body.max_fee_ubeat
        heappush(self._expiries, (body.valid_until_ms, transaction.id))

    def _queue(self, transaction: Transaction) -> None:
        self._line[transaction.id] = None
        self._line_bytes += len(transaction.raw)

    def _unqueue(self, identity: bytes) -> None:
        if identity in self._line:
            del self._line[identity]
            self._line_bytes -= len(self._held[identity].transaction.raw)
