"""Queries about use: the pots of usage-weighted datasets, and the rows that the readers of their batches signed."""

from __future__ import annotations

from typing import Any, Final

from concento.encoding import decode
from concento.errors import Rejected
from concento.messages.receipts import ReceiptBody, UsageRow
from concento.usage import signed_root, usage_rows
from state.modules.assets import ASSETS
from state.modules.pots import POTS, Pot
from state.modules.receipts import BATCHES, Batch, log_key, pot_batch_key
from state.modules.shares import number_key
from state.queries import Chain, cursor_key, page_size
from state.queries_assets import place_of
from state.queries_lineage import asset_of

SCANNED_MAX: Final = 1_000
"""Pots that one request for a list looks at."""


def pot_get(chain: Chain, number: int) -> dict[str, Any]:
    """One pot: what waits in it, for whose use, until when."""
    return {**_pot_json(chain, number, _pot(chain, number)), "height": chain.height}


def pot_list(
    chain: Chain, asset: str | None = None, cursor: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Pots in which money waits, of a dataset or all of them."""
    asset_id = None if asset is None else asset_of(chain, asset)
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last, scanned = b"", 0
    for key, pot in chain.scan(POTS, after=cursor_key(cursor)):
        if len(items) == size or scanned == SCANNED_MAX:
            return {"items": items, "next": last.hex(), "height": chain.height}
        last, scanned = key, scanned + 1
        if asset_id in (None, pot.asset):
            items.append(_pot_json(chain, int.from_bytes(key, "big"), pot))
    return {"items": items, "next": None, "height": chain.height}


def usage_get(chain: Chain, number: int) -> dict[str, Any]:
    """The rows that belong to a pot, made again of the receipts of its batch.

    Raises Rejected("usage.rows_not_found") where these are not on the chain, or give other rows than the reader signed.
    """
    pot = _pot(chain, number)
    rows = _rows(chain, number, pot)
    if rows is None or signed_root(pot.first, rows) != pot.usage_root:
        raise Rejected("usage.rows_not_found", pot=number)
    return {
        "pot": number,
        "asset": pot.asset.hex(),
        "rows": [{"member": row.member, "units": row.units} for row in rows],
        "posted": pot.rows,
        "height": chain.height,
    }


def _pot(chain: Chain, number: int) -> Pot:
    pot = chain.find(POTS, number_key(number))
    if pot is None:
        raise Rejected("usage.not_found", pot=number)
    return pot


def _rows(chain: Chain, number: int, pot: Pot) -> tuple[UsageRow, ...] | None:
    """None where not every receipt of the batch is on the chain."""
    place = chain.find_history(pot_batch_key(number))
    batch = None if place is None else chain.find(BATCHES, place)
    if place is None or batch is None:
        return None
    accesses: list[tuple[int, int]] = []
    for seq in range(batch.first, batch.first + batch.count):
        raw = chain.find_history(log_key(*_lane_of(place), seq))
        body = None if raw is None else decode(ReceiptBody, raw, "receipt")
        member = None if body is None else place_of(chain, pot.asset, body.member)
        if body is None or member is None:
            return None
        accesses.append((member, body.units))
    return usage_rows(accesses)


def _lane_of(place: bytes) -> tuple[bytes, bytes, int]:
    """Licence, gateway and lane in the key of a batch."""
    return place[:32], place[32:64], int.from_bytes(place[64:68], "big")


def _pot_json(chain: Chain, number: int, pot: Pot) -> dict[str, Any]:
    asset = chain.find(ASSETS, pot.asset)
    return {
        "pot": number,
        "asset": pot.asset.hex(),
        "title": None if asset is None else asset.description.title,
        "state": "closed" if pot.closed else "open" if pot.generation else "filling",
        "amount_ubeat": str(pot.amount_ubeat),
        "paid_ubeat": str(pot.paid_ubeat),
        "first": pot.first,
        "units": pot.units,
        "units_posted": pot.used,
        "rows_posted": pot.rows,
        "usage_root": pot.usage_root.hex(),
        "deadline_ms": pot.deadline_ms,
        "batch": _batch_json(chain, number),
    }


def _batch_json(chain: Chain, number: int) -> dict[str, Any] | None:
    place = chain.find_history(pot_batch_key(number))
    batch: Batch | None = None if place is None else chain.find(BATCHES, place)
    if place is None or batch is None:
        return None
    licence, gateway, lane = _lane_of(place)
    return {
        "licence": licence.hex(),
        "gateway": chain.address(gateway),
        "lane": lane,
        "first": batch.first,
        "count": batch.count,
        "tx": batch.tx.hex(),
        "height": batch.height,
    }
