"""The gateway as a process: HTTP around `gateway.service`, nothing about licences here.

GET /assets/{member}/{path} with `Authorization: Bearer TOKEN` gives a file with its receipt; POST /sessions opens a
session; POST /sessions/{token}/vouchers signs for what was received; DELETE /sessions/{token} ends it and anchors.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web

from concento.access import HEAD_HEADER, RECEIPT_HEADER, VOUCHER_HEADER, LaneState, SignedSessionRequest
from concento.client import AsyncClient, Client, Session, Signer
from concento.encoding import decode, encode
from concento.errors import Broken, ConcentoError, Rejected, Unavailable
from concento.keys import public_key
from concento.messages.receipts import SignedVoucher
from gateway.content import Content
from gateway.lanes import Lanes
from gateway.service import Gateway, OpenSession

BODY_BYTES_MAX: Final = 64 * 1024
DOWNLOADS_MAX: Final = 256
"""Files that leave at the same time. Each holds a chunk and what its socket has not taken of it, half a megabyte at
most: 128 MB for all of them, however large the files and slow the readers are."""
STALL_S: Final = 60.0
"""How long a reader may take nothing before its place goes to another; it gets the same file again for nothing."""
RELEASE_S: Final = 60.0
"""How often lanes are looked through for readers who have gone, and pots for usage that is not posted."""
_STATUS: Final = {
    "gateway.session_unknown": 401,
    "gateway.session_foreign": 403,
    "gateway.no_file": 404,
    "gateway.voucher_due": 402,
    "gateway.units_exhausted": 402,
}

T = TypeVar("T")
log = logging.getLogger("gateway")


def make_app(gateway: Gateway, downloads_max: int = DOWNLOADS_MAX, stall_s: float = STALL_S) -> web.Application:
    """The HTTP face of a gateway."""
    handlers = _Handlers(gateway, downloads_max, stall_s)
    app = web.Application(middlewares=[_errors(gateway)], client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/sessions", handlers.open)
    app.router.add_post("/sessions/{token}/vouchers", handlers.voucher)
    app.router.add_get("/sessions/{token}", handlers.state)
    app.router.add_delete("/sessions/{token}", handlers.close)
    app.router.add_get("/assets/{member:[0-9a-f]{64}}/{path:.+}", handlers.asset)
    app.router.add_get("/", handlers.about)
    app.router.add_get("/livez", handlers.livez)
    app.router.add_get("/readyz", handlers.readyz)
    app.router.add_get("/metrics", handlers.metrics)
    return app


class _Handlers:
    def __init__(self, gateway: Gateway, downloads_max: int, stall_s: float) -> None:
        self._gateway = gateway
        self._downloads_max = downloads_max
        self._stall_s = stall_s
        self._downloads = 0

    async def open(self, request: web.Request) -> web.Response:
        signed = decode(SignedSessionRequest, await request.read(), "session request")
        session, state = await self._gateway.open_session(signed)
        return web.json_response(
            {
                "token": session.token,
                "gateway": self._gateway.address,
                "account": self._gateway.signer.account.hex(),
                "key": public_key(self._gateway.signer.seeds[0]).hex(),
                "asset": session.asset,
                "lane": _lane_document(state),
            },
            status=201,
        )

    async def state(self, request: web.Request) -> web.Response:
        session = self._session(request)
        state = self._gateway.lanes.lane(session.request.licence, session.request.lane).state()
        return web.json_response(_lane_document(state))

    async def voucher(self, request: web.Request) -> web.Response:
        session = self._session(request)
        async with session.lock:
            self._gateway.take_voucher(session, decode(SignedVoucher, await request.read(), "voucher"))
        await self._gateway.anchor_due(session)
        return await self.state(request)

    async def close(self, request: web.Request) -> web.Response:
        session = self._session(request)
        return web.json_response({"anchored": await self._gateway.close(session)})

    async def asset(self, request: web.Request) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        session = self._gateway.session(token if scheme == "Bearer" else "")
        if self._downloads >= self._downloads_max:
            # Before anything is read or logged: what is refused costs nobody anything.
            raise Unavailable("gateway.busy", count=self._downloads)
        self._downloads += 1
        try:
            return await self._download(request, session)
        finally:
            self._downloads -= 1

    async def _download(self, request: web.Request, session: OpenSession) -> web.StreamResponse:
        voucher = _header(request, VOUCHER_HEADER, SignedVoucher)
        served = await self._gateway.serve(session, request.match_info["member"], request.match_info["path"], voucher)
        try:
            response = web.StreamResponse(
                headers={
                    "Content-Type": served.media_type,
                    "Content-Length": str(served.file.size),
                    RECEIPT_HEADER: base64.b64encode(served.receipt).decode(),
                    HEAD_HEADER: base64.b64encode(encode(served.head)).decode(),
                    "Cache-Control": "no-store",
                }
            )
            await response.prepare(request)
            for chunk in served.file.chunks():
                async with asyncio.timeout(self._stall_s):
                    await response.write(chunk)
            await response.write_eof()
        except TimeoutError:
            log.info("a reader took nothing for %s s and was let go", self._stall_s)
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from None
        finally:
            served.file.close()
        await self._gateway.anchor_due(session)
        return response

    async def about(self, request: web.Request) -> web.Response:
        """Who this gateway is: what a reader names when it opens a lane."""
        signer = self._gateway.signer
        return web.json_response({"address": self._gateway.address, "key": public_key(signer.seeds[0]).hex()})

    async def livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Ready where the node answers and is ready itself."""
        try:
            status = await self._gateway.client.status()
        except ConcentoError as error:
            return web.Response(status=503, text=f"[!] node: {error.message}\n")
        ready = bool(status["ready"])
        mark = "[+] node ok" if ready else "[!] node is not ready"
        return web.Response(status=200 if ready else 503, text=f"{mark}, height {status['height']}\n")

    async def metrics(self, request: web.Request) -> web.Response:
        lines = []
        for name, value in self._gateway.counters.items():
            lines += [f"# TYPE concento_gateway_{name}_total counter", f"concento_gateway_{name}_total {value}"]
        return web.Response(text="\n".join(lines) + "\n")

    def _session(self, request: web.Request) -> OpenSession:
        return self._gateway.session(request.match_info["token"])


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _errors(gateway: Gateway) -> Any:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Broken:
            raise
        except Unavailable as error:
            return _refusal(gateway, error, 503)
        except ConcentoError as error:
            return _refusal(gateway, error, _STATUS.get(error.kind, 409))
        except web.HTTPException as error:
            return _refusal(gateway, Rejected("gateway.http", status=error.status, reason=error.reason), error.status)

    return middleware


def _refusal(gateway: Gateway, error: ConcentoError, status: int) -> web.Response:
    gateway.counters["refusals"] += 1
    numbers = {name: value.hex() if isinstance(value, bytes) else value for name, value in error.numbers.items()}
    document = {
        "code": -32002 if isinstance(error, Unavailable) else -32003,
        "message": error.message,
        "data": {
            "kind": error.kind,
            "hint": error.hint,
            "retryable": error.retryable,
            "field": None,
            "tx": None,
            "height": None,
            "numbers": numbers,
        },
    }
    return web.json_response({"error": document}, status=status)


def _lane_document(state: LaneState) -> dict[str, Any]:
    return {
        "size": state.size,
        "units": state.units,
        "head": state.head.hex(),
        "vouched": state.vouched,
        "unvouched": [base64.b64encode(body).decode() for body in state.unvouched],
        "voucher": base64.b64encode(encode(state.voucher)).decode() if state.voucher else None,
    }


def _header(request: web.Request, name: str, kind: type[T]) -> T | None:
    text = request.headers.get(name)
    if text is None:
        return None
    try:
        return decode(kind, base64.b64decode(text, validate=True), name)
    except ValueError:
        raise Rejected("encoding.invalid", what=name, reason="not base64") from None


async def run(home: Path, listen: str, nodes: list[str], signer: Signer) -> int:
    """Serve the content folder in `home` until SIGTERM or SIGINT; the exit code."""
    host, _, port = listen.rpartition(":")
    async with AsyncClient(*nodes) as client:
        session = Session(Client(*nodes), signer)
        lanes = Lanes(home / "lanes")
        gateway = Gateway(client, session, signer, Content(home / "content"), lanes)
        await _until_started(gateway)
        runner = web.AppRunner(make_app(gateway), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, int(port)).start()
        except OSError as error:
            raise Rejected("port.in_use", port=int(port), pid=None, command=error.strerror) from None
        log.info("gateway %s serves %s on http://%s", gateway.address, home / "content", listen)
        background = asyncio.create_task(_release_now_and_then(gateway))
        await _stop_signal()
        background.cancel()
        await runner.cleanup()
        lanes.close()
    return 0


async def _until_started(gateway: Gateway) -> None:
    """A gateway is started together with its node: wait for it a while."""
    for _ in range(100):
        try:
            await gateway.start()
        except Unavailable:
            await asyncio.sleep(0.1)
        else:
            return
    await gateway.start()


async def _release_now_and_then(gateway: Gateway) -> None:
    """Also right after the start: no session survives the end of a process."""
    while True:
        await gateway.release_idle(time.monotonic(), log.warning)
        await gateway.post_waiting(log.warning)
        await asyncio.sleep(RELEASE_S)


async def _stop_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
