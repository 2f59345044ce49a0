"""Timers in state: what falls due at a block time, taken oldest first and at most so many a block.

Each use has a wheel of its own name. Whoever takes from a wheel looks again at what the item stands for: a timer is a
reminder, not a decision.
"""

from __future__ import annotations

from concento.encoding import Natural, Record
from state import ordered
from state.view import Kind, View

_TIME_BYTES = 6
_TIME_MS_MAX = 2 ** (8 * _TIME_BYTES) - 1
"""The year 10889: what a message names beyond it is put there, and looked at again if the chain gets so old."""


class Slot(Record):
    """How many items of one moment were taken, and how many were put."""

    taken: Natural
    put: Natural


class Item(Record):
    """What falls due."""

    item: bytes


SLOTS = Kind(b"wheel-slot/", Slot)
ITEMS = Kind(b"wheel/", Item)


def put(view: View, name: bytes, time_ms: int, item: bytes) -> None:
    """Reminds of `item` in the first block whose time is not before `time_ms`."""
    moment = min(time_ms, _TIME_MS_MAX).to_bytes(_TIME_BYTES, "big")
    slot = view.find(SLOTS, _slot_key(name, moment))
    if slot is None:
        ordered.add(view, _set_name(name), moment)
        slot = Slot(0, 0)
    view.put(ITEMS, _item_key(name, moment, slot.put), Item(item))
    view.put(SLOTS, _slot_key(name, moment), Slot(slot.taken, slot.put + 1))


def take(view: View, name: bytes, time_ms: int, limit: int) -> list[bytes]:
    """Removes and returns the oldest items due at `time_ms`, at most `limit`."""
    items: list[bytes] = []
    while len(items) < limit:
        moment = ordered.first(view, _set_name(name), _TIME_BYTES)
        if moment is None or int.from_bytes(moment, "big") > time_ms:
            break
        items += _take_slot(view, name, moment, limit - len(items))
    return items


def _take_slot(view: View, name: bytes, moment: bytes, limit: int) -> list[bytes]:
    slot = view.get(SLOTS, _slot_key(name, moment))
    stop = min(slot.put, slot.taken + limit)
    items: list[bytes] = []
    for number in range(slot.taken, stop):
        key = _item_key(name, moment, number)
        items.append(view.get(ITEMS, key).item)
        view.delete(ITEMS, key)
    if stop < slot.put:
        view.put(SLOTS, _slot_key(name, moment), Slot(stop, slot.put))
    else:
        view.delete(SLOTS, _slot_key(name, moment))
        ordered.remove(view, _set_name(name), moment)
    return items


def _set_name(name: bytes) -> bytes:
    return b"wheel/" + name + b"/"


def _slot_key(name: bytes, moment: bytes) -> bytes:
    return name + b"/" + moment


def _item_key(name: bytes, moment: bytes, number: int) -> bytes:
    return name + b"/" + moment + number.to_bytes(8, "big")
