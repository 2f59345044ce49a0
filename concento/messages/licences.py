"""Messages about licences: offers under exact terms, purchase, deposit, revocation."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from concento.encoding import BasisPoints, Bytes32, Natural, Record
from concento.limits import TIERS_MAX
from concento.messages.assets import AssetId
from concento.terms import Layer, Purpose, Terms
from concento.units import AMOUNT_UBEAT_MAX, Amount

OfferId = Bytes32
LicenceId = Bytes32

PriceModel = Literal[
    "free", "one-off", "subscription", "guarantee", "per-access", "per-second", "per-output", "revenue-share"
]

PRICES_MAX = 5
"""Lines of a pricing: one for the purchase, a guarantee, one for use, one for outputs, a share of revenue."""


class Tier(Record):
    """Beyond `units` a thousand more cost this much."""

    units: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    amount_ubeat: Amount


class Price(Record):
    """One line of an offer's pricing.

    One-off: `amount_ubeat` once. Subscription: once for each period of the terms' duration. Guarantee: an advance on
    everything below. Per access or second: for 1,000 units, up to the first tier. Per output: for each registered
    output. Revenue share: `bps` of what the licensee reports.
    """

    model: PriceModel
    amount_ubeat: Amount
    tiers: Annotated[tuple[Tier, ...], Meta(max_length=TIERS_MAX)] = ()
    bps: BasisPoints = 0


class Rate(Record):
    """What an asset made from another owes it, for ever.

    `rel_bps` of all that the asset earns, its descendants' share included. `abs_bps` of its own sales, and of the sales
    of everything made from it later. Both stop where the ancestor has had `ceiling_ubeat` from that one asset.
    """

    rel_bps: BasisPoints
    abs_bps: BasisPoints
    ceiling_ubeat: Annotated[int, Meta(ge=1, le=AMOUNT_UBEAT_MAX)] | None


class CreateOffer(Record, tag="licences.create_offer"):
    """The owner offers an asset under terms. Layers as in LAYERS; `upstream` is owed by what a licensee makes of it."""

    asset: AssetId
    terms: Terms
    layers: Annotated[tuple[Layer, ...], Meta(min_length=1, max_length=2)]
    pricing: Annotated[tuple[Price, ...], Meta(min_length=1, max_length=PRICES_MAX)]
    expires_ms: Natural | None
    supply: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None
    upstream: Rate | None = None


class CloseOffer(Record, tag="licences.close_offer"):
    """No further purchase under this offer; licences bought stay valid."""

    offer: OfferId


class BuyLicence(Record, tag="licences.buy"):
    """Buy under an offer, if its terms hash and one-off price are still what the buyer saw.

    `deposit_ubeat` funds metered use and what is left of it is refunded when the licence ends.
    """

    offer: OfferId
    terms_hash: Bytes32
    price_max_ubeat: Amount
    purpose: Purpose
    deposit_ubeat: Amount


class TopUpLicence(Record, tag="licences.top_up"):
    """Add to the deposit of a licence."""

    licence: LicenceId
    deposit_ubeat: Amount


class WithdrawDeposit(Record, tag="licences.withdraw"):
    """The licensee takes back what no open lane needs of the deposit."""

    licence: LicenceId
    amount_ubeat: Amount


class RevokeLicence(Record, tag="licences.revoke"):
    """The offerer ends a licence for a cause; its deposit goes back after the anchor window."""

    licence: LicenceId
    cause: Annotated[str, Meta(min_length=1, max_length=200)]


class RenewLicence(Record, tag="licences.renew"):
    """The licensee buys another period of a subscription before the running one ends."""

    licence: LicenceId
    price_max_ubeat: Amount


class ReportRevenue(Record, tag="licences.report_revenue"):
    """Revenue made elsewhere in a period, on its reporter's word: under a licence, its share; else one's own asset's.

    `licence` is empty where the owner passes on what `asset` earned off the network: then all of it is paid.
    `evidence` is empty or the hash of a document. Periods of one licence or asset follow each other.
    """

    asset: AssetId
    licence: Annotated[bytes, Meta(max_length=32)]
    from_ms: Natural
    until_ms: Natural
    gross_ubeat: Amount
    evidence: Annotated[bytes, Meta(max_length=32)]
