"""From a credit to the holders: a table of one page is settled at once, a larger one is queued for the sweep.

Whatever a row gets goes on from here: to an account (paid at the end of the block), to an asset (its inbox of the
given generation), or to a vault (a credit of its table).
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.encoding import Natural, Record, encode
from state.modules import inbox, shares
from state.modules.revenue import (
    ALL,
    FROM_ROW,
    Credit,
    Handed,
    Inflow,
    Line,
    SettlementRow,
    Tally,
    credit_key,
    row_origin,
)
from state.modules.shares import Part, Settlement, number_key
from state.view import Kind, View

PART_WORK: Final = 4
"""What a row's part writes until it has arrived: a balance, its movement, the line and the payout; or, for an asset,
its inbox, the place in the list and the inflow. 100,000 units are about 20,000 holders, a second of work."""


class QueueItem(Record):
    """A table whose turn in the sweep comes."""

    table: Natural


QUEUE = Kind(b"queue/", QueueItem)


def credit_table(
    view: View,
    tally: Tally,
    table: int,
    amount_ubeat: int,
    generation: int,
    by: tuple[int, int, int],
    inflow: Inflow | None = None,
) -> int:
    """Credits a table, and settles it where it has one page; returns K before.

    `by` is the rank, route and generation of the node that pays; a row pays a vault by an inflow instead. Raises
    Rejected where the table is lost or cannot count any more.
    """
    record = shares.find_table(view, table)
    credited = shares.credited(record, table, amount_ubeat)
    credit = Credit(view.height, record.credited, *by, inflow)
    view.put_history(credit_key(table, credited), encode(credit))
    if shares.is_single(record):
        # Whoever knows the credit knows the settlement: it needs no row of its own.
        _hand_out(view, tally, shares.settle_single(view, table, record, credited), generation)
    else:
        view.put(shares.TABLES, number_key(table), replace(record, credited=credited))
        enqueue_if_due(view, table, tally.row_threshold)
    return record.credited


def settle_page(view: View, tally: Tally, table: int, page: int, generation: int) -> int:
    """Settles one page and hands the parts to their holders; returns the sum of the parts."""
    settlement = shares.settle(view, table, shares.find_table(view, table), page)
    if settlement is not None:
        tally.rows.append(encode(SettlementRow(table, page, settlement.seen, settlement.credited)))
    return _hand_out(view, tally, settlement, generation)


def _hand_out(view: View, tally: Tally, settlement: Settlement | None, generation: int) -> int:
    tally.work += 1
    if settlement is None:
        return 0
    tally.work += settlement.rows + PART_WORK * len(settlement.parts)
    table, page, total = settlement.table, settlement.page, settlement.total
    seen, credited = settlement.seen, settlement.credited
    settled = 0
    for number, row, amount in settlement.parts:
        settled += amount
        account = shares.held_account(row.holder)
        if account is None:
            _pass_up(view, tally, settlement, (number, row, amount), generation)
        else:
            line = Line(table, page, number, seen, credited, row.shares, total, row.frac, amount)
            tally.lines.append((account, line))
    return settled


def enqueue_if_due(view: View, table: int, row_threshold: int) -> bool:
    """Queues a table whose credits since its last sweep are worth a visit of every row."""
    record = shares.find_table(view, table)
    due = record.credited - record.mark >= max(1, row_threshold * record.rows)
    if record.queued or not due:
        return False
    enqueue(view, table)
    return True


def enqueue(view: View, table: int) -> None:
    """Puts a table that is not queued at the tail of the queue, to be swept from its first page."""
    record = shares.find_table(view, table)
    view.put(shares.TABLES, number_key(table), replace(record, mark=record.credited, cursor=0, queued=True))
    push(view, table)


def push(view: View, table: int) -> None:
    """Puts a table at the tail of the queue."""
    flow = inbox.flow(view)
    view.put(QUEUE, number_key(flow.queue_tail), QueueItem(table))
    inbox.put_flow(view, replace(flow, queue_tail=flow.queue_tail + 1))


def pop(view: View) -> int | None:
    """Takes the table at the head of the queue."""
    flow = inbox.flow(view)
    if flow.queue_head == flow.queue_tail:
        return None
    item = view.get(QUEUE, number_key(flow.queue_head))
    view.delete(QUEUE, number_key(flow.queue_head))
    inbox.put_flow(view, replace(flow, queue_head=flow.queue_head + 1))
    return item.table


def _pass_up(view: View, tally: Tally, settlement: Settlement, part: Part, generation: int) -> None:
    """The part of a row that belongs to an asset or a vault."""
    number, row, amount = part
    origin = row_origin(settlement.table, settlement.page, number, settlement.credited)
    inflow = Inflow(FROM_ROW, origin, amount, settlement.seen, row.shares, row.frac)
    rank = shares.held_asset(row.holder)
    if rank is not None:
        tally.handed.append(Handed(generation, rank, ALL, inflow))
        return
    vault = shares.held_table(row.holder)
    if vault is not None:
        credit_table(view, tally, vault, amount, generation, (0, ALL, generation), inflow)
