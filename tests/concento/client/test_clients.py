"""Both clients say the same to a node and make the same of its answers; a session waits until the fate is known."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from concento.accounts import account_of_key
from concento.client import AsyncClient, Client, RpcError, Session, Signer
from concento.client import session as session_file
from concento.errors import Rejected, Unavailable
from concento.keys import public_key
from concento.messages.tokens import Transfer
from concento.transactions import decode_transaction

Answer = Callable[[str, dict[str, Any]], Any]
SIGNER = Signer("reader", account_of_key(public_key(b"\x12" * 32)), (b"\x12" * 32,))


class Node:
    """A node of which only the wire is real: `answer` maps method and parameters to a result or an RpcError."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.streams: list[list[dict[str, Any]]] = []
        self.cursors: list[str] = []
        self.body: bytes | None = None
        self.refused = 0
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                node.calls.append((request["method"], request["params"]))
                self._send(node.body or node.respond(request), "application/json")

            def do_GET(self) -> None:
                node.cursors.append(self.path)
                events = node.streams.pop(0) if node.streams else []
                self.close_connection = True
                if node.refused:
                    error = {"code": -32602, "message": "no", "data": {"kind": "rpc.cursor_malformed"}}
                    self._send(json.dumps({"error": error}).encode(), "application/json", node.refused)
                    return
                self._send(b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events), "text/event-stream")

            def _send(self, body: bytes, kind: str, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def respond(self, request: dict[str, Any]) -> bytes:
        try:
            outcome = {"result": self.answer(request["method"], request["params"])}
        except RpcError as error:
            outcome = {"error": {"code": error.code, "message": error.message, "data": error.data}}
        return json.dumps({"jsonrpc": "2.0", "id": request["id"], **outcome}).encode()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def start() -> Iterator[Callable[[Answer], Node]]:
    nodes: list[Node] = []

    def begin(answer: Answer = lambda method, params: {"method": method, "params": params}) -> Node:
        nodes.append(Node(answer))
        return nodes[-1]

    yield begin
    for node in nodes:
        node.stop()


Start = Callable[..., Node]
DEAD = "http://127.0.0.1:9"


def call_both(node: Node, act: Callable[[Any], Any]) -> list[Any]:
    """What the blocking and the asyncio client make of the same call."""
    with Client(node.url) as client:
        first = act(client)

    async def later() -> Any:
        async with AsyncClient(node.url) as client:
            return await act(client)

    return [first, asyncio.run(later())]


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.status(),
        lambda client: client.account("alice"),
        lambda client: client.search(tag="lofi", price_max_ubeat=5),
        lambda client: client.statement("alice", from_height=3),
        lambda client: client.submit(b"raw"),
        lambda client: client.transaction("ab", wait_ms=5),
        lambda client: client.block(height=0),
        lambda client: client.call("any_thing", nested=[1, "é"]),
    ],
)
def test_both_clients_ask_and_answer_alike(start: Start, act: Callable[[Any], Any]) -> None:
    node = start()
    one, two = call_both(node, act)
    assert one == two
    assert node.calls[0] == node.calls[1]


def test_parameters_that_are_none_are_left_out_and_zero_is_not(start: Start) -> None:
    node = start()
    with Client(node.url) as client:
        client.block(height=0)
        client.history("alice")
    assert [params for _, params in node.calls] == [{"height": 0}, {"who": "alice"}]


def test_amounts_travel_as_strings_and_transactions_in_base64(start: Start) -> None:
    node = start()
    with Client(node.url) as client:
        client.search(price_max_ubeat=2**60)
        client.submit(b"\x00\xff")
    assert node.calls[0][1]["max_price_ubeat"] == str(2**60)
    assert base64.b64decode(node.calls[1][1]["tx"]) == b"\x00\xff"


def test_a_refusal_keeps_everything_that_the_node_said(start: Start) -> None:
    def refuse(method: str, params: dict[str, Any]) -> Any:
        data = {"kind": "asset.not_found", "hint": "look", "retryable": False, "numbers": {"text": "ab"}}
        raise RpcError(-32001, "there is no asset ab", data)

    node = start(refuse)
    for act in (_asset_blocking, _asset_later):
        with pytest.raises(RpcError) as refused:
            act(node.url)
        error = refused.value
        assert (error.code, error.kind, error.hint, error.message) == (
            -32001,
            "asset.not_found",
            "look",
            "there is no asset ab",
        )
        assert error.not_found
        assert error.numbers == {"text": "ab"}


def _asset_blocking(url: str) -> Any:
    with Client(url) as client:
        return client.asset("ab")


def _asset_later(url: str) -> Any:
    async def ask() -> Any:
        async with AsyncClient(url) as client:
            return await client.asset("ab")

    return asyncio.run(ask())


def test_where_the_first_node_does_not_answer_the_next_is_asked(start: Start) -> None:
    node = start()

    async def later() -> Any:
        async with AsyncClient(DEAD, node.url) as client:
            return await client.status()

    with Client(DEAD, node.url) as client:
        assert client.status() == asyncio.run(later())


def test_where_no_node_answers_that_is_said_with_the_url() -> None:
    for act in (_asset_blocking, _asset_later):
        with pytest.raises(Unavailable) as unavailable:
            act(DEAD)
        assert unavailable.value.kind == "node.unreachable"
        assert unavailable.value.numbers["url"] == DEAD


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"error": 5}', b"null", b"\xff"])
def test_what_is_no_json_rpc_is_unavailable_and_never_a_crash(start: Start, body: bytes) -> None:
    node = start()
    node.body = body
    with Client(node.url) as client, pytest.raises(Unavailable):
        client.status()


@pytest.mark.parametrize("url", ["", "node", "ftp://x", "http://", "http://host:port"])
def test_a_malformed_url_is_named(url: str) -> None:
    with pytest.raises(Rejected) as refused:
        Client(url).status()
    assert refused.value.kind == "url.malformed"


def test_a_connection_that_the_server_closed_is_opened_again(start: Start) -> None:
    node = start()
    with Client(node.url) as client:
        client.status()
        for connection in client._connections.values():
            connection.sock.close()
        assert client.status()["method"] == "node_getStatus"


def test_events_resume_behind_the_last_one_after_every_broken_stream(start: Start) -> None:
    node = start()
    node.streams = [[{"cursor": "1.0"}, {"cursor": "1.1"}], [{"cursor": "2.0"}]]
    with Client(node.url) as client:
        events = client.events(topics="tokens", start="0.5")
        assert [next(events)["cursor"] for _ in range(3)] == ["1.0", "1.1", "2.0"]
        events.close()
    assert node.cursors == ["/events?topics=tokens&from=0.5", "/events?topics=tokens&from=1.1"]


@pytest.mark.parametrize(("status", "kind"), [(400, "rpc.cursor_malformed"), (503, "node.unreachable")])
def test_events_that_a_node_does_not_give_are_not_asked_for_again_and_again(
    start: Start, status: int, kind: str
) -> None:
    node = start()
    node.refused = status

    async def read() -> None:
        async with AsyncClient(node.url) as client:
            await anext(client.events(start="abc"))

    with Client(node.url) as client, pytest.raises((RpcError, Unavailable)) as refused:
        next(client.events(start="abc"))
    assert refused.value.kind == kind
    with pytest.raises((RpcError, Unavailable)) as refused:
        asyncio.run(read())
    assert refused.value.kind == kind
    assert len(node.cursors) == 2


def test_asyncio_events_resume_too(start: Start) -> None:
    node = start()
    node.streams = [[{"cursor": "1.0"}], [{"cursor": "2.0"}]]

    async def read() -> list[str]:
        found = []
        async with AsyncClient(node.url) as client:
            events = client.events()
            async for event in events:
                found.append(event["cursor"])
                if len(found) == 2:
                    await events.aclose()
                    break
        return found

    assert asyncio.run(read()) == ["1.0", "2.0"]


class Chain:
    """Answers as a node that includes a transaction after it was asked `pending` times.

    One that `forgets` answers with this kind until then, as a node that the network had not told yet.
    """

    def __init__(self, pending: int, forgets: str = "") -> None:
        self.pending = pending
        self.forgets = forgets
        self.submitted: list[bytes] = []

    def __call__(self, method: str, params: dict[str, Any]) -> Any:
        match method:
            case "node_getStatus":
                return {"chain_id": "test-chain", "genesis_hash": "05" * 32, "dev": True}
            case "tx_simulate":
                return {"fee_ubeat": "283"}
            case "tx_submit":
                self.submitted.append(base64.b64decode(params["tx"]))
                return {"status": "pending"}
            case _:
                self.pending -= 1
                if self.forgets and self.pending >= 0:
                    raise RpcError(-32001, "there is no transaction", {"kind": self.forgets})
                return {"status": "pending" if self.pending >= 0 else "final", "height": 7}


def test_a_session_signs_a_fee_with_margin_and_waits_until_final(start: Start) -> None:
    chain = Chain(pending=0)
    session = Session(Client(start(chain).url), SIGNER)
    document = session.send([Transfer(b"\x01" * 32, 5)])
    assert document["status"] == "final"
    (raw,) = chain.submitted
    body = decode_transaction(raw).body
    assert (body.max_fee_ubeat, body.sender, body.chain_id) == (566, SIGNER.account, "test-chain")
    session.client.close()


def test_a_session_hands_the_same_bytes_in_again_while_the_fate_is_not_known(start: Start) -> None:
    chain = Chain(pending=3)
    session = Session(Client(start(chain).url), SIGNER)
    assert session.send([Transfer(b"\x01" * 32, 5)])["status"] == "final"
    assert len(chain.submitted) == 4
    assert len(set(chain.submitted)) == 1
    session.client.close()


@pytest.mark.parametrize("answer", ["tx.not_found", "tx.pruned", "rpc.waits_full"])
def test_a_payment_whose_node_died_before_it_told_the_others_is_handed_in_again(
    start: Start, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_file, "WAITS_FULL_S", 0)
    chain = Chain(pending=2, forgets=answer)
    session = Session(Client(start(chain).url), SIGNER)
    assert session.send([Transfer(b"\x01" * 32, 5)])["status"] == "final"
    assert len(chain.submitted) == 3
    assert len(set(chain.submitted)) == 1
    session.client.close()


def test_a_session_gives_up_only_after_the_transaction_has_expired(start: Start) -> None:
    session = Session(Client(start(Chain(pending=10**9)).url), SIGNER, valid_ms=-60_000)
    transaction = session.build([Transfer(b"\x01" * 32, 5)])
    with pytest.raises(Unavailable) as unknown:
        session.wait(transaction)
    assert unknown.value.kind == "tx.outcome_unknown"
    session.client.close()


def test_a_signer_does_not_show_its_seeds() -> None:
    assert (b"\x12" * 32).hex() not in repr(SIGNER)
    assert "\\x12" not in repr(SIGNER)
