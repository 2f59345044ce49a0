"""Income on its way between assets: what each asset was handed, per generation and route, and what is parked.

`cur` is the generation being passed on, `next` the one that sources and sweeps fill. Generations keep an overload
fair: with one inbox taken highest rank first, the oldest asset would wait for ever.

What a block hands out it mostly passes on itself: its inboxes are kept beside the state (`Boxes`), and only those that
are still full at its end become records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from msgspec import Struct
from msgspec.structs import replace

from concento.encoding import Natural, Record
from concento.units import Amount
from state import ordered
from state.modules.revenue import ALL, FROM_EDGE, Handed, Inflow, write_inflows
from state.modules.shares import number_key
from state.view import Kind, View

RANK_BYTES = 5
"""Ranks fit 40 bits: a trillion assets."""


class Flow(Record):
    """Where the pass stands: the current generation, the queue of tables to sweep.

    `holds` counts the legs on which a dispute holds a part back: where there is none, nobody has to look.
    """

    generation: Natural
    queue_head: Natural
    queue_tail: Natural
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

_IDLE = Flow(0, 0, 0, 0)


class Sums(Struct):
    """What came in by one route, and in this block by whom."""

    src: int
    rel: int
    since: int
    inflows: list[Inflow]


class Box(Struct):
    """What one asset was handed, by route."""

    sums: dict[int, Sums]
    claimed: bool


@dataclass(slots=True)
class Boxes:
    """What this block handed out and no asset has passed on yet, and who handed over what is passed on.

    Of the generation being passed on, `waiting` has the ranks, negated: the youngest asset is its least. `stored` is
    the youngest that earlier blocks left, or -1.
    """

    by_generation: dict[int, dict[int, Box]] = field(default_factory=dict)
    passed: list[tuple[int, int, int, list[Inflow]]] = field(default_factory=list)
    generation: int = -1
    waiting: list[int] = field(default_factory=list)
    stored: int = -1


def flow(view: View) -> Flow:
    return view.find(FLOW, b"") or _IDLE


def put_flow(view: View, record: Flow) -> None:
    view.put(FLOW, b"", record)


def deliver(boxes: Boxes, handed: list[Handed]) -> None:
    """Puts amounts into inboxes, as `rel` where they come by an edge, else as `src`, and empties the list."""
    for one in handed:
        inflow, generation, route = one.inflow, one.generation, one.route
        sums = _box(boxes, generation, one.rank).sums
        found = sums.get(route)
        if found is None:
            found = sums[route] = Sums(0, 0, generation, [])
        if inflow.kind == FROM_EDGE:
            found.rel += inflow.amount_ubeat
        else:
            found.src += inflow.amount_ubeat
        found.inflows.append(inflow)
    handed.clear()


def deliver_claimed(boxes: Boxes, generation: int, rank: int, parked: Parked) -> None:
    """What was parked goes on in this generation, however little it is."""
    box = _box(boxes, generation, rank)
    box.claimed = True
    _add(box.sums, Entry(ALL, parked.src, parked.rel, parked.since))


def start(view: View, boxes: Boxes, generation: int) -> None:
    """From now on this generation is passed on."""
    boxes.generation = generation
    boxes.waiting = [-rank for rank in boxes.by_generation.get(generation, ())]
    heapify(boxes.waiting)
    boxes.stored = _highest_stored(view, generation)


def is_empty(view: View, boxes: Boxes, generation: int) -> bool:
    """Whether no asset waits in a generation."""
    return not boxes.by_generation.get(generation) and _highest_stored(view, generation) < 0


def advance(view: View, boxes: Boxes) -> int:
    """The next generation becomes the current one, if anything is in it; returns the current one."""
    record = flow(view)
    if is_empty(view, boxes, record.generation + 1):
        return record.generation
    put_flow(view, replace(record, generation=record.generation + 1))
    return record.generation + 1


def take(view: View, boxes: Boxes) -> tuple[int, Box] | None:
    """Removes and returns what the youngest asset was handed that the generation has yet to visit, if there is one."""
    fresh = -boxes.waiting[0] if boxes.waiting else -1
    rank = max(fresh, boxes.stored)
    if rank < 0:
        return None
    if rank == fresh:
        heappop(boxes.waiting)
        box = boxes.by_generation[boxes.generation].pop(rank)
        _remember(boxes, boxes.generation, rank, box)
    else:
        box = Box({}, False)
    if rank == boxes.stored:
        ordered.remove(view, _set_name(boxes.generation), rank.to_bytes(RANK_BYTES, "big"))
        boxes.stored = _highest_stored(view, boxes.generation)
        _merge(box, _take_stored(view, _key(boxes.generation, rank)))
    return rank, box


def entries_of(box: Box) -> list[Entry]:
    """What a box holds, in the order of the routes."""
    return [Entry(route, sums.src, sums.rel, sums.since) for route, sums in sorted(box.sums.items())]


def leave_stuck(view: View, generation: int, rank: int, box: Box) -> None:
    """An asset that cannot pass its income on keeps it, and is off the list."""
    _store(view, _key(generation, rank), box)


def close(view: View, boxes: Boxes) -> None:
    """The end of the block: what is left becomes records, and who handed what is remembered."""
    for generation, left in boxes.by_generation.items():
        for rank, box in left.items():
            _remember(boxes, generation, rank, box)
            ordered.add(view, _set_name(generation), rank.to_bytes(RANK_BYTES, "big"))
            _store(view, _key(generation, rank), box)
    for rank, route, generation, inflows in boxes.passed:
        write_inflows(view, rank, route, generation, inflows)


def take_parked(view: View, rank: int) -> Parked | None:
    """Removes and returns what is parked at an asset."""
    parked = view.find(PARKED, number_key(rank))
    if parked is not None:
        view.delete(PARKED, number_key(rank))
    return parked


def _box(boxes: Boxes, generation: int, rank: int) -> Box:
    """The asset's, which waits from now on if its generation is being passed on."""
    of_generation = boxes.by_generation.get(generation)
    if of_generation is None:
        of_generation = boxes.by_generation[generation] = {}
    box = of_generation.get(rank)
    if box is None:
        box = of_generation[rank] = Box({}, False)
        if generation == boxes.generation:
            heappush(boxes.waiting, -rank)
    return box


def _highest_stored(view: View, generation: int) -> int:
    member = ordered.last(view, _set_name(generation), RANK_BYTES)
    return -1 if member is None else int.from_bytes(member, "big")


def _store(view: View, key: bytes, box: Box) -> None:
    _merge(box, _take_stored(view, key))
    view.put(INBOXES, key, _record(box))


def _take_stored(view: View, key: bytes) -> Inbox:
    found = view.find(INBOXES, key)
    if found is None:
        return Inbox((), False)
    view.delete(INBOXES, key)
    return found


def _merge(box: Box, inbox: Inbox) -> None:
    box.claimed = box.claimed or inbox.claimed
    for entry in inbox.entries:
        _add(box.sums, entry)


def _add(sums: dict[int, Sums], entry: Entry) -> None:
    found = sums.setdefault(entry.route, Sums(0, 0, entry.since, []))
    found.src += entry.src
    found.rel += entry.rel
    found.since = min(found.since, entry.since)


def _record(box: Box) -> Inbox:
    return Inbox(tuple(entries_of(box)), box.claimed)


def _remember(boxes: Boxes, generation: int, rank: int, box: Box) -> None:
    for route, sums in box.sums.items():
        if sums.inflows:
            boxes.passed.append((rank, route, generation, sums.inflows))


def _key(generation: int, rank: int) -> bytes:
    return number_key(generation) + number_key(rank)


def _set_name(generation: int) -> bytes:
    return b"inbox/" + number_key(generation)
