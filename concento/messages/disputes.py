"""Messages about disputes: a claim with a bond and evidence, the answer, and the ruling of a panel of arbiters.

While a dispute is open only what it claims is held back; everybody else is paid on.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from concento.cids import ContentHash
from concento.encoding import BasisPoints, Bytes32, Integer63, Natural, Record
from concento.limits import SPLIT_ROWS_MAX
from concento.messages.assets import AssetId, Split
from concento.units import Amount

DisputeId = Bytes32
Reason = Literal["ownership", "duplicate", "improper-licence", "missing-parent", "false-receipt", "quality", "payment"]
MaybeId = Annotated[bytes, Meta(max_length=32)]
"""32 bytes, or empty."""


class OpenDispute(Record, tag="disputes.open"):
    """Somebody claims a part of what an asset earns; `evidence` names a document that anybody can fetch and hash.

    Either `bps` of what leg `leg` gets, or `shares` that `holder` has on page `page` of the table behind that leg.
    """

    asset: AssetId
    reason: Reason
    leg: Natural
    bps: BasisPoints
    holder: MaybeId
    page: Natural
    shares: Integer63
    bond_ubeat: Amount
    evidence: ContentHash


class AnswerDispute(Record, tag="disputes.answer"):
    """The other side answers with as large a bond and its own evidence. Either side may concede instead: it lost."""

    dispute: DisputeId
    concede: bool
    evidence: MaybeId


class RaiseBond(Record, tag="disputes.raise_bond"):
    """The claimant adds to the bond, so that more may be held."""

    dispute: DisputeId
    amount_ubeat: Amount


class Ruling(Record):
    """What arbiters decide; those of a panel must send the very same. All but `slash_bps` are for a claim upheld.

    `escrow_bps` of the money held goes to the claimant, and `shares` of the shares held; the rest goes back. `splits`
    replace the table behind the disputed leg. `parent` becomes a parent at `parent_bps`. `original` is the asset that
    this one copies. `delist` ends new licences. `slash_bps` of the loser's bond is burnt, the winner gets the rest.
    """

    upheld: bool
    escrow_bps: BasisPoints
    shares: Integer63
    splits: Annotated[tuple[Split, ...], Meta(max_length=SPLIT_ROWS_MAX)]
    parent: MaybeId
    parent_bps: BasisPoints
    original: MaybeId
    delist: bool
    slash_bps: BasisPoints


class RuleDispute(Record, tag="disputes.rule"):
    """An arbiter's vote. The ruling is executed with the vote that makes the panel complete."""

    dispute: DisputeId
    ruling: Ruling


DISMISSED = Ruling(False, 0, 0, (), b"", 0, b"", False, 0)
"""Nothing was proved; the claimant's bond goes to the other side."""
