"""The reader's side of a gateway: opens a session, takes files with their receipts, signs for them, trusts nothing."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlsplit

from concento.access import (
    HEAD_HEADER,
    RECEIPT_HEADER,
    VOUCHER_HEADER,
    SessionRequest,
    SignedHead,
    SignedSessionRequest,
    request_hash,
    session_bytes,
)
from concento.cids import CHUNK_BYTES
from concento.client.rpc import RpcError
from concento.encoding import decode, encode
from concento.errors import ConcentoError, Rejected, Unavailable
from concento.hashing import Network
from concento.keys import public_key, sign, verify
from concento.merkle import Frontier
from concento.messages.receipts import (
    ReceiptBody,
    SignedVoucher,
    Voucher,
    receipt_head_bytes,
    receipt_id,
    voucher_bytes,
)
from concento.terms import Purpose
from concento.usage import batch_first, signed_root, usage_rows

TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane that stands on the chain, and the seed of the key that signs for it."""

    licence: bytes
    epoch: int
    gateway: bytes
    number: int
    seed: bytes
    asset: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A file whose bytes match its CID, with the receipt that both sides will have signed."""

    receipt: str
    seq: int
    units: int
    bytes: int


class GatewaySession:
    """One session with one gateway. Not for several threads at once."""

    def __init__(
        self, url: str, network: Network, lane: Lane, purpose: Purpose, time_ms: int, by_use: bool = False
    ) -> None:
        """Open the session; `time_ms` is the block time the reader sees. Raises RpcError as the gateway refuses.

        `by_use` signs which members were used, for a dataset whose metered money goes by that.
        """
        self.url = url
        self._network = network
        self._lane = lane
        self._purpose = purpose
        self._connection = _connect(url)
        self._log = Frontier()
        self._units = 0
        self._by_use = by_use
        self._uses: list[tuple[int, int]] = []
        self._signed: SignedVoucher | None = None
        try:
            self._open(time_ms)
        except ConcentoError:
            self._connection.close()
            raise

    def fetch(
        self,
        member: bytes,
        part: int,
        path: str,
        size: int,
        content: bytes,
        sink: Any,
        units: int | None = None,
        place: int = 0,
    ) -> Received:
        """One file, written to `sink` (a binary file) chunk by chunk; `units` is what it costs, where that is known.

        `place` is that of the member in the dataset that is read.

        Raises Rejected fetch.content_mismatch where the bytes are not the registered ones and fetch.receipt_wrong
        where the receipt does not say what happened; RpcError as the gateway refuses.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        if self._signed is not None:
            headers[VOUCHER_HEADER] = base64.b64encode(encode(self._signed)).decode()
        response = self._send("GET", f"/assets/{member.hex()}/{quote(path)}", None, headers)
        if response.status != 200:
            raise _refusal(response.read(), self.url)
        receipt = base64.b64decode(response.headers[RECEIPT_HEADER])
        head = decode(SignedHead, base64.b64decode(response.headers[HEAD_HEADER]), "head")
        digest, found = sha256(), 0
        for chunk in _chunks(response, self.url):
            digest.update(chunk)
            found += len(chunk)
            sink.write(chunk)
        if digest.digest() != content or found != size:
            raise Rejected("fetch.content_mismatch", path=path)
        body = decode(ReceiptBody, receipt, "receipt")
        self._check(body, request_hash(member, part, 0, size), content)
        if (body.member, body.part, body.offset, body.length) != (member, part, 0, size):
            raise Rejected("fetch.receipt_wrong", reason="it names another file")
        if units is not None and body.units != units:
            raise Rejected("fetch.receipt_wrong", reason=f"it charges {body.units} units instead of {units}")
        self._take(receipt, body, head, place)
        return Received(receipt_id(receipt).hex(), body.seq, body.units, found)

    @property
    def signed(self) -> SignedVoucher | None:
        """The newest voucher: for everything received so far."""
        return self._signed

    def close(self) -> tuple[list[str], SignedVoucher | None]:
        """Sign for everything, end the session: (ids of the anchoring transactions, the closing voucher)."""
        try:
            if self._signed is not None:
                self._json("POST", f"/sessions/{self._token}/vouchers", encode(self._signed))
            answer = self._json("DELETE", f"/sessions/{self._token}")
        finally:
            self._connection.close()
        return list(answer["anchored"]), self._signed

    def __enter__(self) -> GatewaySession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def _open(self, time_ms: int) -> None:
        lane, purpose, network = self._lane, self._purpose, self._network
        request = SessionRequest(lane.licence, lane.number, purpose, time_ms, secrets.token_bytes(16))
        signature = sign(lane.seed, session_bytes(network, request))
        answer = self._json(
            "POST", "/sessions", encode(SignedSessionRequest(request, public_key(lane.seed), signature))
        )
        self._token = str(answer["token"])
        self._gateway_key = bytes.fromhex(answer["key"])
        if bytes.fromhex(answer["account"]) != lane.gateway:
            raise Rejected("gateway.not_the_same", expected=lane.gateway, found=answer["account"])
        if answer["lane"]["size"]:
            raise Rejected("fetch.lane_used", lane=lane.number)

    def _check(self, body: ReceiptBody, asked: bytes, content: bytes) -> None:
        lane = self._lane
        says = (body.licence, body.epoch, body.gateway, body.lane, body.asset, body.request_hash, body.content)
        happened = (lane.licence, lane.epoch, lane.gateway, lane.number, lane.asset, asked, content)
        if says != happened or body.purpose != self._purpose or body.seq != self._log.size:
            raise Rejected("fetch.receipt_wrong", reason="it is a receipt for something else")

    def _take(self, receipt: bytes, body: ReceiptBody, head: SignedHead, place: int) -> None:
        """Extend our own copy of the log, compare it with the gateway's, and sign."""
        self._log.append(receipt)
        self._uses.append((place, body.units))
        self._units += body.units
        lane = self._lane
        if (head.size, head.units, head.head) != (self._log.size, self._units, self._log.root):
            raise Rejected("fetch.receipt_wrong", reason="the gateway's log is not the one that we have seen")
        message = receipt_head_bytes(self._network, lane.gateway, lane.licence, lane.number, head.size, head.head)
        if not verify(self._gateway_key, message, head.signature):
            raise Rejected("fetch.receipt_wrong", reason="the gateway's signature does not verify")
        voucher = Voucher(
            licence=lane.licence,
            epoch=lane.epoch,
            gateway=lane.gateway,
            lane=lane.number,
            size=self._log.size,
            units=self._units,
            head=self._log.root,
            height=body.height,
            block_id=bytes(32),
            usage_root=self._usage_root(),
        )
        key = public_key(lane.seed)
        self._signed = SignedVoucher(voucher, key, sign(lane.seed, voucher_bytes(self._network, voucher)))

    def _usage_root(self) -> bytes:
        """Which members were used in the batch that the next voucher will be anchored with."""
        if not self._by_use:
            return b""
        first = batch_first(0, self._log.size)
        return signed_root(first, usage_rows(self._uses[first:]))

    def _json(self, method: str, path: str, body: bytes | None = None) -> Any:
        response = self._send(method, path, body, {"Content-Type": "application/msgpack"})
        data = response.read()
        if response.status >= 300:
            raise _refusal(data, self.url)
        try:
            return json.loads(data)
        except ValueError:
            raise Unavailable("gateway.unreachable", url=self.url, reason="it does not answer in JSON") from None

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        try:
            self._connection.request(method, path, body, headers)
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise _unreachable(self.url, error) from None


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if not parts.hostname:
        raise Rejected("url.malformed", text=url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port, timeout=TIMEOUT_S)


def _chunks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    try:
        while chunk := response.read(CHUNK_BYTES):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from None


def _unreachable(url: str, error: Exception) -> Unavailable:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Unavailable("gateway.unreachable", url=url, reason=reason)


def _refusal(body: bytes, url: str) -> Exception:
    try:
        error = json.loads(body)["error"]
        return RpcError(int(error["code"]), str(error["message"]), error["data"])
    except (ValueError, KeyError, TypeError):
        return Unavailable("gateway.unreachable", url=url, reason="it does not answer as a gateway")
