"""JSON-RPC 2.0 from the caller's side: how a request is written and what an answer or an error becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from concento.errors import ConcentoError, Unavailable

CODE_NOT_FOUND: Final = -32001

_PROTOCOL_KINDS: Final = {
    -32700: "rpc.parse_error",
    -32600: "rpc.invalid_request",
    -32601: "rpc.method_not_found",
}
"""Kinds of the errors that come without `data`: the request reached no method."""


class RpcError(ConcentoError):
    """A node's or gateway's refusal, word for word. Branch on `kind`, never on the sentence."""

    def __init__(self, code: int, message: str, data: dict[str, Any]) -> None:
        Exception.__init__(self, message)
        self.code = code
        self.data = data
        self.kind = data.get("kind") or _PROTOCOL_KINDS.get(code, "rpc.error")
        self.hint = data.get("hint")
        self.numbers = data.get("numbers") or {}
        self.retryable = bool(data.get("retryable"))

    @property
    def not_found(self) -> bool:
        return self.code == CODE_NOT_FOUND


def find(ask: Callable[[str], dict[str, Any]], text: str) -> dict[str, Any] | None:
    """What a node answers to this question about something; None where there is no such thing."""
    try:
        return ask(text)
    except RpcError as error:
        if error.not_found:
            return None
        raise


def request_bytes(number: int, method: str, params: dict[str, Any]) -> bytes:
    """One request; parameters that are None are left to the server's default."""
    given = {name: value for name, value in params.items() if value is not None}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": given}).encode()


def raise_stream_refusal(status: int, body: bytes, url: str) -> None:
    """What a node answered in place of events: RpcError where the request is wrong, else Unavailable."""
    if status < 500:
        answer_value(body, url)
    raise Unavailable("node.unreachable", url=url, reason=f"it gives no events now ({status})")


def answer_value(body: bytes, url: str) -> Any:
    """The result in an answer. Raises RpcError where it is an error, Unavailable where it is no JSON-RPC at all."""
    try:
        document = json.loads(body)
        error = document.get("error")
        if error is None:
            return document["result"]
        code, message, data = int(error["code"]), str(error["message"]), error.get("data") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unavailable("node.unreachable", url=url, reason="it does not speak JSON-RPC 2.0") from None
    raise RpcError(code, message, data)
