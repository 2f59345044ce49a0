"""What a table of many holders costs: its registration, a payment to it, its sweep, as ratios to a table of 65 rows.

Run with `python -m bench.wide [ROWS]`; a million rows are the default. Ratios must stay flat: a payment to a wide
table costs its block what one to 65 rows does, and no block of the sweep writes much more than the median one.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from statistics import median
from time import process_time

from concento.genesis import DEFAULT_PARAMS
from state.modules import inbox, royalties, shares
from state.modules.revenue import FROM_SOURCE, Inflow, source_origin
from state.modules.tokens import bucket_add
from state.view import View

CHUNK_ROWS = 1_000
PAYMENTS = 200


class Chain:
    """State in a dictionary, a block at a time."""

    def __init__(self) -> None:
        self.state: dict[bytes, bytes] = {}
        self.height = 0
        self.view = self.next_view()

    def next_view(self) -> View:
        self.height += 1
        view = View(self.state.get)
        view.height, view.time_ms = self.height, self.height * 1_000
        return view

    def commit(self) -> int:
        """Ends the block without finalising; how many records it wrote."""
        changes = self.view.changes()
        for key, value in changes.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        self.view = self.next_view()
        return len(changes)

    def pay(self, rank: int, amount_ubeat: int) -> None:
        bucket_add(self.view, "royalties", amount_ubeat)
        origin = source_origin(self.height, self.view.history_count)
        inflow = Inflow(amount_ubeat, 0, 0, 0)
        inbox.hand(self.view, inbox.flow(self.view).generation + 1, rank, FROM_SOURCE, origin, inflow)

    def block(self) -> tuple[float, int]:
        """(milliseconds, records written) of one finalisation."""
        started_s = process_time()
        royalties.finalise(self.view, DEFAULT_PARAMS, DEFAULT_PARAMS.limits.block_weight)
        records = self.commit()
        return (process_time() - started_s) * 1_000, records


def main() -> None:
    """Prints one line per measurement, then the ratios."""
    rows = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 1_000_000
    narrow_ms, _ = _measure(65)
    wide_ms, chain = _measure(rows)
    print(f"ratio of a payment to {rows:,} rows to one to 65: {wide_ms / narrow_ms:.2f}")
    chain.pay(1, rows * DEFAULT_PARAMS.revenue.row_threshold * 2)
    times_ms: list[float] = []
    written: list[int] = []
    while True:
        took_ms, records = chain.block()
        times_ms.append(took_ms)
        written.append(records)
        flow = inbox.flow(chain.view)
        if flow.queue_head == flow.queue_tail:
            break
    table = shares.find_table(chain.view, 1)
    print(f"swept   {rows:>9,} rows in {len(times_ms):,} blocks; {table.credited - table.paid} ubeat left in fractions")
    print(f"ratio of the longest block of the sweep to the median one: {max(times_ms) / median(times_ms):.2f}")
    print(f"ratio of the records of the largest block to the median one: {max(written) / median(written):.2f}")


def _measure(rows: int) -> tuple[float, Chain]:
    """(milliseconds of a paying block, the chain) for a table of so many rows."""
    chain = Chain()
    started_s = process_time()
    table = royalties.open_table(chain.view)
    for start in range(0, rows, CHUNK_ROWS):
        names = range(start, min(start + CHUNK_ROWS, rows))
        royalties.add_rows(chain.view, table, [(_fan(number), 1) for number in names])
        chain.commit()
    royalties.new_asset(chain.view, bytes(32), "members", [royalties.table_leg(table, 10_000)])
    chain.commit()
    made_us = (process_time() - started_s) * 1e6 / rows
    # Below the threshold of a sweep: what is measured is the payment alone.
    times_ms: list[float] = []
    for _ in range(PAYMENTS):
        chain.pay(1, 1)
        times_ms.append(chain.block()[0])
    print(f"filled  {rows:>9,} rows: {made_us:8.2f} us a row; a paying block: {median(times_ms):6.3f} ms")
    return median(times_ms), chain


def _fan(number: int) -> bytes:
    return shares.account_holder(sha256(number.to_bytes(8, "big")).digest())


if __name__ == "__main__":
    main()
