"""A node made of canned answers, on a loopback port: what the command line is tested against.

Answers have the shapes of docs/protocol/rpc.md. Transactions are decoded, so that ids and senders are the real ones;
what becomes of them is told in `fate`.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from concento.accounts import address
from concento.messages import kind_of
from concento.transactions import Transaction, decode_transaction
from support.canned import ANSWERS, Refusal, created_by

Answer = Callable[[dict[str, Any]], Any]


class FakeNode:
    """One node. `answers` may be changed by a test: method -> value, or function of the parameters."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            **ANSWERS,
            "tx_simulate": self._simulate,
            "tx_submit": self._submit,
            "tx_get": self._get,
        }
        self.fate = "final"
        self.fate_error: dict[str, str] | None = None
        self.simulated_error: dict[str, str] | None = None
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.transactions: dict[str, Transaction] = {}
        self.events: list[dict[str, Any]] = []
        self.queries: list[dict[str, list[str]]] = []
        self.url = ""

    def called(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every call of a method."""
        return [params for name, params in self.calls if name == method]

    def submitted(self) -> list[Transaction]:
        """Every transaction that was handed in, in order, each once."""
        return list(self.transactions.values())

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        method, params = request["method"], request.get("params", {})
        self.calls.append((method, params))
        base = {"jsonrpc": "2.0", "id": request["id"]}
        if method not in self.answers:
            return {**base, "error": {"code": -32601, "message": "Method not found"}}
        found = self.answers[method]
        try:
            return {**base, "result": found(params) if callable(found) else found}
        except Refusal as refusal:
            return {**base, "error": refusal.error}

    def _simulate(self, params: dict[str, Any]) -> dict[str, Any]:
        transaction = decode_transaction(base64.b64decode(params["tx"]))
        error = self.simulated_error
        return self._document(transaction, "failed" if error else "final", error)

    def _submit(self, params: dict[str, Any]) -> dict[str, Any]:
        transaction = decode_transaction(base64.b64decode(params["tx"]))
        known = transaction.id.hex() in self.transactions
        self.transactions[transaction.id.hex()] = transaction
        return {**self._document(transaction, "pending", None), "known": known}

    def _get(self, params: dict[str, Any]) -> dict[str, Any]:
        for identity, transaction in self.transactions.items():
            if identity.startswith(params["tx"]):
                return self._document(transaction, self.fate, self.fate_error)
        raise Refusal(-32001, "tx.not_found", f"no transaction {params['tx']} was ever seen here")

    def _document(self, transaction: Transaction, status: str, error: dict[str, str] | None) -> dict[str, Any]:
        is_in = status in ("final", "failed", "skipped")
        return {
            "tx": transaction.id.hex(),
            "status": status,
            "known": False,
            "sender": address(transaction.body.sender, dev=True),
            "height": 118 if is_in else None,
            "index": 0 if is_in else None,
            "time_ms": 1_793_491_300_000 if is_in else None,
            "fee_ubeat": str(len(transaction.raw)),
            "valid_until_ms": transaction.body.valid_until_ms,
            "error": error,
            "actions": [{"kind": kind_of(action)} for action in transaction.body.actions],
            "events": [],
            "created": created_by(transaction) if status == "final" else [],
        }


@contextmanager
def running_node() -> Iterator[FakeNode]:
    """A fake node that answers at `url` until the block ends."""
    node = FakeNode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(node))
    server.daemon_threads = True
    node.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield node
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler_of(node: FakeNode) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(json.dumps(node.answer(json.loads(body))).encode(), "application/json")

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/events":
                node.queries.append(parse_qs(parts.query))
                lines = "".join(f"id: {e.get('cursor', '')}\ndata: {json.dumps(e)}\n\n" for e in node.events)
                self._send(lines.encode(), "text/event-stream")
            elif parts.path == "/readyz":
                self._send(b"[+] node ok, height 118\n", "text/plain")
            else:
                self._send(b"{}", "application/json")

        def _send(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    return Handler
