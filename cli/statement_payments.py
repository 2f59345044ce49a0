"""The payments that a statement's lines begin with, each held against what its block proves of it.

A payment made by a transaction is an event of it, and stands in its result. What the ledger
pays itself (rewards, what a dispute that nobody ruled on gives back) is a row of the block. The time is that of the
block's own header, which the next one names as its parent.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from concento.blocks import Header, TransactionResult, block_id
from concento.encoding import decode
from concento.errors import Rejected
from concento.hashing import NO_HASH
from concento.merkle import verify_inclusion
from state.calls import Event
from state.events import decode_events
from state.modules.revenue import FROM_SOURCE, Inflow, LedgerPaymentRow, Source, inflow_place
from state.store.kv import HISTORY, TRANSACTION, number_key

Payment: TypeAlias = tuple[object, ...]
"""What is proved of one payment: see `_told`."""

_INFLOW = HISTORY + b"inflow/"


def refuse(reason: str) -> NoReturn:
    raise Rejected("statement.invalid", reason=reason)


def sources_in(records: Mapping[str, str]) -> Iterator[tuple[int, Source]]:
    """(height, payment) of all that is among the records of a statement, keys in hex and values in base64."""
    for key, value in records.items():
        if not key.startswith(_INFLOW.hex()):
            continue
        _, height = inflow_place(bytes.fromhex(key))
        for inflow in decode(tuple[Inflow, ...], base64.b64decode(value), "inflows"):
            if inflow.kind == FROM_SOURCE:
                yield height, decode(Source, inflow.origin, "payment")


@dataclass(slots=True)
class Payments:
    """What the blocks of a statement prove, and how often each payment was told so far."""

    times: dict[int, int] = field(default_factory=dict)
    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    proved: Counter[Payment] = field(default_factory=Counter)
    told: Counter[Payment] = field(default_factory=Counter)

    def add_block(self, block: Mapping[str, Any], following: Header) -> None:
        """What one entry of the file proves; `following` is a header that is known to be final."""
        own = decode(Header, base64.b64decode(block["block"]), "header")
        if block_id(own) != following.parent_id:
            refuse(f"block {block['height']} comes with a header that the next one does not name")
        self.times[own.height] = own.time_ms
        for entry in block["transactions"]:
            self._add_transaction(entry, own.height, block["count"], following.results_root)

    def add_row(self, height: int, row: LedgerPaymentRow) -> None:
        """A payment of the ledger's own, whose row is proved."""
        self.proved[_told(height, NO_HASH, row.cause, row.cause_id, row.rank, row.route, row.amount_ubeat)] += 1

    def _add_transaction(self, entry: Mapping[str, Any], height: int, count: int, root: bytes) -> None:
        raw = base64.b64decode(entry["result"])
        verify_inclusion(root, raw, entry["index"], count, [bytes.fromhex(node) for node in entry["path"]])
        result = decode(TransactionResult, raw, "result")
        if result.id in self.places:
            return
        self.places[result.id] = height, entry["index"]
        for event in decode_events(result.events):
            payment = _of_event(height, result.id, event)
            if payment is not None:
                self.proved[payment] += 1

    def check(self, height: int, source: Source) -> None:
        """Refuses unless a block proves this payment, and as many like it as are told."""
        if self.times.get(height) != source.time_ms:
            refuse(f"a payment of block {height} is of another time")
        name = _of_source(height, source)
        self.told[name] += 1
        if self.told[name] > self.proved[name]:
            refuse(f"no block proves a payment of {source.gross_ubeat} ubeat in block {height}")

    def records(self) -> dict[bytes, bytes]:
        """Where the transactions are, as a node keeps it."""
        return {TRANSACTION + tx: number_key(height) + number_key(index) for tx, (height, index) in self.places.items()}


def _told(height: int, tx: bytes, cause: str, cause_id: bytes, *rest: object) -> Payment:
    return height, tx, cause, cause_id, *rest


def _of_source(height: int, source: Source) -> Payment:
    if source.tx == NO_HASH:
        own = source.rank, source.route, source.net_ubeat
        if source.payer != NO_HASH or source.fee_ubeat or source.gross_ubeat != source.net_ubeat:
            refuse(f"a payment of block {height} has a payer and no transaction")
        return _told(height, NO_HASH, source.cause, source.cause_id, *own)
    amounts = source.gross_ubeat, source.fee_ubeat, source.net_ubeat
    return _told(height, source.tx, source.cause, source.cause_id, source.asset, source.payer, *amounts)


def _of_event(height: int, tx: bytes, event: Event) -> Payment | None:
    """What a transaction's event says of a payment: one that somebody made, or held money that a dispute gives back."""
    fields = event.fields
    match event.kind:
        case "royalties.accrued":
            amounts = fields["gross_ubeat"], fields["fee_ubeat"], fields["net_ubeat"]
            cause, cause_id = str(fields["cause"]), _id(fields["cause_id"])
            return _told(height, tx, cause, cause_id, fields["asset"], fields["payer"], *amounts)
        case "dispute.ended" if fields["returned_ubeat"]:
            back = fields["returned_ubeat"]
            return _told(height, tx, "dispute", _id(fields["dispute"]), fields["asset"], NO_HASH, back, 0, back)
        case _:
            return None


def _id(value: object) -> bytes:
    if not isinstance(value, bytes):
        refuse("an event of a payment names nothing")
    return value


def wanted(records: Mapping[str, str]) -> dict[int, Sequence[str]]:
    """Height -> ids of the transactions whose payments have to be proved there."""
    found: dict[int, dict[str, None]] = {}
    for height, source in sources_in(records):
        of_height = found.setdefault(height, {})
        if source.tx != NO_HASH:
            of_height[source.tx.hex()] = None
    return {height: list(ids) for height, ids in found.items()}
