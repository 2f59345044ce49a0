"""What an account has earned and not been paid yet: waiting under its payout policy, or in tables to be swept."""

from __future__ import annotations

from typing import Final

from state.modules.payout import DUES
from state.modules.revenue import holder_prefix
from state.modules.shares import (
    PAGES,
    TABLES,
    Page,
    Table,
    account_holder,
    is_single,
    number_key,
    page_key,
)
from state.queries import Chain

ROWS_MAX: Final = 1_000
"""Rows that are looked at for one answer; an account with more gets none."""


def accrued_ubeat(chain: Chain, account: bytes) -> int | None:
    """What is due plus what settling each of the account's rows would give.

    None above 1,000 rows, and where the node began with a snapshot.
    """
    if chain.began_at:
        # Which rows the account holds is known from history, which does not reach back to the first here.
        return None
    due = chain.find(DUES, account)
    rows = _rows(chain, account)
    if rows is None:
        return None
    return (0 if due is None else due.amount_ubeat) + sum(_unsettled(chain, account, row) for row in rows)


def _rows(chain: Chain, account: bytes) -> list[tuple[int, int, int]] | None:
    """(table, page, row) of every row that the account has held, or None where there are too many."""
    prefix = holder_prefix(account)
    found: dict[tuple[int, int, int], None] = {}
    for key, _ in chain.scan_history(prefix):
        place = key[len(prefix) :]
        table, page = int.from_bytes(place[:8], "big"), int.from_bytes(place[8:16], "big")
        found[table, page, int.from_bytes(place[16:18], "big")] = None
        if len(found) > ROWS_MAX:
            return None
    return list(found)


def _unsettled(chain: Chain, account: bytes, place: tuple[int, int, int]) -> int:
    number, page_number, index = place
    table = chain.find(TABLES, number_key(number))
    page = None if table is None else _page(chain, table, number, page_number)
    if table is None or page is None or index >= len(page.rows):
        return 0
    row = page.rows[index]
    if row.holder != account_holder(account):
        return 0
    return (row.shares * (table.credited - page.seen) + row.frac) // table.total


def _page(chain: Chain, table: Table, number: int, page: int) -> Page | None:
    if is_single(table):
        return Page(table.seen, table.page)
    return chain.find(PAGES, page_key(number, page))
