"""Metered money by use: readers of a usage-weighted dataset sign what they used, and each member is paid for it.

Only for metered money: of a flat price whoever picks what he reads would steal the pool. What the closing voucher
signs is posted in order by anybody until a deadline; the rest goes by weight. Rules: docs/protocol/shares.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.errors import Rejected
from concento.merkle import range_root
from concento.messages.receipts import PostUsage, usage_leaf, usage_root
from state import wheel
from state.calls import Call, Event, Value
from state.modules import inbox, pots, royalties
from state.modules.datasets import DATASETS, MEMBERS_AT, member_at_key
from state.modules.pots import POTS, Pot
from state.modules.revenue import FROM_POT, Handed, Inflow, pot_origin, pot_route
from state.modules.shares import number_key
from state.view import View

ROW_WEIGHT: Final = 5
"""A member's inbox, its place in the order of the pass, and history."""


def route_by_use(
    view: View, call: Call, asset: bytes, first: int, units: int, signed_root: bytes
) -> tuple[int, Event | None]:
    """The route of a batch's money: to a pot where the dataset goes by use and the voucher says by which."""
    dataset = view.find(DATASETS, asset)
    rank = royalties.rank_of(view, asset)
    if not signed_root or dataset is None or dataset.weight_rule != "usage" or rank is None:
        return royalties.ALL, None
    deadline_ms = call.time_ms + call.params.access.anchor_window_ms
    pot = Pot(
        asset=asset,
        rank=rank,
        table=dataset.table,
        first=first,
        usage_root=signed_root,
        units=units,
        amount_ubeat=0,
        paid_ubeat=0,
        rows=0,
        used=0,
        generation=0,
        deadline_ms=deadline_ms,
        closed=False,
    )
    number = pots.open_pot(view, pot)
    fields: dict[str, Value] = {"pot": number, "asset": asset, "first": first, "units": units, "root": signed_root}
    return pot_route(number), Event("usage.opened", {**fields, "deadline_ms": deadline_ms})


def check_post_usage(view: View, _call: Call, message: PostUsage) -> None:
    pot = pots.find_pot(view, message.pot)
    if pot.closed:
        raise Rejected("usage.closed", pot=message.pot)
    if not pot.generation:
        raise Rejected("usage.not_filled", pot=message.pot)
    if message.start != pot.rows:
        raise Rejected("usage.order", pot=message.pot, next=pot.rows, start=message.start)
    used = pot.used + sum(row.units for row in message.rows)
    if used > pot.units:
        raise Rejected("usage.units_exceeded", units=used, units_total=pot.units)
    root = range_root([usage_leaf(row) for row in message.rows], message.start, message.size, message.proof)
    if usage_root(pot.first, message.size, root) != pot.usage_root:
        raise Rejected("usage.root_differs")
    for row in message.rows:
        if view.find(MEMBERS_AT, member_at_key(pot.asset, row.member)) is None:
            raise Rejected("usage.unknown_member", asset=pot.asset, index=row.member)


def apply_post_usage(view: View, _call: Call, message: PostUsage) -> list[Event]:
    """Each row gets the difference of two floors: together they are exact, however the rows are cut."""
    pot = pots.find_pot(view, message.pot)
    following = inbox.flow(view).generation + 1
    handed: list[Handed] = []
    used = pot.used
    for number, row in enumerate(message.rows, message.start):
        before, used = used, used + row.units
        amount = pot.amount_ubeat * used // pot.units - pot.amount_ubeat * before // pot.units
        member = view.get(MEMBERS_AT, member_at_key(pot.asset, row.member)).asset
        rank = royalties.rank_of(view, member)
        if amount and rank is not None:
            origin = pot_origin(pot.rank, pot_route(message.pot), pot.generation, number)
            handed.append(Handed(following, rank, royalties.ALL, Inflow(FROM_POT, origin, amount)))
    royalties.hand(view, handed)
    paid = pot.amount_ubeat * used // pot.units
    posted = replace(pot, rows=pot.rows + len(message.rows), used=used, paid_ubeat=paid)
    if paid == pot.amount_ubeat:
        view.delete(POTS, number_key(message.pot))
    else:
        view.put(POTS, number_key(message.pot), posted)
        if posted.rows == message.size:
            # Nothing more can be posted: what is left goes by weight at the end of this block.
            wheel.put(view, pots.WHEEL, view.time_ms, number_key(message.pot))
    fields: dict[str, Value] = {
        "pot": message.pot,
        "asset": pot.asset,
        "rows": len(message.rows),
        "units": used - pot.used,
    }
    return [Event("usage.posted", {**fields, "amount_ubeat": paid - pot.paid_ubeat})]


def weigh_post_usage(message: PostUsage) -> int:
    return 8 + ROW_WEIGHT * len(message.rows)
