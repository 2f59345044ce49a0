"""Shares that change hands: which rows they are taken from, and where the receiver's row will be."""

from __future__ import annotations

from typing import Any, Literal

from concento.accounts import address
from concento.client.session import Session
from concento.errors import Rejected
from concento.messages.royalties import TransferShares

ReceiverKind = Literal["account", "asset", "vault"]


def holdings(session: Session, who: str, source: str | None = None) -> list[dict[str, Any]]:
    """Every row of an account, of one asset or vault or of all."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = session.client.shares(who, source, cursor)
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def transfer_shares(
    session: Session, source: str, kind: ReceiverKind, to: bytes, shares: int, leg: int | None = None
) -> dict[str, Any]:
    """The sender's shares of an asset's leg, or of a vault, go to somebody else.

    Raises Rejected shares.none where the sender has none, shares.which_leg where he has some of several legs,
    royalties.shares_short where he has fewer.
    """
    rows = holdings(session, session.address, source)
    rows = [row for row in rows if leg is None or row["leg"] == leg]
    if not rows:
        raise Rejected("shares.none", source=source, account=session.address)
    legs = sorted({row["leg"] for row in rows})
    if len(legs) > 1:
        raise Rejected("shares.which_leg", source=source, legs=", ".join(map(str, legs)))
    held = sum(int(row["shares"]) for row in rows)
    if held < shares:
        raise Rejected("shares.short", source=source, shares=held, wanted=shares)
    identity = rows[0]["source"]
    to_page = _receiving_page(session, rows[0], kind, to)
    actions: list[TransferShares] = []
    left = shares
    for row in sorted(rows, key=lambda row: -int(row["shares"])):
        part = min(left, int(row["shares"]))
        actions.append(TransferShares(bytes.fromhex(identity), legs[0], row["page"], kind, to, to_page, part))
        left -= part
        if not left:
            break
    return session.send(actions)


def _receiving_page(session: Session, row: dict[str, Any], kind: ReceiverKind, to: bytes) -> int:
    """Where the receiver's row is, else the last page: a new row is made there."""
    if row["kind"] != "vault":
        return 0
    if kind == "account":
        receiver = address(to, bool(session.client.status()["dev"]))
        for held in holdings(session, receiver, row["source"]):
            return int(held["page"])
    return int(session.client.vault(row["source"])["pages"]) - 1
