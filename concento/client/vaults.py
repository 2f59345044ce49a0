"""Vaults: wide ownership of a part of an income. Upload in chunks that can be broken off and gone on with at any row.

How many rows there are says the chain, not this machine: so whoever begins again asks, compares the last row with his
own list, and sends what is missing. A chunk that arrives twice is refused by the ledger.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from concento.accounts import address
from concento.client.rows import Holders
from concento.client.rpc import RpcError, find
from concento.client.session import Session
from concento.client.uploads import OnChunk, Upload
from concento.errors import Rejected
from concento.limits import VAULT_ROWS_PER_ACTION_MAX
from concento.messages.royalties import AddVaultRows, OpenVault, SealVault
from concento.transactions import object_id

ROWS_PER_TRANSACTION: Final = VAULT_ROWS_PER_ACTION_MAX
"""44 kB: a transaction of its own."""


def vault_id(session: Session, title: str, holders: Holders) -> bytes:
    """The vault that this sender makes of this list under this title: the same list again is the same vault."""
    return object_id("vault", session.signer.account, _nonce(title, holders), 0)


def open_vault(session: Session, title: str, nonce: bytes | None = None) -> dict[str, Any]:
    """An empty vault; its Tx document, in which `created` names it."""
    return session.send([OpenVault(title, ())], nonce=nonce)


def make_vault(
    session: Session, title: str, holders: Holders, seal: bool = True, on_rows: OnChunk = lambda done, total: None
) -> Upload:
    """A vault of these holders, sealed; what an earlier run has done is not done again."""
    name = vault_id(session, title, holders)
    state = find_vault(session, name.hex())
    outcome = Upload(name.hex(), len(holders))
    if state is None:
        outcome.sent(open_vault(session, title, _nonce(title, holders)))
        if not outcome.final:
            return outcome
    return fill_vault(session, name.hex(), holders, seal, on_rows, outcome)


def fill_vault(
    session: Session,
    vault: str,
    holders: Holders,
    seal: bool = False,
    on_rows: OnChunk = lambda done, total: None,
    outcome: Upload | None = None,
) -> Upload:
    """Add the rows that the vault does not have yet, and seal it where that is wanted.

    Raises Rejected vault.other_rows where the vault holds rows that are not the beginning of this list.
    """
    state = session.client.vault(vault)
    outcome = outcome or Upload(state["id"], len(holders))
    done = outcome.before = _rows_there(session, state, holders)
    on_rows(done, len(holders))
    while done < len(holders):
        document = _add(session, state["id"], done, holders)
        if document is None:
            # Sent by a run before this one, and only now in a block.
            done = _rows_there(session, session.client.vault(vault), holders)
            continue
        outcome.sent(document)
        if not outcome.final:
            return outcome
        done = min(done + ROWS_PER_TRANSACTION, len(holders))
        on_rows(done, len(holders))
    if seal and state["state"] == "open":
        outcome.sent(seal_vault(session, state["id"]))
    return outcome


def seal_vault(session: Session, vault: str) -> dict[str, Any]:
    """No more rows; from now on shares of other tables may be moved to it."""
    return session.send([SealVault(bytes.fromhex(vault))])


def find_vault(session: Session, vault: str) -> dict[str, Any] | None:
    """The vault, or None."""
    return find(session.client.vault, vault)


def _add(session: Session, vault: str, first: int, holders: Holders) -> dict[str, Any] | None:
    """One chunk; None where the vault has gone on since it was looked at."""
    message = AddVaultRows(bytes.fromhex(vault), first, holders.rows(first, ROWS_PER_TRANSACTION))
    try:
        document = session.send([message])
    except RpcError as error:
        if error.kind == "royalties.vault_rows":
            return None
        raise
    if document["status"] == "failed" and document["error"]["kind"] == "royalties.vault_rows":
        return None
    return document


def _rows_there(session: Session, state: dict[str, Any], holders: Holders) -> int:
    """How many of the rows are on the chain."""
    there = int(state["rows"])
    if there:
        row = session.client.vault_rows(state["id"], from_row=there - 1, limit=1)["items"][0]
        ours = holders.row(there - 1) if there <= len(holders) else None
        dev = bool(session.client.status()["dev"])
        if ours is None or (row["holder"], int(row["shares"])) != (address(ours.holder, dev), ours.shares):
            raise Rejected("vault.other_rows", vault=state["id"], rows=there)
    if there < len(holders) and state["state"] == "sealed":
        raise Rejected("vault.other_rows", vault=state["id"], rows=there)
    return there


def _nonce(title: str, holders: Holders) -> bytes:
    return sha256(b"vault " + holders.digest() + title.encode()).digest()[:16]
