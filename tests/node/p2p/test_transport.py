"""One link: what it lets in before and after the handshake, in which order it sends, and when it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256

from concento.errors import Rejected
from concento.hashing import Network
from concento.keys import public_key, sign
from concento.limits import HANDSHAKE_BYTES_MAX, HANDSHAKE_MS_MAX
from node.p2p.frames import FrameDecoder, frame
from node.p2p.handshake import Handshake, Identity, Role
from node.p2p.transport import INBOX_BYTES_MAX, QUEUE_FRAMES_MAX, STALL_MS_MAX, WRITE_AHEAD_BYTES, Link
from support.pipes import CERTIFICATE, PipeTransport, join
from support.virtual_loop import run_virtual

NETWORK = Network("testing-1", bytes(32))
SEEDS = {Role.DIALER: b"d" * 32, Role.LISTENER: b"l" * 32}
VOTE, BULK = 0, 2


class Owner:
    """Notes what happens to a link."""

    def __init__(self) -> None:
        self.opened: list[Link] = []
        self.received: list[bytes] = []
        self.closed: list[str] = []

    def link_opened(self, link: Link) -> None:
        self.opened.append(link)

    def link_received(self, link: Link, payload: bytes) -> None:
        if payload == b"forbidden":
            raise Rejected("peer.message", reason="its tag is unknown")
        self.received.append(payload)

    def link_closed(self, link: Link, reason: str) -> None:
        self.closed.append(reason)


def make_link(owner: Owner, role: Role, is_allowed: bool = True) -> Link:
    def handshake(certificate: bytes | None) -> Handshake:
        seed = SEEDS[role]
        identity = Identity(NETWORK, 1, public_key(seed), lambda message: sign(seed, message))
        digest = sha256(certificate or CERTIFICATE).digest()
        return Handshake(identity, role, bytes([role]) * 32, digest, lambda key: is_allowed)

    return Link(owner, handshake, role is Role.DIALER)


class Pair:
    """Two links that were joined, and have had time to shake hands."""

    def __init__(self, **listener: bool) -> None:
        self.near, self.far = Owner(), Owner()
        self.dialer, self.listener = make_link(self.near, Role.DIALER), make_link(self.far, Role.LISTENER, **listener)
        self.near_end, self.far_end = join(self.dialer, self.listener)


async def settle() -> None:
    """Lets everything happen that takes no time."""
    for _ in range(20):
        await asyncio.sleep(0)


def with_pair(test: Callable[[Pair], Awaitable[None]], **listener: bool) -> None:
    async def main() -> None:
        pair = Pair(**listener)
        await settle()
        await test(pair)
        for end in (pair.near_end, pair.far_end):
            end.abort()
        await settle()

    run_virtual(main())


def with_stranger(test: Callable[[Owner, PipeTransport], Awaitable[None]]) -> None:
    """A listening link whose other end is the test."""

    async def main() -> None:
        owner, end = Owner(), PipeTransport()
        end.protocol = make_link(owner, Role.LISTENER)
        end.protocol.connection_made(end)
        await test(owner, end)
        end.abort()
        await settle()

    run_virtual(main())


def test_a_link_opens_on_both_sides_and_carries_frames_both_ways() -> None:
    async def test(pair: Pair) -> None:
        assert [link.peer for link in pair.near.opened + pair.far.opened] == [
            public_key(SEEDS[Role.LISTENER]),
            public_key(SEEDS[Role.DIALER]),
        ]
        pair.dialer.send(frame(b"ping"), VOTE)
        pair.listener.send(frame(b"pong"), VOTE)
        await settle()
        assert (pair.far.received, pair.near.received) == ([b"ping"], [b"pong"])

    with_pair(test)


def test_who_is_not_allowed_is_told_so_and_never_opens() -> None:
    async def test(pair: Pair) -> None:
        assert pair.near.opened == pair.far.opened == []
        assert "neither a validator" in pair.far.closed[0]
        assert "the other node says" in pair.near.closed[0]

    with_pair(test, is_allowed=False)


def test_a_relayed_connection_does_not_open() -> None:
    async def main() -> None:
        near, far = Owner(), Owner()
        join(make_link(near, Role.DIALER), make_link(far, Role.LISTENER), seen=b"a certificate of somebody between")
        await settle()
        assert near.opened == far.opened == []
        assert "does not fit" in far.closed[0]

    run_virtual(main())


def test_a_silent_stranger_is_closed_after_three_seconds() -> None:
    async def test(owner: Owner, end: PipeTransport) -> None:
        await asyncio.sleep(HANDSHAKE_MS_MAX / 1000 - 0.01)
        assert end.is_open
        await asyncio.sleep(0.02)
        assert not end.is_open
        await settle()
        assert owner.closed == ["the handshake took longer than 3 s"]

    with_stranger(test)


def test_a_stranger_who_drips_bytes_gains_no_time() -> None:
    async def test(owner: Owner, end: PipeTransport) -> None:
        for _ in range(40):
            end.deliver(b"\0")
            await asyncio.sleep(0.1)
        assert not end.is_open
        assert owner.opened == []

    with_stranger(test)


def test_a_connection_that_never_gets_through_tls_is_given_up() -> None:
    async def main() -> None:
        owner = Owner()
        link = make_link(owner, Role.LISTENER)
        await asyncio.sleep(HANDSHAKE_MS_MAX / 1000 + 0.01)
        assert owner.closed == ["the handshake took longer than 3 s"]
        late = PipeTransport()
        link.connection_made(late)
        assert not late.is_open

    run_virtual(main())


def test_a_flood_before_the_handshake_is_closed_unread() -> None:
    async def test(owner: Owner, end: PipeTransport) -> None:
        end.deliver((500).to_bytes(4, "big") + b"x")
        assert end.is_open
        end.deliver(bytes(HANDSHAKE_BYTES_MAX))
        assert not end.is_open
        assert owner.received == []

    with_stranger(test)


def test_a_large_frame_before_the_handshake_is_refused_by_its_length() -> None:
    async def test(owner: Owner, end: PipeTransport) -> None:
        end.deliver((100_000).to_bytes(4, "big"))
        await settle()
        assert not end.is_open
        assert "100000 bytes" in owner.closed[0]

    with_stranger(test)


def test_what_the_owner_rejects_closes_the_link_with_its_reason() -> None:
    async def test(pair: Pair) -> None:
        pair.dialer.send(frame(b"forbidden"), VOTE)
        pair.dialer.send(frame(b"after"), VOTE)
        await settle()
        assert pair.far.received == []
        assert "its tag is unknown" in pair.far.closed[0]

    with_pair(test)


def test_votes_overtake_bulk_when_the_line_is_busy() -> None:
    async def test(pair: Pair) -> None:
        pair.near_end.is_stuck = True
        first = bytes(WRITE_AHEAD_BYTES)
        for payload in (first, b"bulk one", b"bulk two"):
            pair.dialer.send(frame(payload), BULK)
        pair.dialer.send(frame(b"vote"), VOTE)
        pair.near_end.unstick()
        await settle()
        assert pair.far.received == [first, b"vote", b"bulk one", b"bulk two"]

    with_pair(test)


def test_a_full_queue_closes_the_link_and_drops_no_single_frame() -> None:
    async def test(pair: Pair) -> None:
        pair.near_end.is_stuck = True
        pair.dialer.send(frame(bytes(WRITE_AHEAD_BYTES)), BULK)
        for number in range(QUEUE_FRAMES_MAX):
            pair.dialer.send(frame(number.to_bytes(4, "big")), VOTE)
        assert pair.near_end.is_open
        pair.dialer.send(frame(b"one too many"), VOTE)
        await settle()
        assert not pair.near_end.is_open
        assert "more slowly" in pair.near.closed[0]

    with_pair(test)


def test_a_peer_that_stops_reading_is_closed() -> None:
    async def test(pair: Pair) -> None:
        pair.near_end.is_stuck = True
        pair.dialer.send(frame(bytes(WRITE_AHEAD_BYTES)), BULK)
        await asyncio.sleep(STALL_MS_MAX / 1000 - 0.1)
        assert pair.near_end.is_open
        await asyncio.sleep(0.2)
        assert pair.near.closed == ["the peer has stopped reading"]

    with_pair(test)


def test_a_peer_that_reads_again_in_time_is_kept() -> None:
    async def test(pair: Pair) -> None:
        pair.near_end.is_stuck = True
        pair.dialer.send(frame(bytes(WRITE_AHEAD_BYTES)), BULK)
        await asyncio.sleep(STALL_MS_MAX / 1000 - 0.1)
        pair.near_end.unstick()
        await asyncio.sleep(STALL_MS_MAX / 1000)
        assert pair.near_end.is_open

    with_pair(test)


def test_a_node_that_is_behind_stops_reading_until_it_has_caught_up() -> None:
    async def test(pair: Pair) -> None:
        payload = bytes(INBOX_BYTES_MAX // 2)
        for _ in range(3):
            pair.dialer.send(frame(payload), BULK)
        await settle()
        assert not pair.far_end.is_reading
        for _ in range(2):
            pair.listener.handled(len(payload))
        assert pair.far_end.is_reading

    with_pair(test)


def test_frames_sent_right_behind_the_handshake_arrive() -> None:
    """The listener is done first, and its first frame may come in the same bytes as its proof."""

    async def main() -> None:
        near, far = Owner(), Owner()
        dialer, listener = make_link(near, Role.DIALER), make_link(far, Role.LISTENER)
        near_end, _ = join(dialer, listener)
        near_end.deliver, arrived = _collect(), near_end.deliver  # type: ignore[method-assign, assignment]
        held: list[bytes] = near_end.deliver.held  # type: ignore[attr-defined]
        await settle()
        arrived(held.pop())
        await settle()
        listener.send(frame(bytes(HANDSHAKE_BYTES_MAX * 2)), VOTE)
        await settle()
        arrived(b"".join(held))
        assert near.received == [bytes(HANDSHAKE_BYTES_MAX * 2)]

    run_virtual(main())


def _collect() -> Callable[[bytes], None]:
    held: list[bytes] = []

    def deliver(data: bytes) -> None:
        held.append(data)

    deliver.held = held  # type: ignore[attr-defined]
    return deliver


def test_a_slow_line_delays_every_frame_and_keeps_their_order() -> None:
    async def test(pair: Pair) -> None:
        pair.dialer.delay_ms = 100
        for number in range(3):
            pair.dialer.send(frame(bytes([number])), VOTE)
        await asyncio.sleep(0.09)
        assert pair.far.received == []
        await asyncio.sleep(0.02)
        assert pair.far.received == [b"\0", b"\1", b"\2"]

    with_pair(test)


def test_handshake_messages_stay_within_what_the_other_side_reads() -> None:
    async def test(pair: Pair) -> None:
        for end in (pair.near_end, pair.far_end):
            assert len(end.written) <= HANDSHAKE_BYTES_MAX
            decoder = FrameDecoder(HANDSHAKE_BYTES_MAX)
            decoder.feed(bytes(end.written))
            assert decoder.next() is not None

    with_pair(test)
