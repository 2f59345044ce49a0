"""Share tables: who owns what part of an income, and what each of them has been handed, exact to the unit.

A table has a total of shares that never changes, so what was credited to it in all (K) is the whole accumulator:
no scaling, no rounding error that grows. Always, over all rows:

    sum(shares * (K - seen) + frac) == (K - paid) * total,    0 <= frac < total

and every row has received the floor of its exact entitlement, whenever it was settled. Rules:
docs/protocol/royalties.md. This file knows tables, pages and rows; where a payment goes is `settlement.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import replace

from concento.encoding import INTEGER_MAX, Integer63, Natural, Record
from concento.errors import Broken, Rejected
from concento.limits import SPLIT_ROWS_MAX
from state.view import Kind, View

PAGE_ROWS = SPLIT_ROWS_MAX
"""Rows under one key. A table of one page is settled whenever it is credited: 14 us; a split never has more rows."""

SPLIT_SHARES: Final = 1_000_000
"""The total of an ordinary split: a ten-thousandth of a percent is one share."""

OPEN: Final = 0
"""The rank of a table that no asset owns yet: rows may be added, nothing may be credited."""

_ACCOUNT: Final = b"\x00"
_ASSET: Final = b"\x01"
_VAULT: Final = b"\x02"

Holder = Annotated[bytes, Meta(min_length=9, max_length=33)]


class Row(Record):
    """`frac` is what is left of the holder's last payment, in units of 1/total of a ubeat."""

    holder: Holder
    shares: Integer63
    frac: Integer63


class Table(Record):
    """`credited` is K. A table of one page holds it in `seen` and `page`; larger ones keep pages apart.

    `mark` is K when the table was last queued for a sweep, `cursor` the next page of the running one. `rank` is the
    owning asset's; a vault has none, holds accounts only, and may be held by tables older than itself.
    """

    total: Integer63
    credited: Integer63
    paid: Integer63
    rows: Natural
    mark: Integer63
    cursor: Natural
    queued: bool
    rank: Natural
    vault: bool
    seen: Integer63
    page: tuple[Row, ...]


class Page(Record):
    """One page of a table of several; settled up to `seen`."""

    seen: Integer63
    rows: tuple[Row, ...]


class Counter(Record):
    """The last number given out."""

    last: Natural


TABLES = Kind(b"table/", Table)
PAGES = Kind(b"page/", Page)
COUNTERS = Kind(b"counter/", Counter)


Part: TypeAlias = tuple[int, Row, int]
"""Number of a row, the row as it was before a settlement, and what it gets."""


class Settlement(Struct, frozen=True):
    """One page of so many rows was settled from `seen` to `credited`; the parts are yet to be handed to their holders.

    Rows that get nothing have no part.
    """

    table: int
    page: int
    seen: int
    credited: int
    total: int
    rows: int
    parts: list[Part]


# Holders


def account_holder(account: bytes) -> bytes:
    """An account as the holder of a row."""
    return _ACCOUNT + account


def asset_holder(rank: int) -> bytes:
    """An asset as the holder of a row, or the target of a leg."""
    return _ASSET + number_key(rank)


def table_holder(table: int) -> bytes:
    """A vault as the holder of a row, or an asset's own table as the target of its leg."""
    return _VAULT + number_key(table)


def held_account(holder: bytes) -> bytes | None:
    """The account that this holder is, or None."""
    return holder[1:] if holder[:1] == _ACCOUNT else None


def held_asset(holder: bytes) -> int | None:
    """The rank of the asset that this holder is, or None."""
    return int.from_bytes(holder[1:], "big") if holder[:1] == _ASSET else None


def held_table(holder: bytes) -> int | None:
    """The table that this holder is, or None."""
    return int.from_bytes(holder[1:], "big") if holder[:1] == _VAULT else None


# Making tables


def new_table(view: View, rows: Sequence[tuple[bytes, int]], vault: bool = False) -> int:
    """A split of at most one page, as (holder, shares) in order. A vault's holders are accounts."""
    table = open_table(view)
    add_rows(view, table, rows)
    if vault:
        seal_vault(view, table)
    return table


def open_table(view: View) -> int:
    """A table without rows yet; sealed by the asset that takes it as its own."""
    table = next_number(view, b"table")
    empty = Table(
        total=0, credited=0, paid=0, rows=0, mark=0, cursor=0, queued=False, rank=OPEN, vault=False, seen=0, page=()
    )
    view.put(TABLES, number_key(table), empty)
    return table


def add_rows(view: View, table: int, rows: Sequence[tuple[bytes, int]]) -> None:
    """Appends rows of at least one share to a table that no asset owns yet."""
    record = find_table(view, table)
    if record.rank != OPEN or record.vault or record.credited:
        raise Broken("table {table} is sealed and gets no more rows", table=table)
    added = [Row(holder, count, 0) for holder, count in rows]
    total = record.total + sum(row.shares for row in added)
    if total > INTEGER_MAX or any(row.shares < 1 for row in added):
        raise Broken("table {table} would have {total} shares, or a row none", table=table, total=total)
    page = _append(view, table, record, added)
    view.put(TABLES, number_key(table), replace(record, total=total, rows=record.rows + len(added), page=page))


def seal_table(view: View, table: int, rank: int) -> None:
    """The asset of this rank owns the table from now on."""
    record = find_table(view, table)
    if record.rank != OPEN or record.vault or record.total < 1:
        raise Broken("table {table} cannot belong to the asset of rank {rank}", table=table, rank=rank)
    view.put(TABLES, number_key(table), replace(record, rank=rank))


def seal_vault(view: View, table: int) -> None:
    """The table is a vault from now on: it belongs to no asset, and tables may name it as a holder."""
    record = find_table(view, table)
    if record.rank != OPEN or record.vault or record.total < 1:
        raise Broken("table {table} cannot become a vault", table=table)
    view.put(TABLES, number_key(table), replace(record, vault=True))


# Money


def credited(record: Table, table: int, amount_ubeat: int) -> int:
    """K after more for the holders to share. Raises Rejected where the total ever credited would not fit."""
    total = record.credited + amount_ubeat
    if total > INTEGER_MAX:
        raise Rejected("royalties.table_exhausted", table=table)
    return total


def settle(view: View, table: int, record: Table, page: int) -> Settlement | None:
    """Brings one page up to the record's K, writes both, and says what the rows get; None where it is there already."""
    if is_single(record):
        if page:
            raise Rejected("royalties.no_page", table=table, page=page, pages=1)
        return settle_single(view, table, record, record.credited)
    found = _find_page(view, table, page)
    settlement, rows = _divide(table, page, record.total, found.seen, record.credited, found.rows)
    if settlement is not None:
        view.put(PAGES, page_key(table, page), Page(record.credited, rows))
        view.put(TABLES, number_key(table), replace(record, paid=record.paid + _sum(settlement)))
    return settlement


def settle_single(view: View, table: int, record: Table, credited: int) -> Settlement | None:
    """The same of a table of one page, and of a K that the record does not say yet."""
    settlement, rows = _divide(table, 0, record.total, record.seen, credited, record.page)
    if settlement is not None:
        paid = record.paid + _sum(settlement)
        after = replace(record, credited=credited, paid=paid, seen=credited, page=rows)
        view.put(TABLES, number_key(table), after)
    return settlement


def _divide(
    table: int, page: int, total: int, seen: int, credited: int, rows: tuple[Row, ...]
) -> tuple[Settlement | None, tuple[Row, ...]]:
    """What each row gets of everything credited since `seen`, and the rows after it."""
    grown = credited - seen
    if not grown:
        return None, rows
    parts: list[Part] = []
    after = list(rows)
    for number, row in enumerate(rows):
        amount, frac = divmod(row.shares * grown + row.frac, total)
        if amount:
            parts.append((number, row, amount))
        if frac != row.frac:
            after[number] = Row(row.holder, row.shares, frac)
    return Settlement(table, page, seen, credited, total, len(rows), parts), tuple(after)


def _sum(settlement: Settlement) -> int:
    return sum([amount for _, _, amount in settlement.parts])


def move(view: View, table: int, source: tuple[int, bytes], target: tuple[int, bytes], count: int) -> tuple[int, int]:
    """Shares go from a holder to another, each named with the page of his row; both pages are settled before.

    The new holder's row is reused, or one without shares, or a new one at the end of the last page, which is settled
    too; returns (page, row) of it. Raises Rejected where the seller has fewer, or a table of one page has no room.
    """
    source_page, seller = source
    record = find_table(view, table)
    check_order(view, record, target[1])
    seen, rows = _read_page(view, table, record, source_page)
    index = _row_of(rows, seller)
    if index is None or rows[index].shares < count or count < 1:
        raise Rejected("royalties.shares_short", table=table, shares=0 if index is None else rows[index].shares)
    row = rows[index]
    _write_page(view, table, source_page, seen, _replaced(rows, index, Row(row.holder, row.shares - count, row.frac)))
    return _receive(view, table, target, count)


def check_order(view: View, record: Table, holder: bytes) -> None:
    """Raises Rejected unless the table may name this holder: an account, a vault, or an older asset."""
    rank, vault = held_asset(holder), held_table(holder)
    if rank is not None and (record.vault or rank >= record.rank):
        raise Rejected("royalties.holder_too_young", rank=rank)
    if vault is not None and (record.vault or not find_table(view, vault).vault):
        raise Rejected("royalties.holder_too_young", rank=vault)


# Reading


def find_table(view: View, table: int) -> Table:
    """The table. Raises Rejected where there is none: one lost record must not stop the others."""
    record = view.find(TABLES, number_key(table))
    if record is None:
        raise Rejected("royalties.record_missing", key=TABLES.key(number_key(table)))
    return record


def shares_on_page(view: View, table: int, page: int, holder: bytes) -> int:
    """The shares of a holder's first row on a page. Raises Rejected where there is no such page."""
    _, rows = _read_page(view, table, find_table(view, table), page)
    index = _row_of(rows, holder)
    return 0 if index is None else rows[index].shares


def is_single(record: Table) -> bool:
    """Whether the table has one page: then it lives in the table's own record."""
    return record.rows <= PAGE_ROWS


def page_count(record: Table) -> int:
    return max(1, -(-record.rows // PAGE_ROWS))


def next_number(view: View, name: bytes) -> int:
    """The next number of a counter, from 1."""
    counter = view.find(COUNTERS, name)
    number = 1 if counter is None else counter.last + 1
    view.put(COUNTERS, name, Counter(number))
    return number


def number_key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def page_key(table: int, page: int) -> bytes:
    return number_key(table) + number_key(page)


def _append(view: View, table: int, record: Table, added: Sequence[Row]) -> tuple[Row, ...]:
    """Writes new rows behind the last one and returns what the table's own record holds afterwards."""
    if record.rows + len(added) <= PAGE_ROWS:
        return (*record.page, *added)
    first = (max(record.rows, 1) - 1) // PAGE_ROWS
    if is_single(record):
        rows, seen = [*record.page, *added], record.seen
    else:
        last = _find_page(view, table, first)
        if last.seen != record.credited:
            raise Broken("a row is added to page {page} of table {table} before it is settled", table=table, page=first)
        rows, seen = [*last.rows, *added], last.seen
    for offset in range(0, len(rows), PAGE_ROWS):
        fresh = seen if offset == 0 else record.credited
        page = Page(fresh, tuple(rows[offset : offset + PAGE_ROWS]))
        view.put(PAGES, page_key(table, first + offset // PAGE_ROWS), page)
    return ()


def _receive(view: View, table: int, target: tuple[int, bytes], count: int) -> tuple[int, int]:
    page, buyer = target
    record = find_table(view, table)
    seen, rows = _read_page(view, table, record, page)
    index = _row_of(rows, buyer)
    if index is None:
        index = next((number for number, row in enumerate(rows) if row.shares == 0), None)
    if index is not None:
        row = rows[index]
        _write_page(view, table, page, seen, _replaced(rows, index, Row(buyer, row.shares + count, row.frac)))
        return page, index
    if is_single(record) and record.rows == PAGE_ROWS:
        raise Rejected("royalties.split_full", table=table, rows_max=PAGE_ROWS)
    own = _append(view, table, record, [Row(buyer, count, 0)])
    view.put(TABLES, number_key(table), replace(record, rows=record.rows + 1, page=own))
    return divmod(record.rows, PAGE_ROWS)


def _row_of(rows: Sequence[Row], holder: bytes) -> int | None:
    return next((index for index, row in enumerate(rows) if row.holder == holder and row.shares), None)


def _replaced(rows: Sequence[Row], index: int, row: Row) -> tuple[Row, ...]:
    return (*rows[:index], row, *rows[index + 1 :])


def _read_page(view: View, table: int, record: Table, page: int) -> tuple[int, tuple[Row, ...]]:
    if is_single(record):
        if page:
            raise Rejected("royalties.no_page", table=table, page=page, pages=1)
        return record.seen, record.page
    found = _find_page(view, table, page)
    return found.seen, found.rows


def _find_page(view: View, table: int, page: int) -> Page:
    found = view.find(PAGES, page_key(table, page))
    if found is None:
        raise Rejected("royalties.record_missing", key=PAGES.key(page_key(table, page)))
    return found


def _write_page(view: View, table: int, page: int, seen: int, rows: tuple[Row, ...]) -> None:
    record = find_table(view, table)
    if is_single(record):
        view.put(TABLES, number_key(table), replace(record, page=rows))
    else:
        view.put(PAGES, page_key(table, page), Page(seen, rows))
