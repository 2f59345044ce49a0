"""Offers: what an owner sells of an asset, under which terms, at what price.

An offer never changes: a better one is a new one, and what was bought stays as it was. Its terms stay within what the
owners of everything behind the asset allow. Purchases are in `licences.py`. Rules: docs/protocol/licences.md.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal, TypeAlias

from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import Bytes32, Natural, Record
from concento.errors import Rejected
from concento.messages.assets import AssetId
from concento.messages.licences import CloseOffer, CreateOffer, Price, Rate, Tier
from concento.terms import LAYERS, Layer, Terms, check_terms, excess, terms_hash
from concento.transactions import object_id
from state.calls import Call, Event
from state.modules import royalties
from state.modules.assets import ASSETS, RIGHTS, Asset, effective_terms, require_not_retired, require_owned
from state.modules.identity import require_party
from state.view import Kind, View

Unit: TypeAlias = Literal["access", "second"]

METERS: Final[dict[str, Unit]] = {"per-access": "access", "per-second": "second"}
"""Prices for use, and what they count."""
_PURCHASES: Final = ("one-off", "subscription")
_LATER: Final = (*METERS, "per-output", "revenue-share")
"""What a guarantee can be an advance on."""


class Offer(Record):
    """What an owner sells, for ever as written; only `sold` (at the end of a block) and `closed` move."""

    asset: AssetId
    owner: AccountId
    terms: Terms
    terms_hash: Bytes32
    layers: tuple[Layer, ...]
    pricing: tuple[Price, ...]
    expires_ms: Natural | None
    supply: Natural | None
    sold: Natural
    closed: bool
    height: Natural
    time_ms: Natural
    tx: bytes
    upstream: Rate | None = None


class Pointer(Record):
    """A line of an index: its key says it all."""

    height: Natural


OFFERS = Kind(b"offer/", Offer)
OFFERS_OF = Kind(b"offer-of/", Pointer)
"""asset || offer."""

_SALES: Final = "offer/sales"
"""What is noted of each sale: how many the offer has sold with it."""


# Reading


def require_offer(view: View, offer: bytes) -> Offer:
    """The offer. Raises Rejected("offer.not_found")."""
    found = view.find(OFFERS, offer)
    if found is None:
        raise Rejected("offer.not_found", text=offer.hex())
    return found


def offer_state(offer: Offer, time_ms: int) -> str:
    """ "open", "closed", "expired" or "sold-out"; an offer is open until `expires_ms` inclusive."""
    if offer.closed:
        return "closed"
    if offer.expires_ms is not None and time_ms > offer.expires_ms:
        return "expired"
    return "sold-out" if offer.supply is not None and offer.sold >= offer.supply else "open"


def require_left(view: View, offer_id: bytes, offer: Offer) -> None:
    """Raises Rejected("offer.sold_out") where this block has sold the last of a limited supply."""
    if offer.supply is not None and _sold(view, offer_id, offer) >= offer.supply:
        raise _sold_out(offer_id, offer)


def count_sale(view: View, offer_id: bytes, offer: Offer) -> None:
    """One more was sold. The offer says so at the end of the block: it is written once however often it sells."""
    view.note(_SALES, _sold(view, offer_id, offer) + 1, offer_id)


def write_sales(view: View) -> None:
    """The end of a block: every offer that sold says how often by now."""
    for offer_id, counts in view.take_notes_about(_SALES).items():
        if counts:
            view.put(OFFERS, offer_id, replace(view.get(OFFERS, offer_id), sold=counts[-1]))


def _sold(view: View, offer_id: bytes, offer: Offer) -> int:
    """How many are sold up to this point of the block."""
    newest: int | None = view.newest_note(_SALES, offer_id)
    return offer.sold if newest is None else newest


def _sold_out(offer_id: bytes, offer: Offer) -> Rejected:
    return Rejected("offer.sold_out", offer=offer_id, supply=offer.supply)


def require_open(offer_id: bytes, offer: Offer, time_ms: int) -> None:
    match offer_state(offer, time_ms):
        case "closed":
            raise Rejected("offer.closed", offer=offer_id)
        case "expired":
            raise Rejected("offer.expired", offer=offer_id, expires_ms=offer.expires_ms, time_ms=time_ms)
        case "sold-out":
            raise _sold_out(offer_id, offer)
        case _:
            return


def one_off_ubeat(pricing: tuple[Price, ...]) -> int:
    """What the purchase costs: once, or for a first period, and an advance."""
    return sum(price.amount_ubeat for price in pricing if price.model in _PURCHASES or price.model == "guarantee")


def guarantee_ubeat(pricing: tuple[Price, ...]) -> int:
    """How much of a purchase, or of a renewal, is an advance on later charges."""
    return sum(price.amount_ubeat for price in pricing if price.model == "guarantee")


def subscribes(pricing: tuple[Price, ...]) -> bool:
    """Whether a licence is bought period by period."""
    return any(price.model == "subscription" for price in pricing)


def renewal_ubeat(pricing: tuple[Price, ...]) -> int:
    """What another period costs."""
    return sum(price.amount_ubeat for price in pricing if price.model in ("subscription", "guarantee"))


def per_output_ubeat(pricing: tuple[Price, ...]) -> int:
    """What each output that a licensee registers costs."""
    return sum(price.amount_ubeat for price in pricing if price.model == "per-output")


def share_bps(pricing: tuple[Price, ...]) -> int:
    """Which part of the revenue that a licensee reports is owed."""
    return sum(price.bps for price in pricing if price.model == "revenue-share")


def volume_tiers(pricing: tuple[Price, ...]) -> tuple[Tier, ...]:
    """How the metered price changes with volume."""
    return next((price.tiers for price in pricing if price.model in METERS), ())


def metered_ubeat(pricing: tuple[Price, ...]) -> int:
    """What a thousand units cost."""
    return sum(price.amount_ubeat for price in pricing if price.model in METERS)


def meter(pricing: tuple[Price, ...]) -> Literal["access", "second"] | None:
    """What is counted for money, if anything."""
    return next((METERS[price.model] for price in pricing if price.model in METERS), None)


def quota_unit(
    pricing: tuple[Price, ...], accesses_max: int | None, seconds_max: int | None
) -> Literal["access", "second"] | None:
    """What receipts count: what is paid for, else what is limited."""
    counted = meter(pricing)
    if counted is not None:
        return counted
    if accesses_max is not None:
        return "access"
    return "second" if seconds_max is not None else None


def route_of(view: View, offer: Offer) -> int:
    """Where the income of an offer goes: one on a recording's or remix's own layer alone leaves its works out."""
    alone = offer.layers == ("recording",) and view.get(ASSETS, offer.asset).kind in ("recording", "remix")
    return royalties.OWN if alone else royalties.ALL


# Offering and closing


def check_create_offer(view: View, call: Call, message: CreateOffer) -> None:
    require_party(view, call.sender)
    asset = require_owned(view, message.asset, call.sender)
    if not asset.sealed:
        raise Rejected("asset.not_sealed", asset=message.asset)
    require_not_retired(message.asset, asset)
    _new_offer_id(view, call)
    _check_layers(view, message, asset)
    _check_pricing(message)
    _check_upstream(message.upstream)
    _check_offer_terms(view, message)
    if message.expires_ms is not None and message.expires_ms < call.time_ms:
        raise Rejected("offer.expiry_past", expires_ms=message.expires_ms, time_ms=call.time_ms)


def apply_create_offer(view: View, call: Call, message: CreateOffer) -> list[Event]:
    offer_id = _new_offer_id(view, call)
    offer = Offer(
        asset=message.asset,
        owner=call.sender,
        terms=message.terms,
        terms_hash=terms_hash(message.terms),
        layers=message.layers,
        pricing=message.pricing,
        expires_ms=message.expires_ms,
        supply=message.supply,
        sold=0,
        closed=False,
        height=call.height,
        time_ms=call.time_ms,
        tx=call.tx,
        upstream=message.upstream,
    )
    view.put(OFFERS, offer_id, offer)
    view.put(OFFERS_OF, message.asset + offer_id, Pointer(call.height))
    return [
        Event(
            "offer.created",
            {
                "offer": offer_id,
                "asset": message.asset,
                "owner": call.sender,
                "title": view.get(ASSETS, message.asset).description.title,
                "terms_hash": offer.terms_hash,
                "layers": message.layers,
                "price_ubeat": one_off_ubeat(offer.pricing),
                "unit": meter(offer.pricing),
                "unit_price_ubeat": metered_ubeat(offer.pricing),
            },
        )
    ]


def weigh_create_offer(_message: CreateOffer) -> int:
    """The offer and its line in the asset's list."""
    return 2


def check_close_offer(view: View, call: Call, message: CloseOffer) -> None:
    offer = require_offer(view, message.offer)
    if offer.owner != call.sender:
        raise Rejected("offer.not_yours", offer=message.offer, owner=offer.owner)
    if offer.closed:
        raise Rejected("offer.closed", offer=message.offer)


def apply_close_offer(view: View, _call: Call, message: CloseOffer) -> list[Event]:
    offer = view.get(OFFERS, message.offer)
    view.put(OFFERS, message.offer, replace(offer, closed=True))
    return [Event("offer.closed", {"offer": message.offer, "asset": offer.asset, "owner": offer.owner})]


def weigh_close_offer(_message: CloseOffer) -> int:
    return 1


def _new_offer_id(view: View, call: Call) -> bytes:
    offer_id = object_id("offer", call.sender, call.nonce, call.action_index)
    if view.find(OFFERS, offer_id) is not None:
        raise Rejected("offer.exists", offer=offer_id)
    return offer_id


def _check_layers(view: View, message: CreateOffer, asset: Asset) -> None:
    """A work sells its own layer; everything else sells recordings, with or without the works behind them.

    Rows of a table have no routes: what a dataset earns reaches its members' works too, so they are sold with it.
    """
    if message.layers != tuple(layer for layer in LAYERS if layer in message.layers):
        raise Rejected("offer.layers_order")
    if asset.kind != "work" and "recording" not in message.layers:
        raise Rejected("offer.layer_missing", asset=message.asset, layers=", ".join(message.layers))
    if asset.kind == "dataset" and message.layers == ("recording",) and view.get(RIGHTS, message.asset).work:
        raise Rejected("offer.works_left_out", asset=message.asset)


def _check_pricing(message: CreateOffer) -> None:
    """Free alone, or each way of paying at most once: for the purchase, in advance, for use, for outputs, a share."""
    models = [price.model for price in message.pricing]
    if "free" in models:
        fits = models == ["free"] and message.pricing[0] == Price("free", 0)
    else:
        fits = all(map(_is_priced, message.pricing)) and not any(
            sum(model in group for model in models) > 1
            for group in (_PURCHASES, tuple(METERS), ("guarantee",), ("per-output",), ("revenue-share",))
        )
    if "guarantee" in models and not any(model in _LATER for model in models):
        fits = False
    if not fits:
        raise Rejected("offer.pricing_invalid", models=", ".join(models))
    if "subscription" in models and message.terms.duration_ms is None:
        raise Rejected("offer.period_missing")


def _check_upstream(rate: Rate | None) -> None:
    """A rate that asks for something, and for no more than everything."""
    if rate is not None and not 0 < rate.rel_bps + rate.abs_bps <= royalties.WHOLE_BPS:
        raise Rejected("offer.upstream_invalid", rel_bps=rate.rel_bps, abs_bps=rate.abs_bps)


def _is_priced(price: Price) -> bool:
    """A price above nothing, written in its one form: tiers for metered prices, basis points for shares."""
    if price.model == "revenue-share":
        return price.bps > 0 and price.amount_ubeat == 0 and not price.tiers
    steps = [tier.units for tier in price.tiers]
    ascending = all(left < right for left, right in pairwise(steps))
    return price.amount_ubeat > 0 and price.bps == 0 and (not steps or (price.model in METERS and ascending))


def _check_offer_terms(view: View, message: CreateOffer) -> None:
    terms = message.terms
    check_terms(terms)
    if terms.exclusive:
        raise Rejected("offer.exclusive")
    bounds = effective_terms(view, message.asset, message.layers)
    if bounds is None:
        raise Rejected("offer.layer_missing", asset=message.asset, layers=", ".join(message.layers))
    field = excess(terms, bounds)
    if field is not None:
        raise Rejected("offer.terms_exceed", asset=message.asset, field=field)
    if not any(terms.purposes):
        raise Rejected("offer.permits_nothing", asset=message.asset)
    unit = quota_unit(message.pricing, terms.accesses_max, terms.seconds_max)
    unmetered = terms.accesses_max if unit == "second" else terms.seconds_max
    if unmetered is not None:
        raise Rejected("offer.limit_unmetered", unit=unit)
