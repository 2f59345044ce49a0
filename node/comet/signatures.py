"""Which transactions had every signature checked: once each, whatever request of the engine they come by first.

The cache is keyed by the digest of the full bytes, signatures included. A verdict is the same on every node and at
every time, so both good and bad ones are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from concento.errors import Rejected
from concento.hashing import Network
from concento.keys import Check, verify_many
from concento.transactions import Transaction, check_network, decode_transaction, signature_checks

KNOWN_MAX: Final = 200_000
"""Transactions remembered: one comes back within seconds of its first arrival, or never."""


class Signatures:
    """Decodes transactions and knows whether their signatures are good."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._decoded: dict[bytes, Transaction] = {}
        self._good: dict[bytes, bool] = {}

    def decode(self, raw: bytes) -> Transaction:
        """The transaction in these bytes, made for this chain. Raises Rejected."""
        found = self._decoded.get(raw)
        if found is None:
            found = decode_transaction(raw)
            check_network(self._network, found)
            self._decoded[raw] = found
            if len(self._decoded) > KNOWN_MAX:
                del self._decoded[next(iter(self._decoded))]
        return found

    def wanted(self, raws: Iterable[bytes]) -> list[tuple[Transaction, list[Check]]]:
        """Those not judged yet, with their checks: to be done elsewhere and told to `learn`."""
        found: dict[bytes, tuple[Transaction, list[Check]]] = {}
        for raw in raws:
            try:
                transaction = self.decode(raw)
            except Rejected:
                continue
            if transaction.digest not in self._good and transaction.digest not in found:
                found[transaction.digest] = transaction, signature_checks(self._network, transaction)
        return list(found.values())

    def learn(self, wanted: Sequence[tuple[Transaction, list[Check]]], verdicts: Sequence[bool]) -> None:
        """Take the verdicts on all checks of `wanted`, in order."""
        start = 0
        for transaction, checks in wanted:
            self._keep(transaction, all(verdicts[start : start + len(checks)]))
            start += len(checks)

    def is_good(self, transaction: Transaction) -> bool:
        """Whether every signature is valid; checked here and now where nobody did it before."""
        found = self._good.get(transaction.digest)
        if found is None:
            found = all(verify_many(signature_checks(self._network, transaction)))
            self._keep(transaction, found)
        return found

    def _keep(self, transaction: Transaction, good: bool) -> None:
        self._good[transaction.digest] = good
        if len(self._good) > KNOWN_MAX:
            del self._good[next(iter(self._good))]
