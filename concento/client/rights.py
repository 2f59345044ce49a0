"""Offers and licences: sold, bought, prolonged, paid for later; and the deposit that metered use needs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from concento.access import cost_ubeat
from concento.client.session import Session
from concento.errors import Rejected
from concento.messages.licences import (
    BuyLicence,
    CreateOffer,
    Price,
    Rate,
    RenewLicence,
    ReportRevenue,
    TopUpLicence,
    WithdrawDeposit,
)
from concento.terms import LAYERS, Layer, Purpose, Terms
from concento.transactions import licence_id, object_id


def create_offer(
    session: Session,
    asset: bytes,
    terms: Terms,
    pricing: Sequence[Price],
    upstream: Rate | None = None,
    layers: tuple[Layer, ...] = LAYERS,
    expires_ms: int | None = None,
    supply: int | None = None,
) -> tuple[bytes, dict[str, Any]]:
    """(id of the offer, Tx document)."""
    nonce = secrets.token_bytes(16)
    message = CreateOffer(asset, terms, layers, tuple(pricing), expires_ms, supply, upstream)
    return object_id("offer", session.signer.account, nonce, 0), session.send([message], nonce=nonce)


def buy_licence(
    session: Session, offer: dict[str, Any], purpose: Purpose, price_max_ubeat: int, deposit_ubeat: int = 0
) -> tuple[bytes, dict[str, Any]]:
    """(id of the licence, Tx document). `offer` is a document that the buyer has seen: its terms are what he buys."""
    terms = bytes.fromhex(offer["terms_hash"])
    message = BuyLicence(bytes.fromhex(offer["id"]), terms, price_max_ubeat, purpose, deposit_ubeat)
    document = session.send([message])
    return licence_id(bytes.fromhex(document["tx"]), 0), document


def renew_licence(session: Session, licence: bytes, price_max_ubeat: int) -> dict[str, Any]:
    """Another period of a subscription."""
    return session.send([RenewLicence(licence, price_max_ubeat)])


def renewal_ubeat(offer: dict[str, Any]) -> int | None:
    """What another period costs under an offer: the subscription and the guarantee; None where it has no periods."""
    prices = {line["model"]: int(line["price_ubeat"]) for line in offer["pricing"]}
    if "subscription" not in prices:
        return None
    return prices["subscription"] + prices.get("guarantee", 0)


def top_up(session: Session, licence: bytes, amount_ubeat: int) -> dict[str, Any]:
    """Add to a deposit."""
    return session.send([TopUpLicence(licence, amount_ubeat)])


def withdraw(session: Session, licence: bytes, amount_ubeat: int) -> dict[str, Any]:
    """Take back of a deposit what no lane has locked."""
    return session.send([WithdrawDeposit(licence, amount_ubeat)])


def report_revenue(
    session: Session,
    gross_ubeat: int,
    from_ms: int,
    until_ms: int,
    licence: dict[str, Any] | None = None,
    asset: bytes = b"",
    evidence: bytes = b"",
) -> dict[str, Any]:
    """Revenue made elsewhere, under a licence (its document) or of one's own asset."""
    right = b"" if licence is None else bytes.fromhex(licence["id"])
    subject = asset if licence is None else bytes.fromhex(licence["asset"])
    return session.send([ReportRevenue(subject, right, from_ms, until_ms, gross_ubeat, evidence)])


# What metered use costs


def charge_ubeat(licence: dict[str, Any], used: int, units: int) -> int:
    """What `units` more cost after `used`, tier by tier: differences of one sum, as the ledger charges."""
    price = int(licence["unit_price_ubeat"] or 0)
    tiers = [(int(tier["units"]), int(tier["price_ubeat"])) for tier in licence["tiers"]]
    return cost_ubeat(used + units, price, tiers) - cost_ubeat(used, price, tiers)


def due_ubeat(licence: dict[str, Any], units: int) -> int:
    """What `units` more take from the deposit, after what is left of the advance."""
    charged = charge_ubeat(licence, int(licence["units_used"]), units)
    return max(0, charged - int(licence["advance_ubeat"]))


def missing_deposit_ubeat(licence: dict[str, Any], units: int) -> int:
    """What the deposit lacks so that a lane may lock `units` beside what other lanes have locked."""
    needed = due_ubeat(licence, int(licence["units_locked"]) + units)
    return max(0, needed - int(licence["deposit_ubeat"]))


def check_quota(licence: dict[str, Any], units: int) -> None:
    """Raises Rejected("licence.quota_low") where the licence entitles to less."""
    total = licence["quota"]["total"]
    if total is not None:
        free = int(total) - int(licence["units_used"]) - int(licence["units_locked"])
        if units > free:
            raise Rejected("licence.quota_low", licence=licence["id"], free=free, units=units)
