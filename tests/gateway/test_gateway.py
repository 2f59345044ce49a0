"""A gateway serves only licensed readers, only registered bytes, and only after the last file is signed for.

The reader is the real client over loopback; only the chain is a fake.
"""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from concento.cids import CHUNK_BYTES, cid
from concento.client import RpcError
from concento.client.gateway import GatewaySession, Lane
from concento.errors import Rejected, Unavailable
from concento.hashing import Network
from concento.merkle import merkle_root
from concento.messages.receipts import AnchorReceipts, CloseAccess, ReceiptBody, receipt_id
from gateway.app import make_app
from gateway.content import Content
from gateway.lanes import Lanes
from gateway.service import IDLE_S, Gateway
from support.fakechain import (
    DATASET,
    GATEWAY,
    LANE,
    LANE_SEED,
    LICENCE,
    NETWORK,
    FakeAsyncClient,
    FakeChain,
    FakeSession,
    member_item,
)

FIRST, SECOND = b"first file " * 50_000, b"second file"
MEMBER_1, MEMBER_2 = b"\x31" * 32, b"\x32" * 32


def file_item(index: int, member: bytes, path: str, data: bytes) -> dict[str, Any]:
    return member_item(index, member, path, sha256(data).digest(), len(data), 2_500)


class Running:
    """A gateway on a port of its own, in a thread of its own."""

    def __init__(self, folder: Path, chain: FakeChain) -> None:
        self.chain = chain
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.url = self.run(self._start())

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def _start(self) -> str:
        client: Any = FakeAsyncClient(self.chain)
        session: Any = FakeSession(self.chain)
        self.lanes = Lanes(self.folder / "lanes")
        self.gateway = Gateway(client, session, GATEWAY, Content(self.folder / "content"), self.lanes)
        await self.gateway.start()
        self.runner = web.AppRunner(make_app(self.gateway), access_log=None)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    def stop(self) -> None:
        self.run(self.runner.cleanup())
        self.lanes.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Running] = []
    content = tmp_path / "content"
    content.mkdir()
    for data in (FIRST, SECOND):
        (content / cid(sha256(data).digest())).write_bytes(data)

    def begin(**changes: Any) -> Running:
        members = [file_item(0, MEMBER_1, "a b/1 ü.wav", FIRST), file_item(1, MEMBER_2, "2.wav", SECOND)]
        running.append(Running(tmp_path, FakeChain(members, **changes)))
        return running[-1]

    yield begin
    while _SESSIONS:
        _SESSIONS.pop().__exit__(None, None, None)
    for each in running:
        each.stop()


_SESSIONS: list[GatewaySession] = []
complaints: list[str] = []


def reader(
    running: Running, seed: bytes = LANE_SEED, network: Network = NETWORK, purpose: Any = "train-generative"
) -> GatewaySession:
    lane = Lane(LICENCE, 0, GATEWAY.account, LANE, seed, DATASET)
    _SESSIONS.append(session := GatewaySession(running.url, network, lane, purpose, running.chain.time_ms))
    return session


def take(session: GatewaySession, which: int = 1) -> tuple[Any, bytes]:
    sink = io.BytesIO()
    member, path, data = [(MEMBER_1, "a b/1 ü.wav", FIRST), (MEMBER_2, "2.wav", SECOND)][which - 1]
    received = session.fetch(member, 0, path, len(data), sha256(data).digest(), sink)
    return received, sink.getvalue()


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises((RpcError, Rejected, Unavailable)) as refused:
        act()
    return str(refused.value.kind)


def test_files_arrive_whole_with_receipts_that_both_sides_have_signed(start: Start) -> None:
    running = start()
    session = reader(running)
    first, data = take(session, 1)
    second, more = take(session, 2)
    assert (data, more) == (FIRST, SECOND)
    assert (first.seq, second.seq, first.units) == (0, 1, 1)
    anchored, voucher = session.close()
    lane = running.lanes.lane(LICENCE, LANE)
    assert voucher is not None
    assert (voucher.voucher.size, voucher.voucher.head) == (2, merkle_root(lane.bodies))
    assert [receipt_id(body).hex() for body in lane.bodies] == [first.receipt, second.receipt]
    (anchor,) = running.chain.sent
    assert isinstance(anchor, AnchorReceipts)
    assert (anchor.first, anchor.count, anchor.bodies, len(anchored)) == (0, 2, tuple(lane.bodies), 1)


def test_seconds_of_audio_are_counted_where_the_licence_is_priced_by_them(start: Start) -> None:
    session = reader(start(unit="second"))
    assert take(session)[0].units == 3


def test_the_next_file_waits_for_the_voucher_of_the_last_one(start: Start) -> None:
    running = start()
    session = reader(running)
    take(session, 1)
    session._signed = None
    assert refusal(lambda: take(session, 2)) == "gateway.voucher_due"


def test_asking_again_for_a_file_that_is_not_signed_for_costs_nothing(start: Start) -> None:
    running = start()
    session = reader(running)
    lane = running.lanes.lane(LICENCE, LANE)
    take(session, 1)
    body = lane.bodies[0]
    session._signed = None
    session._log.__init__()
    session._units = 0
    take(session, 1)
    assert (lane.size, lane.bodies[0]) == (1, body)


def test_every_64_receipts_are_anchored_while_the_session_goes_on(start: Start) -> None:
    running = start()
    session = reader(running)
    for _ in range(66):
        take(session, 2)
    anchored, _ = session.close()
    sizes = [(anchor.first, anchor.count) for anchor in running.chain.sent]
    assert sizes == [(0, 64), (64, 2)]
    assert len(anchored) == 2
    assert running.chain.sent[1].consistency


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"state": "expired"}, "licence.expired"),
        ({"state": "revoked"}, "licence.revoked"),
        ({"state": "exhausted"}, "licence.exhausted"),
    ],
)
def test_a_licence_that_is_not_active_opens_nothing(start: Start, changes: dict[str, Any], kind: str) -> None:
    running = start(**changes)
    assert refusal(lambda: reader(running)) == kind


def test_a_licence_that_is_revoked_meanwhile_ends_the_reading(start: Start) -> None:
    running = start()
    session = reader(running)
    take(session, 1)
    running.chain.state = "revoked"
    assert refusal(lambda: take(session, 2)) == "licence.revoked"


def test_another_purpose_is_refused(start: Start) -> None:
    running = start()
    assert refusal(lambda: reader(running, purpose="redistribute")) == "licence.wrong_purpose"


def test_a_session_of_somebody_else_is_refused(start: Start) -> None:
    running = start()
    assert refusal(lambda: reader(running, seed=b"\x66" * 32)) == "gateway.session_foreign"
    assert refusal(lambda: reader(running, network=Network("other", bytes(32)))) == "gateway.session_foreign"


def test_a_recorded_session_request_opens_nothing_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = start()
    monkeypatch.setattr("concento.client.gateway.secrets.token_bytes", lambda length: b"\x01" * length)
    reader(running)
    assert refusal(lambda: reader(running)) == "gateway.session_stale"


def test_an_old_session_request_is_refused(start: Start) -> None:
    running = start()
    running.chain.time_ms -= 61_000
    lane = Lane(LICENCE, 0, GATEWAY.account, LANE, LANE_SEED, DATASET)
    running.chain.time_ms += 61_000
    stale = lambda: GatewaySession(running.url, NETWORK, lane, "train-generative", running.chain.time_ms - 61_000)  # noqa: E731
    assert refusal(stale) == "gateway.session_stale"


def test_an_unknown_token_reads_nothing(start: Start) -> None:
    session = reader(start())
    session._token = "forged"
    assert refusal(lambda: take(session)) == "gateway.session_unknown"


def test_units_beyond_what_the_lane_has_open_are_refused(start: Start) -> None:
    session = reader(start(units_open=1))
    take(session, 1)
    assert refusal(lambda: take(session, 2)) == "gateway.units_exhausted"


def test_a_changed_byte_in_the_store_is_refused_before_anything_leaves(start: Start, tmp_path: Path) -> None:
    running = start()
    path = tmp_path / "content" / cid(sha256(FIRST).digest())
    data = bytearray(FIRST)
    data[CHUNK_BYTES + 5] ^= 1
    path.write_bytes(data)
    session = reader(running)
    sink = io.BytesIO()
    fetch = lambda: session.fetch(MEMBER_1, 0, "a b/1 ü.wav", len(FIRST), sha256(FIRST).digest(), sink)  # noqa: E731
    assert refusal(fetch) == "gateway.content_changed"
    assert sink.getvalue() == b""
    assert running.lanes.lane(LICENCE, LANE).size == 0


def test_a_file_that_is_not_here_may_be_asked_for_again(start: Start, tmp_path: Path) -> None:
    running = start()
    (tmp_path / "content" / cid(sha256(SECOND).digest())).unlink()
    assert refusal(lambda: take(reader(running), 2)) == "gateway.content_missing"


@pytest.mark.parametrize(
    "path", ["../content", "%2e%2e/secret", "/etc/passwd", "a b", "1.wav\x00", "..\\x", "2.wav.gz"]
)
def test_only_registered_paths_exist(start: Start, path: str) -> None:
    session = reader(start())
    sink = io.BytesIO()
    kind = refusal(lambda: session.fetch(MEMBER_2, 0, path, 1, bytes(32), sink))
    assert kind in ("gateway.no_file", "gateway.http")
    assert sink.getvalue() == b""


def test_a_member_of_another_asset_is_refused(start: Start) -> None:
    session = reader(start())
    assert refusal(lambda: session.fetch(b"\x99" * 32, 0, "2.wav", 1, bytes(32), io.BytesIO())) == "asset.not_found"


def test_bytes_that_are_not_the_registered_ones_are_refused_by_the_reader(start: Start) -> None:
    session = reader(start())
    wrong = lambda: session.fetch(MEMBER_2, 0, "2.wav", len(SECOND), bytes(32), io.BytesIO())  # noqa: E731
    assert refusal(wrong) == "fetch.content_mismatch"


def test_a_receipt_that_charges_more_than_the_file_costs_is_not_signed_for(start: Start) -> None:
    session = reader(start())
    fair, _ = take(session, 1)
    signed = session.signed
    sink = io.BytesIO()
    dear = lambda: session.fetch(MEMBER_2, 0, "2.wav", len(SECOND), sha256(SECOND).digest(), sink, fair.units + 1)  # noqa: E731
    assert refusal(dear) == "fetch.receipt_wrong"
    assert session.signed == signed


def test_a_receipt_that_names_another_member_is_not_signed_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    session = reader(start())

    def swapped(**fields: Any) -> ReceiptBody:
        return ReceiptBody(**{**fields, "member": MEMBER_1})

    monkeypatch.setattr("gateway.service.ReceiptBody", swapped)
    assert refusal(lambda: take(session, 2)) == "fetch.receipt_wrong"
    assert session.signed is None


def test_a_gateway_that_is_down_is_unreachable(start: Start) -> None:
    running = start()
    lane = Lane(LICENCE, 0, GATEWAY.account, LANE, LANE_SEED, DATASET)
    closed = running.url.rsplit(":", 1)[0] + ":9"
    down = lambda: GatewaySession(closed, NETWORK, lane, "train-generative", 0)  # noqa: E731
    assert refusal(down) == "gateway.unreachable"


def test_without_the_role_no_gateway_starts(tmp_path: Path) -> None:
    chain: Any = FakeChain([], roles=("creator",))
    session: Any = FakeSession(chain)
    client: Any = FakeAsyncClient(chain)
    gateway = Gateway(client, session, GATEWAY, Content(tmp_path), Lanes(tmp_path / "lanes"))
    with pytest.raises(Rejected) as refused:
        asyncio.run(gateway.start())
    assert refused.value.kind == "gateway.no_account"


def test_a_restarted_gateway_anchors_what_was_left_and_lets_the_lane_go(start: Start) -> None:
    running = start(refuse="node.busy")
    session = reader(running)
    take(session, 1)
    take(session, 2)
    with pytest.raises(RpcError):
        session.close()
    again = start()
    again.run(again.gateway.release_idle(0, complaints.append))
    anchor, close = again.chain.sent
    assert (anchor.first, anchor.count) == (0, 2)
    assert isinstance(close, CloseAccess)
    again.run(again.gateway.release_idle(0, complaints.append))
    assert (len(again.chain.sent), complaints) == (2, [])


def test_a_lane_is_released_only_after_its_reader_was_silent_for_long(start: Start) -> None:
    running = start()
    session = reader(running)
    take(session, 1)
    used_s = running.gateway.session(session._token).used_s
    # Not the very end: a sum of times less one of them is not always the other.
    running.run(running.gateway.release_idle(used_s + IDLE_S - 0.001, complaints.append))
    assert running.chain.sent == []
    take(session, 2)
    running.run(running.gateway.release_idle(used_s + 10 * IDLE_S, complaints.append))
    assert [type(action).__name__ for action in running.chain.sent] == ["AnchorReceipts", "CloseAccess"]
    assert refusal(lambda: take(session, 1)) == "gateway.session_unknown"


def test_a_lane_that_cannot_be_released_now_is_tried_again(start: Start) -> None:
    running = start()
    session = reader(running)
    take(session, 1)
    take(session, 2)
    running.chain.refuse = "node.busy"
    running.run(running.gateway.release_idle(1e12, complaints.append))
    assert "not released" in complaints.pop()
    running.chain.refuse = None
    running.run(running.gateway.release_idle(1e12, complaints.append))
    assert [type(action).__name__ for action in running.chain.sent] == ["AnchorReceipts", "CloseAccess"]


def test_an_anchor_that_a_crash_forgot_is_learnt_from_the_chain(start: Start) -> None:
    running = start()
    session = reader(running)
    take(session, 1)
    take(session, 2)
    running.chain.anchored = 2
    anchored, _ = session.close()
    assert anchored == []
    assert running.lanes.lane(LICENCE, LANE).anchored == 2
