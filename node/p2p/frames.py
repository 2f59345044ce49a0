"""Frames: a 4-byte big-endian length, then that many bytes. Nothing is allocated on the word of a length.

A length of zero, or above what the connection may send at this stage, ends the connection at once.
"""

from __future__ import annotations

from typing import Final

from concento.errors import Broken, Rejected
from concento.limits import FRAME_BYTES_MAX

LENGTH_BYTES: Final = 4


def frame(payload: bytes) -> bytes:
    """The payload with its length in front; made once and sent to every peer."""
    if not 0 < len(payload) <= FRAME_BYTES_MAX:
        raise Broken("a frame of {bytes} bytes was about to be sent", bytes=len(payload))
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


class FrameDecoder:
    """Bytes in, payloads out. It holds no more than what has arrived."""

    __slots__ = ("_buffer", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self._buffer = bytearray()
        self.bytes_max = bytes_max
        """The largest payload accepted from now on; raised when the peer has shown who it is."""

    @property
    def held(self) -> int:
        """Bytes that have arrived and are not yet part of a returned payload."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole payload, or None until more bytes arrive. Raises Rejected for a length that is not allowed."""
        buffer = self._buffer
        if len(buffer) < LENGTH_BYTES:
            return None
        length = int.from_bytes(buffer[:LENGTH_BYTES], "big")
        if not 0 < length <= self.bytes_max:
            raise Rejected("peer.frame", bytes=length, bytes_max=self.bytes_max)
        end = LENGTH_BYTES + length
        if len(buffer) < end:
            return None
        payload = bytes(buffer[LENGTH_BYTES:end])
        del buffer[:end]
        return payload
