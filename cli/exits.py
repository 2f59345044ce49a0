"""Exit codes, and the one table that gives every error its code. Scripts branch on them; they never change."""

from __future__ import annotations

from typing import Any, Final

from concento.errors import Broken, ConcentoError, Rejected, Unavailable

OK: Final = 0
BUG: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
REJECTED: Final = 4
FAILED: Final = 5
NOT_FOUND: Final = 6
UNKNOWN_OUTCOME: Final = 7
REFUSED: Final = 8
LOCAL: Final = 9
INTERRUPTED: Final = 130
TERMINATED: Final = 143

MEANINGS: Final = {
    OK: "done",
    BUG: "a bug of this program",
    USAGE: "the command line cannot be understood",
    UNREACHABLE: "no node or gateway answers",
    REJECTED: "refused, or expired before it was included; nothing happened",
    FAILED: "included, but without effect",
    NOT_FOUND: "a thing that was named does not exist",
    UNKNOWN_OUTCOME: "the time is up and the outcome not known yet",
    REFUSED: "a key, a permission or a check says no",
    LOCAL: "something on this machine is in the way",
    INTERRUPTED: "Ctrl-C",
    TERMINATED: "SIGTERM",
}

_BY_KIND: Final = {
    "tx.outcome_unknown": UNKNOWN_OUTCOME,
    "tx.field_invalid": USAGE,
    "tx.file_invalid": USAGE,
    "tx.unsigned": REFUSED,
    "identity.role_required": REFUSED,
    "identity.party_required": REFUSED,
    "tx.authority": REFUSED,
    "tx.signature": REFUSED,
    "licence.required": REFUSED,
    "licence.expired": REFUSED,
    "licence.revoked": REFUSED,
    "licence.exhausted": REFUSED,
    "licence.wrong_purpose": REFUSED,
    "licence.not_yours": REFUSED,
    "asset.not_owner": REFUSED,
    "asset.not_sublicensable": REFUSED,
    "governance.not_a_validator": REFUSED,
    "rpc.forbidden": REFUSED,
    "gateway.content_changed": REFUSED,
    "gateway.session_foreign": REFUSED,
    "wallet.key_not_found": NOT_FOUND,
    "wallet.name_taken": LOCAL,
    "wallet.name_development": LOCAL,
    "wallet.name_invalid": USAGE,
    "licence.no_offer": NOT_FOUND,
    "royalties.vault_not_found": NOT_FOUND,
    "usage.no_pot": NOT_FOUND,
    "usage.root_differs": REJECTED,
    "testnet.no_such_node": NOT_FOUND,
    "dataset.no_folder": NOT_FOUND,
    "dataset.no_audio": LOCAL,
}
"""Kinds whose code their prefix or their road here does not tell."""

_BY_PREFIX: Final = {
    "account": USAGE,
    "address": USAGE,
    "amount": USAGE,
    "audio": LOCAL,
    "cid": USAGE,
    "comet": LOCAL,
    "commit": REFUSED,
    "encoding": USAGE,
    "explain": NOT_FOUND,
    "fetch": REFUSED,
    "file": LOCAL,
    "gateway": REFUSED,
    "genesis": LOCAL,
    "guard": LOCAL,
    "id": USAGE,
    "json": USAGE,
    "key": USAGE,
    "label": NOT_FOUND,
    "local": LOCAL,
    "node": LOCAL,
    "peer": LOCAL,
    "policy": USAGE,
    "port": LOCAL,
    "proof": REFUSED,
    "rows": USAGE,
    "rpc": USAGE,
    "session": REFUSED,
    "signer": LOCAL,
    "split": USAGE,
    "statement": REFUSED,
    "store": LOCAL,
    "terms": USAGE,
    "testnet": LOCAL,
    "text": USAGE,
    "url": USAGE,
    "usage": USAGE,
    "validators": REFUSED,
    "wallet": REFUSED,
}
"""For errors that were raised on this side; a kind that is not named here is a refusal by the rules of the ledger."""

_BY_CODE: Final = {
    -32001: NOT_FOUND,
    -32002: UNREACHABLE,
    -32003: REJECTED,
    -32005: REJECTED,
    -32600: BUG,
    -32601: USAGE,
    -32602: USAGE,
    -32603: BUG,
    -32700: BUG,
}
"""For errors that a node has answered."""

_BY_STATUS: Final = {
    "final": OK,
    "failed": FAILED,
    "skipped": FAILED,
    "expired": REJECTED,
    "pending": UNKNOWN_OUTCOME,
    "shared": UNKNOWN_OUTCOME,
    "unknown": UNKNOWN_OUTCOME,
}
"""For a transaction that was waited for."""


def exit_of(error: ConcentoError) -> int:
    """The code of an error of ours or of a node's refusal."""
    found = _BY_KIND.get(error.kind)
    if found is not None:
        return found
    if isinstance(error, Broken):
        return BUG
    if isinstance(error, Unavailable):
        return UNREACHABLE
    if error.kind.endswith((".not_found", ".pruned")):
        return NOT_FOUND
    if isinstance(error, Rejected):
        return _BY_PREFIX.get(error.kind.partition(".")[0], REJECTED)
    return _BY_CODE.get(int(getattr(error, "code", 0)), REJECTED)


def exit_of_tx(document: dict[str, Any]) -> int:
    """The code of a transaction's status after waiting."""
    return _BY_STATUS.get(str(document["status"]), UNKNOWN_OUTCOME)
