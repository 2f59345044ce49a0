"""The sweep: tables of more than one page are settled a page at a time, first in first out.

A table with a million holders is current after some thousands of blocks while the block time stays flat; nobody can be
skipped, because every table gets its pages in turn. Rules: docs/protocol/royalties.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.encoding import encode
from concento.genesis import Params
from state.modules import settlement, shares
from state.modules.cascade import POISONS
from state.modules.revenue import StuckRow, Tally
from state.modules.shares import number_key
from state.view import View

PAGES_PER_TURN: Final = 1
"""Pages of one table before the next has its turn: a block exceeds its budget by 64 rows at most, some 2 ms."""

BESIDE_PART: Final = 5
"""Of the weight of a block's transactions the sweep may use a fifth beside them.

The lightest work that a unit of weight stands for, a purchase, takes as long as seven tenths of a unit of the sweep: a
block with both takes a third longer than one without. An eighth would sweep half as fast and gain a tenth.
"""

IDLE_PART: Final = 10
"""Of a whole block's weight, in a block without transactions: 2,000 rows, 60 ms, so that what comes waits little."""


def budget_of(params: Params, weight: int) -> int:
    """The records that the sweep may visit in a block whose transactions weigh so much; at least `revenue.v_min`."""
    share = weight // BESIDE_PART if weight else params.limits.block_weight // IDLE_PART
    return max(params.revenue.v_min, share)


def sweep(view: View, tally: Tally, generation: int, budget: int) -> None:
    """Settles queued tables until about `budget` records are visited; assets' parts go to `generation`."""
    before = tally.work
    while tally.work - before < budget:
        table = settlement.pop(view)
        if table is None:
            break
        tally.work += 1
        try:
            _turn(view, tally, table, generation)
        except POISONS:
            tally.rows.append(encode(StuckRow(0, table, 0)))
    # The pass has a budget of its own.
    tally.work = before


def _turn(view: View, tally: Tally, table: int, generation: int) -> None:
    record = shares.find_table(view, table)
    pages = shares.page_count(record)
    stop = min(record.cursor + PAGES_PER_TURN, pages)
    for page in range(record.cursor, stop):
        _settle_alone(view, tally, table, page, generation)
    record = shares.find_table(view, table)
    finished = stop >= pages
    cursor = 0 if finished else stop
    view.put(shares.TABLES, number_key(table), replace(record, cursor=cursor, queued=not finished))
    if finished:
        settlement.enqueue_if_due(view, table, tally.row_threshold)
    else:
        settlement.push(view, table)


def _settle_alone(view: View, tally: Tally, table: int, page: int, generation: int) -> None:
    """A page whose records make no sense is passed over, and the others go on."""
    mark, tally_mark = view.mark(), tally.mark()
    try:
        settlement.settle_page(view, tally, table, page, generation)
    except POISONS:
        view.rollback(mark)
        tally.rollback(tally_mark)
        tally.rows.append(encode(StuckRow(0, table, page)))
