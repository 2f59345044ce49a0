"""One connection to one peer: an asyncio protocol under TLS 1.3 that first shakes hands, then carries frames.

Until the handshake is done nothing of the peer is queued, at most `HANDSHAKE_BYTES_MAX` bytes of it are looked at, and
it has `HANDSHAKE_MS_MAX` to finish. Afterwards frames wait for it in one queue per priority, votes ahead of bulk. A
queue that overflows, or a peer that does not read, ends the connection: frames are never dropped one by one, because
both sides tell each other after a new connection what they have.
"""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import tempfile
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from concento.errors import Rejected
from concento.limits import FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX, HANDSHAKE_MS_MAX
from node.p2p.frames import FrameDecoder, frame
from node.p2p.handshake import HANDSHAKE_FRAME_BYTES_MAX, Handshake, Refused

PRIORITIES: Final = 3
"""Votes, other consensus messages, bulk."""
QUEUE_FRAMES_MAX: Final = 4_096
"""Frames waiting for one peer in one queue: at 200 ms per status and a few votes a block, minutes of not reading."""
QUEUE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Bytes waiting for one peer in one queue: six of the largest frames."""
STALL_MS_MAX: Final = 10_000
"""How long a peer may read nothing while something waits for it."""
WRITE_AHEAD_BYTES: Final = 128 * 1024
"""What the socket's own buffer may hold before frames wait in our queues, where votes overtake bulk."""
INBOX_BYTES_MAX: Final = 2 * FRAME_BYTES_MAX
"""Received and not yet handled bytes of one peer; above it the node stops reading from the peer."""

CERTIFICATE_DAYS: Final = 3_650
"""Nobody checks the dates: the handshake vouches for the certificate, and every start makes a new one."""


class Owner(Protocol):
    """Who is told what happens to a link."""

    def link_opened(self, link: Link) -> None:
        """The handshake is done; `link.peer` is who it is with."""

    def link_received(self, link: Link, payload: bytes) -> None: ...

    def link_closed(self, link: Link, reason: str) -> None:
        """The connection is gone; `link.peer` is None where it never opened."""


class Link(asyncio.Protocol):
    """The protocol of one connection, from either end."""

    def __init__(self, owner: Owner, make_handshake: Callable[[bytes | None], Handshake], is_dialer: bool) -> None:
        self._owner = owner
        self._make_handshake = make_handshake
        self._handshake: Handshake | None = None
        self._decoder = FrameDecoder(HANDSHAKE_FRAME_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        # From the first byte of TLS on: a stranger who says nothing costs a socket for three seconds and no more.
        self._deadline: asyncio.TimerHandle | None = self._loop.call_later(
            HANDSHAKE_MS_MAX / 1000, self.close, "the handshake took longer than 3 s"
        )
        self._queues = tuple(_Queue() for _ in range(PRIORITIES))
        self._delayed: deque[tuple[bytes, int]] = deque()
        self._is_paused = False
        self._inbox_bytes = 0
        self._reason: str | None = None
        self.is_dialer = is_dialer
        self.peer: bytes | None = None
        self.opened_at = 0.0
        self.address = ""
        self.delay_ms = 0
        """Added to every frame sent: a slow line, for development networks only."""
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def queued_bytes(self) -> int:
        return sum(queue.bytes for queue in self._queues)

    # From asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._reason is not None:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_AHEAD_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            keep_alive(connection)
        address = transport.get_extra_info("peername")
        self.address = f"{address[0]}:{address[1]}" if address else ""
        certificate: bytes | None = None
        if self.is_dialer:
            certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self._handshake = self._make_handshake(certificate)
        self._say(self._handshake.start())

    def data_received(self, data: bytes) -> None:
        if self._reason is not None:
            return
        self._decoder.feed(data)
        try:
            while (payload := self._decoder.next()) is not None:
                if self._handshake is not None:
                    self._shake(self._handshake, payload)
                else:
                    self._inbox_bytes += len(payload)
                    self._owner.link_received(self, payload)
                if self._reason is not None:
                    return
            if self._handshake is not None and self._decoder.held > HANDSHAKE_BYTES_MAX:
                raise Refused("too many bytes before the handshake was done")
        except Refused as refused:
            if refused.farewell is not None:
                self._say([refused.farewell])
            self.close(str(refused.numbers["reason"]))
        except Rejected as rejected:
            self.close(str(rejected))
        else:
            if self._inbox_bytes > INBOX_BYTES_MAX and self._transport is not None:
                self._transport.pause_reading()

    def eof_received(self) -> None:
        self.close("the peer closed the connection")

    def pause_writing(self) -> None:
        self._is_paused = True
        self._restart_stall_clock()

    def resume_writing(self) -> None:
        self._is_paused = False
        self._stop_clock()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        reason = self._reason or (f"the connection broke: {error}" if error else "the peer closed the connection")
        self._finish(reason)

    # From the owner

    def send(self, framed: bytes, priority: int) -> None:
        """Queues a frame, lower priorities first; a queue that is full closes the connection."""
        if self._reason is not None:
            return
        if self.delay_ms or self._delayed:
            self._delayed.append((framed, priority))
            self._loop.call_later(self.delay_ms / 1000, self._release)
        else:
            self._enqueue(framed, priority)

    def handled(self, size: int) -> None:
        """The owner is done with a received payload of this size."""
        self._inbox_bytes -= size
        if self._inbox_bytes <= INBOX_BYTES_MAX // 2 and self._transport is not None and self._reason is None:
            self._transport.resume_reading()

    def close(self, reason: str) -> None:
        """Ends the connection; what is queued is lost, what was written goes out if the peer reads it soon."""
        if self._reason is not None:
            return
        self._reason = reason
        for queue in self._queues:
            queue.clear()
        self._stop_clock()
        if self._transport is None:
            self._finish(reason)
        elif self._is_paused:
            self._transport.abort()
        else:
            self._transport.close()
            # A peer that does not answer the TLS farewell must not keep the socket.
            self._deadline = self._loop.call_later(1.0, self._transport.abort)

    def forget(self) -> None:
        """Gives up a dial that nobody answered; the owner is not told."""
        self._stop_clock()
        self._reason = "nobody answered"
        if not self.closed.done():
            self.closed.set_result(None)

    # Inside

    def _shake(self, handshake: Handshake, payload: bytes) -> None:
        self._say(handshake.receive(payload))
        if handshake.peer is None:
            return
        self._handshake = None
        self.peer = handshake.peer
        self._decoder.bytes_max = FRAME_BYTES_MAX
        self._stop_clock()
        self.opened_at = self._loop.time()
        self.opened.set_result(None)
        self._owner.link_opened(self)

    def _say(self, payloads: list[bytes]) -> None:
        if self._transport is not None:
            for payload in payloads:
                self._transport.write(frame(payload))

    def _release(self) -> None:
        self._enqueue(*self._delayed.popleft())

    def _enqueue(self, framed: bytes, priority: int) -> None:
        if self._reason is not None:
            return
        queue = self._queues[priority]
        queue.put(framed)
        if queue.is_full:
            self.close("the peer reads more slowly than the node has to tell it")
            return
        self._flush()

    def _flush(self) -> None:
        transport = self._transport
        while transport is not None and not self._is_paused and self._reason is None:
            queue = next((queue for queue in self._queues if queue.frames), None)
            if queue is None:
                return
            transport.write(queue.take())

    def _restart_stall_clock(self) -> None:
        if self._handshake is None and self._reason is None:
            self._stop_clock()
            self._deadline = self._loop.call_later(STALL_MS_MAX / 1000, self.close, "the peer has stopped reading")

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _finish(self, reason: str) -> None:
        self._stop_clock()
        self._reason = self._reason or reason
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)
            self._owner.link_closed(self, self._reason)


class _Queue:
    """Frames that wait for one peer, first in, first out."""

    __slots__ = ("bytes", "frames")

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self.frames) > QUEUE_FRAMES_MAX or self.bytes > QUEUE_BYTES_MAX

    def put(self, framed: bytes) -> None:
        self.frames.append(framed)
        self.bytes += len(framed)

    def take(self) -> bytes:
        framed = self.frames.popleft()
        self.bytes -= len(framed)
        return framed

    def clear(self) -> None:
        self.frames.clear()
        self.bytes = 0


def keep_alive(connection: socket.socket) -> None:
    """Lets the kernel find out within seconds that the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 15_000)):
        # Each system knows some of these.
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def server_context() -> tuple[ssl.SSLContext, bytes]:
    """A TLS 1.3 context with a certificate made for this start, and the certificate's SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "concento")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    # The ssl module takes a private key from a file only; this one lives for a moment in a folder of its own.
    with tempfile.TemporaryDirectory(prefix="concento-") as folder:
        path = Path(folder, "node.pem")
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context.load_cert_chain(path)
    context.num_tickets = 0
    return context, sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()


def client_context() -> ssl.SSLContext:
    """A TLS 1.3 context that accepts any certificate: who the peer is, the handshake inside proves."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    return context
