"""Queries about licences: one in full, whose they are, and whether somebody may use something for a purpose."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from concento.errors import Rejected
from concento.terms import PURPOSES, permits
from concento.units import format_beat
from state.modules.assets import ASSETS
from state.modules.datasets import covers
from state.modules.lanes import LANES, Lane, lane_state
from state.modules.licences import HOLDINGS, LICENCES, Licence, locked_ubeat, state_of
from state.modules.models import ALLOWANCES
from state.modules.offers import OFFERS, Offer, offer_state, one_off_ubeat
from state.modules.tokens import DEPOSITS
from state.queries import Chain, account_of, cursor_key, id_of, page_size
from state.queries_assets import offers_of, reported_json
from state.queries_lineage import asset_of

SCANNED_MAX: Final = 1_000
"""Licences that one request looks at."""

LANES_SHOWN_MAX: Final = 200
"""Lanes in one answer: all that are open, then closed ones."""


def licence_get(chain: Chain, text: str) -> dict[str, Any]:
    """One licence with its quota, its deposit and its lanes."""
    licence_id = id_of(chain, LICENCES.prefix, text, "licence.not_found")
    licence = chain.find(LICENCES, licence_id)
    if licence is None:
        raise Rejected("licence.not_found", text=text)
    lanes = list(_lanes(chain, licence_id))
    shown = sorted(lanes, key=lambda lane: (lane["state"] == "closed", lane["gateway"], lane["lane"]))
    receipts = {"count": licence.receipts, "units": licence.used_units, "lanes": shown[:LANES_SHOWN_MAX]}
    return {
        **_licence(chain, licence_id, licence),
        "receipts": receipts,
        "slots": _slots(chain, licence_id, licence),
        "reported": reported_json(chain, licence_id),
        "height": chain.height,
    }


def licence_list(
    chain: Chain,
    licensee: str | None = None,
    asset: str | None = None,
    state: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Licences of a licensee, of an asset, in a state, or all of them."""
    asset_id = None if asset is None else asset_of(chain, asset)
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last, scanned = b"", 0
    for key, licence_id in _licence_ids(chain, licensee, asset_id, cursor_key(cursor)):
        if len(items) == size or scanned == SCANNED_MAX:
            return {"items": items, "next": last.hex(), "height": chain.height}
        last, scanned = key, scanned + 1
        licence = chain.find(LICENCES, licence_id)
        if licence is None or asset_id not in (None, licence.asset):
            continue
        if state in (None, state_of(licence, chain.time_ms)):
            items.append(_licence(chain, licence_id, licence))
    return {"items": items, "next": None, "height": chain.height}


def licence_check(chain: Chain, asset: str, licensee: str, purpose: str) -> dict[str, Any]:
    """Whether a licence lets this account use the asset for the purpose now; else the reason and what would help."""
    if purpose not in PURPOSES:
        raise Rejected("terms.unknown_purpose", purpose=purpose)
    asset_id, account = asset_of(chain, asset), account_of(chain, licensee)
    refusal: tuple[bytes, Rejected] | None = None
    for licence_id, licence in _covering(chain, account, asset_id):
        reason = _reason(chain, licence_id, licence, purpose)
        if reason is None:
            return _verdict(chain, licence_id, None)
        refusal = refusal or (licence_id, reason)
    if refusal is not None:
        return _verdict(chain, *refusal)
    return _verdict(chain, None, _required(chain, asset_id, purpose))


def escrow_ubeat(chain: Chain, account: bytes) -> int:
    """What is set aside in deposits of the account's licences."""
    total = 0
    for key in islice(chain.scan_index(HOLDINGS + account), SCANNED_MAX):
        deposit = chain.find(DEPOSITS, key[-32:])
        total += 0 if deposit is None else deposit.amount_ubeat
    return total


def _licence_ids(
    chain: Chain, licensee: str | None, asset_id: bytes | None, after: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
    """(key to go on from, licence id) of everything that may fit."""
    if licensee is None:
        yield from ((licence_id, licence_id) for licence_id, _ in chain.scan(LICENCES, after=after))
        return
    prefix = HOLDINGS + account_of(chain, licensee) + (asset_id or b"")
    yield from ((key, key[-32:]) for key in chain.scan_index(prefix, after))


def _covering(chain: Chain, account: bytes, asset_id: bytes) -> Iterator[tuple[bytes, Licence]]:
    """Licences of the account for the asset itself, then those for a dataset that it belongs to."""
    view = chain.view()
    direct = list(chain.scan_index(HOLDINGS + account + asset_id))
    others = [
        key
        for key in islice(chain.scan_index(HOLDINGS + account), SCANNED_MAX)
        if key[-64:-32] != asset_id and covers(view, key[-64:-32], asset_id)
    ]
    for key in (*direct, *others):
        licence = chain.find(LICENCES, key[-32:])
        if licence is not None:
            yield key[-32:], licence


def _reason(chain: Chain, licence_id: bytes, licence: Licence, purpose: str) -> Rejected | None:
    """Why this licence does not serve, or None."""
    if not permits(_offer(chain, licence).terms, purpose):
        return Rejected("licence.wrong_purpose", asset=licence.asset, purpose=purpose, licence=licence_id)
    match state_of(licence, chain.time_ms):
        case "revoked":
            return Rejected("licence.revoked", licence=licence_id, cause=licence.cause)
        case "expired":
            return Rejected("licence.expired", licence=licence_id, expires_ms=licence.expires_ms, time_ms=chain.time_ms)
        case "exhausted":
            return Rejected("licence.exhausted", licence=licence_id, units=licence.used_units)
        case _:
            return None


def _required(chain: Chain, asset_id: bytes, purpose: str) -> Rejected:
    """The refusal that names the command which buys what is missing."""
    prices = [
        one_off_ubeat(offer.pricing)
        for _, offer in offers_of(chain, asset_id)
        if offer_state(offer, chain.time_ms) == "open" and permits(offer.terms, purpose)
    ]
    price = format_beat(min(prices)) if prices else "BEAT"
    return Rejected("licence.required", asset=asset_id.hex()[:12], purpose=purpose, price=price)


def _verdict(chain: Chain, licence_id: bytes | None, refusal: Rejected | None) -> dict[str, Any]:
    return {
        "allowed": refusal is None,
        "licence": None if licence_id is None else licence_id.hex(),
        "kind": None if refusal is None else refusal.kind,
        "message": None if refusal is None else refusal.message,
        "hint": None if refusal is None else refusal.hint,
        "height": chain.height,
    }


def _offer(chain: Chain, licence: Licence) -> Offer:
    offer = chain.find(OFFERS, licence.offer)
    if offer is None:
        raise Rejected("offer.not_found", text=licence.offer.hex())
    return offer


def _licence(chain: Chain, licence_id: bytes, licence: Licence) -> dict[str, Any]:
    offer = _offer(chain, licence)
    asset = chain.find(ASSETS, licence.asset)
    deposit = chain.find(DEPOSITS, licence_id)
    held = 0 if deposit is None else deposit.amount_ubeat
    total = licence.quota_units
    return {
        "id": licence_id.hex(),
        "offer": licence.offer.hex(),
        "asset": licence.asset.hex(),
        "title": None if asset is None else asset.description.title,
        "licensee": chain.address(licence.licensee),
        "licensee_name": chain.name(licence.licensee),
        "layers": list(offer.layers),
        "purpose": licence.purpose,
        "purposes": [name for name in PURPOSES if permits(offer.terms, name)],
        "terms_hash": offer.terms_hash.hex(),
        "price_ubeat": str(licence.price_ubeat),
        "deposit_ubeat": str(held),
        "unit": licence.unit,
        "unit_price_ubeat": str(licence.unit_price_ubeat) if licence.unit_price_ubeat else None,
        "tiers": [{"units": tier.units, "price_ubeat": str(tier.amount_ubeat)} for tier in licence.tiers],
        "advance_ubeat": str(licence.recoup_ubeat),
        "units_used": licence.used_units,
        "units_locked": licence.locked_units,
        "deposit_free_ubeat": str(max(0, held - locked_ubeat(licence))),
        "quota": {
            "unit": licence.unit,
            "total": total,
            "left": None if total is None else max(0, total - licence.used_units),
        },
        "epoch": licence.epoch,
        "starts_ms": licence.starts_ms,
        "expires_ms": licence.expires_ms,
        "revoked_ms": licence.revoked_ms,
        "state": state_of(licence, chain.time_ms),
    }


def _slots(chain: Chain, licence_id: bytes, licence: Licence) -> dict[str, int]:
    """What was made under the licence, and what its holder lets the service of the model make."""
    allowance = chain.find(ALLOWANCES, licence_id)
    return {
        "models": licence.models,
        "outputs": licence.outputs,
        "outputs_authorised": 0 if allowance is None else allowance.outputs,
        "outputs_by_service": 0 if allowance is None else allowance.used,
    }


def _lanes(chain: Chain, licence_id: bytes) -> Iterator[dict[str, Any]]:
    for number, (key, lane) in enumerate(chain.scan(LANES, licence_id)):
        if number == SCANNED_MAX:
            return
        yield _lane(chain, key[len(licence_id) :], lane)


def _lane(chain: Chain, place: bytes, lane: Lane) -> dict[str, Any]:
    gateway, number = place[:-4], int.from_bytes(place[-4:], "big")
    return {
        "gateway": chain.address(gateway),
        "gateway_name": chain.name(gateway),
        "lane": number,
        "key": lane.key.hex(),
        "size": lane.size,
        "last_seq": lane.size - 1 if lane.size else None,
        "units": lane.units,
        "units_open": 0 if lane.closed else lane.units_max - lane.units,
        "head": lane.head.hex() or None,
        "state": lane_state(lane),
    }
