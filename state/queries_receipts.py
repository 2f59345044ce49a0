"""Queries about receipts: who read what under which licence, and the path from a receipt to what both have signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from concento.cids import cid
from concento.encoding import decode
from concento.errors import Broken, Rejected
from concento.merkle import inclusion_path, old_peaks, path_behind
from concento.messages.receipts import AnchorReceipts, ReceiptBody, receipt_id
from concento.transactions import decode_transaction
from state.modules.lanes import lane_key
from state.modules.licences import LICENCES, Licence
from state.modules.receipts import (
    BATCHES,
    LOG_PREFIX,
    RECEIPT_PREFIX,
    Batch,
    Position,
    batch_key,
    log_key,
)
from state.queries import Chain, account_of, cursor_key, find_id, id_of, page_size
from state.queries_lineage import asset_of
from state.store.blockstore import Place, find_transaction
from state.store.kv import HISTORY

SCANNED_MAX: Final = 1_000
"""Receipts that one request for a list looks at."""

LOG_HASHED_MAX: Final = 50_000
"""Receipts below one head that are hashed for a path: 100 ms; longer logs give none."""

Body = Callable[[Place], bytes | None]
"""The bytes of the transaction at a place of the chain, or None where they are no longer kept."""


@dataclass(frozen=True, slots=True)
class Found:
    """An anchored receipt, the lane that it is of, and the batch that it came with."""

    raw: bytes
    body: ReceiptBody
    batch: Batch

    @property
    def lane(self) -> bytes:
        return lane_key(self.body.licence, self.body.gateway, self.body.lane)


def receipt_get(chain: Chain, text: str, body: Body) -> dict[str, Any]:
    """One receipt, its path to the anchored head, and both signatures."""
    found = find_receipt(chain, text)
    path = receipt_path(chain, found, body)
    return {
        **_receipt(chain, found),
        "batch": {**_batch(found), "path": None if path is None else [node.hex() for node in path]},
        "signatures": {
            "gateway": _gateway_signature(chain, found, body),
            "voucher": found.batch.voucher.signature.hex(),
        },
        "height": chain.height,
    }


def receipt_list(
    chain: Chain,
    licence: str | None = None,
    licensee: str | None = None,
    gateway: str | None = None,
    asset: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Anchored receipts, lane by lane in their order."""
    licence_id = b"" if licence is None else id_of(chain, LICENCES.prefix, licence, "licence.not_found")
    reader = None if licensee is None else account_of(chain, licensee)
    server = None if gateway is None else account_of(chain, gateway)
    asset_id = None if asset is None else asset_of(chain, asset)
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last, scanned = b"", 0
    for key, raw in _log(chain, licence_id, cursor_key(cursor)):
        if len(items) == size or scanned == SCANNED_MAX:
            return {"items": items, "next": last.hex(), "height": chain.height}
        last, scanned = key, scanned + 1
        body = decode(ReceiptBody, raw, "receipt")
        fits = server in (None, body.gateway) and asset_id in (None, body.asset, body.member)
        if fits and reader in (None, _licence(chain, body).licensee):
            found = _with_batch(chain, raw, body)
            items.append({**_receipt(chain, found), "batch": _batch(found)})
    return {"items": items, "next": None, "height": chain.height}


def _unknown(chain: Chain, text: str) -> Rejected:
    began_at = chain.began_at
    return Rejected("history.pruned", height=began_at) if began_at else Rejected("receipt.not_found", text=text)


def find_receipt(chain: Chain, text: str) -> Found:
    """The receipt of an id, or of a unique beginning of one. Raises Rejected."""
    identity = find_id(chain, HISTORY + RECEIPT_PREFIX, text, lambda: _unknown(chain, text))
    raw = chain.find_history(RECEIPT_PREFIX + identity)
    if raw is None:
        raise _unknown(chain, text)
    position = decode(Position, raw, "history record")
    log = chain.find_history(log_key(position.licence, position.gateway, position.lane, position.seq))
    if log is None:
        raise Broken("the body of receipt {text} is missing", text=text)
    return _with_batch(chain, log, decode(ReceiptBody, log, "receipt"), position.first)


def receipt_path(chain: Chain, found: Found, body: Body | None = None) -> list[bytes] | None:
    """The RFC 6962 path from the receipt to its batch's head.

    It takes the receipts of its batch and what the anchoring transaction, read with `body`, tells of those before. None
    where that is no longer kept and not every receipt below the head is on the chain.
    """
    size, first = found.batch.size, found.batch.first
    if first and body is not None:
        path = _path_from_anchor(chain, found, body)
        if path is not None:
            return path
    if size > LOG_HASHED_MAX:
        return None
    leaves = _leaves(chain, found.lane, 0, size)
    return inclusion_path(leaves, found.body.seq) if len(leaves) == size else None


def _path_from_anchor(chain: Chain, found: Found, body: Body) -> list[bytes] | None:
    """The path by the peaks that the batch's consistency proof holds of the log before it."""
    batch = found.batch
    before = next(chain.scan(BATCHES, found.lane, found.lane + batch.first.to_bytes(8, "big"), reverse=True), None)
    place = find_transaction(chain.store, batch.tx)
    raw = None if place is None else body(place)
    if before is None or raw is None:
        return None
    licence, lane = found.body.licence, found.body.lane
    for action in decode_transaction(raw).body.actions:
        if isinstance(action, AnchorReceipts) and (action.licence, action.lane, action.first) == (
            licence,
            lane,
            batch.first,
        ):
            peaks = old_peaks(before[1].head, batch.first, batch.size, action.consistency)
            leaves = _leaves(chain, found.lane, batch.first, batch.size)
            return path_behind(peaks, batch.first, leaves, found.body.seq)
    return None


def _leaves(chain: Chain, lane: bytes, start: int, size: int) -> list[bytes]:
    """The receipts of a lane from `start` to before `size` that are on the chain."""
    prefix = LOG_PREFIX + lane
    after = prefix + (start - 1).to_bytes(8, "big") if start else None
    return [raw for _, (_, raw) in zip(range(size - start), chain.scan_history(prefix, after), strict=False)]


def _log(chain: Chain, licence_id: bytes, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    behind = None if after is None else LOG_PREFIX + after
    for key, raw in chain.scan_history(LOG_PREFIX + licence_id, behind):
        yield key[len(LOG_PREFIX) :], raw


def _with_batch(chain: Chain, raw: bytes, body: ReceiptBody, first: int | None = None) -> Found:
    if first is None:
        known = chain.find_history(RECEIPT_PREFIX + receipt_id(raw))
        if known is None:
            raise Broken("a receipt of licence {licence} has no position", licence=body.licence)
        first = decode(Position, known, "history record").first
    batch = chain.find(BATCHES, batch_key(body.licence, body.gateway, body.lane, first))
    if batch is None:
        raise Broken("the batch of a receipt of licence {licence} is missing", licence=body.licence)
    return Found(raw, body, batch)


def _licence(chain: Chain, body: ReceiptBody) -> Licence:
    found = chain.find(LICENCES, body.licence)
    if found is None:
        raise Broken("licence {licence} of a receipt is missing", licence=body.licence)
    return found


def _receipt(chain: Chain, found: Found) -> dict[str, Any]:
    body, licence = found.body, _licence(chain, found.body)
    return {
        "id": receipt_id(found.raw).hex(),
        "licence": body.licence.hex(),
        "asset": body.asset.hex(),
        "member": body.member.hex(),
        "part": body.part,
        "gateway": chain.address(body.gateway),
        "gateway_name": chain.name(body.gateway),
        "licensee": chain.address(licence.licensee),
        "licensee_name": chain.name(licence.licensee),
        "lane": body.lane,
        "seq": body.seq,
        "purpose": body.purpose,
        "bytes": body.length,
        "unit": licence.unit,
        "units": body.units,
        "amount_ubeat": str(_amount_ubeat(chain, found)),
        "cid": cid(body.content),
    }


def _amount_ubeat(chain: Chain, found: Found) -> int:
    """The receipt's part of what its batch cost, by units: the parts of a batch sum to it exactly."""
    batch, body = found.batch, found.body
    if not batch.units or not batch.amount_ubeat:
        return 0
    before = 0
    for seq in range(batch.first, body.seq):
        raw = chain.find_history(log_key(body.licence, body.gateway, body.lane, seq))
        before += 0 if raw is None else decode(ReceiptBody, raw, "receipt").units
    after = before + body.units
    return batch.amount_ubeat * after // batch.units - batch.amount_ubeat * before // batch.units


def _batch(found: Found) -> dict[str, Any]:
    """Where it was anchored: leaf `index` of the lane's log of `size` leaves under `root`."""
    batch = found.batch
    return {
        "tx": batch.tx.hex(),
        "height": batch.height,
        "root": batch.head.hex(),
        "index": found.body.seq,
        "size": batch.size,
    }


def _gateway_signature(chain: Chain, found: Found, body: Body) -> str | None:
    """The gateway's signature over the transaction that anchored the receipt; None where that is pruned."""
    place = find_transaction(chain.store, found.batch.tx)
    raw = None if place is None else body(place)
    return None if raw is None else decode_transaction(raw).signatures[0][1].hex()
