"""The HTTP door on loopback: status codes, limits, who may ask, streams, and the page."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgpack
import pytest

from concento.limits import RPC_BODY_BYTES_MAX
from concento.messages.tokens import Transfer
from node.backend import Check
from node.rpc import server as door
from node.rpc import tx_methods
from node.rpc.server import Server, serve
from support.jsonrpc import EXAMPLES, SPECIFIED
from support.ledger import BEAT, account_of
from support.node import DecidedNode


class Opened:
    """A running door, its node, and a client of it."""

    def __init__(self, node: DecidedNode, server: Server, client: aiohttp.ClientSession) -> None:
        self.node = node
        self.client = client
        self.url = f"http://127.0.0.1:{server.port}"
        self.port = server.port

    async def post(self, body: Any, **headers: str) -> tuple[int, bytes]:
        async with self.client.post(f"{self.url}/rpc", data=body, headers=headers) as response:
            return response.status, await response.read()

    async def call(self, method: str, **params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        status, body = await self.post(json.dumps(request))
        assert status == 200
        return json.loads(body)

    async def get(self, path: str, **headers: str) -> tuple[int, str, Any]:
        async with self.client.get(self.url + path, headers=headers) as response:
            return response.status, await response.text(), response.headers


def with_door(test: Callable[[Opened], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        node = DecidedNode()
        server = await serve(node, "127.0.0.1", 0, **options)
        try:
            async with aiohttp.ClientSession() as client:
                return await asyncio.wait_for(test(Opened(node, server, client)), 20)
        finally:
            await server.close()

    return asyncio.run(run())


# JSON-RPC


def test_every_example_of_the_specification_answers_over_http_with_200_or_204() -> None:
    async def test(opened: Opened) -> None:
        for text, expected in EXAMPLES:
            status, body = await opened.post(text)
            if expected is None:
                assert (status, body) == (204, b"")
            else:
                assert (status, json.loads(body)) == (200, expected)

    with_door(test, methods=SPECIFIED)


def test_a_body_that_is_not_json_is_a_parse_error_with_200() -> None:
    async def test(opened: Opened) -> None:
        for body in (b"", b"{", b"\xff\xfe", b"null extra", b"[" * 100_000):
            status, answer = await opened.post(body)
            assert status == 200
            assert json.loads(answer)["error"]["code"] == -32700

    with_door(test)


def test_a_large_body_is_answered_with_413_and_an_error_object() -> None:
    async def test(opened: Opened) -> None:
        status, body = await opened.post(io.BytesIO(b" " * (RPC_BODY_BYTES_MAX + 1)))
        assert status == 413
        assert json.loads(body)["error"]["code"] == -32005
        chunked = (b" " * 65_536 for _ in range(RPC_BODY_BYTES_MAX // 65_536 + 2))

        async def pieces() -> Any:
            for piece in chunked:
                yield piece

        async with opened.client.post(f"{opened.url}/rpc", data=pieces()) as response:
            assert response.status == 413
            assert (await response.json())["error"]["data"]["kind"] == "rpc.body_too_large"

    with_door(test)


def test_transactions_may_come_as_messagepack() -> None:
    async def test(opened: Opened) -> None:
        raws = [opened.node.tx("bob", Transfer(account_of("carol"), BEAT)).raw for _ in range(3)]
        request = {"jsonrpc": "2.0", "id": 7, "method": "tx_submitBatch", "params": {"txs": raws}}
        body = msgpack.packb(request, use_bin_type=True)
        status, answer = await opened.post(body, **{"Content-Type": "application/msgpack"})
        items = json.loads(answer)["result"]["items"]
        assert status == 200
        assert [item["status"] for item in items] == ["pending"] * 3
        assert len(opened.node.pool) == 3
        many = b"\xdd" + (70).to_bytes(4, "big") + (b"\xdd" + (69_999).to_bytes(4, "big") + b"\x90" * 69_999) * 70
        assert len(many) < RPC_BODY_BYTES_MAX
        no_number = msgpack.packb({"jsonrpc": "2.0", "id": float("nan"), "method": "nothing"})
        bytes_name = msgpack.packb({"jsonrpc": "2.0", "id": 1, "method": "tx_submit", "params": {b"tx": b""}})
        for odd, code in ((many, -32700), (no_number, -32600), (bytes_name, -32602)):
            status, answer = await opened.post(io.BytesIO(odd), **{"Content-Type": "application/msgpack"})
            assert (status, json.loads(answer)["error"]["code"]) == (200, code)
        status, answer = await opened.post(b"\xc1", **{"Content-Type": "application/msgpack"})
        assert json.loads(answer)["error"]["code"] == -32700
        twice = b"\x82\xa1a\x01\xa1a\x02"
        status, answer = await opened.post(twice, **{"Content-Type": "application/msgpack"})
        assert json.loads(answer)["error"]["code"] == -32700

    with_door(test)


def test_a_waiting_request_is_answered_when_the_block_comes() -> None:
    async def test(opened: Opened) -> None:
        transaction = opened.node.tx("bob", Transfer(account_of("carol"), BEAT))
        await opened.node.submit([transaction.raw])
        waiting = asyncio.ensure_future(opened.call("tx_get", tx=transaction.id.hex(), wait_ms=15_000))
        await opened.call("node_getStatus")
        opened.node.decide()
        assert (await waiting)["result"]["status"] == "final"

    with_door(test)


def test_a_submission_that_waits_is_answered_when_the_block_comes() -> None:
    async def test(opened: Opened) -> None:
        raw = opened.node.tx("bob", Transfer(account_of("carol"), BEAT)).raw
        given = base64.b64encode(raw).decode()
        short = await opened.call("tx_submit", tx=given, wait_ms=20)
        assert (short["result"]["status"], short["result"]["known"]) == ("pending", False)
        waiting = asyncio.ensure_future(opened.call("tx_submit", tx=given, wait_ms=15_000))
        await opened.call("node_getStatus")
        opened.node.decide()
        answer = (await waiting)["result"]
        assert (answer["status"], answer["known"]) == ("final", True)

    with_door(test)


def test_where_too_many_wait_a_submission_is_taken_and_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(opened: Opened) -> None:
        monkeypatch.setattr(tx_methods, "WAITS_MAX", 0)
        transaction = opened.node.tx("bob", Transfer(account_of("carol"), BEAT))
        given = base64.b64encode(transaction.raw).decode()
        assert (await opened.call("tx_submit", tx=given, wait_ms=15_000))["result"]["status"] == "pending"
        refused = await opened.call("tx_get", tx=transaction.id.hex(), wait_ms=15_000)
        assert refused["error"]["data"]["kind"] == "rpc.waits_full"
        opened.node.decide()
        found = await opened.call("tx_get", tx=transaction.id.hex(), wait_ms=15_000)
        assert found["result"]["status"] == "final"

    with_door(test)


def test_a_wait_that_ends_first_tells_the_status_so_far() -> None:
    async def test(opened: Opened) -> None:
        transaction = opened.node.tx("bob", Transfer(account_of("carol"), BEAT))
        await opened.node.submit([transaction.raw])
        found = await opened.call("tx_get", tx=transaction.id.hex(), wait_ms=20)
        assert found["result"]["status"] == "pending"

    with_door(test)


def test_a_proof_waits_for_the_block_that_carries_the_root() -> None:
    async def test(opened: Opened) -> None:
        opened.node.run("bob", Transfer(account_of("carol"), BEAT))
        waiting = asyncio.ensure_future(opened.call("state_getProof", key="account/carol"))
        await opened.call("node_getStatus")
        assert not waiting.done()
        opened.node.run("bob", Transfer(account_of("carol"), BEAT))
        assert (await waiting)["result"]["height"] == 1

    with_door(test)


# Who may ask


def test_foreign_host_names_and_origins_are_refused() -> None:
    async def test(opened: Opened) -> None:
        status, text, _ = await opened.get("/livez", Host="evil.example")
        assert status == 403
        assert "evil" not in text
        for host in ("localhost", f"localhost:{opened.port}", f"127.0.0.1:{opened.port}"):
            assert (await opened.get("/livez", Host=host))[0] == 200
        own = f"http://127.0.0.1:{opened.port}"
        request = '{"jsonrpc":"2.0","id":1,"method":"node_getStatus"}'
        assert (await opened.post(request, Origin=own))[0] == 200
        assert (await opened.post(request, Origin="https://evil.example"))[0] == 403
        assert (await opened.post(request, Origin="null"))[0] == 403

    with_door(test)


def test_a_page_may_not_call_what_is_for_this_machine() -> None:
    async def test(opened: Opened) -> None:
        request = '{"jsonrpc":"2.0","id":1,"method":"dev_setLinks","params":{"links":{"node2":{"cut":1}}}}'
        _, body = await opened.post(request, Origin=f"http://127.0.0.1:{opened.port}")
        assert json.loads(body)["error"]["data"]["kind"] == "rpc.forbidden"
        assert opened.node.links == {}
        await opened.post(request)
        assert opened.node.links == {"node2": {"cut": 1}}

    with_door(test)


def test_an_error_shows_its_status_and_nothing_of_the_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(opened: Opened) -> None:
        status, text, _ = await opened.get("/no/such/<script>")
        assert (status, text) == (404, "404: Not Found\n")
        status, text, _ = await opened.get("/rpc")
        assert (status, text) == (405, "405: Method Not Allowed\n")
        monkeypatch.setattr(opened.node, "metrics", lambda: 1 / 0)
        status, text, _ = await opened.get("/metrics")
        assert (status, text) == (500, "500: Internal Server Error\n")

    with_door(test)


# Slow and many


async def raw_request(opened: Opened, sent: bytes) -> bytes:
    """What comes back for these bytes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
    writer.write(sent)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def test_a_half_sent_header_or_body_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "READ_S_MAX", 0.2)

    async def test(opened: Opened) -> None:
        header = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Le"
        assert await asyncio.wait_for(raw_request(opened, header), 5) == b""
        body = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        assert b"200" not in await asyncio.wait_for(raw_request(opened, body), 5)
        assert "result" in await opened.call("node_getStatus")

    with_door(test, read_s_max=0.2)


def test_a_malformed_request_is_answered_without_repeating_it() -> None:
    async def test(opened: Opened) -> None:
        answer = await raw_request(opened, b"GARBAGE evil<script>\r\nHost: evil\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        assert b"evil" not in answer

    with_door(test)


def test_one_connection_too_many_is_told_so() -> None:
    async def test(opened: Opened) -> None:
        held = [await asyncio.open_connection("127.0.0.1", opened.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        answer = await raw_request(opened, b"")
        assert answer.startswith(b"HTTP/1.1 503")
        for _, writer in held:
            writer.close()

    with_door(test, connections_max=3)


# Streams


async def receive(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return json.loads(await asyncio.wait_for(socket.receive_str(), 5))


async def subscribe(socket: aiohttp.ClientWebSocketResponse, **params: Any) -> str:
    request = {"jsonrpc": "2.0", "id": 1, "method": "chain_subscribe", "params": params}
    await socket.send_str(json.dumps(request))
    name: str = (await receive(socket))["result"]["subscription"]
    return name


def test_every_example_of_the_specification_answers_over_websocket() -> None:
    async def test(opened: Opened) -> None:
        async with opened.client.ws_connect(f"{opened.url}/ws") as socket:
            for text, expected in EXAMPLES:
                await socket.send_str(text)
                if expected is not None:
                    assert await receive(socket) == expected

    with_door(test, methods=SPECIFIED)


def test_a_subscription_tells_events_with_their_cursors_and_resumes_without_a_gap() -> None:
    async def test(opened: Opened) -> None:
        async with opened.client.ws_connect(f"{opened.url}/ws") as socket:
            name = await subscribe(socket, topics=["tokens"])
            opened.node.run("bob", Transfer(account_of("carol"), BEAT))
            first = await receive(socket)
        assert first["method"] == "chain_subscription"
        assert first["params"]["subscription"] == name
        event = first["params"]["result"]
        assert (event["height"], event["topic"], event["text"]) == (1, "tokens", "bob paid carol 1.000000 BEAT")
        opened.node.run("bob", Transfer(account_of("dana"), BEAT))
        async with opened.client.ws_connect(f"{opened.url}/ws") as socket:
            await subscribe(socket, topics=["tokens"], **{"from": event["cursor"]})
            second = (await receive(socket))["params"]["result"]
        assert (second["height"], second["text"]) == (2, "bob paid dana 1.000000 BEAT")

    with_door(test)


def test_a_subscription_ends_when_asked_and_a_connection_has_so_many() -> None:
    async def test(opened: Opened) -> None:
        async with opened.client.ws_connect(f"{opened.url}/ws") as socket:
            names = [await subscribe(socket, topics=["tokens"]) for _ in range(16)]
            request = {"jsonrpc": "2.0", "id": 2, "method": "chain_subscribe", "params": {}}
            await socket.send_str(json.dumps(request))
            assert (await receive(socket))["error"]["code"] == -32005
            for name in names[1:]:
                request = {"jsonrpc": "2.0", "id": 3, "method": "chain_unsubscribe", "params": {"subscription": name}}
                await socket.send_str(json.dumps(request))
                assert (await receive(socket))["result"] == {"unsubscribed": True}
            opened.node.run("bob", Transfer(account_of("carol"), BEAT))
            assert (await receive(socket))["params"]["subscription"] == names[0]
            await socket.send_str(json.dumps({**request, "id": 4}))
            assert (await receive(socket))["error"]["data"]["kind"] == "rpc.subscription_unknown"

    with_door(test)


def test_a_subscription_over_http_is_refused_with_what_to_use() -> None:
    async def test(opened: Opened) -> None:
        error = (await opened.call("chain_subscribe"))["error"]
        assert error["data"]["kind"] == "rpc.websocket_needed"
        assert "/ws" in error["message"]

    with_door(test)


def test_a_large_websocket_message_gets_an_error_object() -> None:
    async def test(opened: Opened) -> None:
        async with opened.client.ws_connect(f"{opened.url}/ws") as socket:
            await socket.send_str(" " * (RPC_BODY_BYTES_MAX + 1))
            assert (await receive(socket))["error"]["code"] == -32005
            await socket.send_str('{"jsonrpc":"2.0","id":1,"method":"node_getStatus"}')
            assert "result" in await receive(socket)

    with_door(test)


async def sse(opened: Opened, count: int, path: str, **headers: str) -> list[tuple[str, Any]]:
    """(id, data) of the next `count` events of a stream."""
    found: list[tuple[str, Any]] = []
    async with opened.client.get(opened.url + path, headers=headers) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        name = ""
        while len(found) < count:
            line = (await response.content.readline()).decode().rstrip("\n")
            if line.startswith("id: "):
                name = line[4:]
            elif line.startswith("data: "):
                found.append((name, json.loads(line[6:])))
    return found


def test_the_event_stream_resumes_at_the_last_event_id() -> None:
    async def test(opened: Opened) -> None:
        for name in ("carol", "dana", "alice"):
            opened.node.run("bob", Transfer(account_of(name), BEAT))
        events = await sse(opened, 2, "/events?topics=tokens&from=0.0")
        assert [event["text"] for _, event in events] == [
            "bob paid carol 1.000000 BEAT",
            "bob paid dana 1.000000 BEAT",
        ]
        assert all(name == event["cursor"] for name, event in events)
        rest = await sse(opened, 1, "/events?topics=tokens", **{"Last-Event-ID": events[-1][0]})
        assert rest[0][1]["text"] == "bob paid alice 1.000000 BEAT"

    with_door(test)


def test_a_bad_cursor_is_refused_before_the_stream_begins() -> None:
    async def test(opened: Opened) -> None:
        status, text, _ = await opened.get("/events?from=nonsense")
        assert status == 400
        assert json.loads(text)["error"]["data"]["kind"] == "rpc.cursor_malformed"

    with_door(test)


def test_closing_the_door_ends_streams_at_once() -> None:
    async def run() -> None:
        node = DecidedNode()
        server = await serve(node, "127.0.0.1", 0)
        async with aiohttp.ClientSession() as client:
            url = f"http://127.0.0.1:{server.port}"
            async with client.ws_connect(f"{url}/ws") as socket, client.get(f"{url}/events") as stream:
                await stream.content.readline()
                await asyncio.wait_for(server.close(), 5)
                message = await asyncio.wait_for(socket.receive(), 5)
                assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert node.watchers == []

    asyncio.run(run())


# Health and page


def test_readiness_lists_its_checks_and_says_no_with_503() -> None:
    async def test(opened: Opened) -> None:
        opened.node.checks = [Check("tip", True, "block 5 is fresh"), Check("peers", True, "3 of 3")]
        assert (await opened.get("/readyz"))[:2] == (200, "ok\n")
        assert (await opened.get("/readyz?verbose"))[:2] == (200, "[+] tip block 5 is fresh\n[+] peers 3 of 3\nok\n")
        opened.node.checks[1] = Check("peers", False, "1 of 3, 2 are needed")
        status, text, _ = await opened.get("/readyz")
        assert status == 503
        assert "[!] peers 1 of 3, 2 are needed" in text
        status, text, _ = await opened.get("/readyz", Accept="application/json")
        assert (status, json.loads(text)["ok"]) == (503, False)
        assert (await opened.get("/livez"))[0] == 200

    with_door(test)


def test_metrics_and_the_description_are_served() -> None:
    async def test(opened: Opened) -> None:
        status, text, headers = await opened.get("/metrics")
        assert (status, text) == (200, "concento_consensus_height 1\n")
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        status, text, _ = await opened.get("/openrpc.json")
        assert json.loads(text) == (await opened.call("rpc.discover"))["result"]

    with_door(test)


def test_the_page_allows_no_inline_script_and_asks_nobody_else() -> None:
    async def test(opened: Opened) -> None:
        status, html, headers = await opened.get("/")
        policy = headers["Content-Security-Policy"]
        assert status == 200
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<script>" not in html
        assert " style=" not in html
        assert "://" not in html
        for path, kind in (("/page.js", "text/javascript"), ("/page.css", "text/css"), ("/icon.svg", "image/svg+xml")):
            assert path[1:] in html
            status, text, headers = await opened.get(path)
            assert status == 200
            assert headers["Content-Type"].startswith(kind)
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
            assert "https://" not in text
            assert "innerHTML" not in text

    with_door(test)


def test_requests_are_counted_by_method_and_outcome() -> None:
    async def test(opened: Opened) -> None:
        await opened.call("node_getStatus")
        await opened.call("tx_get", tx="00" * 32)
        assert opened.node.observed == [("node_getStatus", "ok"), ("tx_get", "tx.not_found")]

    with_door(test)
