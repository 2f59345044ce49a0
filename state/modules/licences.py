"""Licences: purchase under an offer, the deposit that funds metered use, and the end of it.

A buyer names the hash of the terms and the most that he pays, so nothing can move under his hands. A licence covers
every purpose that its terms permit. Whether it still serves is a comparison with block time, never a job that has to
run; only the refund of a deposit needs a timer. Rules: docs/protocol/licences.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from concento.access import cost_ubeat
from concento.accounts import AccountId
from concento.encoding import Natural, Record
from concento.errors import Broken, Rejected
from concento.genesis import Params
from concento.messages.assets import AssetId
from concento.messages.licences import (
    BuyLicence,
    LicenceId,
    OfferId,
    Price,
    RevokeLicence,
    Tier,
    TopUpLicence,
    WithdrawDeposit,
)
from concento.terms import Purpose, permits
from concento.texts import check_text
from concento.transactions import licence_id as id_of_licence
from concento.units import AMOUNT_UBEAT_MAX, Amount, format_beat
from state import wheel
from state.calls import Call, Event, Finalised
from state.modules import royalties, tokens
from state.modules.assets import require_asset, require_not_retired
from state.modules.identity import require_party
from state.modules.offers import (
    OFFERS,
    Offer,
    Unit,
    count_sale,
    guarantee_ubeat,
    metered_ubeat,
    one_off_ubeat,
    per_output_ubeat,
    quota_unit,
    require_left,
    require_offer,
    require_open,
    route_of,
    volume_tiers,
    write_sales,
)
from state.view import Kind, View

EXPIRES_MS_MAX: Final = 2**47
"""The year 6429: longer licences end then; with the anchor window it still fits a timer."""

REFUNDS_PER_BLOCK_MAX: Final = 256
"""Deposits given back in one block: five records each, a fiftieth of a block's weight; the others wait a block."""

TIMER_WEIGHT: Final = 8
"""Records that a new timer writes: itself, its moment, and that moment's place in the order."""

CAUSE_BYTES_MAX: Final = 200

ENTITLEMENTS_CACHED: Final = 1 << 12
"""Pricings of recent purchases, a megabyte or so: a popular offer is bought again and again."""

_WHEEL: Final = b"refund"


class Licence(Record):
    """A licensee's right. Its deposit stands in escrow under the licence's id.

    Metered use is counted in `unit`; `used_units` are anchored and paid, `locked_units` promised to open lanes.
    `unit_price_ubeat` is for 1,000 units, up to the first of `tiers`; `recoup_ubeat` is what is left of an advance.
    `models` and `outputs` count what was registered under it. It serves until `expires_ms` inclusive, unless revoked.
    """

    offer: OfferId
    asset: AssetId
    licensee: AccountId
    purpose: Purpose
    price_ubeat: Amount
    unit: Unit | None
    unit_price_ubeat: Amount
    quota_units: Natural | None
    epoch: Natural
    starts_ms: Natural
    expires_ms: Natural | None
    revoked_ms: Natural | None
    cause: str
    used_units: Natural
    locked_units: Natural
    receipts: Natural
    lanes_open: Natural
    height: Natural
    tx: bytes
    models: Natural = 0
    outputs: Natural = 0
    recoup_ubeat: Amount = 0
    tiers: tuple[Tier, ...] = ()


class Entitlement(Struct, frozen=True):
    """What one purchase under an offer costs and brings; `quota_units` are for one period."""

    price_ubeat: int
    unit: Unit | None
    unit_price_ubeat: int
    quota_units: int | None
    advance_ubeat: int
    tiers: tuple[Tier, ...]


LICENCES = Kind(b"licence/", Licence)
HOLDINGS: Final = b"holding/"
"""History keys: licensee || asset || licence. They follow from the licences: a snapshot's reader makes them again."""


# Reading


def holding_key(licence_id: bytes, licence: Licence) -> bytes:
    """The history key under which a licensee's licences are found."""
    return HOLDINGS + licence.licensee + licence.asset + licence_id


def holdings_among(records: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The history of holdings that goes with these state records, by key and value."""
    start = len(LICENCES.prefix)
    return {
        holding_key(key[start:], LICENCES.decode(value)): b""
        for key, value in records
        if key.startswith(LICENCES.prefix)
    }


def require_licence(view: View, licence: bytes) -> Licence:
    """The licence. Raises Rejected("licence.not_found")."""
    found = view.find(LICENCES, licence)
    if found is None:
        raise Rejected("licence.not_found", text=licence.hex())
    return found


def state_of(licence: Licence, time_ms: int) -> str:
    """ "active", "revoked", "expired" or "exhausted"."""
    if licence.revoked_ms is not None:
        return "revoked"
    if licence.expires_ms is not None and time_ms > licence.expires_ms:
        return "expired"
    return "exhausted" if licence.quota_units is not None and licence.used_units >= licence.quota_units else "active"


def ended_ms(licence: Licence) -> int | None:
    """When it ended or will end; None while nothing limits it. What has expired is never revoked."""
    return licence.expires_ms if licence.revoked_ms is None else licence.revoked_ms


def require_active(licence_id: bytes, licence: Licence, time_ms: int) -> None:
    """Raises Rejected licence.revoked, licence.expired or licence.exhausted unless it may still be used."""
    match state_of(licence, time_ms):
        case "revoked":
            raise Rejected("licence.revoked", licence=licence_id, cause=licence.cause)
        case "expired":
            raise Rejected("licence.expired", licence=licence_id, expires_ms=licence.expires_ms, time_ms=time_ms)
        case "exhausted":
            raise Rejected("licence.exhausted", licence=licence_id, units=licence.used_units)
        case _:
            return


def require_not_over(licence_id: bytes, licence: Licence, time_ms: int) -> None:
    """As `require_active`, but what is used up is not over."""
    if state_of(licence, time_ms) != "exhausted":
        require_active(licence_id, licence, time_ms)


def units_free(licence: Licence) -> int | None:
    """Units that no lane has locked and nobody has used; None where there is no quota."""
    if licence.quota_units is None:
        return None
    return licence.quota_units - licence.used_units - licence.locked_units


def charge_ubeat(licence: Licence, used_units: int, units: int) -> int:
    """What `units` more cost after `used_units`: differences of one sum, so that any batching charges the same."""
    return _price_ubeat(licence, used_units + units) - _price_ubeat(licence, used_units)


def due_ubeat(licence: Licence, units: int) -> int:
    """What `units` more would take from the deposit, after the advance."""
    return max(0, charge_ubeat(licence, licence.used_units, units) - licence.recoup_ubeat)


def locked_ubeat(licence: Licence) -> int:
    """What open lanes may still take from the deposit."""
    return due_ubeat(licence, licence.locked_units)


def advance_free_ubeat(licence: Licence) -> int:
    """What is left of the advance beside what open lanes may use of it."""
    return max(0, licence.recoup_ubeat - charge_ubeat(licence, licence.used_units, licence.locked_units))


def _price_ubeat(licence: Licence, units: int) -> int:
    """What so many units cost from the first one on."""
    return cost_ubeat(units, licence.unit_price_ubeat, [(tier.units, tier.amount_ubeat) for tier in licence.tiers])


# Purchase


def buy_licence(view: View, call: Call, message: BuyLicence) -> list[Event]:
    """Judges the purchase, then writes it: what both need is looked up once, for offers sell all day.

    Raises Rejected before anything is written.
    """
    require_party(view, call.sender)
    offer = require_offer(view, message.offer)
    asset = require_asset(view, offer.asset)
    require_open(message.offer, offer, call.time_ms)
    require_left(view, message.offer, offer)
    require_not_retired(offer.asset, asset)
    if asset.owner == call.sender:
        raise Rejected("licence.own_asset", asset=offer.asset)
    terms = offer.terms
    bought = _entitlement(offer.pricing, terms.accesses_max, terms.seconds_max)
    price_ubeat, deposit_ubeat = bought.price_ubeat, message.deposit_ubeat
    _check_as_seen(message, offer, price_ubeat)
    if terms.audience_tier > 0:
        raise Rejected("licence.tier_required", tier=terms.audience_tier)
    if deposit_ubeat:
        _check_deposit(message.offer, offer.pricing)
        tokens.require_balance(view, call.sender, price_ubeat + deposit_ubeat)
    # The last that can be refused, and the first that is written.
    tokens.debit(view, call.sender, price_ubeat, "purchase", offer.owner)

    count_sale(view, message.offer, offer)
    licence_id, licence = id_of_licence(call.tx, call.action_index), _licence(call, message, offer, bought)
    view.add(LICENCES, licence_id, licence)
    view.put_history(holding_key(licence_id, licence), b"")
    if licence.expires_ms is not None:
        _schedule_refund(view, call, licence_id, licence.expires_ms)
    events = [_bought(licence_id, licence, offer.owner, asset.description.title, deposit_ubeat)]
    if price_ubeat:
        route = route_of(view, offer)
        events.append(royalties.pay_asset(view, call, offer.asset, price_ubeat, "sale", licence_id, call.sender, route))
    if deposit_ubeat:
        tokens.escrow_in(view, call.sender, licence_id, deposit_ubeat, "deposit")
    return events


def weigh_buy_licence(_message: BuyLicence) -> int:
    """Offer, licence, holding, balance, deposit, bucket; its timer; the payment."""
    return 6 + TIMER_WEIGHT + royalties.PAY_WEIGHT


def _check_as_seen(message: BuyLicence, offer: Offer, price_ubeat: int) -> None:
    """What the buyer saw is what is sold, it serves his purpose, and it costs no more than he said."""
    if message.terms_hash != offer.terms_hash:
        raise Rejected(
            "licence.terms_changed", offer=message.offer, expected=message.terms_hash, found=offer.terms_hash
        )
    if not permits(offer.terms, message.purpose):
        raise Rejected("licence.wrong_purpose", asset=offer.asset, purpose=message.purpose)
    if price_ubeat > message.price_max_ubeat:
        raise Rejected(
            "licence.price_above_max",
            asset=offer.asset,
            purpose=message.purpose,
            price=format_beat(price_ubeat),
            price_max=format_beat(message.price_max_ubeat),
        )


def _check_deposit(name: bytes, pricing: tuple[Price, ...]) -> None:
    if not (metered_ubeat(pricing) or per_output_ubeat(pricing)):
        raise Rejected("licence.deposit_unneeded", text=name.hex())


def _licence(call: Call, message: BuyLicence, offer: Offer, bought: Entitlement) -> Licence:
    duration = offer.terms.duration_ms
    return Licence(
        offer=message.offer,
        asset=offer.asset,
        licensee=call.sender,
        purpose=message.purpose,
        price_ubeat=bought.price_ubeat,
        unit=bought.unit,
        unit_price_ubeat=bought.unit_price_ubeat,
        quota_units=bought.quota_units,
        epoch=0,
        starts_ms=call.time_ms,
        expires_ms=None if duration is None else min(call.time_ms + duration, EXPIRES_MS_MAX),
        revoked_ms=None,
        cause="",
        used_units=0,
        locked_units=0,
        receipts=0,
        lanes_open=0,
        height=call.height,
        tx=call.tx,
        recoup_ubeat=bought.advance_ubeat,
        tiers=bought.tiers,
    )


@lru_cache(maxsize=ENTITLEMENTS_CACHED)
def _entitlement(pricing: tuple[Price, ...], accesses_max: int | None, seconds_max: int | None) -> Entitlement:
    unit = quota_unit(pricing, accesses_max, seconds_max)
    return Entitlement(
        price_ubeat=one_off_ubeat(pricing),
        unit=unit,
        unit_price_ubeat=metered_ubeat(pricing),
        quota_units=seconds_max if unit == "second" else accesses_max,
        advance_ubeat=guarantee_ubeat(pricing),
        tiers=volume_tiers(pricing),
    )


def prolong(view: View, call: Call, licence_id: bytes, licence: Licence, offer: Offer) -> Licence:
    """Writes the licence with another period of its subscription: time, quota and advance are added."""
    if licence.expires_ms is None or offer.terms.duration_ms is None:
        raise Broken("licence {licence} has no period to prolong", licence=licence_id)
    quota = _entitlement(offer.pricing, offer.terms.accesses_max, offer.terms.seconds_max).quota_units
    after = replace(
        licence,
        expires_ms=min(licence.expires_ms + offer.terms.duration_ms, EXPIRES_MS_MAX),
        quota_units=None if quota is None or licence.quota_units is None else licence.quota_units + quota,
        recoup_ubeat=licence.recoup_ubeat + guarantee_ubeat(offer.pricing),
    )
    view.put(LICENCES, licence_id, after)
    _schedule_refund(view, call, licence_id, after.expires_ms or EXPIRES_MS_MAX)
    return after


def _bought(licence_id: bytes, licence: Licence, owner: bytes, title: str, deposit_ubeat: int) -> Event:
    return Event(
        "licence.bought",
        {
            "licence": licence_id,
            "offer": licence.offer,
            "asset": licence.asset,
            "title": title,
            "licensee": licence.licensee,
            "owner": owner,
            "purpose": licence.purpose,
            "price_ubeat": licence.price_ubeat,
            "deposit_ubeat": deposit_ubeat,
            "expires_ms": licence.expires_ms,
        },
    )


# Deposits


def check_top_up(view: View, call: Call, message: TopUpLicence) -> None:
    licence = require_own(view, call, message.licence)
    require_active(message.licence, licence, call.time_ms)
    if message.deposit_ubeat == 0:
        raise Rejected("tokens.amount_zero")
    _check_deposit(licence.offer, view.get(OFFERS, licence.offer).pricing)
    if tokens.escrowed(view, message.licence) + message.deposit_ubeat > AMOUNT_UBEAT_MAX:
        raise Rejected("amount.range", amount=message.deposit_ubeat, minimum=1, maximum=AMOUNT_UBEAT_MAX)
    tokens.require_balance(view, call.sender, message.deposit_ubeat)


def apply_top_up(view: View, call: Call, message: TopUpLicence) -> list[Event]:
    tokens.escrow_in(view, call.sender, message.licence, message.deposit_ubeat, "deposit")
    return [_moved("licence.topped_up", message.licence, call.sender, message.deposit_ubeat)]


def check_withdraw(view: View, call: Call, message: WithdrawDeposit) -> None:
    """What lanes have locked stays: the gateways served on the strength of it."""
    licence = require_own(view, call, message.licence)
    if message.amount_ubeat == 0:
        raise Rejected("tokens.amount_zero")
    free = tokens.escrowed(view, message.licence) - locked_ubeat(licence)
    if message.amount_ubeat > free:
        wanted = format_beat(message.amount_ubeat)
        raise Rejected(
            "licence.deposit_locked", licence=message.licence, free_beat=format_beat(free), amount_beat=wanted
        )


def apply_withdraw(view: View, call: Call, message: WithdrawDeposit) -> list[Event]:
    tokens.escrow_out(view, message.licence, call.sender, message.amount_ubeat, "refund")
    return [_moved("licence.withdrawn", message.licence, call.sender, message.amount_ubeat)]


def weigh_deposit(_message: Record) -> int:
    """Balance, deposit, bucket."""
    return 3


def require_own(view: View, call: Call, licence_id: bytes) -> Licence:
    """The licence, if it is the sender's. Raises Rejected licence.not_found or licence.not_yours."""
    licence = require_licence(view, licence_id)
    if licence.licensee != call.sender:
        raise Rejected("licence.not_yours", licence=licence_id, licensee=licence.licensee)
    return licence


def _moved(kind: str, licence_id: bytes, licensee: bytes, amount_ubeat: int) -> Event:
    return Event(kind, {"licence": licence_id, "licensee": licensee, "amount_ubeat": amount_ubeat})


# The end of a licence


def check_revoke(view: View, call: Call, message: RevokeLicence) -> None:
    licence = require_licence(view, message.licence)
    offer = view.get(OFFERS, licence.offer)
    if offer.owner != call.sender:
        raise Rejected("offer.not_yours", offer=licence.offer, owner=offer.owner)
    if licence.revoked_ms is not None or ended_before(licence, call.time_ms):
        raise Rejected("licence.ended", licence=message.licence, state=state_of(licence, call.time_ms))
    check_text("cause", message.cause)
    if len(message.cause.encode()) > CAUSE_BYTES_MAX:
        raise Rejected("text.invalid", field="cause", reason=f"more than {CAUSE_BYTES_MAX} bytes")


def apply_revoke(view: View, call: Call, message: RevokeLicence) -> list[Event]:
    licence = view.get(LICENCES, message.licence)
    view.put(LICENCES, message.licence, replace(licence, revoked_ms=call.time_ms, cause=message.cause))
    _schedule_refund(view, call, message.licence, call.time_ms)
    return [
        Event(
            "licence.revoked",
            {
                "licence": message.licence,
                "asset": licence.asset,
                "licensee": licence.licensee,
                "owner": call.sender,
                "cause": message.cause,
            },
        )
    ]


def weigh_revoke(_message: RevokeLicence) -> int:
    """The licence and its timer."""
    return 1 + TIMER_WEIGHT


def ended_before(licence: Licence, time_ms: int) -> bool:
    """Whether it is over: nothing can be opened any more."""
    end = ended_ms(licence)
    return end is not None and time_ms > end


def _schedule_refund(view: View, call: Call, licence_id: LicenceId, end_ms: int) -> None:
    wheel.put(view, _WHEEL, end_ms + call.params.access.anchor_window_ms, licence_id)


def finalise(view: View, params: Params, _weight: int) -> Finalised:
    """Counts what offers sold, and gives back what is left of deposits whose anchor window is over.

    The block's own anchors came before. A timer set for an end that a renewal moved is too early and does nothing.
    """
    write_sales(view)
    events: list[Event] = []
    for licence_id in wheel.take(view, _WHEEL, view.time_ms, REFUNDS_PER_BLOCK_MAX):
        licence = view.find(LICENCES, licence_id)
        left = tokens.escrowed(view, licence_id)
        if licence is not None and left and _is_over(licence, params.access.anchor_window_ms, view.time_ms):
            tokens.escrow_out(view, licence_id, licence.licensee, left, "refund")
            events.append(_moved("licence.refunded", licence_id, licence.licensee, left))
    return Finalised([], events)


def _is_over(licence: Licence, window_ms: int, time_ms: int) -> bool:
    end = ended_ms(licence)
    return end is not None and end + window_ms <= time_ms
