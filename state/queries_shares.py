"""Queries about shares: vaults with their rows and what they were credited, and what an account holds of what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from concento.encoding import decode
from concento.errors import Rejected
from state.modules.assets import ASSETS
from state.modules.cascade import PAYEES
from state.modules.revenue import Credit, credit_key, holder_prefix
from state.modules.shares import (
    PAGE_ROWS,
    PAGES,
    TABLES,
    Page,
    Row,
    Table,
    account_holder,
    held_account,
    is_single,
    number_key,
    page_count,
    page_key,
    table_holder,
)
from state.modules.vaults import VAULT_TABLES, VAULTS, Vault
from state.provenance import CreditedParts, Part, Tracer
from state.queries import Chain, account_of, cursor_key, id_of, page_size
from state.queries_lineage import asset_of

SCANNED_MAX: Final = 1_000
"""Vaults, or rows of an account, that one request looks at."""

_CREDIT_CURSOR: Final = re.compile(r"(\d{1,20})\.(\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """What a table belongs to: a leg of an asset, or a vault."""

    id: bytes
    kind: str
    title: str
    leg: int
    layer: str


def vault_get(chain: Chain, text: str) -> dict[str, Any]:
    """One vault: how far it is filled, what it was credited and has paid out."""
    vault_id, vault = _vault(chain, text)
    return {**_vault_json(chain, vault_id, vault), "height": chain.height}


def vault_list(
    chain: Chain, owner: str | None = None, cursor: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Vaults, of whoever opened them or all of them."""
    account = None if owner is None else account_of(chain, owner)
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last, scanned = b"", 0
    for vault_id, vault in chain.scan(VAULTS, after=cursor_key(cursor)):
        if len(items) == size or scanned == SCANNED_MAX:
            return {"items": items, "next": last.hex(), "height": chain.height}
        last, scanned = vault_id, scanned + 1
        if account in (None, vault.owner):
            items.append(_vault_json(chain, vault_id, vault))
    return {"items": items, "next": None, "height": chain.height}


def vault_rows(
    chain: Chain, text: str, from_row: int = 0, cursor: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """The rows of a vault in their order, from a place on; a row of 0 shares is one that was sold in full."""
    _, vault = _vault(chain, text)
    table = _table(chain, vault.table)
    behind = cursor_key(cursor)
    start = from_row if behind is None else int.from_bytes(behind, "big") + 1
    end = min(start + page_size(limit), table.rows)
    items = [_row_json(chain, number, row) for number, row in _rows(chain, vault.table, table, start, end)]
    following = number_key(end - 1).hex() if items and end < table.rows else None
    return {"items": items, "next": following, "height": chain.height}


def vault_statement(
    chain: Chain,
    text: str,
    from_height: int | None = None,
    to_height: int | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """What a vault was credited in a period, payment by payment; its holders' own parts stand in their statements."""
    vault_id, vault = _vault(chain, text)
    table = _table(chain, vault.table)
    first, last = from_height or 0, chain.height if to_height is None else min(to_height, chain.height)
    if first > last + 1:
        raise Rejected("statement.period", from_height=first, to_height=last)
    lines, following = _credit_lines(chain, vault.table, (first, last), cursor, page_size(limit))
    return {
        "vault": vault_id.hex(),
        "title": vault.title,
        "from_height": first,
        "to_height": last,
        "credited_ubeat": str(table.credited),
        "paid_ubeat": str(table.paid),
        "waiting_ubeat": str(table.credited - table.paid),
        "lines": lines,
        "next": following,
        "height": chain.height,
    }


def share_list(
    chain: Chain, who: str, source: str | None = None, cursor: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """The shares of an account: of which asset's leg or vault, where its row is, what waits there."""
    account = account_of(chain, who)
    wanted = None if source is None else _source_id(chain, source)
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last, scanned = b"", 0
    for place in _places(chain, account, cursor_key(cursor)):
        if len(items) == size or scanned == SCANNED_MAX:
            return {"items": items, "next": last.hex(), "height": chain.height}
        last, scanned = place, scanned + 1
        held = _holding(chain, account, place)
        if held is not None and wanted in (None, bytes.fromhex(held["source"])):
            items.append(held)
    return {"items": items, "next": None, "height": chain.height}


# Vaults


def _vault(chain: Chain, text: str) -> tuple[bytes, Vault]:
    vault_id = id_of(chain, VAULTS.prefix, text, "vault.not_found")
    vault = chain.find(VAULTS, vault_id)
    if vault is None:
        raise Rejected("vault.not_found", text=text)
    return vault_id, vault


def _table(chain: Chain, number: int) -> Table:
    table = chain.find(TABLES, number_key(number))
    if table is None:
        raise Rejected("royalties.record_missing", key=TABLES.key(number_key(number)))
    return table


def _vault_json(chain: Chain, vault_id: bytes, vault: Vault) -> dict[str, Any]:
    table = _table(chain, vault.table)
    return {
        "id": vault_id.hex(),
        "title": vault.title,
        "owner": chain.address(vault.owner),
        "owner_name": chain.name(vault.owner),
        "state": "sealed" if vault.sealed else "open",
        "rows": table.rows,
        "pages": page_count(table),
        "shares_total": str(table.total),
        "credited_ubeat": str(table.credited),
        "paid_ubeat": str(table.paid),
        "waiting_ubeat": str(table.credited - table.paid),
        "opened_height": vault.height,
    }


def _rows(chain: Chain, number: int, table: Table, start: int, end: int) -> Iterator[tuple[int, Row]]:
    """(place, row) of the rows from `start` to before `end`."""
    for page_number in range(start // PAGE_ROWS, -(-end // PAGE_ROWS)):
        page = _page(chain, table, number, page_number)
        for place, row in enumerate(() if page is None else page.rows, page_number * PAGE_ROWS):
            if start <= place < end:
                yield place, row


def _page(chain: Chain, table: Table, number: int, page: int) -> Page | None:
    if is_single(table):
        return Page(table.seen, table.page)
    return chain.find(PAGES, page_key(number, page))


def _row_json(chain: Chain, place: int, row: Row) -> dict[str, Any]:
    account = held_account(row.holder) or bytes(32)
    return {
        "row": place,
        "page": place // PAGE_ROWS,
        "holder": chain.address(account),
        "name": chain.name(account),
        "shares": str(row.shares),
    }


# Statements


def _credit_lines(
    chain: Chain, table: int, period: tuple[int, int], cursor: str | None, size: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of lines, and the place of the next: K before a credit, and how many of its parts were told."""
    seen, skip = _credit_place(cursor)
    tracer = Tracer(chain)
    lines: list[dict[str, Any]] = []
    for height, before, after in _credits(chain, table, seen):
        if height > period[1]:
            break
        if height < period[0]:
            continue
        for credit in tracer.credits(table, before, after):
            for part in credit.parts[skip:]:
                if len(lines) == size:
                    return lines, f"{before}.{skip}"
                lines.append(_credit_line(tracer, height, credit, part))
                skip += 1
        skip = 0
    return lines, None


def _credit_place(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    found = _CREDIT_CURSOR.fullmatch(cursor)
    if found is None or int(found.group(1)) >= 2**63:
        raise Rejected("rpc.cursor_malformed", text=cursor[:40])
    return int(found.group(1)), int(found.group(2))


def _credits(chain: Chain, table: int, seen: int) -> Iterator[tuple[int, int, int]]:
    """(height, K before, K after) of every credit of a table after K = `seen`."""
    prefix = credit_key(table, 0)[:-8]
    for key, raw in chain.scan_history(prefix, credit_key(table, seen)):
        credit = decode(Credit, raw, "history record")
        yield credit.height, credit.before, int.from_bytes(key[-8:], "big")


def _credit_line(tracer: Tracer, height: int, credit: CreditedParts, part: Part) -> dict[str, Any]:
    origin = part.origin
    asset = part.path[-1] if part.path else None
    return {
        "height": origin.height,
        "index": origin.index,
        "time_ms": origin.time_ms,
        "cause": "royalty" if part.derived else origin.cause,
        "source": origin.cause,
        "cause_tx": None if origin.tx is None else origin.tx.hex(),
        "payer": None if origin.payer is None else tracer.address(origin.payer),
        "asset": None if asset is None else asset.hex(),
        "title": None if asset is None else tracer.title(asset),
        "path": [step.hex() for step in part.path],
        "gross_ubeat": str(origin.gross_ubeat),
        "fee_ubeat": str(origin.fee_ubeat),
        "amount_ubeat": str(part.amount_ubeat),
        "credited_height": height,
    }


# Holdings


def _places(chain: Chain, account: bytes, behind: bytes | None) -> Iterator[bytes]:
    """Table, page and row (18 bytes) of every row that the account has held, each once."""
    prefix = holder_prefix(account)
    # A row that came back to the account is indexed once more; all of its entries follow each other.
    after = None if behind is None else prefix + behind + b"\xff" * 16
    last = b""
    for key, _ in chain.scan_history(prefix, after):
        place = key[len(prefix) : len(prefix) + 18]
        if place != last:
            yield place
        last = place


def _holding(chain: Chain, account: bytes, place: bytes) -> dict[str, Any] | None:
    """The row at this place, where it is still the account's and its table still somebody's."""
    number, page_number, index = (int.from_bytes(part, "big") for part in (place[:8], place[8:16], place[16:]))
    table = chain.find(TABLES, number_key(number))
    page = None if table is None else _page(chain, table, number, page_number)
    if table is None or page is None or index >= len(page.rows):
        return None
    row = page.rows[index]
    source = _source_of(chain, number, table)
    if row.holder != account_holder(account) or not row.shares or source is None:
        return None
    return {
        "source": source.id.hex(),
        "kind": source.kind,
        "title": source.title,
        "leg": source.leg,
        "layer": source.layer,
        "page": page_number,
        "row": page_number * PAGE_ROWS + index,
        "shares": str(row.shares),
        "shares_total": str(table.total),
        "waiting_ubeat": str((row.shares * (table.credited - page.seen) + row.frac) // table.total),
    }


def _source_of(chain: Chain, number: int, table: Table) -> Source | None:
    """What the table belongs to; None for one that a ruling has replaced, or whose asset is not sealed yet."""
    name = chain.find(VAULT_TABLES, number_key(number))
    vault = None if name is None else chain.find(VAULTS, name.vault)
    if name is not None and vault is not None:
        return Source(name.vault, "vault", vault.title, 0, "vault")
    payee = chain.find(PAYEES, number_key(table.rank))
    asset = None if payee is None else chain.find(ASSETS, payee.asset)
    if payee is None or asset is None:
        return None
    targets = [leg.target for leg in payee.legs]
    if table_holder(number) not in targets:
        return None
    leg = targets.index(table_holder(number))
    return Source(payee.asset, asset.kind, asset.description.title, leg, payee.layer)


def _source_id(chain: Chain, text: str) -> bytes:
    """A vault or an asset by its id or the beginning of one. Raises Rejected("asset.not_found")."""
    try:
        return _vault(chain, text)[0]
    except Rejected as error:
        if error.kind != "vault.not_found" and not text.startswith("bafk"):
            raise
    return asset_of(chain, text)
