"""tx_*: handing in, looking up, waiting, trying out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta

from concento.errors import ConcentoError, Rejected, Unavailable
from concento.limits import BATCH_TRANSACTIONS_MAX
from concento.transactions import check_network, decode_transaction
from node.backend import Submission
from node.rpc import shapes
from node.rpc.calls import WAITS_MAX, Call
from node.rpc.dispatch import Method, Params
from node.rpc.errors import Refused, refusal_object
from node.rpc.params import IdText, TransactionBytes, WaitMs
from state import queries_tx
from state.refusals import told
from state.store.blockstore import Place

BEHIND_MS = 10_000
"""How old the newest block of a node that is catching up may be while it takes transactions: a pause mended in a moment
is no reason to send clients away, and an idle chain makes a block every five seconds."""


class OneTransaction(Params):
    tx: TransactionBytes


class Submitted(OneTransaction):
    wait_ms: WaitMs | None = None


class Transactions(Params):
    txs: Annotated[tuple[TransactionBytes, ...], Meta(min_length=1, max_length=BATCH_TRANSACTIONS_MAX)]


class TransactionId(Params):
    tx: IdText
    wait_ms: WaitMs | None = None


async def submit(call: Call, params: Submitted) -> dict[str, Any]:
    _check_caught_up(call)
    raw = params.tx
    submission = (await call.desk.backend.submit([raw]))[0]
    if submission.error is not None:
        raise Refused(_told(call, submission.error), submission.tx)
    transaction = decode_transaction(raw)
    if params.wait_ms is None or call.desk.waits >= WAITS_MAX:
        # It is taken, whether there is room to wait for it or not.
        status = submission.status or "pending"
        return queries_tx.tx_pending(call.desk.chain, transaction, status, submission.known)
    document = await _settled(call, transaction.id, transaction.body.valid_until_ms, params.wait_ms, raw)
    return {**document, "known": submission.known}


async def submit_batch(call: Call, params: Transactions) -> dict[str, Any]:
    _check_caught_up(call)
    submissions = await call.desk.backend.submit(params.txs)
    return {
        "items": [_item(call, submission) for submission in submissions],
        "next": None,
        "height": call.desk.chain.height,
    }


async def get(call: Call, params: TransactionId) -> dict[str, Any]:
    identity = queries_tx.transaction_id_of(call.desk.chain, params.tx)
    document = _find(call, identity)
    if params.wait_ms is None or document["status"] in queries_tx.SETTLED:
        return document
    if call.desk.waits >= WAITS_MAX:
        raise Rejected("rpc.waits_full", count=call.desk.waits)
    return await _settled(call, identity, document["valid_until_ms"], params.wait_ms)


async def _settled(
    call: Call, identity: bytes, valid_until_ms: int, wait_ms: int, raw: bytes | None = None
) -> dict[str, Any]:
    """The transaction once its fate is known, or as it stands when the time has passed; `raw` where it is at hand."""
    desk, loop = call.desk, asyncio.get_running_loop()
    until_s = min(loop.time() + wait_ms / 1_000, call.wait_until_s)
    desk.waits += 1
    try:
        while (
            not queries_tx.is_settled(desk.chain, identity, valid_until_ms)
            and loop.time() < until_s
            and not desk.feed.closed
        ):
            await desk.feed.wait(until_s - loop.time())
    finally:
        desk.waits -= 1
    return _find(call, identity, raw)


def simulate(call: Call, params: OneTransaction) -> dict[str, Any]:
    chain = call.desk.chain
    raw = params.tx
    identity = None
    try:
        transaction = decode_transaction(raw)
        identity = transaction.id
        check_network(chain.network, transaction)
    except Rejected as error:
        raise Refused(error, identity) from None
    time_ms = max(call.desk.now_ms(), chain.time_ms + 1)
    return queries_tx.tx_simulate(chain, transaction, time_ms)


def _check_caught_up(call: Call) -> None:
    """Raises Unavailable("node.syncing") where the node fetches old blocks: it would judge by a state of long ago."""
    desk = call.desk
    if desk.now_ms() - desk.chain.time_ms > BEHIND_MS and desk.backend.status()["syncing"]:
        raise Unavailable("node.syncing", height=desk.chain.height)


def body_reader(call: Call) -> Callable[[Place], bytes | None]:
    """Reads the bytes of a transaction at a place of the chain."""
    backend = call.desk.backend

    def read(place: Place) -> bytes | None:
        return backend.body(place.height, place.index)

    return read


def _find(call: Call, identity: bytes, raw: bytes | None = None) -> dict[str, Any]:
    entry = call.desk.backend.lookup(identity)
    held = None if entry is None else (entry.status, entry.raw)
    return queries_tx.tx_get(call.desk.chain, identity, body_reader(call) if raw is None else lambda _place: raw, held)


def _told(call: Call, error: ConcentoError) -> ConcentoError:
    """A refusal as people read it."""
    return told(error, call.desk.chain.dev) if isinstance(error, Rejected) else error


def _item(call: Call, submission: Submission) -> dict[str, Any]:
    error = None if submission.error is None else _told(call, submission.error)
    return {
        "tx": None if submission.tx is None else submission.tx.hex(),
        "status": submission.status,
        "known": submission.known,
        "error": None if error is None else refusal_object(Refused(error, submission.tx)),
    }


_REFUSALS = (
    "encoding.invalid",
    "encoding.not_canonical",
    "encoding.too_large",
    "tx.malformed",
    "tx.signature",
    "tx.wrong_chain",
    "tx.expired",
    "tx.too_early",
    "tx.authority",
    "tx.fee_too_low",
    "tokens.balance_low",
    "node.busy",
    "node.syncing",
)

TX_METHODS = (
    Method(
        "tx_submit",
        "Hand in a signed transaction; the same bytes again are `known`; with wait_ms, answered once its fate is known",
        Submitted,
        shapes.Tx,
        submit,
        _REFUSALS,
        {"tx": "<transfer>"},
    ),
    Method(
        "tx_submitBatch",
        "Hand in up to 1,000 transactions; the body may be MessagePack with the bytes as they are",
        Transactions,
        shapes.BatchItems,
        submit_batch,
        ("node.busy", "node.syncing"),
        {"txs": ["<transfer>"]},
    ),
    Method(
        "tx_get",
        "A transaction and what became of it; with wait_ms, once that does not change any more",
        TransactionId,
        shapes.Tx,
        get,
        ("tx.not_found", "tx.pruned", "id.malformed", "id.ambiguous", "rpc.waits_full"),
        {"tx": "<tx>"},
    ),
    Method(
        "tx_simulate",
        "What a transaction would do now, and its fee; signatures need not be there",
        OneTransaction,
        shapes.Tx,
        simulate,
        ("encoding.invalid", "tx.wrong_chain"),
        {"tx": "<transfer>"},
    ),
)
