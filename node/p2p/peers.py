"""The node's peers: who may connect, whom to dial, and the one link to each that counts.

There is at most one open link per peer. Where two nodes dial each other at the same time, the dial of the lower key
stays; both sides decide so by themselves. A link that a peer dials anew later replaces the older one, which it lost.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from concento.errors import Rejected
from concento.limits import HANDSHAKE_MS_MAX, VALIDATORS_MAX
from node.p2p.frames import frame
from node.p2p.handshake import NONCE_BYTES, Handshake, Identity, Role
from node.p2p.transport import Link, client_context, server_context

DIAL_MS_FIRST: Final = 100
HEAD_START_MS: Final = 200
DIAL_MS_MAX: Final = 3_000
"""The longest wait between two dials: a node that comes back is in the mesh again within a few seconds."""
PENDING_MAX: Final = 2 * VALIDATORS_MAX
"""Connections that have not shaken hands yet; more are closed unheard. All peers may dial at once after a restart."""
RATE_SECONDS: Final = 10
"""Rates of messages are averages over this many seconds."""


class Inspect(Protocol):
    """Looks at a payload by its first byte and size only. Raises Rejected; gives (tag, most per second)."""

    def __call__(self, payload: bytes) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where a peer listens."""

    host: str
    port: int


class Listener(Protocol):
    """Whom the peers tell what happens; never from within `send`, so that effects are performed undisturbed."""

    def peer_up(self, peer: bytes) -> None: ...

    def peer_down(self, peer: bytes, reason: str) -> None: ...

    def peer_message(self, peer: bytes, payload: bytes, handled: Callable[[], None]) -> None:
        """One payload; `handled` is to be called once it has been dealt with."""

    def peer_refused(self, address: str, reason: str) -> None:
        """A connection that ended before its handshake was done."""


class Peers:
    """All connections of one node."""

    def __init__(
        self,
        identity: Identity,
        targets: Mapping[bytes, Address],
        allowed: Collection[bytes],
        inspect: Inspect,
        listener: Listener,
    ) -> None:
        self._identity = identity
        self._targets = dict(targets)
        self._allowed = frozenset(allowed)
        self._inspect = inspect
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._links: dict[bytes, Link] = {}
        self._rates: dict[bytes, _Rates] = {}
        self._pending: set[Link] = set()
        self._banned_until: dict[bytes, float] = {}
        self._cut: frozenset[bytes] = frozenset()
        self._delays: dict[bytes, int] = {}
        self._dials: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._server_context, self._certificate_hash = server_context()
        self._client_context = client_context()

    async def start(self, host: str, port: int) -> None:
        """Listens, then dials every target for ever. Raises OSError where the port is taken."""
        self._server = await self._loop.create_server(
            lambda: self._link(is_dialer=False, expected=None),
            host,
            port,
            ssl=self._server_context,
            ssl_handshake_timeout=HANDSHAKE_MS_MAX / 1000,
        )
        self._dials = [self._loop.create_task(self._dial(peer)) for peer in self._targets]

    @property
    def port(self) -> int:
        """The port it listens on."""
        sockets = self._server.sockets if self._server is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    async def stop(self) -> None:
        for task in self._dials:
            task.cancel()
        if self._server is not None:
            self._server.close()
        links = [*self._links.values(), *self._pending]
        for link in links:
            link.close("the node stops")
        if links:
            await asyncio.wait([link.closed for link in links], timeout=1.5)
        await asyncio.gather(*self._dials, return_exceptions=True)

    def send(self, peers: Collection[bytes], payload: bytes, priority: int) -> None:
        """One payload to each of these peers, as far as they are connected; encoded once."""
        framed = frame(payload)
        for peer in peers:
            link = self._links.get(peer)
            if link is not None:
                link.send(framed, priority)

    def disconnect(self, peer: bytes, reason: str, ban_ms: int = 0) -> None:
        """Ends the link, and refuses new ones of this peer for a while."""
        if ban_ms > 0:
            self._banned_until[peer] = self._loop.time() + ban_ms / 1000
        link = self._links.get(peer)
        if link is not None:
            link.close(reason)

    def allow(self, allowed: Collection[bytes]) -> None:
        """Replaces the allow-list; who is no longer on it is disconnected."""
        self._allowed = frozenset(allowed)
        for peer in [peer for peer in self._links if peer not in self._allowed]:
            self.disconnect(peer, "no longer a validator or an allowed observer")

    def shape(self, cut: Collection[bytes], delays: Mapping[bytes, int]) -> None:
        """Cuts and slows lines: for development networks, to show what happens then."""
        self._cut, self._delays = frozenset(cut), dict(delays)
        for peer, link in list(self._links.items()):
            link.delay_ms = self._delays.get(peer, 0)
            if peer in self._cut:
                link.close("the line was cut on purpose")

    def link(self, peer: bytes) -> Link | None:
        """The open link to this peer."""
        return self._links.get(peer)

    @property
    def connected(self) -> Collection[bytes]:
        return self._links.keys()

    @property
    def targets(self) -> Mapping[bytes, Address]:
        return self._targets

    # From the links

    def link_opened(self, link: Link) -> None:
        peer = link.peer or b""
        self._pending.discard(link)
        old = self._links.get(peer)
        if old is not None:
            if not replaces(self._identity.key, peer, link, old):
                link.peer = None
                link.close("connected already")
                return
            self._drop(peer, "replaced by a newer connection")
            old.close("replaced by a newer connection")
        link.delay_ms = self._delays.get(peer, 0)
        self._links[peer] = link
        self._rates[peer] = _Rates()
        self._listener.peer_up(peer)

    def link_received(self, link: Link, payload: bytes) -> None:
        peer = link.peer or b""
        if self._links.get(peer) is not link:
            return
        tag, per_second = self._inspect(payload)
        if not self._rates[peer].admits(tag, per_second, self._loop.time()):
            raise Rejected("peer.message", reason=f"more than {per_second} a second of message {tag}")
        size = len(payload)
        self._listener.peer_message(peer, payload, lambda: link.handled(size))

    def link_closed(self, link: Link, reason: str) -> None:
        self._pending.discard(link)
        if link.peer is None:
            self._listener.peer_refused(link.address, reason)
        elif self._links.get(link.peer) is link:
            self._drop(link.peer, reason)

    def _drop(self, peer: bytes, reason: str) -> None:
        del self._links[peer]
        del self._rates[peer]
        self._listener.peer_down(peer, reason)

    def _link(self, is_dialer: bool, expected: bytes | None) -> Link:
        def handshake(certificate: bytes | None) -> Handshake:
            role = Role.DIALER if is_dialer else Role.LISTENER
            digest = self._certificate_hash if certificate is None else sha256(certificate).digest()
            nonce = secrets.token_bytes(NONCE_BYTES)
            return Handshake(self._identity, role, nonce, digest, self._is_allowed, expected)

        link = Link(self, handshake, is_dialer)
        self._pending.add(link)
        if not is_dialer and len(self._pending) > PENDING_MAX:
            link.close("too many connections at once")
        return link

    def _is_allowed(self, peer: bytes) -> bool:
        return peer in self._allowed and self._may_connect(peer)

    def _may_connect(self, peer: bytes) -> bool:
        return peer not in self._cut and self._banned_until.get(peer, 0.0) <= self._loop.time()

    async def _dial(self, peer: bytes) -> None:
        """Keeps a link to one target: dials while there is none, waiting longer after each failure."""
        wait_ms = DIAL_MS_FIRST
        while True:
            if self._identity.key > peer:
                # The lower key's dial stays anyway: give it a head start, and both are spared a second connection.
                await asyncio.sleep(HEAD_START_MS / 1000)
            link = self._links.get(peer)
            if link is None and peer in self._allowed and self._may_connect(peer):
                link = await self._connect(peer)
            if link is not None and self._links.get(peer) is link:
                await asyncio.shield(link.closed)
                wait_ms = DIAL_MS_FIRST
            # Two nodes that lost each other at the same moment should not dial in step for ever.
            await asyncio.sleep(wait_ms * random.uniform(0.5, 1.0) / 1000)
            wait_ms = min(wait_ms * 2, DIAL_MS_MAX)

    async def _connect(self, peer: bytes) -> Link | None:
        """A link whose handshake is over, well or not; None where nobody answered."""
        address = self._targets[peer]
        link = self._link(is_dialer=True, expected=peer)
        link.address = f"{address.host}:{address.port}"
        try:
            async with asyncio.timeout(HANDSHAKE_MS_MAX / 1000):
                await self._loop.create_connection(lambda: link, address.host, address.port, ssl=self._client_context)
        except (OSError, TimeoutError):
            self._pending.discard(link)
            link.forget()
            return None
        await asyncio.wait([link.closed, link.opened], return_when=asyncio.FIRST_COMPLETED)
        return link


def replaces(own: bytes, peer: bytes, new: Link, old: Link) -> bool:
    """Whether a new link to a peer takes the place of the one that is open."""
    if new.is_dialer == old.is_dialer or new.opened_at - old.opened_at > HANDSHAKE_MS_MAX / 1000:
        return True
    return new.is_dialer == (own < peer)


class _Rates:
    """How many messages of each kind a peer may still send: a bucket per tag that fills steadily."""

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._left: dict[int, float] = {}
        self._since: dict[int, float] = {}

    def admits(self, tag: int, per_second: int, now: float) -> bool:
        most = per_second * RATE_SECONDS
        left = self._left.get(tag, most) + (now - self._since.get(tag, now)) * per_second
        self._since[tag] = now
        self._left[tag] = min(left, most) - 1
        return self._left[tag] >= 0
