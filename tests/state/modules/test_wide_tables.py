"""Tables of a million rows: paying one costs a block what a table of 65 rows does, and the sweep keeps blocks flat."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state.modules import inbox, royalties, settlement, shares, sweep
from state.modules.revenue import PayoutRow
from state.view import View
from support.revenue_chain import RevenueChain, holder, make_params, run_until_idle


class Counted:
    """State in a dictionary that counts what is read of it."""

    def __init__(self) -> None:
        self.state: dict[bytes, bytes] = {}
        self.reads = 0

    def read(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.state.get(key)


def paying_block(rows: int) -> tuple[int, int, int]:
    """(records read, records written, history records) of a block that pays a table of so many rows."""
    chain = RevenueChain(make_params(v_min=10, block_weight=0))
    table = royalties.open_table(chain.view)
    royalties.add_rows(chain.view, table, [(holder(f"fan {number}"), 1) for number in range(65)])
    chain.asset(1, "work", [royalties.table_leg(table, 10_000)])
    chain.finalise()
    # The pages beyond the second do not exist: a block that looked at any of them would not get on.
    record = chain.table(table)
    chain.view.put(shares.TABLES, shares.number_key(table), replace(record, rows=rows, total=rows))
    counted = Counted()
    counted.state = {**chain.state, **{key: value for key, value in chain.view.changes().items() if value is not None}}
    chain.view = View(counted.read)
    chain.view.height, chain.view.time_ms = 10, 10_000_000
    chain.sell(1, 2 * 10**9)
    royalties.finalise(chain.view, chain.params, 0)
    return counted.reads, len(chain.view.changes()), len(chain.view.history())


def test_a_payment_to_a_million_rows_costs_its_block_what_one_to_65_rows_does() -> None:
    assert paying_block(1_000_000) == paying_block(65) == paying_block(1_000)


def test_the_sweep_of_a_wide_table_keeps_every_block_flat_and_pays_everybody() -> None:
    """4,000 rows, a budget of some 600 records a block: no block visits more than one turn beyond it."""
    rows, budget = 4_000, 600
    chain = RevenueChain(make_params(v_min=budget, block_weight=0, row_threshold=1))
    table = royalties.open_table(chain.view)
    people = [f"fan {number}" for number in range(rows)]
    for start in range(0, rows, 1_000):
        royalties.add_rows(chain.view, table, [(holder(name), 1) for name in people[start : start + 1_000]])
    chain.asset(1, "work", [royalties.table_leg(table, 10_000)])
    chain.finalise()
    chain.sell(1, rows * 1_000)
    written: list[int] = []
    before = dict(chain.state)

    def count() -> None:
        nonlocal before
        written.append(sum(chain.state.get(key) != before.get(key) for key in chain.state.keys() | before.keys()))
        before = dict(chain.state)

    chain.finalise()
    blocks = run_until_idle(chain, 200, count)
    turn = sweep.PAGES_PER_TURN * shares.PAGE_ROWS
    assert max(written) <= budget + turn
    assert blocks <= 2 + rows * 5 // budget
    assert {chain.balance(name) for name in people} == {990}
    assert inbox.flow(chain.view).queue_head == inbox.flow(chain.view).queue_tail


@pytest.mark.parametrize(("weight", "budget"), [(5_000, 1_000), (1, 700), (0, 2_000)])
def test_the_sweep_takes_a_fifth_of_what_the_transactions_weigh_a_tenth_of_an_idle_block_and_its_minimum(
    weight: int, budget: int
) -> None:
    rows = 2_000
    chain = RevenueChain(make_params(market_bps=0, v_min=700, block_weight=20_000, row_threshold=1))
    table = royalties.open_table(chain.view)
    royalties.add_rows(chain.view, table, [(holder(f"fan {number}"), 1) for number in range(rows)])
    chain.asset(1, "work", [royalties.table_leg(table, 10_000)])
    chain.sell(1, rows * 10)
    chain.finalise(weight)
    paid: list[int] = []
    while sum(paid) < rows:
        chain.finalise(weight)
        paid.append(sum(len(row.payouts) for row in chain.rows if isinstance(row, PayoutRow)))
    # A row is visited and paid; a page, and a table's turn, are a record each. A page that was begun is finished.
    page = 2 + (1 + settlement.PART_WORK) * shares.PAGE_ROWS
    assert all(count == -(-budget // page) * shares.PAGE_ROWS for count in paid[:-1])
    assert {chain.balance(f"fan {number}") for number in range(rows)} == {10}
