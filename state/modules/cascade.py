"""The pass: income goes from each asset to its ancestors and through its legs, youngest asset first.

Every amount moves to a strictly older asset, so each asset is visited once per generation and the pass ends. It is
bounded by a work budget: what is left over is state and goes on in the next block. Rules: docs/protocol/royalties.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from concento.encoding import BasisPoints, Bytes32, Natural, Record, encode
from concento.errors import Broken, Rejected
from concento.units import Amount
from state.modules import holds, inbox, pots, shares
from state.modules.inbox import Box, Boxes, Entry, Parked
from state.modules.revenue import (
    ALL,
    FROM_EDGE,
    FROM_LEG,
    OWN,
    Handed,
    Inflow,
    LegCredit,
    NodeRow,
    StuckRow,
    Tally,
    edge_origin,
    leg_of,
    node_key,
    node_origin,
    pot_of,
)
from state.modules.settlement import credit_table
from state.modules.shares import Holder, number_key
from state.view import Kind, View

WHOLE_BPS: Final = 10_000

POISONS: Final = (Rejected, ArithmeticError, LookupError, ValueError, TypeError)
"""What a record that makes no sense leads to. A record that cannot be read at all is `Broken` and stops the node."""


class Leg(Record):
    """A part of what an asset keeps: to an older asset or to a table of its own."""

    target: Holder
    weight: Natural


class Edge(Record):
    """What an asset owes an older one: a rate of all that it earns (`rel`), or of its own sources only (`abs`).

    `limited`: only until the ceiling of this pair is used up. An edge that was found later counts from its height on;
    edges never change and never go, so those of an old height are known.
    """

    parent: Natural
    bps: BasisPoints
    route: Natural
    limited: bool
    from_height: Natural = 0


class Payee(Record):
    """How an asset passes income on; `edges` in stored order, `claims` (absolute, one per ancestor) youngest first."""

    asset: Bytes32
    layer: str
    legs: tuple[Leg, ...]
    edges: tuple[Edge, ...]
    claims: tuple[Edge, ...]


class Ceiling(Record):
    """What an ancestor may still take from one descendant."""

    left: Amount


class RankOf(Record):
    """The rank of an asset."""

    rank: Natural


PAYEES = Kind(b"rank/", Payee)
RANKS = Kind(b"asset-rank/", RankOf)
CEILINGS = Kind(b"ceiling/", Ceiling)


class _Visit(Struct, frozen=True, gc=False):
    """A node being visited on one of its routes; `origin` names it in what it hands on."""

    generation: int
    rank: int
    route: int
    payee: Payee
    origin: bytes


def drain(view: View, tally: Tally, boxes: Boxes, generation: int, dust: int, work_max: int) -> bool:
    """Visits the assets of a generation, youngest first, while the budget lasts; True where none is left.

    A node whose records make no sense is left alone with its income, and the others go on.
    """
    inbox.deliver(boxes, tally.handed)
    inbox.start(view, boxes, generation)
    while tally.work < work_max:
        taken = inbox.take(view, boxes)
        if taken is None:
            return True
        rank, box = taken
        mark, tally_mark = view.mark(), tally.mark()
        try:
            _visit(view, tally, generation, rank, box, dust)
        except POISONS:
            view.rollback(mark)
            tally.rollback(tally_mark)
            inbox.leave_stuck(view, generation, rank, box)
            tally.work += 1
            tally.rows.append(encode(StuckRow(rank, 0, 0)))
        inbox.deliver(boxes, tally.handed)
    return inbox.is_empty(view, boxes, generation)


def rank_of(view: View, asset_id: bytes) -> int | None:
    """The rank of an asset, or None where it cannot earn yet."""
    found = view.find(RANKS, asset_id)
    return None if found is None else found.rank


def find_payee(view: View, rank: int) -> Payee:
    """How the asset of this rank passes income on. Raises Rejected where that is lost."""
    payee = view.find(PAYEES, number_key(rank))
    if payee is None:
        raise Rejected("royalties.record_missing", key=PAYEES.key(number_key(rank)))
    return payee


def ceiling_key(child: int, parent: int) -> bytes:
    return number_key(child) + number_key(parent)


def _visit(view: View, tally: Tally, generation: int, rank: int, box: Box, dust: int) -> None:
    payee = find_payee(view, rank)
    for entry in inbox.entries_of(box):
        if entry.route == ALL:
            entry = _with_parked(entry, inbox.take_parked(view, rank))
            if entry.src + entry.rel < dust and not box.claimed:
                view.put(inbox.PARKED, number_key(rank), Parked(entry.src, entry.rel, entry.since))
                tally.work += 2
                continue
        visit = _Visit(generation, rank, entry.route, payee, node_origin(rank, entry.route))
        _pass_on(view, tally, visit, entry)


def _with_parked(entry: Entry, parked: Parked | None) -> Entry:
    if parked is None:
        return entry
    return Entry(entry.route, entry.src + parked.src, entry.rel + parked.rel, min(entry.since, parked.since))


def _pass_on(view: View, tally: Tally, visit: _Visit, entry: Entry) -> None:
    """One row of the pass: absolute claims on the sources, relative edges on the rest, the legs share what is kept."""
    tally.work += 1
    abs_out, rel_out = _pay_ancestors(view, tally, visit, entry)
    keep = entry.src + entry.rel - abs_out - rel_out
    if keep < 0 or abs_out > entry.src:
        raise ValueError("an asset owes more than it earns")
    slot = len(tally.rows)
    held, leg_credits = _pay_legs(view, tally, visit, keep)
    row = NodeRow(
        view.height,
        visit.generation,
        visit.rank,
        visit.route,
        entry.since,
        entry.src,
        entry.rel,
        abs_out,
        rel_out,
        keep,
        held,
        tuple(leg_credits),
    )
    raw = encode(row)
    tally.rows.insert(slot, raw)
    view.put_history(node_key(visit.rank, visit.route, visit.generation), raw)


def _pay_ancestors(view: View, tally: Tally, visit: _Visit, entry: Entry) -> tuple[int, int]:
    """(absolute, relative) parts of the ancestors; of money that a leg gets back they had theirs before."""
    if leg_of(visit.route) is not None:
        return 0, 0
    payee = visit.payee
    abs_out = _pay_edges(view, tally, visit, 0, payee.claims, entry.src)
    income = entry.src + entry.rel - abs_out
    return abs_out, _pay_edges(view, tally, visit, len(payee.claims), payee.edges, income)


def _pay_edges(view: View, tally: Tally, visit: _Visit, first: int, edges: Sequence[Edge], base: int) -> int:
    """Hands each parent its rate of the base; returns the sum. What a ceiling refuses is not handed out."""
    total = 0
    for number, edge in enumerate(edges, first):
        if edge.from_height > view.height:
            continue
        tally.work += 1
        amount = base * edge.bps // WHOLE_BPS
        if edge.limited:
            amount = _within_ceiling(view, visit.rank, edge.parent, amount)
        if amount:
            _check_older(visit.rank, edge.parent)
            total += amount
            tally.work += 1
            inflow = Inflow(FROM_EDGE, edge_origin(visit.origin, number), amount)
            tally.handed.append(Handed(visit.generation, edge.parent, edge.route, inflow))
    return total


def _within_ceiling(view: View, child: int, parent: int, amount: int) -> int:
    ceiling = view.find(CEILINGS, ceiling_key(child, parent))
    if ceiling is None:
        raise Rejected("royalties.record_missing", key=CEILINGS.key(ceiling_key(child, parent)))
    taken = min(amount, ceiling.left)
    if taken:
        view.put(CEILINGS, ceiling_key(child, parent), Ceiling(ceiling.left - taken))
    return taken


def _pay_legs(view: View, tally: Tally, visit: _Visit, keep: int) -> tuple[int, list[LegCredit]]:
    """Divides what is kept by weight, the last leg takes what is left; returns (held back, tables' credits)."""
    legs = _legs_of(visit)
    weights = sum([leg.weight for _, leg in legs])
    last = legs[-1][0]
    may_hold = leg_of(visit.route) is None and inbox.flow(view).holds > 0
    left, held_sum = keep, 0
    credited: list[LegCredit] = []
    for number, leg in legs:
        tally.work += 1
        amount = left if number == last else keep * leg.weight // weights
        left -= amount
        held = holds.hold_back(view, visit.rank, number, amount) if may_hold else 0
        held_sum += held
        if amount - held or pot_of(visit.route) is not None:
            tally.work += 1
            _pay_leg(view, tally, visit, number, leg, amount - held, credited)
    return held_sum, credited


def _legs_of(visit: _Visit) -> list[tuple[int, Leg]]:
    legs = list(enumerate(visit.payee.legs))
    only = len(legs) - 1 if visit.route == OWN else leg_of(visit.route)
    return legs if only is None else legs[only : only + 1]


def _pay_leg(
    view: View, tally: Tally, visit: _Visit, number: int, leg: Leg, amount: int, credited: list[LegCredit]
) -> None:
    pot = pot_of(visit.route)
    if pot is not None and number == 0:
        pots.fill(view, tally, pot, amount, visit.generation)
        return
    if not amount:
        return
    table = shares.held_table(leg.target)
    if table is not None:
        by = visit.rank, visit.route, visit.generation
        before = credit_table(view, tally, table, amount, visit.generation, by)
        credited.append(LegCredit(number, table, before, before + amount))
        return
    rank = shares.held_asset(leg.target)
    if rank is None:
        raise Broken("leg {leg} of rank {rank} leads to an account", leg=number, rank=visit.rank)
    _check_older(visit.rank, rank)
    inflow = Inflow(FROM_LEG, edge_origin(visit.origin, number), amount)
    tally.handed.append(Handed(visit.generation, rank, ALL, inflow))


def _check_older(rank: int, target: int) -> None:
    if target >= rank:
        raise Rejected("royalties.holder_too_young", rank=target)
