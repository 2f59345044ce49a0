"""Two links joined without sockets: what one writes, the other receives on the next turn of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

CERTIFICATE = b"the listener's certificate"


class _Ssl:
    def __init__(self, certificate: bytes) -> None:
        self._certificate = certificate

    def getpeercert(self, binary_form: bool = False) -> bytes:
        return self._certificate


class PipeTransport(asyncio.Transport):
    """One end. `is_stuck` makes it a peer that does not read: bytes pile up until the protocol is paused."""

    def __init__(self, certificate: bytes = CERTIFICATE) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol | None = None
        self.other: PipeTransport | None = None
        self.written = bytearray()
        self.is_stuck = False
        self.is_open = True
        self.is_reading = True
        self._high = 64 * 1024
        self._held = bytearray()
        self._certificate = certificate

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"ssl_object": _Ssl(self._certificate), "peername": ("192.0.2.1", 7)}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high or self._high

    def write(self, data: Any) -> None:
        if not self.is_open:
            return
        self.written += data
        if self.is_stuck:
            self._held += data
            if len(self._held) > self._high and self.protocol is not None:
                self.protocol.pause_writing()
            return
        other = self.other
        if other is not None:
            asyncio.get_running_loop().call_soon(other.deliver, bytes(data))

    def unstick(self) -> None:
        self.is_stuck = False
        held, self._held = bytes(self._held), bytearray()
        if self.other is not None and held:
            asyncio.get_running_loop().call_soon(self.other.deliver, held)
        if self.protocol is not None:
            self.protocol.resume_writing()

    def deliver(self, data: bytes) -> None:
        if self.is_open and self.protocol is not None:
            self.protocol.data_received(data)

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        loop = asyncio.get_running_loop()
        if self.protocol is not None:
            loop.call_soon(self.protocol.connection_lost, None)
        if self.other is not None:
            loop.call_soon(self.other.abort)


def join(dialer: asyncio.Protocol, listener: asyncio.Protocol, seen: bytes = CERTIFICATE) -> tuple[PipeTransport, ...]:
    """Connects the two; `seen` is the certificate that the dialer was shown."""
    ends = PipeTransport(seen), PipeTransport()
    for end, other, protocol in zip(ends, reversed(ends), (dialer, listener), strict=True):
        end.other, end.protocol = other, protocol
    listener.connection_made(ends[1])
    dialer.connection_made(ends[0])
    return ends
