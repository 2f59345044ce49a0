"""The protocol between a reader and a gateway: how a session is opened, what an access costs, what is signed.

A session is opened by the lane key that the licensee put on the chain. Every file comes with a receipt in the lane's
log and the gateway's signature over the log's head; the next file comes only after the lane key's voucher for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal

from concento.encoding import Bytes16, Natural, Record, encode
from concento.hashing import Network, signing_bytes
from concento.keys import Check, PublicKey, Signature
from concento.messages.licences import LicenceId
from concento.messages.receipts import LaneNumber, SignedVoucher
from concento.terms import Purpose

Unit = Literal["access", "second"]

SESSION_WINDOW_MS: Final = 60_000
"""How old, in block time, a request for a session may be: as long as its nonce is remembered."""

UNITS_PER_PRICE: Final = 1_000
"""A metered price is for a thousand units, so that one unit may cost less than a ubeat."""

RECEIPT_HEADER: Final = "X-Concento-Receipt"
"""The encoded ReceiptBody, base64."""
HEAD_HEADER: Final = "X-Concento-Head"
"""The encoded SignedHead, base64."""
VOUCHER_HEADER: Final = "X-Concento-Voucher"
"""The encoded SignedVoucher for everything received so far, base64."""


class SessionRequest(Record):
    """The licensee's wish to read. `time_ms` is the block time that he sees; `nonce` serves once."""

    licence: LicenceId
    lane: LaneNumber
    purpose: Purpose
    time_ms: Natural
    nonce: Bytes16


class SignedSessionRequest(Record):
    request: SessionRequest
    key: PublicKey
    signature: Signature


class SignedHead(Record):
    """The gateway's word on a lane's log: `size` receipts with this RFC 6962 root."""

    size: Natural
    units: Natural
    head: bytes
    signature: Signature


class LaneState(Record):
    """Where a lane stands at the gateway: what was served, and the receipts that no voucher covers yet."""

    size: Natural
    units: Natural
    head: bytes
    vouched: Natural
    unvouched: tuple[bytes, ...]
    voucher: SignedVoucher | None


def session_check(network: Network, signed: SignedSessionRequest) -> Check:
    """The signature check of a session request."""
    return signed.key, session_bytes(network, signed.request), signed.signature


def session_bytes(network: Network, request: SessionRequest) -> bytes:
    """What the lane key signs to open a session."""
    return signing_bytes(network, "session", encode(request))


def request_hash(member: bytes, part: int, offset: int, length: int) -> bytes:
    """The name of what was asked for, as a receipt records it."""
    return sha256(encode((member, part, offset, length))).digest()


def units_of(unit: Unit | None, duration_ms: int) -> int:
    """What one access costs in a licence's unit: 1, or the seconds of audio begun; 1 where nothing is metered."""
    if unit != "second":
        return 1
    return max(1, -(-duration_ms // 1000))


def cost_ubeat(units: int, per_thousand_ubeat: int, tiers: Sequence[tuple[int, int]] = ()) -> int:
    """What so many units cost from the first one on: one floor over the sum of all tiers, so that any batching gives
    the same sum. A tier is (units beyond which it counts, price of a thousand).
    """
    total, start, price = 0, 0, per_thousand_ubeat
    for beyond, tier_ubeat in tiers:
        if units <= beyond:
            break
        total += (beyond - start) * price
        start, price = beyond, tier_ubeat
    return (total + (units - start) * price) // UNITS_PER_PRICE
