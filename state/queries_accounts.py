"""Queries about accounts and parties: what somebody has, what moved, who is admitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from concento.accounts import Policy, account_of_key, single_key
from concento.encoding import NUMBER_MAX
from concento.errors import Rejected
from concento.hashing import NO_HASH
from state.accruals import accrued_ubeat
from state.modules.identity import ACCOUNTS, PARTIES, PAYOUT_NOW, PAYOUTS, Party
from state.modules.tokens import Entry
from state.movements import blocks_down
from state.queries import Chain, account_of, cursor_key, page, page_size
from state.queries_licences import escrow_ubeat

_HEIGHT_BYTES: Final = 8
"""At the beginning of a position."""
_POSITION_BYTES: Final = 12
"""A height and the index of a movement in its block: a cursor."""


def account_get(chain: Chain, who: str) -> dict[str, Any]:
    """Balance, party and keys of an account; one that nothing was ever paid to has nothing."""
    account = account_of(chain, who)
    record = chain.find(ACCOUNTS, account)
    party = chain.find(PARTIES, account)
    accrued = accrued_ubeat(chain, account)
    return {
        "address": chain.address(account),
        "name": None if party is None else party.name,
        "party": None if party is None else _party(account, party),
        "balance_ubeat": str(0 if record is None else record.balance_ubeat),
        "escrow_ubeat": str(escrow_ubeat(chain, account)),
        "accrued_ubeat": None if accrued is None else str(accrued),
        "policy": _policy(chain, account, None if record is None else record.policy),
        "height": chain.height,
    }


def account_history(chain: Chain, who: str, cursor: str | None = None, limit: int | None = None) -> dict[str, Any]:
    """Every movement of the balance, the newest first."""
    account = account_of(chain, who)
    behind = cursor_key(cursor)
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    for height, index, time_ms, entry in _entries_before(chain, account, behind):
        if len(items) == size:
            return {"items": items, "next": _position(items[-1]), "height": chain.height}
        items.append(_movement(chain, height, index, time_ms, entry))
    return {"items": items, "next": None, "height": chain.height}


def balance_after(chain: Chain, account: bytes, height: int) -> int:
    """The balance after this height, from the history: 0 before anything happened."""
    for block in blocks_down(chain, account, height):
        return block.movements.entries[-1].balance_ubeat
    return 0


def party_get(chain: Chain, who: str) -> dict[str, Any]:
    """An admitted party: its roles, its keys, how it is paid. Raises Rejected("party.not_found")."""
    account = account_of(chain, who)
    party = chain.find(PARTIES, account)
    if party is None:
        raise Rejected("party.not_found", text=who)
    record = chain.find(ACCOUNTS, account)
    payout = chain.find(PAYOUTS, account) or PAYOUT_NOW
    return {
        "address": chain.address(account),
        "name": party.name,
        **_party(account, party),
        "issuer": None if party.issuer == NO_HASH else chain.address(party.issuer),
        "admitted_height": party.height,
        "policy": _policy(chain, account, None if record is None else record.policy),
        "payout": {
            "mode": payout.mode,
            "amount_ubeat": str(payout.amount_ubeat),
            "period_ms": payout.period_ms,
        },
        "height": chain.height,
    }


def party_list(
    chain: Chain, role: str | None = None, cursor: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Every admitted party, in the order of accounts."""

    def shown(account: bytes, party: Party) -> dict[str, Any] | None:
        if role is not None and role not in party.roles:
            return None
        return {
            "address": chain.address(account),
            "name": party.name,
            "id": account.hex(),
            "kind": party.kind,
            "roles": list(party.roles),
            "issuer": None if party.issuer == NO_HASH else chain.address(party.issuer),
            "admitted_height": party.height,
        }

    return page(chain, chain.scan(PARTIES, after=cursor_key(cursor)), limit, shown)


def _party(account: bytes, party: Party) -> dict[str, Any]:
    return {"id": account.hex(), "kind": party.kind, "roles": list(party.roles)}


def _policy(chain: Chain, account: bytes, replaced: Policy | None) -> dict[str, Any] | None:
    """The keys that act for an account; None where only its name, a hash of them, is on the chain."""
    policy = replaced or _genesis_policy(chain, account)
    return None if policy is None else {"threshold": policy.threshold, "keys": [key.hex() for key in policy.keys]}


def _genesis_policy(chain: Chain, account: bytes) -> Policy | None:
    keys = [entry.key for entry in chain.genesis.parties] + list(chain.genesis.validators.keys)
    for key in keys:
        if account_of_key(key) == account:
            return single_key(key)
    return None


def _entries_before(chain: Chain, account: bytes, behind: bytes | None) -> Iterator[tuple[int, int, int, Entry]]:
    """(height, index, time, movement), the newest first; those below a position where one is given."""
    top, limit = None, None
    if behind is not None:
        # The block of the position itself may have more.
        top, limit = int.from_bytes(behind[:_HEIGHT_BYTES], "big"), int.from_bytes(behind[_HEIGHT_BYTES:], "big")
        if len(behind) != _POSITION_BYTES or top > NUMBER_MAX:
            raise Rejected("rpc.cursor_malformed", text=behind.hex()[:40])
    for block in blocks_down(chain, account, top):
        movements = block.movements
        rest = movements.entries[:limit] if block.height == top else movements.entries
        for index, entry in reversed(list(enumerate(rest))):
            yield block.height, index, movements.time_ms, entry


def _movement(chain: Chain, height: int, index: int, time_ms: int, entry: Entry) -> dict[str, Any]:
    return {
        "height": height,
        "index": index,
        "time_ms": time_ms,
        "tx": entry.tx.hex() or None,
        "cause": entry.cause,
        "counterparty": chain.address(entry.counterparty) if entry.counterparty else None,
        "amount_ubeat": str(entry.amount_ubeat),
        "balance_ubeat": str(entry.balance_ubeat),
    }


def _position(item: dict[str, Any]) -> str:
    height, index = item["height"], item["index"]
    return f"{height:016x}{index:08x}"
