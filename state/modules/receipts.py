"""Receipts: the anchoring of what a licensee and a gateway have both signed.

The gateway appends a receipt per access to the lane's log; the licensee's lane key signs vouchers over the log's head
and the units so far. Anchoring takes the log further by one range, pays what the units cost, and can neither skip nor
repeat a receipt. Lanes open and close in `lanes.py`. Rules: docs/protocol/receipts.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import Natural, Record, decode, encode
from concento.errors import Rejected
from concento.limits import BODIES_PER_ANCHOR_MAX
from concento.merkle import Frontier, old_peaks, verify_consistency
from concento.messages.licences import LicenceId
from concento.messages.receipts import (
    AnchorReceipts,
    LaneNumber,
    ReceiptBody,
    SignedVoucher,
    receipt_id,
)
from concento.terms import permits
from concento.units import Amount
from state.calls import Call, Event
from state.modules import rewards, royalties, tokens, usage
from state.modules.assets import ASSETS
from state.modules.cascade import WHOLE_BPS
from state.modules.datasets import covers
from state.modules.identity import require_role
from state.modules.lanes import LANES, Lane, check_voucher, close_lane, lane_key, require_lane
from state.modules.licences import LICENCES, TIMER_WEIGHT, Licence, charge_ubeat, due_ubeat, ended_ms, require_licence
from state.modules.offers import OFFERS, route_of
from state.modules.revenue import pot_of
from state.modules.shares import number_key
from state.view import Kind, View

RECEIPT_PREFIX: Final = b"receipt/"
LOG_PREFIX: Final = b"receipt-log/"
POT_BATCH_PREFIX: Final = b"pot-batch/"


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


BATCHES = Kind(b"batch/", Batch)


# Reading


def batch_key(licence: bytes, gateway: bytes, lane: int, first: int) -> bytes:
    return lane_key(licence, gateway, lane) + first.to_bytes(8, "big")


def log_key(licence: bytes, gateway: bytes, lane: int, seq: int) -> bytes:
    """The history key of a receipt's body: a lane's log in order."""
    return LOG_PREFIX + lane_key(licence, gateway, lane) + seq.to_bytes(8, "big")


def pot_batch_key(pot: int) -> bytes:
    """The history key that says with which batch a pot was opened."""
    return POT_BATCH_PREFIX + number_key(pot)


# Anchoring


def check_anchor_receipts(view: View, call: Call, message: AnchorReceipts) -> None:
    """The signature of the voucher is checked with the transaction's own; here is asked whose it is and for what."""
    require_role(view, call.sender, "gateway")
    licence = require_licence(view, message.licence)
    lane = require_lane(view, message.licence, call.sender, message.lane)
    _check_range(message, lane)
    _check_anchor_time(message.licence, licence, lane, call)
    check_voucher(message.voucher, message.licence, call.sender, message.lane, lane)
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
    charged = charge_ubeat(licence, licence.used_units, units)
    amount = due_ubeat(licence, units)
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
        recoup_ubeat=licence.recoup_ubeat - (charged - amount),
    )
    lane = replace(lane, size=voucher.size, units=voucher.units, head=voucher.head)
    view.put(LICENCES, message.licence, licence)
    view.put(LANES, key, lane)
    events = [_anchored(call, message, licence, batch)]
    if amount:
        events += _pay(view, call, message, licence, amount)
    if lane.size == lane.closing_size:
        events.append(close_lane(view, message.licence, call.sender, message.lane))
    return events


def weigh_anchor_receipts(message: AnchorReceipts) -> int:
    """Licence, lane, batch, deposit, bucket, the payment, and two history records a body."""
    opens_pot = 3 + TIMER_WEIGHT if message.voucher.voucher.usage_root else 0
    return 6 + royalties.PAY_WEIGHT + 2 * len(message.bodies) + opens_pot + rewards.COUNT_WEIGHT


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


def _pay(view: View, call: Call, message: AnchorReceipts, licence: Licence, amount_ubeat: int) -> list[Event]:
    """What the deposit pays for the batch. Metered money of a dataset may go by use."""
    tokens.escrow_take(view, message.licence, amount_ubeat)
    name = batch_key(message.licence, call.sender, message.lane, message.first)
    units = view.get(BATCHES, name).units
    route = route_of(view, view.get(OFFERS, licence.offer))
    opened = None
    if route == royalties.ALL and amount_ubeat > amount_ubeat * call.params.fees.market_bps // WHOLE_BPS:
        root = message.voucher.voucher.usage_root
        route, opened = usage.route_by_use(view, call, licence.asset, message.first, units, root)
        pot = pot_of(route)
        if pot is not None:
            view.put_history(pot_batch_key(pot), name)
    paid = royalties.pay_asset(
        view,
        call,
        licence.asset,
        amount_ubeat,
        cause="usage",
        cause_id=message.licence,
        payer=licence.licensee,
        route=route,
    )
    fee = amount_ubeat * call.params.fees.market_bps // WHOLE_BPS
    rewards.count_use(view, call, licence.asset, units, fee)
    return [paid] if opened is None else [paid, opened]


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
