"""All peers of a node, over real TLS on loopback: who gets in, which of two connections stays, who has to leave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace

import pytest

from concento.errors import Rejected
from concento.hashing import Network
from concento.keys import public_key, sign
from node.p2p.handshake import Identity
from node.p2p.peers import Address, Peers, replaces

pytestmark = pytest.mark.e2e

NETWORK = Network("testing-1", bytes(32))
SEEDS = sorted((bytes([number]) * 32 for number in range(1, 5)), key=public_key)
KEYS = [public_key(seed) for seed in SEEDS]
PATIENCE_S = 5.0


class Listener:
    """Notes what its peers do, and lets a test wait for it."""

    def __init__(self) -> None:
        self.up: set[bytes] = set()
        self.messages: list[tuple[bytes, bytes]] = []
        self.refusals: list[str] = []
        self.downs: list[str] = []
        self._changed = asyncio.Event()

    def peer_up(self, peer: bytes) -> None:
        assert peer not in self.up
        self.up.add(peer)
        self._changed.set()

    def peer_down(self, peer: bytes, reason: str) -> None:
        self.up.remove(peer)
        self.downs.append(reason)
        self._changed.set()

    def peer_message(self, peer: bytes, payload: bytes, handled: Callable[[], None]) -> None:
        self.messages.append((peer, payload))
        handled()
        self._changed.set()

    def peer_refused(self, address: str, reason: str) -> None:
        self.refusals.append(reason)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def inspect(payload: bytes) -> tuple[int, int]:
    if payload[0] == 9:
        raise Rejected("peer.message", reason="its tag is unknown")
    return payload[0], 2


class Nodes:
    """Nodes that listen on loopback and know each other's keys."""

    def __init__(self, count: int, allowed: Iterable[int] = range(4), network: Network = NETWORK) -> None:
        self.listeners = [Listener() for _ in range(count)]
        self.peers: list[Peers] = []
        self.ports: dict[int, int] = {}
        self._allowed = [KEYS[number] for number in allowed]
        self._network = network

    async def start(self, number: int, dials: Iterable[int] = ()) -> Peers:
        seed = SEEDS[number]
        targets = {KEYS[other]: Address("127.0.0.1", self.ports[other]) for other in dials}
        identity = Identity(self._network, 1, KEYS[number], lambda message: sign(seed, message))
        peers = Peers(identity, targets, self._allowed, inspect, self.listeners[number])
        await peers.start("127.0.0.1", 0)
        self.peers.append(peers)
        self.ports[number] = peers.port
        return peers

    async def stop(self) -> None:
        for peers in self.peers:
            await peers.stop()


def with_nodes(count: int, test: Callable[[Nodes], Awaitable[None]], **options: Iterable[int]) -> None:
    async def main() -> None:
        nodes = Nodes(count, **options)  # type: ignore[arg-type]
        try:
            await test(nodes)
        finally:
            await nodes.stop()

    asyncio.run(main())


def test_one_payload_reaches_every_connected_peer() -> None:
    async def test(nodes: Nodes) -> None:
        await nodes.start(0)
        await nodes.start(1, dials=[0])
        hub = await nodes.start(2, dials=[0, 1])
        await nodes.listeners[2].until(lambda: len(nodes.listeners[2].up) == 2)
        hub.send(KEYS[:2], b"\1hello", 0)
        for listener in nodes.listeners[:2]:
            await listener.until(lambda listener=listener: listener.messages == [(KEYS[2], b"\1hello")])

    with_nodes(3, test)


def test_who_is_taken_off_the_list_loses_its_connection() -> None:
    async def test(nodes: Nodes) -> None:
        first = await nodes.start(0)
        await nodes.start(1, dials=[0])
        await nodes.listeners[0].until(lambda: nodes.listeners[0].up == {KEYS[1]})
        first.allow(KEYS[2:])
        await nodes.listeners[1].until(lambda: not nodes.listeners[1].up)
        await nodes.listeners[1].until(lambda: any("allowed observer" in why for why in nodes.listeners[1].refusals))
        first.allow(KEYS)
        await nodes.listeners[0].until(lambda: nodes.listeners[0].up == {KEYS[1]})

    with_nodes(2, test)


def test_a_key_that_is_not_on_the_list_is_refused() -> None:
    async def test(nodes: Nodes) -> None:
        await nodes.start(0)
        await nodes.start(1, dials=[0])
        await nodes.listeners[0].until(lambda: bool(nodes.listeners[0].refusals))
        assert not nodes.listeners[0].up

    with_nodes(2, test, allowed=[0])


def test_a_misbehaving_peer_is_disconnected_and_banned_for_a_while() -> None:
    async def test(nodes: Nodes) -> None:
        first = await nodes.start(0)
        await nodes.start(1, dials=[0])
        await nodes.listeners[0].until(lambda: nodes.listeners[0].up == {KEYS[1]})
        first.disconnect(KEYS[1], "it lied", ban_ms=600)
        await nodes.listeners[0].until(lambda: nodes.listeners[0].downs == ["it lied"])
        await nodes.listeners[0].until(lambda: bool(nodes.listeners[0].refusals))
        await nodes.listeners[0].until(lambda: nodes.listeners[0].up == {KEYS[1]})

    with_nodes(2, test)


@pytest.mark.parametrize("payload", [b"\x09unknown", b"\1"])
def test_an_unknown_or_too_frequent_message_ends_the_connection(payload: bytes) -> None:
    async def test(nodes: Nodes) -> None:
        await nodes.start(0)
        second = await nodes.start(1, dials=[0])
        await nodes.listeners[1].until(lambda: nodes.listeners[1].up == {KEYS[0]})
        for _ in range(21):
            second.send([KEYS[0]], payload, 0)
        await nodes.listeners[0].until(lambda: bool(nodes.listeners[0].downs))
        assert "no honest node" in nodes.listeners[0].downs[0]
        assert len(nodes.listeners[0].messages) <= 20

    with_nodes(2, test)


def test_a_cut_line_stays_cut_until_it_is_healed() -> None:
    async def test(nodes: Nodes) -> None:
        first = await nodes.start(0)
        await nodes.start(1, dials=[0])
        await nodes.listeners[0].until(lambda: nodes.listeners[0].up == {KEYS[1]})
        first.shape([KEYS[1]], {})
        await nodes.listeners[0].until(lambda: not nodes.listeners[0].up)
        await nodes.listeners[0].until(lambda: bool(nodes.listeners[0].refusals))
        first.shape([], {KEYS[1]: 1})
        await nodes.listeners[0].until(lambda: nodes.listeners[0].up == {KEYS[1]})
        link = first.link(KEYS[1])
        assert link is not None
        assert link.delay_ms == 1

    with_nodes(2, test)


def test_a_client_without_tls_1_3_does_not_get_through() -> None:
    async def test(nodes: Nodes) -> None:
        first = await nodes.start(0)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(OSError, match=r".*"):
            await asyncio.open_connection("127.0.0.1", first.port, ssl=context)
        assert not nodes.listeners[0].up

    with_nodes(1, test)


class Tamperer:
    """A proxy that passes bytes on until it is told to change one."""

    def __init__(self, port: int) -> None:
        self.flip = False
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._server = server
        return int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, far_writer]
        self._tasks += [
            asyncio.ensure_future(self._pass(reader, far_writer)),
            asyncio.ensure_future(self._pass(far_reader, writer)),
        ]

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self.flip:
                self.flip = False
                data = data[:-1] + bytes((data[-1] ^ 1,))
            writer.write(data)
        writer.close()


def test_a_changed_byte_on_the_line_ends_the_connection_and_is_never_read() -> None:
    async def test(nodes: Nodes) -> None:
        first = await nodes.start(0)
        proxy = Tamperer(first.port)
        nodes.ports[0] = await proxy.start()
        second = await nodes.start(1, dials=[0])
        await nodes.listeners[0].until(lambda: nodes.listeners[0].up == {KEYS[1]})
        await nodes.listeners[1].until(lambda: nodes.listeners[1].up == {KEYS[0]})
        proxy.flip = True
        second.send([KEYS[0]], b"\1a vote", 0)
        await nodes.listeners[0].until(lambda: bool(nodes.listeners[0].downs))
        assert nodes.listeners[0].messages == []
        await nodes.listeners[0].until(lambda: nodes.listeners[0].up == {KEYS[1]})
        await proxy.stop()

    with_nodes(2, test)


def link(is_dialer: bool, opened_at: float) -> SimpleNamespace:
    return SimpleNamespace(is_dialer=is_dialer, opened_at=opened_at)


@pytest.mark.parametrize("lower_dialled_first", [True, False])
def test_of_two_dials_at_once_both_sides_keep_that_of_the_lower_key(lower_dialled_first: bool) -> None:
    low, high = KEYS[0], KEYS[1]
    for own, peer in ((low, high), (high, low)):
        lowers, highers = link(own == low, 1.0), link(own == high, 1.0)
        new, old = (highers, lowers) if lower_dialled_first else (lowers, highers)
        assert replaces(own, peer, new, old) is not lower_dialled_first  # type: ignore[arg-type]


@pytest.mark.parametrize("own_is_lower", [True, False])
def test_a_peer_that_dials_again_later_has_lost_the_old_connection(own_is_lower: bool) -> None:
    own, peer = KEYS[:2] if own_is_lower else KEYS[1::-1]
    assert replaces(own, peer, link(False, 9.0), link(True, 1.0))  # type: ignore[arg-type]
    assert replaces(own, peer, link(False, 1.5), link(False, 1.0))  # type: ignore[arg-type]
