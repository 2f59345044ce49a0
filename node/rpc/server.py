"""The node's HTTP door: POST /rpc, /ws, /events, health, metrics and the page, with limits on everything a stranger
controls.

Follows the rules of docs/protocol/rpc.md: 200 for every JSON-RPC answer, other codes for the transport alone. No
method lives here; a request becomes bytes for `dispatch.py` and its answer becomes a response.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from importlib import resources
from typing import Any, Final

import msgpack
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from concento.encoding import ARRAY_LENGTH_MAX
from concento.errors import Rejected
from concento.limits import RPC_BODY_BYTES_MAX
from node.backend import Backend, Check, Committed
from node.rpc import streams
from node.rpc.calls import WAIT_S_MAX, Call, Desk
from node.rpc.dispatch import Dispatcher, Method, encode_json, limit_answer, unavailable_answer
from node.rpc.methods import DEV_METHODS, METHODS
from node.rpc.openrpc import describe, with_discovery

_log = logging.getLogger(__name__)

READ_S_MAX: Final = 10.0
"""How long a request may take to arrive, header or body: a half-sent one costs a socket for this long."""

CONNECTIONS_MAX: Final = 900
"""Open sockets of one node: below the common limit of 1,024 files, with room for peers and the store."""

SERVER: Final = "concento"
"""What the door calls itself: nothing about versions to those who need not know."""

_SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STATIC_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_MESSAGE_PACK: Final = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")

DESK: Final = web.AppKey("desk", Desk)
DISPATCHER: Final = web.AppKey("dispatcher", Dispatcher[Call])
HOSTS: Final = web.AppKey("hosts", frozenset[str])
STREAMS: Final = web.AppKey("streams", streams.Streams)


def make_app(
    backend: Backend, *, methods: Iterable[Method] = (), hosts: Iterable[str] = _LOOPBACK_NAMES
) -> web.Application:
    """The application that answers for this node. `hosts` are the names that it is asked under; none means any."""
    app = web.Application(client_max_size=RPC_BODY_BYTES_MAX, middlewares=[_guard])
    rows = (*METHODS, *(DEV_METHODS if backend.genesis.dev else ()), *methods)
    table = with_discovery({method.name: method for method in rows})
    app[DESK] = Desk(backend)
    app[DISPATCHER] = Dispatcher(table, backend.observe_request, backend.note_damage)
    app[HOSTS] = frozenset(hosts)
    app[STREAMS] = streams.Streams(app[DESK].feed)
    app.router.add_post("/rpc", _rpc)
    app.router.add_get("/ws", _ws)
    app.router.add_get("/events", _events)
    app.router.add_get("/openrpc.json", _openrpc)
    app.router.add_get("/livez", _livez)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/metrics", _metrics)
    for path, body, kind in _pages():
        app.router.add_get(path, _page(body, kind))
    app.on_response_prepare.append(_name_server)
    _follow(app)
    return app


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER


class Server:
    """A bound and running door."""

    def __init__(self, runner: web.AppRunner, listener: asyncio.Server) -> None:
        self._runner = runner
        self._listener = listener

    @property
    def port(self) -> int:
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stops accepting, ends streams, lets requests under way finish for a moment."""
        self._listener.close()
        await self._runner.cleanup()


async def serve(
    backend: Backend,
    host: str,
    port: int,
    *,
    methods: Iterable[Method] = (),
    hosts: Iterable[str] = (),
    connections_max: int = CONNECTIONS_MAX,
    read_s_max: float = READ_S_MAX,
) -> Server:
    """Opens the door at this address. Bound to loopback it answers only to loopback names and to `hosts`."""
    names = (*_LOOPBACK_NAMES, *hosts) if _is_loopback(host) else tuple(hosts)
    app = make_app(backend, methods=methods, hosts=names)
    runner = web.AppRunner(app, shutdown_timeout=2.0)
    await runner.setup()
    accepting = runner.server
    loop = asyncio.get_running_loop()
    if accepting is None:
        raise RuntimeError("aiohttp made no server")

    def accept() -> asyncio.Protocol:
        if len(accepting.connections) >= connections_max:
            return _Full()
        # A connection that is not inside a handler when this time has passed is closed: idle, or half a header.
        return _Connection(
            accepting,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # what aiohttp's own runner passes to log no requests
            keepalive_timeout=read_s_max,
            lingering_time=2.0,
        )

    listener = await loop.create_server(accept, host, port, backlog=128)
    return Server(runner, listener)


class _Connection(RequestHandler):
    """One connection; what is wrong with a malformed request is not repeated to its sender."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        response = _plain(status, HTTPStatus(status).phrase)
        response.headers["Server"] = SERVER
        response.force_close()
        return response


class _Full(asyncio.Protocol):
    """One connection too many: it is told so and closed, without being read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        transport.close()


# Who may ask


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Web pages of other sites and foreign host names are refused; no error shows more than its status."""
    hosts = request.app[HOSTS]
    if hosts and _host_name(request.headers.get("Host", "")) not in hosts:
        return _plain(403, "this node does not answer under that name")
    origin = request.headers.get("Origin")
    if origin is not None and not _same_origin(request, origin):
        return _plain(403, "web pages of other sites may not ask this node")
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return _plain(refusal.status, refusal.reason)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        _log.exception("%s %s failed", request.method, request.path)
        return _plain(500, "Internal Server Error")


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{status}: {text}\n", headers=_SECURITY_HEADERS)


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _same_origin(request: web.Request, origin: str) -> bool:
    return origin in (f"http://{request.headers.get('Host', '')}", f"https://{request.headers.get('Host', '')}")


def _is_local(request: web.Request) -> bool:
    return "Origin" not in request.headers and request.remote is not None and _is_loopback(request.remote)


@lru_cache(maxsize=1_000)
def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# JSON-RPC


def _call(request: web.Request) -> Call:
    wait_until_s = asyncio.get_running_loop().time() + WAIT_S_MAX
    return Call(request.app[DESK], _is_local(request), wait_until_s)


async def _rpc(request: web.Request) -> web.Response:
    body = await _read(request)
    if body is None:
        return _json_answer(limit_answer("rpc.body_too_large", bytes_max=RPC_BODY_BYTES_MAX), 413)
    dispatcher = request.app[DISPATCHER]
    if request.content_type in _MESSAGE_PACK:
        try:
            document = unpacked(body)
        except (ValueError, RecursionError, msgpack.exceptions.UnpackException):
            return _json_answer(await dispatcher.answer(b"", _call(request)))
        return _json_answer(await dispatcher.answer_document(document, _call(request)))
    return _json_answer(await dispatcher.answer(body, _call(request)))


def unpacked(body: bytes) -> Any:
    """A request in MessagePack: the same objects as in JSON, binary where JSON has base64.

    Raises ValueError, RecursionError or UnpackException. A list of a byte each can stand in five million lists.
    """
    values = 0

    def count(items: list[Any]) -> list[Any]:
        nonlocal values
        values += 1 + len(items)
        if values > ARRAY_LENGTH_MAX:
            raise ValueError("too many values")
        return items

    return msgpack.unpackb(
        body,
        raw=False,
        object_pairs_hook=lambda pairs: _unique(count(pairs)),
        list_hook=count,
        max_array_len=ARRAY_LENGTH_MAX,
        max_map_len=64,
        max_ext_len=0,
    )


def _unique(pairs: list[Any]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


async def _read(request: web.Request) -> bytes | None:
    """The body, or None where it is too large. A body that does not arrive in time ends the connection."""
    if request.content_length is not None and request.content_length > RPC_BODY_BYTES_MAX:
        return None
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_S_MAX):
            async for piece in request.content.iter_any():
                size += len(piece)
                if size > RPC_BODY_BYTES_MAX:
                    return None
                pieces.append(piece)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the body did not arrive in time") from None
    return b"".join(pieces)


def _json_answer(body: bytes | None, status: int = 200) -> web.Response:
    if body is None:
        return web.Response(status=204)
    return web.Response(
        body=body, status=status, content_type="application/json", headers={"X-Content-Type-Options": "nosniff"}
    )


async def _openrpc(request: web.Request) -> web.Response:
    return _json_answer(encode_json(describe(request.app[DISPATCHER].methods)))


# Streams


async def _ws(request: web.Request) -> web.StreamResponse:
    return await streams.websocket(request, request.app[STREAMS], request.app[DISPATCHER], _call(request))


async def _events(request: web.Request) -> web.StreamResponse:
    start = request.query.get("from") or request.headers.get("Last-Event-ID") or None
    topics = tuple(filter(None, request.query.get("topics", "").split(",")))
    try:
        return await streams.server_sent(request, request.app[STREAMS], start, topics)
    except Rejected as error:
        status = 503 if error.kind == "rpc.streams_full" else 400
        return _json_answer(unavailable_answer(error), status)


def _follow(app: web.Application) -> None:
    """Wakes the streams after every commit, and ends them when the server stops."""
    feed = app[DESK].feed

    def committed(_block: Committed) -> None:
        feed.advance()

    stop = app[DESK].backend.watch(committed)

    async def stopped(_app: web.Application) -> None:
        stop()
        app[DESK].close()
        await app[STREAMS].close()

    app.on_shutdown.append(stopped)


# Health


async def _livez(request: web.Request) -> web.Response:
    return _health(request, request.app[DESK].backend.liveness())


async def _readyz(request: web.Request) -> web.Response:
    return _health(request, request.app[DESK].backend.readiness())


def _health(request: web.Request, checks: list[Check]) -> web.Response:
    """200 while every check passes; `?verbose` or an Accept of JSON shows them one by one."""
    ok = all(check.ok for check in checks)
    status = 200 if ok else 503
    if "application/json" in request.headers.get("Accept", ""):
        items = [{"name": check.name, "ok": check.ok, "text": check.text} for check in checks]
        return web.json_response({"ok": ok, "checks": items}, status=status, headers=_SECURITY_HEADERS)
    lines = [f"[{'+' if check.ok else '!'}] {check.name} {check.text}".rstrip() for check in checks]
    shown = lines if "verbose" in request.query or not ok else []
    return web.Response(text="\n".join([*shown, "ok" if ok else "not ready", ""]), status=status)


async def _metrics(request: web.Request) -> web.Response:
    body = request.app[DESK].backend.metrics()
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


# The page


def _pages() -> list[tuple[str, bytes, str]]:
    """Path, bytes and media type of every static file."""
    folder = resources.files("node.explorer") / "static"
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        stem, dot, ending = entry.name.rpartition(".")
        kind = _STATIC_TYPES.get(dot + ending)
        if kind is not None:
            path = "/" if entry.name == "index.html" else f"/{stem}.{ending}"
            found.append((path, entry.read_bytes(), kind))
    return found


def _page(body: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve_page(_request: web.Request) -> web.Response:
        charset = None if kind == "image/svg+xml" else "utf-8"
        return web.Response(body=body, content_type=kind, charset=charset, headers=_SECURITY_HEADERS)

    return serve_page
