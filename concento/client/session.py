"""Acting as somebody: build, sign, hand in, wait until final."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

from concento.accounts import address
from concento.client.client import Client
from concento.client.fields import told_by_field
from concento.client.rpc import RpcError
from concento.client.signer import Signer
from concento.errors import Rejected, Unavailable
from concento.hashing import Network
from concento.messages import Action
from concento.transactions import Body, Transaction, sign_transaction

VALID_MS: Final = 60_000
"""How long a transaction may wait for its block: half of the default replay window, so that clocks may differ."""

WAIT_MS: Final = 20_000
"""The longest that one request waits at the node."""

WAITS_FULL_S: Final = 1.0
"""Before a node is asked again on which too many wait."""

FEE_MARGIN: Final = 2
"""The highest fee that is signed is this multiple of the simulated one: state may grow between the two."""

PENDING: Final = ("pending", "shared", "unknown")


class Session:
    """A client that acts for one account."""

    def __init__(self, client: Client, signer: Signer, valid_ms: int = VALID_MS) -> None:
        self.client = client
        self.signer = signer
        self._valid_ms = valid_ms

    @cached_property
    def _status(self) -> dict[str, Any]:
        document: dict[str, Any] = self.client.status()
        return document

    @cached_property
    def network(self) -> Network:
        """The network that the node is part of; every signature is bound to it."""
        return Network(self._status["chain_id"], bytes.fromhex(self._status["genesis_hash"]))

    @property
    def address(self) -> str:
        """The signer's account as this network writes it."""
        return address(self.signer.account, self._status["dev"])

    def body(
        self, actions: Iterable[Action], nonce: bytes | None = None, max_fee_ubeat: int = 0, memo: str = ""
    ) -> Body:
        """An unsigned transaction body that is valid from now for this session's time."""
        return Body(
            chain_id=self.network.chain_id,
            genesis_prefix=self.network.genesis_hash[:8],
            sender=self.signer.account,
            nonce=nonce or secrets.token_bytes(16),
            valid_until_ms=time.time_ns() // 1_000_000 + self._valid_ms,
            max_fee_ubeat=max_fee_ubeat,
            actions=tuple(actions),
            memo=memo,
        )

    def sign(self, body: Body) -> Transaction:
        """Raises Rejected tx.field_invalid where the ledger has no form for what stands in a field."""
        try:
            return sign_transaction(self.network, body, self.signer.seeds)
        except Rejected as error:
            raise told_by_field(error, body) from None

    def build(
        self, actions: Sequence[Action], nonce: bytes | None = None, max_fee_ubeat: int | None = None, memo: str = ""
    ) -> Transaction:
        """A signed transaction; without `max_fee_ubeat` the fee is asked of the node and given some margin."""
        body = self.body(actions, nonce, max_fee_ubeat or 0, memo)
        if max_fee_ubeat is None:
            document = self.client.simulate(self.sign(body).raw)
            self.judge(document)
            fee_ubeat = int(document["fee_ubeat"])
            body = self.body(actions, body.nonce, fee_ubeat * FEE_MARGIN, memo)
        return self.sign(body)

    def judge(self, document: dict[str, Any]) -> None:
        """What a dry run says, before anything is signed for good; whoever wants to may refuse to go on."""

    def send(self, actions: Sequence[Action], nonce: bytes | None = None, memo: str = "") -> dict[str, Any]:
        """Build, hand in, and wait until the fate of the transaction is known: its Tx document.

        Raises RpcError where it was refused, Unavailable where the outcome is not known in time.
        """
        transaction = self.build(actions, nonce, memo=memo)
        self.client.submit(transaction.raw)
        return self.wait(transaction)

    def wait(self, transaction: Transaction) -> dict[str, Any]:
        """The Tx document once its fate is known; hands the same bytes in again while a node has not heard of them."""
        while True:
            document = self._find(transaction)
            if document is not None and document["status"] not in PENDING:
                return document
            if time.time_ns() // 1_000_000 > transaction.body.valid_until_ms + WAIT_MS:
                raise Unavailable("tx.outcome_unknown", tx=transaction.id)
            self.client.submit(transaction.raw)

    def _find(self, transaction: Transaction) -> dict[str, Any] | None:
        """None from a node that never heard of it, or cannot tell: the one that took it may have died before it told
        anybody."""
        try:
            document: dict[str, Any] = self.client.transaction(transaction.id.hex(), wait_ms=WAIT_MS)
        except RpcError as error:
            if error.kind == "rpc.waits_full":
                time.sleep(WAITS_FULL_S)
            elif error.kind not in ("tx.not_found", "tx.pruned"):
                raise
            return None
        return document
