"""Writing from the command line: nothing is handed in that a dry run refuses, and waiting ends at --timeout."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from concento.client.client import Client
from concento.client.rpc import RpcError
from concento.client.session import PENDING, WAIT_MS, Session
from concento.client.signer import Signer
from concento.errors import KINDS, ConcentoError, Unavailable
from concento.messages import Action
from concento.transactions import Transaction

REFUSED: Final = -32003
_RETRY_S: Final = 0.3
_NOT_REPORTED_BY_DRY_RUNS: Final = ("block.full", "tx.fee_too_low")
"""The highest fee is signed only when the dry run has told the fee."""


class WritingSession(Session):
    """A session with a deadline. `wait` False hands in and leaves."""

    def __init__(self, client: Client, signer: Signer, wait: bool = True, timeout_s: float | None = None) -> None:
        super().__init__(client, signer)
        self._wait_for_finality = wait
        self._timeout_s = timeout_s

    def build(
        self, actions: Sequence[Action], nonce: bytes | None = None, max_fee_ubeat: int | None = None, memo: str = ""
    ) -> Transaction:
        transaction = super().build(actions, nonce, max_fee_ubeat, memo)
        if max_fee_ubeat is not None:
            self.judge(self.client.simulate(transaction.raw))
        return transaction

    def judge(self, document: dict[str, Any]) -> None:
        """Goes on only with what would have its effect."""
        raise_refusal(document)

    def send(self, actions: Sequence[Action], nonce: bytes | None = None, memo: str = "") -> dict[str, Any]:
        """As `Session.send`, with the document of `hand_in`."""
        return self.hand_in(self.build(actions, nonce, memo=memo))

    def hand_in(self, transaction: Transaction) -> dict[str, Any]:
        """Submits what is signed, and waits; the document says in `finality_ms` how long finality took."""
        started = time.monotonic_ns()
        document: dict[str, Any] = self.client.submit(transaction.raw)
        if self._wait_for_finality:
            document = self.wait(transaction)
        elapsed_ms = (time.monotonic_ns() - started) // 1_000_000
        return {**document, "finality_ms": elapsed_ms if document["status"] == "final" else None}

    def wait(self, transaction: Transaction) -> dict[str, Any]:
        """The document once its fate is known. Raises Unavailable tx.outcome_unknown at the deadline."""
        deadline = _deadline(transaction, self._timeout_s)
        while True:
            left_ms = deadline - _now_ms()
            if left_ms <= 0:
                raise Unavailable("tx.outcome_unknown", tx=transaction.id)
            try:
                document = self._look(transaction, min(WAIT_MS, left_ms))
            except Unavailable:
                # The transaction is out: that a node has gone says nothing about its fate.
                time.sleep(_RETRY_S)
                continue
            if document["status"] not in PENDING:
                return document

    def _look(self, transaction: Transaction, wait_ms: int) -> dict[str, Any]:
        """One look at the transaction; a node that has not heard of it hears of it now."""
        try:
            document: dict[str, Any] = self.client.transaction(transaction.id.hex(), wait_ms=wait_ms)
        except RpcError as error:
            if not error.not_found:
                raise
            document = self.client.submit(transaction.raw)
            time.sleep(_RETRY_S)
        return document


def raise_refusal(document: dict[str, Any]) -> None:
    """Raises RpcError with the reason for which a simulated transaction would have no effect."""
    error = document.get("error")
    if error is None or error["kind"] in _NOT_REPORTED_BY_DRY_RUNS:
        return
    kind = str(error["kind"])
    data: dict[str, Any] = {
        "kind": kind,
        "hint": hint_of(kind),
        "tx": document.get("tx"),
        "retryable": False,
        "numbers": {},
    }
    raise RpcError(REFUSED, str(error["message"]), {**data, **{k: v for k, v in error.items() if k in data and v}})


def hint_of(kind: str) -> str | None:
    """The next command that belongs to a kind, where it can be told without its numbers."""
    hint = KINDS.get(kind, ("", None))[1]
    return None if hint is None or "{" in hint else hint


def failure_of(document: dict[str, Any]) -> ConcentoError:
    """The error of a transaction that was included without effect, or that expired."""
    error = document.get("error") or {"kind": "tx." + str(document["status"]), "message": str(document["status"])}
    kind = str(error["kind"])
    known = {"hint": error.get("hint") or hint_of(kind), "numbers": error.get("numbers") or {}}
    return RpcError(REFUSED, str(error["message"]), {"kind": kind, **known, "tx": document["tx"]})


def _deadline(transaction: Transaction, timeout_s: float | None) -> int:
    """After its own expiry plus one wait, nothing is to be expected of a transaction any more."""
    if timeout_s is not None:
        return _now_ms() + int(timeout_s * 1000)
    return transaction.body.valid_until_ms + WAIT_MS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
