"""Whose batches are mostly for nothing: transactions that are skipped pay no fee and lie in the segments all the same.

A batch may hold some - two nodes were given the same transaction, a balance was spent elsewhere meanwhile. What an
author wastes beyond what he was useful for in the same block is counted; above a burst this node names none of his
batches in its proposals until his debt has run down at a steady rate. That is a choice of what to propose, never of
what is valid: a proposer who wastes his own blocks shows in the logs, and is a matter for the other members.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final, Protocol

from concento.blocks import TransactionResult
from concento.limits import MIB
from concento.transactions import Transaction
from node.replica.events import ArmTimer, Now
from node.replica.outbox import Outbox

WASTE_BURST_BYTES: Final = MIB
"""Wasted at once by accident, as when many clients send everything to two nodes; four of the largest batches."""
WASTE_BYTES_PER_S: Final = 32 * 1024
"""What an author may waste for ever: below 3 GB a day, which retention deals with."""
REST_MS_MAX: Final = 20_000
"""An honest author whose clients misbehave is never left out for longer: a third of the time a batch may wait."""

REST_TIMER: Final = ("rest",)


class Batch(Protocol):
    """What is looked at of a batch."""

    @property
    def id(self) -> bytes: ...

    @property
    def author(self) -> bytes: ...

    @property
    def transactions(self) -> tuple[Transaction, ...]: ...


class Waste:
    def __init__(self, out: Outbox) -> None:
        self._out = out
        self._debts: dict[bytes, tuple[int, int]] = {}
        self._resting: dict[bytes, int] = {}

    def is_resting(self, author: bytes) -> bool:
        return author in self._resting

    def judge(
        self,
        batches: Sequence[Batch],
        results: Sequence[TransactionResult],
        now: Now,
        proposer: bytes,
        again: Container[bytes],
    ) -> None:
        """A block of these batches is applied; its results are in the order of their transactions.

        What an author shared once is not held against him when a proposer names it `again`, or when all of it is too
        old: that is the proposer's waste.
        """
        if all(result.status != "skipped" for result in results):
            return
        balances: dict[bytes, int] = {}
        position = 0
        for batch in batches:
            found = results[position : position + len(batch.transactions)]
            position += len(found)
            is_stale = batch.id in again or all(result.kind == "tx.expired" for result in found)
            blamed = proposer if is_stale else batch.author
            for transaction, result in zip(batch.transactions, found, strict=True):
                if result.kind != "block.full":
                    wasted = len(transaction.raw) if result.status == "skipped" else -len(transaction.raw)
                    balances[blamed] = balances.get(blamed, 0) + wasted
        for author, wasted in balances.items():
            if wasted > 0:
                self._owe(author, wasted, now)

    def rest_over(self, now: Now) -> None:
        """The rest timer: those whose time is over are named again."""
        self._resting = {author: until for author, until in self._resting.items() if until > now.mono_ms}

    def _owe(self, author: bytes, wasted: int, now: Now) -> None:
        debt, since_ms = self._debts.get(author, (0, now.mono_ms))
        debt = max(0, debt - (now.mono_ms - since_ms) * WASTE_BYTES_PER_S // 1000) + wasted
        over = debt - WASTE_BURST_BYTES
        if over > 0:
            rest_ms = min(REST_MS_MAX, over * 1000 // WASTE_BYTES_PER_S + 1)
            debt = min(debt, WASTE_BURST_BYTES + REST_MS_MAX * WASTE_BYTES_PER_S // 1000)
            self._resting[author] = now.mono_ms + rest_ms
            self._out.log("batches.wasted", "warning", author=author, bytes=wasted, rest_ms=rest_ms)
            self._out.emit(ArmTimer(REST_TIMER, rest_ms))
        self._debts[author] = debt, now.mono_ms
