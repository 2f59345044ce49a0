"""JSON-RPC error objects: the codes, the `data` that clients branch on, and what our own errors become.

Nothing of the inside leaves: an error that nobody meant to raise becomes "Internal error", and the log has the rest.
Only damage of the disk is told (`store.damaged`): another node has the answer, and somebody must mend this one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from concento.errors import UNAVAILABLE as UNAVAILABLE_KINDS
from concento.errors import ConcentoError, Damaged, Rejected, Unavailable

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
NOT_FOUND: Final = -32001
UNAVAILABLE: Final = -32002
REFUSED: Final = -32003
LIMIT: Final = -32005

MESSAGES: Final = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid Request",
    METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
}
"""The specification's words."""

LIMIT_KINDS: Final = frozenset(
    {
        "rpc.answer_too_large",
        "rpc.batch_too_long",
        "rpc.body_too_full",
        "rpc.body_too_large",
        "rpc.streams_full",
        "rpc.subscriptions_full",
        "rpc.waits_full",
        "node.busy",
    }
)
_FOLDER: Final = re.compile(r"[^\s:]*/")
_ABSENT: Final = (".not_found", ".pruned")


class Refused(Exception):
    """A transaction that was not taken: the ledger's reason, and the transaction where it could be read."""

    def __init__(self, error: ConcentoError, tx: bytes | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.tx = tx


def protocol_error(code: int) -> dict[str, Any]:
    """The error object of a request that reached no method: the specification's words, without `data`."""
    return {"code": code, "message": MESSAGES[code]}


def internal_error() -> dict[str, Any]:
    return {"code": INTERNAL_ERROR, "message": MESSAGES[INTERNAL_ERROR], "data": error_data("internal")}


def error_data(
    kind: str,
    hint: str | None = None,
    retryable: bool = False,
    field: str | None = None,
    tx: bytes | None = None,
    height: int | None = None,
    numbers: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The `data` of an error object; no key is ever missing."""
    return {
        "kind": kind,
        "hint": hint,
        "retryable": retryable,
        "field": field,
        "tx": None if tx is None else tx.hex(),
        "height": height,
        "numbers": numbers or {},
    }


def error_object(error: ConcentoError, tx: bytes | None = None, field: str | None = None) -> dict[str, Any]:
    """The error object of one of our errors; with `tx`, or as `Refused`, it is the ledger's refusal."""
    match error:
        case Unavailable() | Rejected():
            code = code_of(error.kind)
            if tx is not None and code == INVALID_PARAMS:
                code = REFUSED
            return _described(error, code, tx, field)
        case _:
            return internal_error()


def damage_object(error: Damaged) -> dict[str, Any]:
    """The error object of what this node's disk does not give back: which file, not in which folder."""
    numbers = {name: _FOLDER.sub("", str(value)) for name, value in error.numbers.items()}
    return error_object(Unavailable("store.damaged", **numbers))


def refusal_object(refused: Refused) -> dict[str, Any]:
    """The error object of a transaction that was not taken, for good or for now."""
    error = refused.error
    if not isinstance(error, Unavailable | Rejected):
        return internal_error()
    code = code_of(error.kind) if isinstance(error, Unavailable) or error.kind in LIMIT_KINDS else REFUSED
    return _described(error, code, refused.tx, None)


def _described(error: ConcentoError, code: int, tx: bytes | None, field: str | None) -> dict[str, Any]:
    height = error.numbers.get("height")
    numbers = {name: value.hex() if isinstance(value, bytes) else value for name, value in error.numbers.items()}
    data = error_data(
        error.kind, error.hint, error.retryable, field, tx, height if isinstance(height, int) else None, numbers
    )
    return {"code": code, "message": error.message, "data": data}


def code_of(kind: str) -> int:
    """The code that a read answers with for an error of this kind."""
    if kind in LIMIT_KINDS:
        return LIMIT
    if kind in UNAVAILABLE_KINDS:
        return UNAVAILABLE
    return NOT_FOUND if kind.endswith(_ABSENT) else INVALID_PARAMS
