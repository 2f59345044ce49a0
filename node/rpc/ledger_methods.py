"""account_*, party_*, asset_*, licence_*, receipt_*, earnings_*: reads of the ledger, straight from the queries."""

from __future__ import annotations

from typing import Any

from node.rpc import shapes
from node.rpc.calls import Call
from node.rpc.dispatch import Method, Params
from node.rpc.params import Cursor, Limit, Who
from state import queries_accounts


class OneAccount(Params):
    who: Who


class AccountPage(Params):
    who: Who
    cursor: Cursor | None = None
    limit: Limit | None = None


class PartyPage(Params):
    role: str | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


def get_account(call: Call, params: OneAccount) -> dict[str, Any]:
    return queries_accounts.account_get(call.desk.chain, params.who)


def get_history(call: Call, params: AccountPage) -> dict[str, Any]:
    return queries_accounts.account_history(call.desk.chain, params.who, params.cursor, params.limit)


def list_parties(call: Call, params: PartyPage) -> dict[str, Any]:
    return queries_accounts.party_list(call.desk.chain, params.role, params.cursor, params.limit)


_WHO_ERRORS = ("account.not_found", "id.ambiguous", "address.checksum", "address.malformed", "address.network")

ACCOUNT_METHODS = (
    Method(
        "account_get",
        "Balance, party and keys of an account",
        OneAccount,
        shapes.Account,
        get_account,
        _WHO_ERRORS,
        {"who": "@alice"},
    ),
    Method(
        "account_getHistory",
        "Every movement of an account's balance, the newest first",
        AccountPage,
        shapes.Movements,
        get_history,
        (*_WHO_ERRORS, "rpc.cursor_malformed"),
        {"who": "@alice", "limit": 2},
    ),
    Method(
        "account_listParties",
        "Everybody who was admitted",
        PartyPage,
        shapes.Parties,
        list_parties,
        ("rpc.cursor_malformed",),
        {"role": "creator"},
    ),
)
