"""CometBFT as a child process, and its RPC: one process of ours keeps one of its, and neither outlives the other."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from concento.errors import Broken, Unavailable

STOP_S: Final = 4.0
LANES: Final = 50
"""Requests with transactions that run beside each other: a thousand transactions then wait for twenty flushes."""
ANSWER_S: Final = 20.0
_DIE_WITH_PARENT: Final = 1


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What its mempool said: `code` of our CheckTx, or `error` where it did not even ask."""

    code: int
    error: str


class Engine:
    """One CometBFT node."""

    def __init__(
        self, binary: str, home: Path, app_socket: Path, rpc_socket: Path, log: Path, rpc_listen: str = ""
    ) -> None:
        """`rpc_listen` is where its RPC listens besides, for the light clients of nodes that join."""
        self._binary = binary
        self._home = home
        self._app_socket = app_socket
        self._rpc_socket = rpc_socket
        self._rpc_listen = rpc_listen
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(self._binary, "start", "--home", str(self._home)),
                *("--abci", "socket", "--proxy_app", f"unix://{self._app_socket}"),
                *("--rpc.laddr", f"unix://{self._rpc_socket}" + (f",tcp://{rpc}" if (rpc := self._rpc_listen) else "")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self._rpc_socket)), timeout=aiohttp.ClientTimeout(ANSWER_S)
        )

    async def ended(self) -> None:
        """Waits until the process is gone, which it never should be; raises Broken with its last words."""
        if self._process is None:
            raise Broken("the engine was never started")
        code = await self._process.wait()
        raise Broken("cometbft ended with code {code}; {log} ends with: {last}", code=code, log=str(self._log),
                     last=_last_line(self._log))  # fmt: skip

    async def stop(self) -> None:
        """Asks it to end, and ends it where it does not."""
        if self._session is not None:
            await self._session.close()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def broadcast(self, raws: Sequence[bytes]) -> list[Broadcast]:
        """Offers transactions to its mempool. Raises Unavailable where it does not answer.

        CometBFT takes the calls of one request one by one, and flushes its checks every 20 ms: so the calls are dealt
        out to requests that run beside each other. Transactions have no order, and need none here.
        """
        lanes = min(LANES, len(raws))
        answers = await asyncio.gather(*(self._broadcast_lane(raws[lane::lanes]) for lane in range(lanes)))
        return [answers[at % lanes][at // lanes] for at in range(len(raws))]

    async def _broadcast_lane(self, raws: Sequence[bytes]) -> list[Broadcast]:
        """One request with a call a transaction; the answers in the same order."""
        calls = [_call("broadcast_tx_sync", {"tx": base64.b64encode(raw).decode()}, at) for at, raw in enumerate(raws)]
        answers = await self._post(calls)
        # A request of one call may be answered without brackets.
        listed = {entry["id"]: entry for entry in (answers if isinstance(answers, list) else [answers])}
        return [_broadcast(listed.get(at, {})) for at in range(len(raws))]

    async def ask(self, method: str, **params: str) -> dict[str, Any]:
        """One call. Raises Unavailable where it does not answer, or refuses."""
        answer = await self._post(_call(method, params, 0))
        if not isinstance(answer, dict) or "result" not in answer:
            raise Unavailable("comet.silent", method=method)
        result: dict[str, Any] = answer["result"]
        return result

    async def _post(self, body: object) -> Any:
        if self._session is None:
            raise Unavailable("comet.silent", method="any")
        try:
            async with self._session.post("http://localhost/", data=json.dumps(body)) as response:
                return json.loads(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unavailable("comet.silent", method=type(error).__name__) from None


def _call(method: str, params: dict[str, str], at: int) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": at, "method": method, "params": params}


def _broadcast(answer: dict[str, Any]) -> Broadcast:
    error = answer.get("error")
    if error is not None:
        return Broadcast(0, str(error.get("data") or error.get("message")))
    result = answer.get("result")
    return Broadcast(int(result["code"]), "") if result is not None else Broadcast(0, "no answer")


def _die_with_parent() -> None:
    """Between fork and exec: a killed node must not leave an engine behind that holds its ports and files."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "nothing"
