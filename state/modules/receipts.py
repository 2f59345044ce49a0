"""Receipts: lanes between a licensee and a gateway, and the anchoring of what both have signed.

A lane locks units of a licence for one gateway. The gateway appends a receipt per access to the lane's log; the
licensee's lane key signs vouchers over the log's head and the units so far. Anchoring takes the log further by one
range, pays what the units cost, and can neither skip nor repeat a receipt. Rules: docs/protocol/receipts.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import Natural, Record, decode, encode
from concento.errors import Rejected
from concento.genesis import Params
from concento.keys import PublicKey, check_public_key
from concento.limits import BODIES_PER_ANCHOR_MAX, LANES_MAX
from concento.merkle import Frontier, old_peaks, verify_consistency
from concento.messages.licences import LicenceId
from concento.messages.receipts import (
    AnchorReceipts,
    CloseAccess,
    LaneNumber,
    OpenAccess,
    ReceiptBody,
    SignedVoucher,
    receipt_id,
)
from concento.terms import permits
from concento.units import Amount
from state import wheel
from state.calls import Call, Event, Finalised
from state.modules import royalties, tokens
from state.modules.assets import ASSETS
from state.modules.datasets import covers
from state.modules.identity import require_role
from state.modules.licences import (
    LICENCES,
    TIMER_WEIGHT,
    Licence,
    charge_ubeat,
    ended_ms,
    locked_ubeat,
    require_active,
    require_licence,
    units_free,
)
from state.modules.offers import OFFERS, route_of
from state.view import Kind, View

LANE_UNITS_MAX: Final = 2**53 - 1
"""Units of one lane: as large as a count gets; the quota and the deposit are what limits them."""

LANES_CLOSED_PER_BLOCK_MAX: Final = 256
"""Lanes whose window ends, treated in one block: three records each; the others wait a block."""

RECEIPT_PREFIX: Final = b"receipt/"
LOG_PREFIX: Final = b"receipt-log/"

_WHEEL: Final = b"lane"


class Lane(Record):
    """One reader's channel with one gateway. `size` receipts with `units` are anchored under `head`.

    Its number serves once: a closed lane stays, so that an old voucher can never be used again. While it is closing,
    `closing_ms` says since when, and reaching `closing_size` receipts closes it at once.
    """

    epoch: Natural
    key: PublicKey
    units_max: Natural
    size: Natural
    units: Natural
    head: bytes
    closing_ms: Natural | None
    closing_size: Natural | None
    closed: bool


class Batch(Record):
    """Receipts [first, first + count) of a lane, anchored under `head` of a log of `size`."""

    first: Natural
    count: Natural
    units: Natural
    amount_ubeat: Amount
    head: bytes
    size: Natural
    voucher: SignedVoucher
    height: Natural
    time_ms: Natural
    tx: bytes


class Position(Record):
    """A history record: where a receipt stands; its body is in the lane's log, its batch begins at `first`."""

    licence: LicenceId
    gateway: AccountId
    lane: LaneNumber
    seq: Natural
    first: Natural


LANES = Kind(b"lane/", Lane)
BATCHES = Kind(b"batch/", Batch)


# Reading


def lane_key(licence: bytes, gateway: bytes, lane: int) -> bytes:
    return licence + gateway + lane.to_bytes(4, "big")


def batch_key(licence: bytes, gateway: bytes, lane: int, first: int) -> bytes:
    return lane_key(licence, gateway, lane) + first.to_bytes(8, "big")


def log_key(licence: bytes, gateway: bytes, lane: int, seq: int) -> bytes:
    """The history key of a receipt's body: a lane's log in order."""
    return LOG_PREFIX + lane_key(licence, gateway, lane) + seq.to_bytes(8, "big")


def require_lane(view: View, licence: bytes, gateway: bytes, lane: int) -> Lane:
    """The lane. Raises Rejected("lane.not_found")."""
    found = view.find(LANES, lane_key(licence, gateway, lane))
    if found is None:
        raise Rejected("lane.not_found", licence=licence, gateway=gateway, lane=lane)
    return found


def lane_state(lane: Lane) -> str:
    """ "open", "closing" or "closed"."""
    if lane.closed:
        return "closed"
    return "open" if lane.closing_ms is None else "closing"


# Opening


def check_open_access(view: View, call: Call, message: OpenAccess) -> None:
    licence = require_licence(view, message.licence)
    if licence.licensee != call.sender:
        raise Rejected("licence.not_yours", licence=message.licence, licensee=licence.licensee)
    require_active(message.licence, licence, call.time_ms)
    require_role(view, message.gateway, "gateway")
    if message.units == 0:
        raise Rejected("lane.no_units", lane=message.lane)
    _check_lane_free(view, licence, message)
    _check_locks(view, licence, message)


def apply_open_access(view: View, _call: Call, message: OpenAccess) -> list[Event]:
    key = lane_key(message.licence, message.gateway, message.lane)
    licence = view.get(LICENCES, message.licence)
    lane = view.find(LANES, key)
    opened = lane is None
    if lane is None:
        lane = Lane(licence.epoch, message.key, 0, 0, 0, b"", None, None, False)
    lane = replace(lane, units_max=lane.units_max + message.units)
    view.put(LANES, key, lane)
    view.put(
        LICENCES,
        message.licence,
        replace(
            licence,
            locked_units=licence.locked_units + message.units,
            lanes_open=licence.lanes_open + opened,
        ),
    )
    return [
        Event(
            "access.opened",
            {
                "licence": message.licence,
                "asset": licence.asset,
                "licensee": licence.licensee,
                "gateway": message.gateway,
                "lane": message.lane,
                "key": message.key,
                "units": message.units,
                "units_max": lane.units_max,
            },
        )
    ]


def weigh_open_access(_message: OpenAccess) -> int:
    """Lane and licence."""
    return 2


def _check_lane_free(view: View, licence: Licence, message: OpenAccess) -> None:
    """A new number opens a lane; an open lane with the same key gets more units."""
    lane = view.find(LANES, lane_key(message.licence, message.gateway, message.lane))
    if lane is None:
        check_public_key(message.key)
        if licence.lanes_open >= LANES_MAX:
            raise Rejected("lane.too_many", licence=message.licence, lanes_max=LANES_MAX)
        return
    if lane_state(lane) != "open" or lane.key != message.key or lane.epoch != licence.epoch:
        raise Rejected("lane.taken", licence=message.licence, lane=message.lane, state=lane_state(lane))
    if lane.units_max + message.units > LANE_UNITS_MAX:
        raise Rejected("lane.units_range", lane=message.lane, units_max=LANE_UNITS_MAX)


def _check_locks(view: View, licence: Licence, message: OpenAccess) -> None:
    """Quota and deposit cover everything that is locked, so that anchoring can always be paid."""
    free = units_free(licence)
    if free is not None and message.units > free:
        raise Rejected("licence.quota_low", licence=message.licence, free=free, units=message.units)
    if licence.used_units + licence.locked_units + message.units > LANE_UNITS_MAX:
        raise Rejected("lane.units_range", lane=message.lane, units_max=LANE_UNITS_MAX)
    needed = charge_ubeat(licence, licence.used_units, licence.locked_units + message.units)
    held = tokens.escrowed(view, message.licence)
    if needed > held:
        raise Rejected(
            "licence.deposit_low",
            licence=message.licence,
            units=message.units,
            deposit_ubeat=held,
            free_ubeat=held - locked_ubeat(licence),
            missing_ubeat=needed - held,
        )


# Anchoring


def check_anchor_receipts(view: View, call: Call, message: AnchorReceipts) -> None:
    """The signature of the voucher is checked with the transaction's own; here is asked whose it is and for what."""
    require_role(view, call.sender, "gateway")
    licence = require_licence(view, message.licence)
    lane = require_lane(view, message.licence, call.sender, message.lane)
    _check_range(message, lane)
    _check_anchor_time(message.licence, licence, lane, call)
    _check_voucher(message.voucher, message.licence, call.sender, message.lane, lane)
    _check_log(message, lane)
    units = message.voucher.voucher.units - lane.units
    if units < message.count:
        raise Rejected("receipt.units_low", count=message.count, units=units)
    if message.count <= BODIES_PER_ANCHOR_MAX:
        _check_bodies(view, call, message, licence, lane)
    elif message.bodies:
        raise Rejected("receipt.bodies", count=message.count, bodies=len(message.bodies))


def apply_anchor_receipts(view: View, call: Call, message: AnchorReceipts) -> list[Event]:
    licence = view.get(LICENCES, message.licence)
    key = lane_key(message.licence, call.sender, message.lane)
    lane = view.get(LANES, key)
    voucher = message.voucher.voucher
    units = voucher.units - lane.units
    amount = charge_ubeat(licence, licence.used_units, units)
    batch = Batch(
        first=message.first,
        count=message.count,
        units=units,
        amount_ubeat=amount,
        head=voucher.head,
        size=voucher.size,
        voucher=message.voucher,
        height=call.height,
        time_ms=call.time_ms,
        tx=call.tx,
    )
    name = batch_key(message.licence, call.sender, message.lane, message.first)
    view.put(BATCHES, name, batch)
    _put_bodies(view, call, message)
    licence = replace(
        licence,
        used_units=licence.used_units + units,
        locked_units=licence.locked_units - units,
        receipts=licence.receipts + message.count,
    )
    lane = replace(lane, size=voucher.size, units=voucher.units, head=voucher.head)
    view.put(LICENCES, message.licence, licence)
    view.put(LANES, key, lane)
    events = [_anchored(call, message, licence, batch)]
    if amount:
        events.append(_pay(view, call, message.licence, licence, amount))
    if lane.closing_size is not None and lane.size >= lane.closing_size:
        events.append(_close(view, message.licence, call.sender, message.lane))
    return events


def weigh_anchor_receipts(message: AnchorReceipts) -> int:
    """Licence, lane, batch, deposit, bucket, the payment, and two history records a body."""
    return 6 + royalties.PAY_WEIGHT + 2 * len(message.bodies)


def _check_range(message: AnchorReceipts, lane: Lane) -> None:
    """The log goes on where it ends: asked first, so that a repetition is called one even when the lane is over."""
    if message.count == 0:
        raise Rejected("receipt.none")
    if message.first < lane.size:
        raise Rejected("receipt.replayed", seq=message.first, size=lane.size)
    if message.first > lane.size:
        raise Rejected("receipt.gap", seq=message.first, size=lane.size)
    size = message.voucher.voucher.size
    if message.first + message.count != size:
        raise Rejected("voucher.size_differs", size=size, expected=message.first + message.count)


def _check_anchor_time(licence_id: bytes, licence: Licence, lane: Lane, call: Call) -> None:
    """Open lanes may be anchored while the licence serves and for one window after it, or after the lane's end."""
    if lane.closed:
        raise Rejected("lane.closed", licence=licence_id)
    ends = [moment for moment in (ended_ms(licence), lane.closing_ms) if moment is not None]
    if ends and call.time_ms > min(ends) + call.params.access.anchor_window_ms:
        raise Rejected("receipt.window_over", licence=licence_id, ended_ms=min(ends), time_ms=call.time_ms)


def _check_voucher(signed: SignedVoucher, licence: bytes, gateway: bytes, number: int, lane: Lane) -> None:
    """It is of this lane, by the key that the licensee named, and takes nothing back."""
    voucher = signed.voucher
    named = (voucher.licence, voucher.epoch, voucher.gateway, voucher.lane)
    if named != (licence, lane.epoch, gateway, number) or signed.key != lane.key:
        raise Rejected("voucher.foreign", licence=licence, lane=number)
    if voucher.size < lane.size or voucher.units < lane.units:
        raise Rejected("receipt.replayed", seq=voucher.size, size=lane.size)
    if voucher.units > lane.units_max:
        raise Rejected("voucher.units_exceeded", units=voucher.units, units_max=lane.units_max)


def _check_log(message: AnchorReceipts, lane: Lane) -> None:
    """The new head continues the last one."""
    voucher = message.voucher.voucher
    if lane.size:
        verify_consistency(lane.head, lane.size, voucher.head, voucher.size, message.consistency)
    elif message.consistency:
        raise Rejected("proof.invalid", reason="a log that begins has nothing to be consistent with")


def _check_bodies(view: View, call: Call, message: AnchorReceipts, licence: Licence, lane: Lane) -> None:
    """Every receipt is of this lane and licence, in its place under the head, and their units are the voucher's."""
    if len(message.bodies) != message.count:
        raise Rejected("receipt.bodies", count=message.count, bodies=len(message.bodies))
    voucher = message.voucher.voucher
    log = Frontier()
    if lane.size:
        log = Frontier(lane.size, old_peaks(lane.head, lane.size, voucher.size, message.consistency))
    units = 0
    for seq, raw in enumerate(message.bodies, start=message.first):
        body = decode(ReceiptBody, raw, "receipt")
        named = (body.licence, body.epoch, body.gateway, body.lane, body.seq, body.asset)
        if named != (message.licence, lane.epoch, call.sender, message.lane, seq, licence.asset):
            raise Rejected("receipt.foreign", seq=seq, lane=message.lane)
        _check_served(view, licence, body)
        if body.units == 0:
            raise Rejected("receipt.units_low", count=1, units=0)
        units += body.units
        log.append(raw)
    if log.root != voucher.head:
        raise Rejected("receipt.head_differs", size=voucher.size)
    if units != voucher.units - lane.units:
        raise Rejected("receipt.units_differ", units=units, expected=voucher.units - lane.units)


def _check_served(view: View, licence: Licence, body: ReceiptBody) -> None:
    """What was served is a file of an asset that the licence covers, for a purpose that its terms permit."""
    if not covers(view, licence.asset, body.member):
        raise Rejected("receipt.foreign_member", member=body.member, asset=licence.asset)
    parts = view.get(ASSETS, body.member).parts
    if body.part >= len(parts) or parts[body.part].content != body.content:
        raise Rejected("receipt.wrong_content", seq=body.seq, member=body.member)
    if body.offset + body.length > parts[body.part].bytes:
        raise Rejected("receipt.wrong_content", seq=body.seq, member=body.member)
    if not permits(view.get(OFFERS, licence.offer).terms, body.purpose):
        raise Rejected("receipt.wrong_purpose", seq=body.seq, purpose=body.purpose)


def _put_bodies(view: View, call: Call, message: AnchorReceipts) -> None:
    for seq, raw in enumerate(message.bodies, start=message.first):
        position = Position(message.licence, call.sender, message.lane, seq, message.first)
        view.put_history(RECEIPT_PREFIX + receipt_id(raw), encode(position))
        view.put_history(log_key(message.licence, call.sender, message.lane, seq), raw)


def _pay(view: View, call: Call, licence_id: bytes, licence: Licence, amount_ubeat: int) -> Event:
    tokens.escrow_take(view, licence_id, amount_ubeat)
    return royalties.pay_asset(
        view,
        call,
        licence.asset,
        amount_ubeat,
        cause="usage",
        cause_id=licence_id,
        payer=licence.licensee,
        route=route_of(view, view.get(OFFERS, licence.offer)),
    )


def _anchored(call: Call, message: AnchorReceipts, licence: Licence, batch: Batch) -> Event:
    return Event(
        "receipts.anchored",
        {
            "licence": message.licence,
            "asset": licence.asset,
            "licensee": licence.licensee,
            "gateway": call.sender,
            "lane": message.lane,
            "first": message.first,
            "receipts": message.count,
            "units": batch.units,
            "unit": licence.unit,
            "amount_ubeat": batch.amount_ubeat,
            "root": batch.head,
            "size": batch.size,
            "ids": tuple(receipt_id(body) for body in message.bodies),
        },
    )


# Closing


def check_close_access(view: View, call: Call, message: CloseAccess) -> None:
    """The licensee may end a lane at any time, the gateway may let go of it."""
    licence = require_licence(view, message.licence)
    if call.sender not in (licence.licensee, message.gateway):
        raise Rejected("licence.not_yours", licence=message.licence, licensee=licence.licensee)
    lane = require_lane(view, message.licence, message.gateway, message.lane)
    if lane.closed:
        raise Rejected("lane.closed", licence=message.licence)
    if lane.closing_ms is not None and call.sender == licence.licensee:
        raise Rejected("lane.closing", licence=message.licence, lane=message.lane)
    if message.voucher is not None:
        _check_voucher(message.voucher, message.licence, message.gateway, message.lane, lane)


def apply_close_access(view: View, call: Call, message: CloseAccess) -> list[Event]:
    """From the gateway it is its last word; from the licensee it starts the window for what is not anchored yet.

    A lane whose units are all anchored has nothing to wait for.
    """
    key = lane_key(message.licence, message.gateway, message.lane)
    lane = view.get(LANES, key)
    if call.sender == message.gateway or lane.units == lane.units_max:
        return [_close(view, message.licence, message.gateway, message.lane)]
    size = None if message.voucher is None else message.voucher.voucher.size
    # A voucher that is anchored already may be an old one: the gateway has the window to show a newer one.
    closing_size = None if size == lane.size else size
    view.put(LANES, key, replace(lane, closing_ms=call.time_ms, closing_size=closing_size))
    until_ms = call.time_ms + call.params.access.anchor_window_ms
    wheel.put(view, _WHEEL, until_ms, key)
    return [
        Event(
            "access.closing",
            {
                "licence": message.licence,
                "licensee": call.sender,
                "gateway": message.gateway,
                "lane": message.lane,
                "size": lane.size,
                "closing_size": closing_size,
                "until_ms": until_ms,
            },
        )
    ]


def weigh_close_access(_message: CloseAccess) -> int:
    """Lane, licence and timer."""
    return 2 + TIMER_WEIGHT


def finalise(view: View, _params: Params, _weight: int) -> Finalised:
    """Unlocks what lanes had locked whose window is over; the block's own anchors came before."""
    events: list[Event] = []
    for key in wheel.take(view, _WHEEL, view.time_ms, LANES_CLOSED_PER_BLOCK_MAX):
        lane = view.find(LANES, key)
        if lane is not None and not lane.closed:
            events.append(_close(view, key[:32], key[32:64], int.from_bytes(key[64:], "big")))
    return Finalised([], events)


def _close(view: View, licence_id: bytes, gateway: bytes, number: int) -> Event:
    """The lane is over; what it did not use is free again."""
    key = lane_key(licence_id, gateway, number)
    lane = view.get(LANES, key)
    licence = view.get(LICENCES, licence_id)
    unlocked = lane.units_max - lane.units
    view.put(LANES, key, replace(lane, closed=True))
    view.put(
        LICENCES,
        licence_id,
        replace(licence, locked_units=licence.locked_units - unlocked, lanes_open=licence.lanes_open - 1),
    )
    return Event(
        "access.closed",
        {
            "licence": licence_id,
            "licensee": licence.licensee,
            "gateway": gateway,
            "lane": number,
            "size": lane.size,
            "units": lane.units,
            "unlocked_units": unlocked,
        },
    )
