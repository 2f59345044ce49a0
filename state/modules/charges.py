"""What a licence costs after its purchase: renewals, outputs, a share of revenue; the advance that is used up first.

A minimum guarantee is an advance. It is paid and distributed at once, and later charges take from it before they take
money: so there is no debt and nothing to collect. Rules: docs/protocol/licences.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.encoding import Natural, Record
from concento.errors import Rejected
from concento.messages.licences import RenewLicence, ReportRevenue
from concento.units import AMOUNT_UBEAT_MAX, Amount, format_beat
from state.calls import Call, Event
from state.modules import royalties, tokens
from state.modules.assets import require_asset, require_not_retired, require_owned, require_rank
from state.modules.licences import (
    LICENCES,
    TIMER_WEIGHT,
    Licence,
    advance_free_ubeat,
    locked_ubeat,
    prolong,
    require_licence,
    require_not_over,
    require_own,
)
from state.modules.offers import (
    OFFERS,
    Offer,
    offer_state,
    renewal_ubeat,
    require_open,
    route_of,
    share_bps,
    subscribes,
)
from state.view import Kind, View

WHOLE_BPS: Final = 10_000


class Reported(Record):
    """What was reported so far under a licence, or by an asset's owner: until when, how much, how often."""

    until_ms: Natural
    gross_ubeat: Amount
    reports: Natural


REPORTED = Kind(b"reported/", Reported)
"""By licence, or by asset where its owner reports."""

_NOTHING: Final = Reported(0, 0, 0)


# Charges on a deposit


def check_deposit_covers(view: View, licence_id: bytes, licence: Licence, amount_ubeat: int) -> None:
    """Raises Rejected("licence.deposit_short") unless the advance and what no lane has locked pay for it."""
    due = amount_ubeat - min(amount_ubeat, advance_free_ubeat(licence))
    free = tokens.escrowed(view, licence_id) - locked_ubeat(licence)
    if due > free:
        raise Rejected(
            "licence.deposit_short", licence=licence_id, free_beat=format_beat(free), amount_beat=format_beat(due)
        )


def charge_deposit(view: View, call: Call, licence_id: bytes, amount_ubeat: int, cause: str) -> list[Event]:
    """Takes a charge from the advance first, then from the deposit, and passes it on."""
    due = _use_advance(view, licence_id, amount_ubeat)
    if not due:
        return []
    tokens.escrow_take(view, licence_id, due)
    return [_pay(view, call, licence_id, due, cause)]


def _use_advance(view: View, licence_id: bytes, amount_ubeat: int) -> int:
    """What is left to pay of a charge."""
    licence = view.get(LICENCES, licence_id)
    advance = min(amount_ubeat, advance_free_ubeat(licence))
    if advance:
        view.put(LICENCES, licence_id, replace(licence, recoup_ubeat=licence.recoup_ubeat - advance))
    return amount_ubeat - advance


def _pay(view: View, call: Call, licence_id: bytes, amount_ubeat: int, cause: str) -> Event:
    licence = view.get(LICENCES, licence_id)
    route = route_of(view, view.get(OFFERS, licence.offer))
    return royalties.pay_asset(
        view, call, licence.asset, amount_ubeat, cause, cause_id=licence_id, payer=licence.licensee, route=route
    )


# Renewals


def check_renew_licence(view: View, call: Call, message: RenewLicence) -> None:
    licence = require_own(view, call, message.licence)
    offer = view.get(OFFERS, licence.offer)
    require_not_over(message.licence, licence, call.time_ms)
    if not subscribes(offer.pricing):
        raise Rejected("licence.no_subscription", licence=message.licence)
    if offer_state(offer, call.time_ms) != "sold-out":
        require_open(licence.offer, offer, call.time_ms)
    require_not_retired(licence.asset, require_asset(view, licence.asset))
    price = renewal_ubeat(offer.pricing)
    if price > message.price_max_ubeat:
        raise Rejected(
            "licence.price_above_max",
            asset=licence.asset,
            purpose=licence.purpose,
            price=format_beat(price),
            price_max=format_beat(message.price_max_ubeat),
        )
    tokens.require_balance(view, call.sender, price)


def apply_renew_licence(view: View, call: Call, message: RenewLicence) -> list[Event]:
    licence = view.get(LICENCES, message.licence)
    offer: Offer = view.get(OFFERS, licence.offer)
    price = renewal_ubeat(offer.pricing)
    after = prolong(view, call, message.licence, licence, offer)
    tokens.debit(view, call.sender, price, "purchase", offer.owner)
    renewed = Event(
        "licence.renewed",
        {
            "licence": message.licence,
            "asset": licence.asset,
            "licensee": call.sender,
            "price_ubeat": price,
            "expires_ms": after.expires_ms,
        },
    )
    return [renewed, _pay(view, call, message.licence, price, "sale")]


def weigh_renew_licence(_message: RenewLicence) -> int:
    """Licence, balance, its timer; the payment."""
    return 2 + TIMER_WEIGHT + royalties.PAY_WEIGHT


# Revenue made elsewhere


def check_report_revenue(view: View, call: Call, message: ReportRevenue) -> None:
    if len(message.evidence) not in (0, 32):
        raise Rejected("revenue.evidence_invalid")
    if message.licence:
        licence = require_own(view, call, message.licence)
        if licence.asset != message.asset:
            raise Rejected("lineage.right_foreign", right=message.licence, asset=message.asset)
        if not share_bps(view.get(OFFERS, licence.offer).pricing):
            raise Rejected("licence.no_share", licence=message.licence)
    else:
        require_owned(view, message.asset, call.sender)
        require_rank(view, message.asset)
    before = _reported(view, message)
    if not before.until_ms <= message.from_ms < message.until_ms <= call.time_ms:
        raise Rejected("revenue.period", from_ms=message.from_ms, until_ms=message.until_ms, last_ms=before.until_ms)
    if before.gross_ubeat + message.gross_ubeat > AMOUNT_UBEAT_MAX:
        raise Rejected("amount.range", amount=message.gross_ubeat, minimum=0, maximum=AMOUNT_UBEAT_MAX)
    owed = _owed_ubeat(view, message)
    advance = advance_free_ubeat(require_licence(view, message.licence)) if message.licence else 0
    tokens.require_balance(view, call.sender, owed - min(owed, advance))


def apply_report_revenue(view: View, call: Call, message: ReportRevenue) -> list[Event]:
    """Paid like any other income and marked as declared: nobody but the reporter vouches for it."""
    before = _reported(view, message)
    owed = _owed_ubeat(view, message)
    due = _use_advance(view, message.licence, owed) if message.licence else owed
    after = Reported(message.until_ms, before.gross_ubeat + message.gross_ubeat, before.reports + 1)
    view.put(REPORTED, message.licence or message.asset, after)
    events = [
        Event(
            "revenue.reported",
            {
                "asset": message.asset,
                "licence": message.licence,
                "payer": call.sender,
                "from_ms": message.from_ms,
                "until_ms": message.until_ms,
                "gross_ubeat": message.gross_ubeat,
                "paid_ubeat": due,
                "evidence": message.evidence,
            },
        )
    ]
    if not due:
        return events
    tokens.debit(view, call.sender, due, "purchase")
    if message.licence:
        return [*events, _pay(view, call, message.licence, due, "declared")]
    return [*events, royalties.pay_asset(view, call, message.asset, due, "declared", message.asset, call.sender)]


def weigh_report_revenue(_message: ReportRevenue) -> int:
    """The report, the licence's advance, balance; the payment."""
    return 3 + royalties.PAY_WEIGHT


def _reported(view: View, message: ReportRevenue) -> Reported:
    return view.find(REPORTED, message.licence or message.asset) or _NOTHING


def _owed_ubeat(view: View, message: ReportRevenue) -> int:
    """Differences of one sum, so that reports may be cut as one likes."""
    if not message.licence:
        return message.gross_ubeat
    bps = share_bps(view.get(OFFERS, view.get(LICENCES, message.licence).offer).pricing)
    before = _reported(view, message).gross_ubeat
    return (before + message.gross_ubeat) * bps // WHOLE_BPS - before * bps // WHOLE_BPS
