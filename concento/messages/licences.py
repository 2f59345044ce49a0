"""Messages about licences: offers under exact terms, purchase, deposit, revocation."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from concento.encoding import Bytes32, Natural, Record
from concento.messages.assets import AssetId
from concento.terms import Layer, Purpose, Terms
from concento.units import Amount

OfferId = Bytes32
LicenceId = Bytes32

PriceModel = Literal["free", "one-off", "per-access", "per-second"]


class Price(Record):
    """One line of an offer's pricing. One-off: `amount_ubeat` once. Metered: `amount_ubeat` per 1,000 units."""

    model: PriceModel
    amount_ubeat: Amount


class CreateOffer(Record, tag="licences.create_offer"):
    """The owner offers an asset under terms; at most one one-off price and one metered price. Layers as in LAYERS."""

    asset: AssetId
    terms: Terms
    layers: Annotated[tuple[Layer, ...], Meta(min_length=1, max_length=2)]
    pricing: Annotated[tuple[Price, ...], Meta(min_length=1, max_length=2)]
    expires_ms: Natural | None
    supply: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None


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
