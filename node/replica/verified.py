"""Which transactions had all their signatures checked by this node: once, whatever road they come by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from concento.hashing import Network
from concento.transactions import Transaction, signature_checks
from node.replica.events import Verify
from node.replica.outbox import Outbox

VERIFIED_MAX: Final = 50_000
"""Digests until the older ones may go, 200 bytes each: a transaction comes back within seconds or never."""

Done: TypeAlias = Callable[[list[int | None]], None]
"""Called with one entry a transaction: None where all is well, else the position of its first bad signature."""


class Verifier:
    """Asks for what was not checked yet and remembers what was good."""

    def __init__(self, network: Network, out: Outbox) -> None:
        self._network = network
        self._out = out
        self._good: set[bytes] = set()
        self._good_before: set[bytes] = set()
        self._jobs: dict[int, tuple[Sequence[Transaction], list[int], Done]] = {}
        self._token = 0

    def verify(self, transactions: Sequence[Transaction], done: Done, *, of_batch: bool) -> None:
        """Calls `done` at once where nothing is left to check, else when the verdicts come; batches come first."""
        checks = []
        counts = []
        for transaction in transactions:
            wanted = [] if self._is_good(transaction) else signature_checks(self._network, transaction)
            counts.append(len(wanted))
            checks += wanted
        if not checks:
            done([None] * len(transactions))
            return
        self._token += 1
        self._jobs[self._token] = (transactions, counts, done)
        self._out.emit(Verify(self._token, tuple(checks), of_batch))

    def answered(self, token: int, verdicts: Sequence[bool]) -> None:
        """The verdicts on a job; an unknown token is ignored."""
        job = self._jobs.pop(token, None)
        if job is None:
            return
        transactions, counts, done = job
        if all(verdicts):
            self._good.update([transaction.digest for transaction in transactions])
            bad: list[int | None] = [None] * len(transactions)
        else:
            bad = self._judged(transactions, counts, verdicts)
        self._forget()
        done(bad)

    def _judged(
        self, transactions: Sequence[Transaction], counts: Sequence[int], verdicts: Sequence[bool]
    ) -> list[int | None]:
        """The position of the first bad signature of each; those without any are good from now on."""
        bad: list[int | None] = []
        start = 0
        for transaction, count in zip(transactions, counts, strict=True):
            own = verdicts[start : start + count]
            start += count
            bad.append(next((index for index, good in enumerate(own) if not good), None))
            if bad[-1] is None:
                self._good.add(transaction.digest)
        return bad

    def trust(self, transactions: Iterable[Transaction]) -> None:
        """Counts as checked: they were, before they were written to disk."""
        self._good.update(transaction.digest for transaction in transactions)
        self._forget()

    def _is_good(self, transaction: Transaction) -> bool:
        return transaction.digest in self._good or transaction.digest in self._good_before

    def _forget(self) -> None:
        """Keeps the newest digests and as many before them."""
        if len(self._good) > VERIFIED_MAX:
            self._good_before, self._good = self._good, set()
