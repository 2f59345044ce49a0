"""How a client's transactions reach the pool: decoded, signatures checked once, checked against the state, taken.

One submission may hold many; it is answered once the last of them is judged. A check that fails because of a mistake
of ours refuses that transaction and no more: else one client could end the nodes one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from concento.blocks import TransactionResult
from concento.errors import ConcentoError, Rejected, Unavailable
from concento.limits import MIB
from concento.transactions import Transaction, check_network, decode_transaction
from node.replica.batches import Batches
from node.replica.chain import Chain
from node.replica.events import Answer, Now, Outcome, Token
from node.replica.outbox import Outbox
from node.replica.pool import Held, Pool
from node.replica.verified import Verifier
from node.replica.view import PoolView
from state.view import View

CHECKING_MAX: Final = 2_000
"""Transactions of clients whose signatures are being checked: a second of work beside what the other nodes send."""
CHECKING_BYTES_MAX: Final = 2 * MIB
"""Bytes of them: large ones may have many signatures, none of which is shorter than a hundred bytes."""


@dataclass(slots=True)
class _Candidate:
    """One of a submission's transactions on its way: decoded, or with its outcome."""

    transaction: Transaction | None
    outcome: Outcome | None


class Admission:
    def __init__(
        self,
        chain: Chain,
        key: bytes | None,
        pool: Pool,
        batches: Batches,
        verifier: Verifier,
        out: Outbox,
        taken: Callable[[], None],
    ) -> None:
        """`taken` is called after the pool has taken something."""
        self._chain = chain
        self._key = key
        self._pool = pool
        self._batches = batches
        self._verifier = verifier
        self._out = out
        self._taken = taken
        self._wall_ms = 0
        self._checking_count = 0
        self._checking_bytes = 0

    def submit(self, token: Token, raws: Sequence[bytes], now: Now) -> None:
        """Answers with the outcomes, now or after their signatures are checked."""
        self._wall_ms = now.wall_ms
        try:
            self._check_not_busy()
        except Unavailable as error:
            # Not even decoded: an overloaded node must refuse for less than it takes.
            self._out.emit(Answer(token, (_refused(None, error),) * len(raws)))
            return
        found = [self._first_look(raw) for raw in raws]
        waiting = [candidate for candidate in found if candidate.outcome is None]
        transactions = [entry.transaction for entry in waiting if entry.transaction is not None]
        size = sum(len(transaction.raw) for transaction in transactions)

        def checked(bad: list[int | None]) -> None:
            self._checking_count -= len(waiting)
            self._checking_bytes -= size
            view = self._chain.view()
            for candidate, index in zip(waiting, bad, strict=True):
                if candidate.transaction is not None:
                    candidate.outcome = self._admitted(view, candidate.transaction, index)
            self._out.emit(Answer(token, tuple(entry.outcome for entry in found if entry.outcome is not None)))
            self._taken()

        self._verifier.verify(transactions, checked, of_batch=False)

    def lookup(self, identity: bytes) -> PoolView | None:
        held = self._pool.find(identity)
        if held is None:
            return None
        return PoolView(self._status(held), held.transaction.raw, held.skipped)

    def decided(self, results: Sequence[TransactionResult]) -> None:
        """A block with these results is applied: what is in the chain goes, what found no room waits again."""
        for result in results:
            if result.status != "skipped" or result.kind == "tx.duplicate":
                self._pool.remove(result.id)
            else:
                self._pool.skip(result.id, result.kind)
        self._pool.requeue(result.id for result in results if result.kind == "block.full")
        if self._key is None or self._key not in self._chain.validators:
            # Nobody takes batches of a node that does not validate: its clients hand in elsewhere what is not decided.
            self._pool.clear()

    def _first_look(self, raw: bytes) -> _Candidate:
        """What needs no signature: form, network, whether it is known, room. What passes counts as being checked."""
        try:
            transaction = decode_transaction(raw)
        except Rejected as error:
            return _Candidate(None, _refused(None, error))
        try:
            known = self._known(transaction.id)
            if known is None:
                check_network(self._chain.network, transaction)
                if self._key is None or self._key not in self._chain.validators:
                    raise Unavailable("node.observer")
                self._check_room(len(transaction.raw))
                self._checking_count += 1
                self._checking_bytes += len(transaction.raw)
        except (Rejected, Unavailable) as error:
            known = _refused(transaction.id, error)
        return _Candidate(transaction, known)

    def _check_not_busy(self) -> None:
        """Raises Unavailable where nothing can be taken now, whatever it is."""
        if self._checking_count >= CHECKING_MAX or self._checking_bytes >= CHECKING_BYTES_MAX:
            raise Unavailable("node.busy", count=self._checking_count)
        self._check_room(0)

    def _check_room(self, size: int) -> None:
        """Raises Unavailable where the pool has no room for one more besides what is being checked: nothing is checked
        only to be refused."""
        self._pool.check_room(self._checking_count + 1, self._checking_bytes + size)

    def _known(self, identity: bytes) -> Outcome | None:
        if self._chain.is_recent(identity):
            return Outcome(identity, "included", True, None)
        held = self._pool.find_live(identity)
        return Outcome(identity, self._status(held), True, None) if held is not None else None

    def _admitted(self, view: View, transaction: Transaction, bad_signature: int | None) -> Outcome:
        known = self._known(transaction.id)
        if known is not None:
            return known
        chain = self._chain
        try:
            if bad_signature is not None:
                raise Rejected("tx.signature", index=bad_signature)
            time_ms = chain.block_time(self._wall_ms)
            ledger = chain.ledger
            ledger.check_transaction(view, transaction, chain.height, time_ms, chain.genesis.params, chain.network)
            self._pool.add(transaction, ledger.balance(view, transaction.body.sender))
        except (Rejected, Unavailable) as error:
            if error.kind == "tx.expired" and chain.is_included(transaction.id):
                return Outcome(transaction.id, "included", True, None)
            return _refused(transaction.id, error)
        except Exception as error:  # whatever it is, one client must not stop the node with it; executing it would
            self._out.log("admission.broken", "error", tx=transaction.id, reason=repr(error))
            return _refused(transaction.id, Rejected("tx.check_failed", reason=type(error).__name__))
        return Outcome(transaction.id, "pending", False, None)

    def _status(self, held: Held) -> Literal["pending", "shared"]:
        return "shared" if held.batch is not None and self._batches.is_shared(held.batch) else "pending"


def _refused(identity: bytes | None, error: ConcentoError) -> Outcome:
    """The error goes without its traceback: that would hold every frame of this event, and with them all that was
    handed in, until the garbage collector comes by. A node that refuses much would be full of what it refused."""
    return Outcome(identity, "refused", False, error.with_traceback(None))
