"""What a gateway decides: who may open a session, which file he gets, what goes into the log, when it is anchored.

No HTTP here. Everything about licences is read from the chain at its finalised height, before every file.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from concento.access import (
    SESSION_WINDOW_MS,
    LaneState,
    SessionRequest,
    SignedHead,
    SignedSessionRequest,
    request_hash,
    session_check,
    units_of,
)
from concento.cids import parse_cid
from concento.client import AsyncClient, RpcError, Session, Signer
from concento.client.usage import post_usage
from concento.encoding import decode
from concento.errors import ConcentoError, Rejected, Unavailable
from concento.hashing import Network
from concento.keys import sign, verify
from concento.limits import BODIES_PER_ANCHOR_MAX
from concento.messages.receipts import (
    AnchorReceipts,
    CloseAccess,
    ReceiptBody,
    SignedVoucher,
    UsageRow,
    receipt_head_bytes,
    voucher_bytes,
)
from concento.usage import usage_rows
from gateway.content import CheckedFile, Content
from gateway.lanes import Lane, Lanes

log = logging.getLogger("gateway")

SESSIONS_MAX: Final = 1_000
"""Open sessions of one gateway; the oldest ends when another begins."""


IDLE_S: Final = 600.0
"""A reader who says nothing for so long has gone; he can open another lane."""


@dataclass(slots=True)
class OpenSession:
    """A reader who proved that the lane is his."""

    token: str
    request: SessionRequest
    key: bytes
    asset: str
    used_s: float
    anchored: list[str] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Served:
    """A file that may leave, with its receipt and the signed head of the log that holds it."""

    file: CheckedFile
    media_type: str
    receipt: bytes
    head: SignedHead


class Gateway:
    """One gateway: its account, its content, its logs, and the node that it asks."""

    def __init__(self, client: AsyncClient, session: Session, signer: Signer, content: Content, lanes: Lanes) -> None:
        self.client = client
        self.signer = signer
        self.content = content
        self.lanes = lanes
        self._session = session
        self._network: Network | None = None
        self._unsigned_units_max = 0
        self._address = ""
        self._sessions: dict[str, OpenSession] = {}
        self._nonces: dict[bytes, int] = {}
        self._released: set[tuple[bytes, int]] = set()
        self._anchoring: dict[tuple[bytes, int], asyncio.Lock] = {}
        self._unknown: set[int] = set()
        self._places: dict[tuple[str, bytes], int] = {}
        self.counters = {"sessions": 0, "files": 0, "bytes": 0, "refusals": 0, "anchors": 0, "usage_posts": 0}

    @property
    def network(self) -> Network:
        if self._network is None:
            raise Rejected("gateway.no_account")
        return self._network

    @property
    def address(self) -> str:
        return self._address

    async def start(self) -> None:
        """Learn the network and one's own role. Raises Rejected gateway.no_account where the role is missing."""
        status = await self.client.status()
        self._network = Network(status["chain_id"], bytes.fromhex(status["genesis_hash"]))
        self._address = await asyncio.to_thread(lambda: self._session.address)
        account = await self.client.account(self._address)
        if "gateway" not in (account["party"] or {}).get("roles", ()):
            raise Rejected("gateway.no_account")
        params = await self.client.params()
        self._unsigned_units_max = int(params["access"]["unsigned_units_max"])

    async def open_session(self, signed: SignedSessionRequest) -> tuple[OpenSession, LaneState]:
        """A session for whoever holds the lane key. Raises Rejected for anybody else, and for a request used before."""
        request = signed.request
        if not verify(*session_check(self.network, signed)):
            raise Rejected("gateway.session_foreign")
        now_ms = int((await self.client.status())["time_ms"])
        self._take_nonce(request, now_ms)
        licence = await self._active_licence(request)
        lane = self._chain_lane(licence, request.lane)
        if lane["key"] != signed.key.hex():
            raise Rejected("gateway.session_foreign")
        session = OpenSession(secrets.token_urlsafe(24), request, signed.key, licence["asset"], time.monotonic())
        self._released.discard((request.licence, request.lane))
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions[session.token] = session
        self.counters["sessions"] += 1
        return session, self.lanes.lane(request.licence, request.lane).state()

    def session(self, token: str) -> OpenSession:
        """The session with this token. Raises Rejected gateway.session_unknown."""
        session = self._sessions.get(token)
        if session is None:
            raise Rejected("gateway.session_unknown")
        session.used_s = time.monotonic()
        return session

    async def serve(self, session: OpenSession, member: str, path: str, voucher: SignedVoucher | None) -> Served:
        """One file, logged and synced before it leaves. The same request again, not yet signed for, costs nothing."""
        async with session.lock:
            lane = self.lanes.lane(session.request.licence, session.request.lane)
            if voucher is not None:
                self.take_voucher(session, voucher)
            licence = await self._active_licence(session.request)
            item = await self._member(session.asset, member)
            part, entry = _part(item, path)
            # Whoever has nothing left must not make the gateway read whole files; and reading them takes a while.
            self._waiting_or_units(session.request, lane, licence, item, _asked(item, part, entry))
            file = await asyncio.to_thread(self.content.open, parse_cid(entry["cid"]), int(entry["bytes"]))
            try:
                body = self._receipt(session, lane, licence, item, part, entry)
            except ConcentoError:
                file.close()
                raise
            return Served(file, entry["media_type"], body, self._head(session, lane))

    def take_voucher(self, session: OpenSession, signed: SignedVoucher) -> None:
        """Log the licensee's voucher for everything served so far; one that is logged already is harmless."""
        request, voucher = session.request, signed.voucher
        lane = self.lanes.lane(request.licence, request.lane)
        if lane.voucher == signed:
            return
        ours = (voucher.licence, voucher.lane, voucher.gateway) == (request.licence, request.lane, self.signer.account)
        message = voucher_bytes(self.network, voucher)
        if not ours or signed.key != session.key or not verify(signed.key, message, signed.signature):
            raise Rejected("gateway.session_foreign")
        lane.add_voucher(signed)

    async def anchor_due(self, session: OpenSession) -> None:
        """Anchor in the background's stead when a full batch of vouched receipts has gathered."""
        lane = self.lanes.lane(session.request.licence, session.request.lane)
        if lane.vouched - lane.anchored >= BODIES_PER_ANCHOR_MAX:
            session.anchored += await self.anchor(session.request.licence, session.request.lane)

    async def close(self, session: OpenSession) -> list[str]:
        """End a session: anchor what is signed for. The ids of all transactions that anchored for this session."""
        self._sessions.pop(session.token, None)
        session.anchored += await self.anchor(session.request.licence, session.request.lane)
        return session.anchored

    async def anchor(self, licence: bytes, number: int) -> list[str]:
        """Anchor a lane's vouched receipts, at most 64 a transaction; the ids of the transactions, final."""
        lock = self._anchoring.setdefault((licence, number), asyncio.Lock())
        lane = self.lanes.lane(licence, number)
        done: list[str] = []
        async with lock:
            await self._catch_up(licence, number, lane)
            while lane.voucher is not None and lane.anchored < lane.vouched:
                message = _anchor_message(licence, number, lane)
                document = await asyncio.to_thread(self._session.send, [message])
                if document["status"] != "final":
                    raise RpcError(-32003, document["error"]["message"], {"kind": document["error"]["kind"]})
                lane.set_anchored(message.first + message.count)
                self.counters["anchors"] += 1
                done.append(document["tx"])
                await self._post_usage(message, document)
        return done

    async def _post_usage(self, message: AnchorReceipts, document: dict[str, Any]) -> None:
        """Tell the chain which members a batch has used, where its money waits for that, so that they are paid now.

        Anybody may do this until the pot closes: what fails here is tried again by `post_waiting`.
        """
        pots = [event["pot"] for event in document.get("events", ()) if event["kind"] == "usage.opened"]
        bodies = [decode(ReceiptBody, body, "receipt") for body in message.bodies]
        for pot in pots:
            try:
                rows = usage_rows([(await self._place(body), body.units) for body in bodies])
                await self._post(pot, rows)
            except (RpcError, Rejected, Unavailable) as error:
                log.warning("the usage of pot %s is not posted: %s", pot, error.message)

    async def post_waiting(self, on_error: Callable[[str], None]) -> None:
        """Post the usage of every batch of this gateway for which money still waits."""
        try:
            waiting = [pot async for pot in self._pots() if pot["state"] == "open" and pot["pot"] not in self._unknown]
        except (RpcError, Unavailable) as error:
            on_error(f"the pots that wait for usage are not known: {error.message}")
            return
        for pot in waiting:
            try:
                await self._post(pot["pot"], None)
            except (RpcError, Rejected, Unavailable) as error:
                on_error(f"the usage of pot {pot['pot']} is not posted: {error.message}")

    async def _pots(self) -> AsyncIterator[dict[str, Any]]:
        """The pots of batches that this gateway has anchored."""
        cursor: str | None = None
        while True:
            page = await self.client.pots(cursor=cursor)
            for pot in page["items"]:
                if pot["batch"] and pot["batch"]["gateway"] == self._address:
                    yield pot
            cursor = page["next"]
            if cursor is None:
                return

    async def _post(self, pot: int, rows: tuple[UsageRow, ...] | None) -> None:
        """Post the rows of a pot; not twice where they are not those that the reader signed."""
        try:
            done = await asyncio.to_thread(post_usage, self._session, pot, rows)
        except (RpcError, Rejected) as error:
            if error.kind == "usage.not_found":
                return  # somebody else was faster
            if error.kind in ("usage.root_differs", "usage.rows_not_found"):
                self._unknown.add(pot)
            raise
        self.counters["usage_posts"] += done.transactions

    async def _place(self, body: ReceiptBody) -> int:
        """The place in the licensed dataset of what a receipt is for."""
        asset = body.asset.hex()
        if (asset, body.member) not in self._places:
            item = await self._member(asset, body.member.hex())
            self._places[asset, body.member] = int(item["place"])
        return self._places[asset, body.member]

    async def release_idle(self, now_s: float, on_error: Callable[[str], None]) -> None:
        """Anchor and close every lane that nobody reads any more: its reader's units and deposit are free again."""
        for session in [each for each in self._sessions.values() if now_s - each.used_s > IDLE_S]:
            self._sessions.pop(session.token)
        read = {(session.request.licence, session.request.lane) for session in self._sessions.values()}
        for licence, number, _ in self.lanes.all():
            if (licence, number) not in read | self._released:
                try:
                    await self._release(licence, number)
                    self._released.add((licence, number))
                except (RpcError, Rejected, Unavailable) as error:
                    on_error(f"lane {number} of licence {licence.hex()[:12]} is not released: {error.message}")

    async def _release(self, licence: bytes, number: int) -> None:
        await self.anchor(licence, number)
        document = await self.client.licence(licence.hex())
        for entry in document["receipts"]["lanes"]:
            if entry["lane"] == number and entry["gateway"] == self._address and entry["state"] != "closed":
                message = CloseAccess(licence, self.signer.account, number, None)
                await asyncio.to_thread(self._session.send, [message])

    def _receipt(
        self,
        session: OpenSession,
        lane: Lane,
        licence: dict[str, Any],
        item: dict[str, Any],
        part: int,
        entry: dict[str, Any],
    ) -> bytes:
        request = session.request
        member, size = bytes.fromhex(item["asset"]), int(entry["bytes"])
        asked = _asked(item, part, entry)
        units = self._waiting_or_units(request, lane, licence, item, asked)
        if isinstance(units, bytes):
            return units
        body = ReceiptBody(
            licence=request.licence,
            epoch=int(licence["epoch"]),
            gateway=self.signer.account,
            lane=request.lane,
            seq=lane.size,
            asset=bytes.fromhex(session.asset),
            member=member,
            part=part,
            offset=0,
            length=size,
            units=units,
            purpose=request.purpose,
            request_hash=asked,
            content=parse_cid(entry["cid"]),
            height=int(licence["height"]),
        )
        self.counters["files"] += 1
        self.counters["bytes"] += size
        return lane.add_receipt(body)

    def _waiting_or_units(
        self, request: SessionRequest, lane: Lane, licence: dict[str, Any], item: dict[str, Any], asked: bytes
    ) -> bytes | int:
        """The receipt of this very request that still waits for its voucher, or the units that a new one takes.

        Raises Rejected where something else waits, or too few units are left.
        """
        if lane.size > lane.vouched:
            waiting = decode(ReceiptBody, lane.bodies[-1], "receipt")
            if waiting.request_hash == asked and lane.size == lane.vouched + 1:
                return lane.bodies[-1]
            raise Rejected("gateway.voucher_due", units=lane.units_unsigned)
        units = units_of(licence["unit"], int(item["duration_ms"] or 0))
        chain_lane = self._chain_lane(licence, request.lane)
        # What is anchored already is no longer open, but it stands in our log.
        locked = int(chain_lane["units"]) + int(chain_lane["units_open"])
        if lane.units + units > locked:
            raise Rejected("gateway.units_exhausted", units=lane.units, units_open=locked)
        unsigned = self.lanes.units_unsigned(request.licence)
        if unsigned and unsigned + units > self._unsigned_units_max:
            raise Rejected("gateway.voucher_due", units=unsigned)
        return units

    def _head(self, session: OpenSession, lane: Lane) -> SignedHead:
        request = session.request
        message = receipt_head_bytes(
            self.network, self.signer.account, request.licence, request.lane, lane.size, lane.head
        )
        return SignedHead(lane.size, lane.units, lane.head, sign(self.signer.seeds[0], message))

    async def _active_licence(self, request: SessionRequest) -> dict[str, Any]:
        licence: dict[str, Any] = await self.client.licence(request.licence.hex())
        if licence["state"] != "active":
            raise Rejected(f"licence.{licence['state']}", licence=licence["id"])
        if request.purpose not in licence["purposes"]:
            raise Rejected("licence.wrong_purpose", purpose=request.purpose, licence=licence["id"])
        return licence

    def _chain_lane(self, licence: dict[str, Any], number: int) -> dict[str, Any]:
        for lane in licence["receipts"]["lanes"]:
            if lane["lane"] == number and lane["gateway"] == self._address and lane["state"] == "open":
                return dict(lane)
        raise Rejected("gateway.session_foreign")

    async def _member(self, asset: str, member: str) -> dict[str, Any]:
        return dict(await self.client.call("asset_getMember", id=asset, asset=member))

    async def _catch_up(self, licence: bytes, number: int, lane: Lane) -> None:
        """Take the anchored size from the chain: a crash may have come between an anchor and its note in the log."""
        document = await self.client.licence(licence.hex())
        for entry in document["receipts"]["lanes"]:
            if entry["lane"] == number and entry["gateway"] == self._address:
                size = int(entry["size"])
                if lane.anchored < size <= lane.size:
                    lane.set_anchored(size)

    def _take_nonce(self, request: SessionRequest, now_ms: int) -> None:
        age_ms = abs(now_ms - request.time_ms)
        self._nonces = {nonce: until for nonce, until in self._nonces.items() if until >= now_ms}
        if age_ms > SESSION_WINDOW_MS or request.nonce in self._nonces:
            raise Rejected("gateway.session_stale", age_ms=age_ms)
        self._nonces[request.nonce] = now_ms + 2 * SESSION_WINDOW_MS


def _asked(item: dict[str, Any], part: int, entry: dict[str, Any]) -> bytes:
    """What a receipt for this whole file says was asked for."""
    return request_hash(bytes.fromhex(item["asset"]), part, 0, int(entry["bytes"]))


def _part(item: dict[str, Any], path: str) -> tuple[int, dict[str, Any]]:
    for index, entry in enumerate(item["parts"]):
        if entry["path"] == path:
            return index, entry
    raise Rejected("gateway.no_file", asset=item["asset"], path=path)


def _anchor_message(licence: bytes, number: int, lane: Lane) -> AnchorReceipts:
    """The next receipts of a lane: up to the newest voucher that covers at most 64 of them, else the next voucher."""
    first = lane.anchored
    signed = lane.next_voucher(first, first + BODIES_PER_ANCHOR_MAX)
    last = signed.voucher.size
    return AnchorReceipts(
        licence=licence,
        lane=number,
        first=first,
        count=last - first,
        voucher=signed,
        consistency=lane.consistency(first, last),
        bodies=tuple(lane.bodies[first:last]) if last - first <= BODIES_PER_ANCHOR_MAX else (),
    )
