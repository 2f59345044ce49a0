"""Income on its way between assets: what each asset was handed, per generation and route, and what is parked.

`cur` is the generation being passed on, `next` the one that sources and sweeps fill. Generations keep an overload
fair: with one inbox taken highest rank first, the oldest asset would wait for ever.
"""

from __future__ import annotations

from msgspec.structs import replace

from concento.encoding import Natural, Record
from concento.units import Amount
from state import ordered
from state.modules.revenue import ALL, FROM_EDGE, Inflow, write_inflow
from state.modules.shares import number_key
from state.view import Kind, View

RANK_BYTES = 5
"""Ranks fit 40 bits: a trillion assets."""


class Flow(Record):
    """Where the pass stands: the current generation, the queue of tables to sweep, what transactions left to pay.

    `holds` counts the legs on which a dispute holds a part back: where there is none, nobody has to look.
    """

    generation: Natural
    queue_head: Natural
    queue_tail: Natural
    waiting: Natural
    holds: Natural


class Entry(Record):
    """Income of an asset by one route: own income (`src`), what its descendants owe it (`rel`), since which generation.

    `since` is older than the inbox where income was parked and then claimed.
    """

    route: Natural
    src: Amount
    rel: Amount
    since: Natural


class Inbox(Record):
    """What an asset was handed in one generation, by route; `claimed` income is passed on however little it is."""

    entries: tuple[Entry, ...]
    claimed: bool


class Parked(Record):
    """Income below the dust limit, waiting for more; `since` is the generation of the oldest part."""

    src: Amount
    rel: Amount
    since: Natural


FLOW = Kind(b"flow", Flow)
INBOXES = Kind(b"inbox/", Inbox)
PARKED = Kind(b"parked/", Parked)

_IDLE = Flow(0, 0, 0, 0, 0)


def flow(view: View) -> Flow:
    return view.find(FLOW, b"") or _IDLE


def put_flow(view: View, record: Flow) -> None:
    view.put(FLOW, b"", record)


def hand(view: View, generation: int, rank: int, kind: int, origin: bytes, inflow: Inflow, route: int = ALL) -> None:
    """Puts an amount into an asset's inbox: as `rel` where it comes by an edge, else as `src`."""
    write_inflow(view, rank, route, generation, kind, origin, inflow)
    is_rel = kind == FROM_EDGE
    amount = inflow.amount_ubeat
    add(view, generation, rank, Entry(route, 0 if is_rel else amount, amount if is_rel else 0, generation))


def add(view: View, generation: int, rank: int, entry: Entry, claimed: bool = False) -> None:
    """Adds to an inbox, and the asset to those that the generation visits."""
    key = _key(generation, rank)
    inbox = view.find(INBOXES, key)
    if inbox is None:
        ordered.add(view, _set_name(generation), rank.to_bytes(RANK_BYTES, "big"))
        view.put(INBOXES, key, Inbox((entry,), claimed))
        return
    first = inbox.entries[0]
    if len(inbox.entries) == 1 and first.route == entry.route:
        view.put(INBOXES, key, Inbox((_sum(first, entry),), inbox.claimed or claimed))
        return
    entries = {item.route: item for item in inbox.entries}
    before = entries.get(entry.route)
    entries[entry.route] = entry if before is None else _sum(before, entry)
    view.put(INBOXES, key, Inbox(tuple(entries[route] for route in sorted(entries)), inbox.claimed or claimed))


def highest(view: View, generation: int) -> int | None:
    """The youngest asset that the generation has yet to visit."""
    member = ordered.last(view, _set_name(generation), RANK_BYTES)
    return None if member is None else int.from_bytes(member, "big")


def leave(view: View, generation: int, rank: int) -> None:
    """Takes an asset off the generation's list; its inbox stays."""
    ordered.remove(view, _set_name(generation), rank.to_bytes(RANK_BYTES, "big"))


def take(view: View, generation: int, rank: int) -> Inbox:
    """Removes and returns an asset's inbox."""
    key = _key(generation, rank)
    inbox = view.get(INBOXES, key)
    view.delete(INBOXES, key)
    return inbox


def advance(view: View) -> int:
    """The next generation becomes the current one, if anything is in it; returns the current one."""
    record = flow(view)
    if highest(view, record.generation + 1) is None:
        return record.generation
    put_flow(view, replace(record, generation=record.generation + 1))
    return record.generation + 1


def take_parked(view: View, rank: int) -> Parked | None:
    """Removes and returns what is parked at an asset."""
    parked = view.find(PARKED, number_key(rank))
    if parked is not None:
        view.delete(PARKED, number_key(rank))
    return parked


def _sum(before: Entry, entry: Entry) -> Entry:
    return Entry(entry.route, before.src + entry.src, before.rel + entry.rel, min(before.since, entry.since))


def _key(generation: int, rank: int) -> bytes:
    return number_key(generation) + number_key(rank)


def _set_name(generation: int) -> bytes:
    return b"inbox/" + number_key(generation)
