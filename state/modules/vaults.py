"""Shares that change hands, and vaults: tables of accounts only, for wide ownership of a part of a split.

A split has at most one page of rows, so that it is paid in the block of the payment. Whoever wants to share his part
with more people moves it to a vault, whose rows are theirs. Rules: docs/protocol/shares.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import INTEGER_MAX, Natural, Record
from concento.errors import Rejected
from concento.messages.assets import Split, Title
from concento.messages.royalties import AddVaultRows, OpenVault, SealVault, TransferShares, VaultId
from concento.texts import check_text
from concento.transactions import object_id
from state.calls import Call, Event, Value
from state.modules import royalties, shares
from state.modules.identity import require_on_board
from state.view import Kind, View

TRANSFER_WEIGHT: Final = 3 * (shares.PAGE_ROWS + 8)
"""The pages of seller and buyer and the last one are settled, and what surrounds them."""


class Vault(Record):
    """A vault by its id: its table, and who may fill it until it is sealed."""

    owner: AccountId
    title: Title
    table: Natural
    sealed: bool
    height: Natural


class VaultOf(Record):
    """The vault that a table belongs to."""

    vault: VaultId


VAULTS = Kind(b"vault/", Vault)
VAULT_TABLES = Kind(b"vault-table/", VaultOf)


def require_vault(view: View, vault: bytes) -> Vault:
    """The vault. Raises Rejected("royalties.vault_not_found")."""
    found = view.find(VAULTS, vault)
    if found is None:
        raise Rejected("royalties.vault_not_found", vault=vault)
    return found


def table_of(view: View, source: bytes, leg: int) -> int:
    """The table of a sealed vault, or behind an asset's leg. Raises Rejected."""
    vault = view.find(VAULTS, source)
    if vault is None:
        return royalties.require_table(view, source, leg)
    if leg:
        raise Rejected("royalties.no_leg", asset=source, leg=leg)
    _require_sealed(source, vault)
    return vault.table


# Transfers


def check_transfer_shares(view: View, call: Call, message: TransferShares) -> None:
    table = table_of(view, message.source, message.leg)
    record = shares.find_table(view, table)
    pages = shares.page_count(record)
    for page in (message.page, message.to_page):
        if page >= pages:
            raise Rejected("royalties.no_page", table=table, page=page, pages=pages)
    shares.check_order(view, record, _receiver(view, message))
    held = shares.shares_on_page(view, table, message.page, shares.account_holder(call.sender))
    if held < message.shares:
        raise Rejected("royalties.shares_short", table=table, shares=held)


def apply_transfer_shares(view: View, call: Call, message: TransferShares) -> list[Event]:
    """Raises Rejected("royalties.split_full") where a table of one page has no room for one more row."""
    table = table_of(view, message.source, message.leg)
    seller = message.page, shares.account_holder(call.sender)
    buyer = message.to_page, _receiver(view, message)
    royalties.transfer_shares(view, call.params.revenue.row_threshold, table, seller, buyer, message.shares)
    fields: dict[str, Value] = {"asset": message.source, "leg": message.leg, "from": call.sender}
    counts: dict[str, Value] = {"shares": message.shares, "shares_total": shares.find_table(view, table).total}
    if message.to_kind == "account":
        return [Event("royalties.shares_moved", {**fields, "to": message.to, **counts})]
    return [Event("royalties.shares_placed", {**fields, "kind_of": message.to_kind, "receiver": message.to, **counts})]


def weigh_transfer_shares(_message: TransferShares) -> int:
    return TRANSFER_WEIGHT


def _receiver(view: View, message: TransferShares) -> bytes:
    """The holder that `to` stands for. Raises Rejected where there is none."""
    match message.to_kind:
        case "account":
            require_on_board(message.to)
            return shares.account_holder(message.to)
        case "vault":
            vault = require_vault(view, message.to)
            _require_sealed(message.to, vault)
            return shares.table_holder(vault.table)
        case _:
            rank = royalties.rank_of(view, message.to)
            if rank is None:
                raise Rejected("royalties.not_sealed", asset=message.to)
            return shares.asset_holder(rank)


# Vaults


def check_open_vault(view: View, call: Call, message: OpenVault) -> None:
    check_text("title", message.title)
    _check_total(view, _vault_id(call), 0, message.rows)


def apply_open_vault(view: View, call: Call, message: OpenVault) -> list[Event]:
    vault_id = _vault_id(call)
    table = royalties.open_table(view)
    royalties.add_rows(view, table, _rows(message.rows))
    view.put(VAULTS, vault_id, Vault(call.sender, message.title, table, False, call.height))
    view.put(VAULT_TABLES, shares.number_key(table), VaultOf(vault_id))
    fields: dict[str, Value] = {
        "vault": vault_id,
        "owner": call.sender,
        "title": message.title,
        "rows": len(message.rows),
    }
    return [Event("royalties.vault_opened", fields)]


def weigh_open_vault(message: OpenVault) -> int:
    """Vault, table, its counter, its pages, and a history record a row."""
    return 5 + _weigh_rows(message.rows)


def check_add_vault_rows(view: View, call: Call, message: AddVaultRows) -> None:
    vault = _require_open(view, call, message.vault)
    rows = shares.find_table(view, vault.table).rows
    if message.first != rows:
        raise Rejected("royalties.vault_rows", vault=message.vault, rows=rows, first=message.first)
    _check_total(view, message.vault, vault.table, message.rows)


def apply_add_vault_rows(view: View, _call: Call, message: AddVaultRows) -> list[Event]:
    table = require_vault(view, message.vault).table
    royalties.add_rows(view, table, _rows(message.rows))
    total = message.first + len(message.rows)
    return [Event("royalties.vault_filled", {"vault": message.vault, "added": len(message.rows), "rows": total})]


def weigh_add_vault_rows(message: AddVaultRows) -> int:
    return 2 + _weigh_rows(message.rows)


def check_seal_vault(view: View, call: Call, message: SealVault) -> None:
    vault = _require_open(view, call, message.vault)
    if not shares.find_table(view, vault.table).rows:
        raise Rejected("royalties.vault_empty", vault=message.vault)


def apply_seal_vault(view: View, _call: Call, message: SealVault) -> list[Event]:
    vault = require_vault(view, message.vault)
    shares.seal_vault(view, vault.table)
    view.put(VAULTS, message.vault, replace(vault, sealed=True))
    record = shares.find_table(view, vault.table)
    fields: dict[str, Value] = {"vault": message.vault, "owner": vault.owner, "title": vault.title, "rows": record.rows}
    return [Event("royalties.vault_sealed", {**fields, "shares_total": record.total})]


def weigh_seal_vault(_message: SealVault) -> int:
    return 2


def _vault_id(call: Call) -> bytes:
    return object_id("vault", call.sender, call.nonce, call.action_index)


def _require_open(view: View, call: Call, vault_id: bytes) -> Vault:
    vault = require_vault(view, vault_id)
    if vault.owner != call.sender:
        raise Rejected("royalties.vault_not_yours", vault=vault_id, owner=vault.owner)
    if vault.sealed:
        raise Rejected("royalties.vault_sealed", vault=vault_id)
    return vault


def _require_sealed(vault_id: bytes, vault: Vault) -> None:
    if not vault.sealed:
        raise Rejected("royalties.vault_open", vault=vault_id)


def _check_total(view: View, vault: bytes, table: int, rows: tuple[Split, ...]) -> None:
    total = sum(row.shares for row in rows) + (shares.find_table(view, table).total if table else 0)
    if total > INTEGER_MAX:
        raise Rejected("royalties.vault_shares", vault=vault, shares=total)


def _rows(rows: tuple[Split, ...]) -> list[tuple[bytes, int]]:
    return [(shares.account_holder(row.holder), row.shares) for row in rows]


def _weigh_rows(rows: tuple[Split, ...]) -> int:
    return len(rows) + len(rows) // 32 + 1
