"""Messages about access: lanes, vouchers that sign units, and the anchoring of co-signed receipts.

A lane is one reader's channel with one gateway under one licence. The gateway appends every served file to the lane's
log (an RFC 6962 tree of receipt bodies); the licensee's lane key signs vouchers over the log's head and the units so
far; the gateway anchors ranges of the log together with the newest voucher.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from concento.accounts import AccountId
from concento.cids import ContentHash
from concento.encoding import Bytes32, Natural, Record, encode
from concento.hashing import Network, signing_bytes, tagged_hash
from concento.keys import Check, PublicKey, Signature
from concento.limits import BODIES_PER_ANCHOR_MAX, USAGE_ROWS_MAX
from concento.messages.assets import AssetId
from concento.messages.licences import LicenceId
from concento.terms import Purpose

LaneNumber = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class ReceiptBody(Record):
    """One access, as a leaf of the lane's log: which file of which member, for what, and how many units it costs.

    `seq` counts from 0 within the lane and is the leaf's position. `units` are accesses or seconds of audio, as the
    licence is priced. `request_hash` and `content` bind what was asked for to what was served.
    """

    licence: LicenceId
    epoch: Natural
    gateway: AccountId
    lane: LaneNumber
    seq: Natural
    asset: AssetId
    member: AssetId
    part: Natural
    offset: Natural
    length: Natural
    units: Natural
    purpose: Purpose
    request_hash: Bytes32
    content: ContentHash
    height: Natural


class Voucher(Record):
    """The licensee's word on a lane so far: `size` receipts under `head` (RFC 6962), `units` in all.

    `usage_root` is empty, or divides the next batch's money among the members of a usage-weighted dataset.
    """

    licence: LicenceId
    epoch: Natural
    gateway: AccountId
    lane: LaneNumber
    size: Natural
    units: Natural
    head: Bytes32
    height: Natural
    block_id: Bytes32
    usage_root: Annotated[bytes, Meta(max_length=32)]


class SignedVoucher(Record):
    """A voucher and the lane key's signature."""

    voucher: Voucher
    key: PublicKey
    signature: Signature


class OpenAccess(Record, tag="receipts.open_access"):
    """The licensee opens a lane at a gateway: `key` will sign its vouchers, `units` of quota and deposit are locked.

    On an open lane with the same key it adds units.
    """

    licence: LicenceId
    gateway: AccountId
    lane: LaneNumber
    key: PublicKey
    units: Natural


class AnchorReceipts(Record, tag="receipts.anchor"):
    """The gateway anchors receipts [first, first + count) of a lane under the head that the voucher signs.

    `consistency` proves (RFC 6962) that the new head extends the last anchored one; `bodies` are the encoded
    ReceiptBody leaves, all of them where there are at most 64, else none.
    """

    licence: LicenceId
    lane: LaneNumber
    first: Natural
    count: Natural
    voucher: SignedVoucher
    consistency: Annotated[tuple[Bytes32, ...], Meta(max_length=64)]
    bodies: Annotated[tuple[bytes, ...], Meta(max_length=BODIES_PER_ANCHOR_MAX)]


class CloseAccess(Record, tag="receipts.close_access"):
    """The licensee ends a lane: the gateway may anchor for a window, then the rest is unlocked.

    Anchored exactly up to the closing voucher it is over at once, and so it is when the gateway itself sends this.
    """

    licence: LicenceId
    gateway: AccountId
    lane: LaneNumber
    voucher: SignedVoucher | None


class UsageRow(Record):
    """How many units of a batch were spent on the member at this place of the dataset."""

    member: Natural
    units: Annotated[int, Meta(ge=1, le=2**53 - 1)]


class PostUsage(Record, tag="receipts.post_usage"):
    """Rows [start, start + len(rows)) of the use that the reader signed, in order, by anybody; each member is paid.

    `size` is how many rows there are in all, `proof` the RFC 6962 range proof of these.
    """

    pot: Natural
    start: Natural
    size: Natural
    rows: Annotated[tuple[UsageRow, ...], Meta(min_length=1, max_length=USAGE_ROWS_MAX)]
    proof: Annotated[tuple[Bytes32, ...], Meta(max_length=128)]


def usage_leaf(row: UsageRow) -> bytes:
    """One row in the list under a usage root."""
    return row.member.to_bytes(8, "big") + row.units.to_bytes(8, "big")


def usage_root(first: int, size: int, root: bytes) -> bytes:
    """What a voucher signs of the use of the batch that begins at receipt `first`: `size` rows under an RFC 6962 root.

    The size is bound because a range proof does not show it, the beginning because the units are those of one batch.
    """
    return tagged_hash("usage", first.to_bytes(8, "big"), size.to_bytes(8, "big"), root)


def receipt_id(body: bytes) -> bytes:
    """The name of a receipt: the hash of its encoded body."""
    return tagged_hash("receipt", body)


def voucher_bytes(network: Network, voucher: Voucher) -> bytes:
    """What the lane key signs."""
    return signing_bytes(network, "voucher", encode(voucher))


def receipt_head_bytes(network: Network, gateway: bytes, licence: bytes, lane: int, size: int, head: bytes) -> bytes:
    """What the gateway signs with each answer: the head of the lane's log, hence every receipt below it."""
    return signing_bytes(network, "receipts", encode((gateway, licence, lane, size, head)))


def signatures(network: Network, message: AnchorReceipts | CloseAccess) -> list[Check]:
    """The voucher's signature, where there is one."""
    signed = message.voucher
    if signed is None:
        return []
    return [(signed.key, voucher_bytes(network, signed.voucher), signed.signature)]
