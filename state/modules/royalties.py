"""Royalties: every payment to an asset reaches the people behind it, exactly and without anybody asking.

A payment is taken when its transaction runs (`pay_asset`); at the end of the block `finalise` passes all income on,
youngest asset first (`cascade.py`), settles share tables (`shares.py`, `settlement.py`, `sweep.py`) and pays accounts
(`payout.py`). Rules and the proof that nothing is lost: docs/protocol/royalties.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from concento.encoding import encode
from concento.errors import Broken, Rejected
from concento.genesis import Params
from concento.hashing import NO_HASH
from concento.limits import LEGS_MAX, WORKS_MAX
from concento.messages.royalties import Claim, Sweep
from state.calls import Call, Event, Finalised, Value
from state.modules import inbox, payout, pots, settlement, shares, tokens
from state.modules.cascade import (
    CEILINGS,
    PAYEES,
    RANKS,
    WHOLE_BPS,
    Ceiling,
    Edge,
    Leg,
    Payee,
    RankOf,
    ceiling_key,
    drain,
    find_payee,
    rank_of,
)
from state.modules.inbox import Boxes
from state.modules.payout import Payment
from state.modules.revenue import (
    ALL,
    FROM_SOURCE,
    OWN,
    PAYOUTS_PER_ROW,
    Handed,
    Inflow,
    LedgerPaymentRow,
    Payout,
    PayoutRow,
    Source,
    Tally,
    holder_key,
    leg_route,
)
from state.modules.shares import SPLIT_SHARES, account_holder, asset_holder, number_key, table_holder
from state.modules.sweep import budget_of, sweep
from state.view import View

PAY_WEIGHT: Final = 8
"""Records that one payment writes at most: an inbox and its place in the list, two buckets, history."""

CLAIM_WEIGHT: Final = shares.PAGE_ROWS + 8
"""A page's rows and what surrounds them."""

EVENTS_MAX: Final = 1_000
"""Incomes of one block that are told one by one: a sweep of a large table must not flood subscribers."""

_LEGS_MOST: Final = max(LEGS_MAX, WORKS_MAX + 1)
"""Legs of a recording, or of a remix with the works behind all of its parents."""

_RANK_MAX: Final = 256**inbox.RANK_BYTES - 1


_PAID: Final = "royalties/paid"
_SETTLED: Final = "royalties/settled"
"""What transactions leave for the end of the block: payments to assets, and what was settled on the way."""


# What other modules make: tables, assets, payments


def table_leg(table: int, weight: int) -> Leg:
    """A leg to a table of the asset's own."""
    return Leg(table_holder(table), weight)


def asset_leg(rank: int, weight: int) -> Leg:
    """A leg to an older asset."""
    return Leg(asset_holder(rank), weight)


def open_table(view: View) -> int:
    """A table that gets its rows in chunks, until an asset takes it as its own."""
    return shares.open_table(view)


def new_table(view: View, rows: Sequence[tuple[bytes, int]], vault: bool = False) -> int:
    """A split: (holder, shares) in order, one page at most. A vault belongs to no asset and can be held itself."""
    if len(rows) > shares.PAGE_ROWS:
        raise Broken("a split of {rows} rows does not fit one page", rows=len(rows))
    table = shares.new_table(view, rows, vault)
    _index_holders(view, table, 0, rows)
    return table


def add_rows(view: View, table: int, rows: Sequence[tuple[bytes, int]]) -> None:
    """Appends (holder, shares) to an open table."""
    first = shares.find_table(view, table).rows
    shares.add_rows(view, table, rows)
    _index_holders(view, table, first, rows)


def new_asset(
    view: View,
    asset_id: bytes,
    layer: str,
    legs: Sequence[Leg],
    edges: Sequence[Edge] = (),
    claims: Sequence[Edge] = (),
) -> int:
    """The asset can earn from now on; returns its rank. Legs in order, its own table last; `layer` is for people.

    Everything that the asset or its tables name is older, because nothing else has a rank yet.
    """
    if rank_of(view, asset_id) is not None:
        raise Broken("asset {asset} has a rank already", asset=asset_id)
    rank = shares.next_number(view, b"rank")
    _check_payee(view, rank, legs, edges, claims)
    for leg in legs:
        table = shares.held_table(leg.target)
        if table is not None:
            shares.seal_table(view, table, rank)
    view.put(PAYEES, number_key(rank), Payee(asset_id, layer, tuple(legs), tuple(edges), tuple(claims)))
    view.put(RANKS, asset_id, RankOf(rank))
    return rank


def set_ceiling(view: View, child: int, parent: int, ceiling_ubeat: int) -> None:
    """What `parent` may take from `child` in all (ranks); a pair that has a ceiling already keeps the higher one."""
    key = ceiling_key(child, parent)
    known = view.find(CEILINGS, key)
    view.put(CEILINGS, key, Ceiling(ceiling_ubeat if known is None else max(known.left, ceiling_ubeat)))


def rate_left_bps(view: View, asset_id: bytes) -> int:
    """What an asset owes nobody yet: the most that another edge may take."""
    payee = find_payee(view, _require_rank(view, asset_id))
    return WHOLE_BPS - sum(edge.bps for edge in (*payee.edges, *payee.claims))


def add_edge(view: View, asset_id: bytes, edge: Edge) -> None:
    """One more edge, behind the others, from the height that it names on."""
    rank = _require_rank(view, asset_id)
    payee = find_payee(view, rank)
    edges = (*payee.edges, edge)
    _check_payee(view, rank, payee.legs, edges, payee.claims)
    if edge.parent >= rank or edge.from_height <= view.height:
        raise Broken("an edge of rank {rank} leads upwards or into the past", rank=rank)
    view.put(PAYEES, number_key(rank), replace(payee, edges=edges))


def pay_asset(
    view: View,
    call: Call,
    asset_id: bytes,
    gross_ubeat: int,
    cause: str,
    cause_id: bytes,
    payer: bytes,
    route: int = ALL,
) -> Event:
    """A payment that was taken from the payer just before: the market fee, and the rest on its way to the holders.

    Raises Rejected("royalties.not_sealed") where the asset cannot earn.
    """
    rank = _require_rank(view, asset_id)
    fee = gross_ubeat * call.params.fees.market_bps // WHOLE_BPS
    net = gross_ubeat - fee
    view.note(_PAID, (call.tx, call.action_index, cause, cause_id, payer, asset_id, rank, route, gross_ubeat, fee, net))
    return Event(
        "royalties.accrued",
        {
            "asset": asset_id,
            "cause": cause,
            "cause_id": cause_id,
            "payer": payer,
            "gross_ubeat": gross_ubeat,
            "fee_ubeat": fee,
            "net_ubeat": net,
        },
    )


def transfer_shares(
    view: View,
    row_threshold: int,
    table: int,
    source: tuple[int, bytes],
    target: tuple[int, bytes],
    count: int,
) -> int:
    """Shares change hands: income up to now stays the seller's, what comes later in this block is the buyer's.

    Seller and buyer are holders named with the page of their row. Returns the buyer's page. Raises Rejected, see
    `shares.move`.
    """
    tally = Tally(row_threshold)
    record = shares.find_table(view, table)
    shares.check_order(view, record, target[1])
    pages = {source[0], target[0], shares.page_count(record) - 1}
    for page in sorted(pages):
        settlement.settle_page(view, tally, table, page, inbox.flow(view).generation + 1)
    page, row = shares.move(view, table, source, target, count)
    account = shares.held_account(target[1])
    if account is not None:
        _index_holder(view, account, table, page, row)
    _leave(view, tally)
    return page


def replace_table(view: View, row_threshold: int, asset_id: bytes, leg: int, rows: Sequence[tuple[bytes, int]]) -> int:
    """Another split takes the place of the one behind an asset's leg; what came before this block is the old one's."""
    old, rank = require_table(view, asset_id, leg), _require_rank(view, asset_id)
    tally = Tally(row_threshold)
    settlement.settle_page(view, tally, old, 0, inbox.flow(view).generation + 1)
    _leave(view, tally)
    table = new_table(view, rows)
    shares.seal_table(view, table, rank)
    payee = find_payee(view, rank)
    legs = (*payee.legs[:leg], replace(payee.legs[leg], target=table_holder(table)), *payee.legs[leg + 1 :])
    view.put(PAYEES, number_key(rank), replace(payee, legs=legs))
    return table


def return_to_leg(view: View, asset_id: bytes, leg: int, amount_ubeat: int, cause_id: bytes) -> None:
    """What was held back from a leg goes into it after all; the caller takes it from another bucket."""
    _pay_in(view, asset_id, leg_route(leg), "dispute", cause_id, amount_ubeat)


def pay_reward(view: View, asset_id: bytes, amount_ubeat: int, cause_id: bytes) -> None:
    """Money made for an asset's use, without fee; the caller mints it."""
    _pay_in(view, asset_id, ALL, "reward", cause_id, amount_ubeat)


def _pay_in(view: View, asset_id: bytes, route: int, cause: str, cause_id: bytes, amount_ubeat: int) -> None:
    """A payment that nobody makes: it has no payer, and outside of transactions no transaction."""
    rank = _require_rank(view, asset_id)
    tx = view.tx or NO_HASH
    view.note(_PAID, (tx, 0, cause, cause_id, NO_HASH, asset_id, rank, route, amount_ubeat, 0, amount_ubeat))


def hand(view: View, handed: list[Handed]) -> None:
    """What assets are handed beside the pass: posted usage of a dataset's members."""
    _leave(view, Tally(0, handed=handed))


def require_leg(view: View, asset_id: bytes, leg: int) -> None:
    """Raises Rejected("royalties.no_leg") unless the asset has such a leg."""
    if leg >= len(find_payee(view, _require_rank(view, asset_id)).legs):
        raise Rejected("royalties.no_leg", asset=asset_id, leg=leg)


def require_table(view: View, asset_id: bytes, leg: int) -> int:
    """The table behind an asset's leg. Raises Rejected where the asset cannot earn or the leg has none."""
    legs = find_payee(view, _require_rank(view, asset_id)).legs
    table = shares.held_table(legs[leg].target) if leg < len(legs) else None
    if table is None:
        raise Rejected("royalties.no_leg", asset=asset_id, leg=leg)
    return table


def touch(view: View, account: bytes) -> None:
    """What waits for this account is looked at again at the end of the block: its policy or its binding changed."""
    if view.find(payout.DUES, account) is not None:
        _leave(view, Tally(0, touched=[account]))


# Claim and Sweep


def check_claim(view: View, _call: Call, message: Claim) -> None:
    table = require_table(view, message.asset, message.leg)
    pages = shares.page_count(shares.find_table(view, table))
    if message.page >= pages:
        raise Rejected("royalties.no_page", table=table, page=message.page, pages=pages)


def apply_claim(view: View, call: Call, message: Claim) -> list[Event]:
    """Anybody may claim for the page; only the sender's own waiting money ignores its payout policy."""
    tally = Tally(call.params.revenue.row_threshold, claimants=[call.sender])
    rank = _require_rank(view, message.asset)
    table = require_table(view, message.asset, message.leg)
    settled = settlement.settle_page(view, tally, table, message.page, inbox.flow(view).generation + 1)
    tally.claimed.append(rank)
    _leave(view, tally)
    fields: dict[str, Value] = {"asset": message.asset, "leg": message.leg, "page": message.page}
    return [Event("royalties.claimed", {**fields, "settled_ubeat": settled})]


def weigh_claim(_message: Claim) -> int:
    return CLAIM_WEIGHT


def check_sweep(view: View, _call: Call, message: Sweep) -> None:
    table = require_table(view, message.asset, message.leg)
    rows = shares.find_table(view, table).rows
    if message.rows < rows:
        raise Rejected("royalties.rows_few", rows=rows, given=message.rows)


def apply_sweep(view: View, _call: Call, message: Sweep) -> list[Event]:
    """A table that is queued already, or of one page and so always current, needs nothing."""
    table = require_table(view, message.asset, message.leg)
    record = shares.find_table(view, table)
    if not record.queued and not shares.is_single(record):
        settlement.enqueue(view, table)
    return [Event("royalties.sweep_queued", {"asset": message.asset, "leg": message.leg, "rows": record.rows})]


def weigh_sweep(message: Sweep) -> int:
    """A row's part ends in a balance or an inbox: two records each."""
    return 4 + 2 * message.rows


# The end of a block


def finalise(view: View, params: Params, weight: int) -> Finalised:
    """Passes on, settles and pays, within the block's budgets; `weight` is what its transactions used. Never refuses.

    A sweep comes before the pass where the pass is idle, and after it where it was behind and has caught up.
    """
    revenue = params.revenue
    generation = inbox.flow(view).generation
    boxes = Boxes()
    tally = _collect(view, boxes, revenue.row_threshold, generation + 1)
    budget = budget_of(params, weight)
    pots.close_due(view, tally, generation + 1)
    swept = inbox.is_empty(view, boxes, generation)
    if swept:
        sweep(view, tally, generation + 1, budget)
        inbox.deliver(boxes, tally.handed)
        generation = inbox.advance(view, boxes)
    drained = drain(view, tally, boxes, generation, revenue.dust, revenue.work)
    if drained and not swept:
        sweep(view, tally, generation + 1, budget)
        inbox.deliver(boxes, tally.handed)
        drain(view, tally, boxes, inbox.advance(view, boxes), revenue.dust, revenue.work)
    inbox.close(view, boxes)
    payments = payout.pay_out(view, tally, max(1, budget // settlement.PART_WORK))
    rows = [*tally.rows, *_payout_rows([payment.payout for payment in payments])]
    return Finalised(rows, _payout_events(view, payments))


def _payout_rows(payouts: Sequence[Payout]) -> list[bytes]:
    starts = range(0, len(payouts), PAYOUTS_PER_ROW)
    return [encode(PayoutRow(tuple(payouts[start : start + PAYOUTS_PER_ROW]))) for start in starts]


def _payout_events(view: View, payments: Sequence[Payment]) -> list[Event]:
    """Who was paid what for which asset, account by account; above a limit, one event for all the rest."""
    events: list[Event] = []
    for number, payment in enumerate(payments):
        if len(events) >= EVENTS_MAX:
            total = sum(rest.payout.amount_ubeat for rest in payments[number:])
            fields: dict[str, Value] = {"accounts": len(payments) - number, "amount_ubeat": total}
            return [*events, Event("royalties.paid_more", fields)]
        events += _paid_events(view, payment)
    return events


def _paid_events(view: View, payment: Payment) -> list[Event]:
    """One event per table that paid in this block, and one without an asset for what was due before."""
    earned: dict[int, int] = {}
    for line in payment.lines:
        earned[line.table] = earned.get(line.table, 0) + line.amount_ubeat
    before = payment.payout.amount_ubeat - sum(earned.values())
    events = [_paid_event(payment, *_owner_of(view, table), amount) for table, amount in earned.items()]
    return [*events, _paid_event(payment, None, "", before)] if before else events


def _paid_event(payment: Payment, asset: bytes | None, layer: str, amount_ubeat: int) -> Event:
    fields = {"asset": asset, "party": payment.payout.account, "layer": layer, "amount_ubeat": amount_ubeat}
    return Event("royalties.paid", {**fields})


def _owner_of(view: View, table: int) -> tuple[bytes | None, str]:
    """The asset that a table belongs to and its layer; a vault belongs to none."""
    record = shares.find_table(view, table)
    if record.vault:
        return None, "vault"
    payee = find_payee(view, record.rank)
    return payee.asset, payee.layer


def _leave(view: View, tally: Tally) -> None:
    """Leaves what a transaction settled for the end of the block."""
    view.note(_SETTLED, tally)


def _collect(view: View, boxes: Boxes, row_threshold: int, generation: int) -> Tally:
    """Takes what the block left: its payments, and what is claimed of parked income, go to the generation."""
    tally = Tally(row_threshold)
    for left in view.take_notes(_SETTLED):
        tally.take_over(left)
    fees = nets = 0
    for number, note in enumerate(view.take_notes(_PAID)):
        source = Source(number, view.time_ms, *note)
        fees += source.fee_ubeat
        nets += source.net_ubeat
        if source.tx == NO_HASH:
            own = LedgerPaymentRow(source.rank, source.route, source.cause, source.cause_id, source.net_ubeat)
            tally.rows.append(encode(own))
        if source.net_ubeat:
            inflow = Inflow(FROM_SOURCE, encode(source), source.net_ubeat)
            tally.handed.append(Handed(generation, source.rank, source.route, inflow))
    tokens.bucket_add(view, "fees", fees)
    tokens.bucket_add(view, "royalties", nets)
    inbox.deliver(boxes, tally.handed)
    for rank in tally.claimed:
        parked = inbox.take_parked(view, rank)
        if parked is not None:
            inbox.deliver_claimed(boxes, generation, rank, parked)
    return tally


# Checks


def _require_rank(view: View, asset_id: bytes) -> int:
    rank = rank_of(view, asset_id)
    if rank is None:
        raise Rejected("royalties.not_sealed", asset=asset_id)
    return rank


def _check_payee(view: View, rank: int, legs: Sequence[Leg], edges: Sequence[Edge], claims: Sequence[Edge]) -> None:
    """What was checked before this point, once more: the pass relies on it and cannot refuse."""
    if rank > _RANK_MAX:
        raise Broken("no rank is left")
    if not 1 <= len(legs) <= _LEGS_MOST or any(leg.weight < 1 for leg in legs):
        raise Broken("an asset needs one to {most} legs with a weight each", most=_LEGS_MOST)
    if shares.held_table(legs[-1].target) is None:
        raise Broken("the last leg of an asset is a table of its own")
    parents = [edge.parent for edge in (*edges, *claims)]
    parents += [found for leg in legs if (found := shares.held_asset(leg.target)) is not None]
    for parent in parents:
        if view.find(PAYEES, number_key(parent)) is None:
            raise Broken("rank {rank} is not an asset that can be named", rank=parent)
    if sum(edge.bps for edge in (*edges, *claims)) > WHOLE_BPS:
        raise Broken("an asset would owe more than it earns")


def _index_holders(view: View, table: int, first: int, rows: Sequence[tuple[bytes, int]]) -> None:
    for number, (holder, _) in enumerate(rows, first):
        account = shares.held_account(holder)
        if account is not None:
            _index_holder(view, account, table, *divmod(number, shares.PAGE_ROWS))


def _index_holder(view: View, account: bytes, table: int, page: int, row: int) -> None:
    moment = number_key(view.height) + view.history_count.to_bytes(4, "big")
    view.put_history(holder_key(account, table, page, row, moment), b"")


__all__ = [
    "ALL",
    "OWN",
    "PAY_WEIGHT",
    "SPLIT_SHARES",
    "WHOLE_BPS",
    "Edge",
    "Finalised",
    "Leg",
    "account_holder",
    "add_edge",
    "add_rows",
    "apply_claim",
    "apply_sweep",
    "asset_holder",
    "asset_leg",
    "check_claim",
    "check_sweep",
    "finalise",
    "new_asset",
    "new_table",
    "open_table",
    "pay_asset",
    "rank_of",
    "rate_left_bps",
    "require_table",
    "set_ceiling",
    "table_leg",
    "touch",
    "transfer_shares",
    "weigh_claim",
    "weigh_sweep",
]
