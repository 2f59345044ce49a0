"""Queries about transactions: what one asks for, what became of it, what it would do.

An inclusion is shown before any skip. What was skipped may still be included, so it is pending until its time is over.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any, Final

from concento.accounts import address
from concento.blocks import TransactionResult
from concento.cids import cid
from concento.encoding import Record
from concento.errors import KINDS, Rejected
from concento.messages import Action, kind_of
from concento.messages.assets import RegisterDataset, RegisterRecording, RegisterWork
from concento.messages.disputes import OpenDispute
from concento.messages.governance import Propose
from concento.messages.licences import BuyLicence, CreateOffer
from concento.messages.lineage import RegisterDerivative, RegisterModel, RegisterOutput
from concento.messages.receipts import AnchorReceipts, receipt_id
from concento.messages.royalties import OpenVault
from concento.statekeys import parse_id
from concento.transactions import Transaction, decode_transaction, licence_id, object_id
from state.events import ACCOUNT_FIELDS, decode_events, event_json, event_text
from state.fees import transaction_fee
from state.queries import Chain, find_id
from state.queries_chain import block_at, shown_status
from state.refusals import read_refusal, refusal_key, told
from state.router import weight_of
from state.store.blockstore import Place, find_result, find_skip, find_transaction
from state.store.kv import TRANSACTION
from state.transition import simulate

_NUMBER: Final = re.compile(r"\{\w+\}")

Body = Callable[[Place], bytes | None]
"""The bytes of the transaction at a place of the chain, or None where they are no longer kept."""

SETTLED: Final = ("final", "failed", "skipped", "expired")
"""Statuses that do not change any more."""


def tx_get(chain: Chain, identity: bytes, body: Body, held: tuple[str, bytes] | None) -> dict[str, Any]:
    """The transaction with this id. `held` is (status, bytes) where this node's pool has it. Raises Rejected."""
    place = find_transaction(chain.store, identity)
    if place is not None:
        return _included(chain, identity, place, body(place))
    skipped = find_skip(chain.store, identity)
    if held is not None:
        return _waiting(chain, decode_transaction(held[1]), held[0], skipped)
    raw = None if skipped is None else body(skipped)
    if raw is not None:
        return _waiting(chain, decode_transaction(raw), "pending", skipped)
    if chain.oldest_height > 1:
        raise Rejected("tx.pruned", text=identity.hex(), oldest_height=chain.oldest_height)
    raise Rejected("tx.not_found", text=identity.hex())


def is_settled(chain: Chain, identity: bytes, valid_until_ms: int) -> bool:
    """Whether the status of this transaction is one that does not change any more."""
    return find_transaction(chain.store, identity) is not None or valid_until_ms < _block_time(chain)


def transaction_id_of(chain: Chain, text: str) -> bytes:
    """The id of the included transaction whose id begins so; a whole id needs no inclusion. Raises Rejected."""
    if len(text) == 64:
        return parse_id(text)
    return find_id(chain, TRANSACTION, text, lambda: Rejected("tx.not_found", text=text))


def tx_pending(chain: Chain, transaction: Transaction, status: str, known: bool) -> dict[str, Any]:
    """A transaction that was just handed in."""
    place = find_transaction(chain.store, transaction.id)
    if place is not None:
        return {**_included(chain, transaction.id, place, transaction.raw), "known": True}
    return {**_waiting(chain, transaction, status, find_skip(chain.store, transaction.id)), "known": known}


def tx_simulate(chain: Chain, transaction: Transaction, time_ms: int) -> dict[str, Any]:
    """What the transaction would do in the next block, without doing it."""
    height, params = chain.height + 1, chain.genesis.params
    outcome = simulate(chain.view(), transaction, height, time_ms, params, chain.network)
    status = "final" if outcome.status == "ok" else outcome.status
    document = _document(transaction, transaction.id, status, chain.dev)
    document["fee_ubeat"] = str(outcome.fee_ubeat)
    document["known"] = False
    if outcome.error is not None:
        document["error"] = _told(told(outcome.error, chain.dev))
    document["events"] = [
        {**event_json(event, chain.dev), "text": event_text(event, chain.dev, chain.name)} for event in outcome.events
    ]
    document["created"] = _created(transaction) if status == "final" else []
    return document


def _included(chain: Chain, identity: bytes, place: Place, raw: bytes | None) -> dict[str, Any]:
    result = find_result(chain.store, place)
    if result is None:
        raise Rejected("tx.pruned", text=identity.hex(), oldest_height=chain.oldest_height)
    transaction = None if raw is None else decode_transaction(raw)
    document = _document(transaction, result.id, shown_status(result), chain.dev)
    document.update(
        height=place.height,
        index=place.index,
        time_ms=block_at(chain, place.height).block.header.time_ms,
        fee_ubeat=str(result.fee_ubeat),
        error=_error(chain, result),
        events=_events(chain, result),
        created=_created(transaction) if transaction is not None and result.status == "ok" else [],
    )
    return document


def _waiting(chain: Chain, transaction: Transaction, status: str, skipped: Place | None) -> dict[str, Any]:
    """Not in the chain: pending while its time lasts, then expired, or skipped where a block had it in vain."""
    over = transaction.body.valid_until_ms < _block_time(chain)
    document = _document(transaction, transaction.id, status, chain.dev)
    document["fee_ubeat"] = str(_fee(chain, transaction))
    if skipped is not None:
        result = find_result(chain.store, skipped)
        document["error"] = None if result is None else _error(chain, result)
        document["status"] = "skipped" if over else "pending"
    elif over:
        document["status"] = "expired"
        document["error"] = _told(_expired(chain, transaction))
    return document


def _expired(chain: Chain, transaction: Transaction) -> Rejected:
    times = {"valid_until_ms": transaction.body.valid_until_ms, "time_ms": _block_time(chain)}
    return Rejected("tx.expired", **times)


def _block_time(chain: Chain) -> int:
    return chain.time_ms


def _fee(chain: Chain, transaction: Transaction) -> int:
    return transaction_fee(chain.genesis.params.fees, len(transaction.raw), weight_of(transaction.body))


def _document(transaction: Transaction | None, identity: bytes, status: str, dev: bool = False) -> dict[str, Any]:
    body = None if transaction is None else transaction.body
    return {
        "tx": identity.hex(),
        "status": status,
        "known": True,
        "sender": None if body is None else record_json("sender", body.sender, dev),
        "height": None,
        "index": None,
        "time_ms": None,
        "fee_ubeat": "0",
        "valid_until_ms": None if body is None else body.valid_until_ms,
        "memo": None if body is None else body.memo,
        "error": None,
        "actions": [] if body is None else [action_json(action, dev) for action in body.actions],
        "events": [],
        "created": [],
        "raw": None if transaction is None else base64.b64encode(transaction.raw).decode("ascii"),
    }


def _error(chain: Chain, result: TransactionResult) -> dict[str, Any] | None:
    """Why it had no effect, with its numbers where they are known."""
    if result.status == "ok":
        return None
    if result.kind not in KINDS:
        return {"kind": result.kind, "message": result.kind, "hint": None, "numbers": {}}
    refusal = read_refusal(result.kind, chain.find_history(refusal_key(result.id)))
    if refusal is not None:
        return _told(told(refusal, chain.dev))
    sentence, hint = KINDS[result.kind]
    words = _NUMBER.sub("…", sentence)
    return {"kind": result.kind, "message": words, "hint": None if hint is None or "{" in hint else hint, "numbers": {}}


def _told(error: Rejected) -> dict[str, Any]:
    numbers = {name: value.hex() if isinstance(value, bytes) else value for name, value in error.numbers.items()}
    return {"kind": error.kind, "message": error.message, "hint": error.hint, "numbers": numbers}


def _events(chain: Chain, result: TransactionResult) -> list[dict[str, Any]]:
    return [
        {**event_json(event, chain.dev), "text": event_text(event, chain.dev, chain.name)}
        for event in decode_events(result.events)
    ]


def _created(transaction: Transaction) -> list[dict[str, str]]:
    """The objects that the actions bring into being; their ids are known before signing."""
    body = transaction.body
    found: list[dict[str, str]] = []
    for index, action in enumerate(body.actions):
        match action:
            case (
                RegisterWork()
                | RegisterRecording()
                | RegisterDataset()
                | RegisterModel()
                | RegisterOutput()
                | RegisterDerivative()
            ):
                kind = "asset"
            case CreateOffer():
                kind = "offer"
            case BuyLicence():
                found.append({"kind": "licence", "id": licence_id(transaction.id, index).hex()})
                continue
            case OpenVault():
                kind = "vault"
            case OpenDispute():
                kind = "dispute"
            case Propose():
                kind = "proposal"
            case AnchorReceipts():
                found += [{"kind": "receipt", "id": receipt_id(leaf).hex()} for leaf in action.bodies]
                continue
            case _:
                continue
        found.append({"kind": kind, "id": object_id(kind, body.sender, body.nonce, index).hex()})
    return found


# Messages in JSON


def action_json(action: Action, dev: bool) -> dict[str, Any]:
    """A message as people read it: its kind, then its fields."""
    return {"kind": kind_of(action), **record_json("", action, dev)}


def record_json(name: str, value: Any, dev: bool) -> Any:
    """A field of a message in JSON: accounts as addresses, content as CIDs, other bytes as hex, amounts as strings."""
    match value:
        case Record():
            tag = value.__struct_config__.tag
            fields = {field: record_json(field, getattr(value, field), dev) for field in value.__struct_fields__}
            return fields if tag is None else {"kind": tag, **fields}
        case tuple():
            return [record_json(name, item, dev) for item in value]
        case bytes() if not value:
            return None
        case bytes() if len(value) != 32:
            return value.hex()
        case bytes():
            return address(value, dev) if name in ACCOUNT_FIELDS else cid(value) if name == "content" else value.hex()
        case bool():
            return value
        case int() if name.endswith("_ubeat") or name.startswith("shares"):
            return str(value)
        case _:
            return value
