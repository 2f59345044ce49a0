"""The socket on which CometBFT asks: several connections, answers in the order of the requests of each.

A frame is its length and a message. All frames that have arrived are taken together: their signatures go to the verify
thread in one piece, so that a long block on one connection does not keep the others waiting, and their answers leave
in one write. So Flush needs nothing of its own: its answer stands behind everything before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from concento.errors import Broken, ConcentoError
from concento.keys import Check
from node.comet import messages as abci
from node.comet.application import Application, raws_of
from node.comet.protobuf import VARINT_BYTES_MAX, Malformed, read_varint

READ_BYTES: Final = 1 << 18
FRAME_BYTES_MAX: Final = 64 << 20
"""Sixteen of the largest blocks: what one request may hold in memory."""
CONNECTIONS_MAX: Final = 16
"""CometBFT opens four; a restarted one may come before its old ones are gone."""

Verify = Callable[[Sequence[Check], bool], Awaitable[Sequence[bool]]]
"""Checks signatures; the second argument says whether they are of a block."""
"""Checks signatures off the event loop; the verdicts in order."""


class Frames:
    """Cuts a stream into frames. Every byte is copied twice, however the stream arrives: once in, once out."""

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._bytes_max = bytes_max

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now. Raises Malformed where one is longer than any may be."""
        self._buffer += data
        while (found := self._next()) is not None:
            yield found
        if self._at:
            del self._buffer[: self._at]
            self._at = 0

    def _next(self) -> bytes | None:
        rest = len(self._buffer) - self._at
        if rest == 0:
            return None
        try:
            size, start = read_varint(self._buffer, self._at)
        except Malformed:
            if rest >= VARINT_BYTES_MAX:
                raise
            return None
        if size > self._bytes_max:
            raise Malformed(f"a frame of {size} bytes")
        if len(self._buffer) - start < size:
            return None
        self._at = start + size
        return bytes(self._buffer[start : self._at])


class Server:
    """Listens on a unix socket; `failed` gets the error that must end the node."""

    def __init__(self, application: Application, verify: Verify) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._application = application
        self._verify = verify
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, path: Path) -> None:
        self._server = await asyncio.start_unix_server(self._connected, path, limit=READ_BYTES)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= CONNECTIONS_MAX:
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = Frames()
        try:
            while data := await reader.read(READ_BYTES):
                payloads = list(frames.feed(data))
                if payloads:
                    writer.write(await self._answers(payloads))
                    await writer.drain()
        except Malformed as error:
            writer.write(abci.frame(abci.encode_response(abci.ExceptionAnswer(str(error)))))
        except ConnectionError:
            # The engine went away; it comes back, or the process that keeps it ends the node.
            pass
        except Exception as error:
            broken = error if isinstance(error, ConcentoError) else Broken("{reason}", reason=repr(error))
            writer.write(abci.frame(abci.encode_response(abci.ExceptionAnswer(str(broken)))))
            if not self.failed.done():
                self.failed.set_exception(broken)
        finally:
            writer.close()

    async def _answers(self, payloads: list[bytes]) -> bytes:
        """The framed answers to these requests, in order."""
        requests = [abci.decode_request(payload) for payload in payloads]
        await self._check_signatures(requests)
        answers = [abci.frame(abci.encode_response(self._application.answer(request))) for request in requests]
        return b"".join(answers)

    async def _check_signatures(self, requests: Sequence[Any]) -> None:
        signatures = self._application.signatures
        wanted = signatures.wanted(raw for request in requests for raw in raws_of(request))
        if wanted:
            is_block = not all(isinstance(request, abci.CheckTx) for request in requests)
            verdicts = await self._verify([check for _, checks in wanted for check in checks], is_block)
            signatures.learn(wanted, verdicts)
