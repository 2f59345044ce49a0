"""vault_*, share_*, usage_*: who owns what part of an income, and by whose use it is divided."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from concento.encoding import NUMBER_MAX
from node.rpc.calls import Call
from node.rpc.dispatch import Method, Params
from node.rpc.ledger_shapes import PaymentFacts
from node.rpc.params import Cursor, HeightNumber, IdText, Limit, Who
from node.rpc.shapes import Address, Count, Height, Id, Page, Shape, Shares, TimeMs, Ubeat
from state import queries_shares, queries_usage

RowNumber = Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="the place of a row, from 0")]
PotNumber = Annotated[int, Meta(ge=1, le=NUMBER_MAX, description="the number of a pot")]


class OneVault(Params):
    id: IdText


class VaultPage(Params):
    owner: Who | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class RowPage(Params):
    id: IdText
    from_row: RowNumber = 0
    cursor: Cursor | None = None
    limit: Limit | None = None


class VaultPeriod(Params):
    id: IdText
    from_height: HeightNumber | None = None
    to_height: HeightNumber | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class SharePage(Params):
    who: Who
    source: IdText | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class OnePot(Params):
    pot: PotNumber


class PotPage(Params):
    asset: IdText | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class Vault(Shape):
    id: Id
    title: str
    owner: Address
    owner_name: str | None
    state: Literal["open", "sealed"]
    rows: Count
    pages: Count
    shares_total: Shares
    credited_ubeat: Ubeat
    paid_ubeat: Ubeat
    waiting_ubeat: Annotated[str, Meta(description="credited and not yet handed to its rows")]
    opened_height: Height


class VaultInFull(Vault):
    height: Height


class Vaults(Page):
    items: list[Vault]


class VaultRow(Shape):
    row: Count
    page: Count
    holder: Address
    name: str | None
    shares: Shares


class VaultRows(Page):
    items: list[VaultRow]


class VaultLine(PaymentFacts):
    amount_ubeat: Annotated[str, Meta(description="of this payment for the vault, which divides it among its rows")]
    credited_height: Height


class VaultStatement(Page):
    vault: Id
    title: str
    from_height: Height
    to_height: Height
    credited_ubeat: Annotated[str, Meta(description="ever, not only in the period")]
    paid_ubeat: Ubeat
    waiting_ubeat: Ubeat
    lines: list[VaultLine]


class Holding(Shape):
    source: Annotated[str, Meta(description="the asset or vault whose shares these are")]
    kind: Literal["work", "recording", "dataset", "model", "output", "remix", "vault"]
    title: str
    leg: Count
    layer: str
    page: Count
    row: Count
    shares: Shares
    shares_total: Shares
    waiting_ubeat: Annotated[str, Meta(description="what the row gets when its page is settled")]


class Holdings(Page):
    items: list[Holding]


class PotBatch(Shape):
    licence: Id
    gateway: Address
    lane: Count
    first: Count
    count: Count
    tx: Id
    height: Height


class Pot(Shape):
    pot: Count
    asset: Id
    title: str | None
    state: Annotated[Literal["filling", "open", "closed"], Meta(description="filling: the money is on its way")]
    amount_ubeat: Ubeat
    paid_ubeat: Ubeat
    first: Annotated[int, Meta(description="the first receipt of the batch")]
    units: Count
    units_posted: Count
    rows_posted: Count
    usage_root: Id
    deadline_ms: TimeMs
    batch: PotBatch | None


class PotInFull(Pot):
    height: Height


class Pots(Page):
    items: list[Pot]


class UsageRow(Shape):
    member: Annotated[int, Meta(description="the member's place in the dataset")]
    units: Count


class UsageRows(Shape):
    pot: Count
    asset: Id
    rows: list[UsageRow]
    posted: Annotated[int, Meta(description="how many of the rows are posted")]
    height: Height


def get_vault(call: Call, params: OneVault) -> dict[str, Any]:
    return queries_shares.vault_get(call.desk.chain, params.id)


async def list_vaults(call: Call, params: VaultPage) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: queries_shares.vault_list(chain, params.owner, params.cursor, params.limit)
    )


def list_rows(call: Call, params: RowPage) -> dict[str, Any]:
    return queries_shares.vault_rows(call.desk.chain, params.id, params.from_row, params.cursor, params.limit)


async def get_vault_statement(call: Call, params: VaultPeriod) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: queries_shares.vault_statement(
            chain, params.id, params.from_height, params.to_height, params.cursor, params.limit
        )
    )


async def list_shares(call: Call, params: SharePage) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: queries_shares.share_list(chain, params.who, params.source, params.cursor, params.limit)
    )


def get_pot(call: Call, params: OnePot) -> dict[str, Any]:
    return queries_usage.pot_get(call.desk.chain, params.pot)


async def list_pots(call: Call, params: PotPage) -> dict[str, Any]:
    return await call.desk.aside(lambda chain: queries_usage.pot_list(chain, params.asset, params.cursor, params.limit))


async def get_usage(call: Call, params: OnePot) -> dict[str, Any]:
    return await call.desk.aside(lambda chain: queries_usage.usage_get(chain, params.pot))


_ID_ERRORS = ("id.malformed", "id.ambiguous")
_VAULT_ERRORS = ("vault.not_found", *_ID_ERRORS)
_WHO_ERRORS = ("account.not_found", "id.ambiguous", "address.checksum", "address.malformed", "address.network")
_PAGE_ERRORS = ("rpc.cursor_malformed",)

SHARE_METHODS = (
    Method(
        "vault_get",
        "One vault: how far it is filled, what it was credited and has paid out",
        OneVault,
        VaultInFull,
        get_vault,
        _VAULT_ERRORS,
        {"id": "<vault>"},
    ),
    Method(
        "vault_list",
        "Vaults, of whoever opened them or all of them",
        VaultPage,
        Vaults,
        list_vaults,
        (*_WHO_ERRORS, *_PAGE_ERRORS),
        {"owner": "@alice"},
    ),
    Method(
        "vault_getRows",
        "The rows of a vault in their order, from a place on",
        RowPage,
        VaultRows,
        list_rows,
        (*_VAULT_ERRORS, *_PAGE_ERRORS),
        {"id": "<vault>", "limit": 2},
    ),
    Method(
        "vault_getStatement",
        "What a vault was credited in a period, payment by payment",
        VaultPeriod,
        VaultStatement,
        get_vault_statement,
        (*_VAULT_ERRORS, "statement.period", *_PAGE_ERRORS),
        {"id": "<vault>"},
    ),
    Method(
        "share_list",
        "The shares of an account: of which asset or vault, where its row is, what waits there",
        SharePage,
        Holdings,
        list_shares,
        (*_WHO_ERRORS, "asset.not_found", *_PAGE_ERRORS),
        {"who": "@alice", "limit": 2},
    ),
    Method(
        "usage_getPot",
        "Money of a usage-weighted dataset that waits for the use of its batch",
        OnePot,
        PotInFull,
        get_pot,
        ("usage.not_found",),
        {"pot": 1},
    ),
    Method(
        "usage_listPots",
        "Pots in which money waits, of a dataset or all of them",
        PotPage,
        Pots,
        list_pots,
        ("asset.not_found", *_ID_ERRORS, *_PAGE_ERRORS),
        {"limit": 2},
    ),
    Method(
        "usage_getRows",
        "The rows that belong to a pot, made again of the receipts of its batch",
        OnePot,
        UsageRows,
        get_usage,
        ("usage.not_found", "usage.rows_not_found"),
        {"pot": 1},
    ),
)
