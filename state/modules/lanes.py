"""Lanes: one licensee's channel with one gateway under one licence, from opening to unlocking.

A lane locks units of the licence's quota and deposit, so that whatever is anchored in it can be paid. What travels in
it and what its vouchers are good for is `receipts.py`. Rules: docs/protocol/receipts.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.encoding import Natural, Record
from concento.errors import Rejected
from concento.genesis import Params
from concento.keys import PublicKey, check_public_key
from concento.limits import LANES_MAX
from concento.messages.receipts import CloseAccess, OpenAccess, SignedVoucher
from concento.units import format_beat
from state import wheel
from state.calls import Call, Event, Finalised
from state.modules import tokens
from state.modules.identity import require_role
from state.modules.licences import (
    LICENCES,
    TIMER_WEIGHT,
    Licence,
    due_ubeat,
    locked_ubeat,
    require_active,
    require_licence,
    units_free,
)
from state.view import Kind, View

LANE_UNITS_MAX: Final = 2**53 - 1
"""Units of one lane: as large as a count gets; the quota and the deposit are what limits them."""

LANES_CLOSED_PER_BLOCK_MAX: Final = 256
"""Lanes whose window ends, treated in one block: three records each; the others wait a block."""

_WHEEL: Final = b"lane"


class Lane(Record):
    """One reader's channel with one gateway. `size` receipts with `units` are anchored under `head`.

    Its number serves once: a closed lane stays, so that an old voucher can never be used again. While it is closing,
    `closing_ms` says since when, and standing at exactly `closing_size` receipts closes it at once; a
    gateway that holds a newer voucher goes past it.
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


LANES = Kind(b"lane/", Lane)


# Reading


def lane_key(licence: bytes, gateway: bytes, lane: int) -> bytes:
    return licence + gateway + lane.to_bytes(4, "big")


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


def check_voucher(signed: SignedVoucher, licence: bytes, gateway: bytes, number: int, lane: Lane) -> None:
    """It is of this lane, by the key that the licensee named, and takes nothing back."""
    voucher = signed.voucher
    named = (voucher.licence, voucher.epoch, voucher.gateway, voucher.lane)
    if named != (licence, lane.epoch, gateway, number) or signed.key != lane.key:
        raise Rejected("voucher.foreign", licence=licence, lane=number)
    if voucher.size < lane.size or voucher.units < lane.units:
        raise Rejected("receipt.replayed", seq=voucher.size, size=lane.size)
    if voucher.units > lane.units_max:
        raise Rejected("voucher.units_exceeded", units=voucher.units, units_max=lane.units_max)


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
    needed = due_ubeat(licence, licence.locked_units + message.units)
    held = tokens.escrowed(view, message.licence)
    if needed > held:
        raise Rejected(
            "licence.deposit_low",
            licence=message.licence,
            units=message.units,
            deposit_ubeat=held,
            missing_ubeat=needed - held,
            free_beat=format_beat(held - locked_ubeat(licence)),
            missing_beat=format_beat(needed - held),
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
        check_voucher(message.voucher, message.licence, message.gateway, message.lane, lane)


def apply_close_access(view: View, call: Call, message: CloseAccess) -> list[Event]:
    """From the gateway it is its last word; from the licensee it starts the window for what is not anchored yet.

    A lane whose units are all anchored has nothing to wait for.
    """
    key = lane_key(message.licence, message.gateway, message.lane)
    lane = view.get(LANES, key)
    if call.sender == message.gateway or lane.units == lane.units_max:
        return [close_lane(view, message.licence, message.gateway, message.lane)]
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
            events.append(close_lane(view, key[:32], key[32:64], int.from_bytes(key[64:], "big")))
    return Finalised([], events)


def close_lane(view: View, licence_id: bytes, gateway: bytes, number: int) -> Event:
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
