"""The logs of receipts, one file a lane, synced before anything is acknowledged, never rewritten.

An entry is length, CRC-32 and an encoded (kind, bytes) pair: a receipt body, a signed voucher, or the size up to which
the chain has anchored the lane. A torn tail is what a crash leaves and is cut off; anything else that does not fit is
refused loudly.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from concento.access import LaneState
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.merkle import Frontier, consistency_proof
from concento.messages.receipts import ReceiptBody, SignedVoucher

RECEIPT: Final = 0
VOUCHER: Final = 1
ANCHORED: Final = 2

_FRAME: Final = struct.Struct(">II")
_ENTRY_BYTES_MAX: Final = 4096


class Lane:
    """One lane's log: everything about it is derived from its entries."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.bodies: list[bytes] = []
        self.units = 0
        self.anchored = 0
        self._vouchers: list[SignedVoucher] = []
        self._frontier = Frontier()
        self._file = path.open("a+b")
        try:
            self._load(path)
        except Rejected:
            self._file.close()
            raise

    @property
    def size(self) -> int:
        return len(self.bodies)

    @property
    def head(self) -> bytes:
        """The RFC 6962 root over the receipt bodies."""
        return self._frontier.root

    @property
    def voucher(self) -> SignedVoucher | None:
        """The newest voucher."""
        return self._vouchers[-1] if self._vouchers else None

    def next_voucher(self, after: int, up_to: int) -> SignedVoucher:
        """The newest voucher for more than `after` and at most `up_to` receipts, else the oldest for more than that."""
        newer = [signed for signed in self._vouchers if signed.voucher.size > after]
        fitting = [signed for signed in newer if signed.voucher.size <= up_to]
        if not newer:
            raise Rejected("gateway.voucher_due", units=self.units_unsigned)
        return fitting[-1] if fitting else newer[0]

    @property
    def vouched(self) -> int:
        """How many receipts the licensee has signed for."""
        return self.voucher.voucher.size if self.voucher else 0

    @property
    def units_unsigned(self) -> int:
        return self.units - (self.voucher.voucher.units if self.voucher else 0)

    def state(self) -> LaneState:
        return LaneState(
            self.size, self.units, self.head, self.vouched, tuple(self.bodies[self.vouched :]), self.voucher
        )

    def add_receipt(self, body: ReceiptBody) -> bytes:
        """Log a receipt and sync it; its encoded body."""
        data = encode(body)
        self._append(RECEIPT, data)
        self._take_receipt(data, body)
        return data

    def add_voucher(self, signed: SignedVoucher) -> None:
        """Log a voucher and sync it. Raises Rejected unless it says exactly what this log says."""
        voucher = signed.voucher
        if (voucher.size, voucher.units, voucher.head) != (self.size, self.units, self.head):
            raise Rejected("gateway.voucher_wrong", size=voucher.size, expected=self.size)
        self._append(VOUCHER, encode(signed))
        self._vouchers.append(signed)

    def set_anchored(self, size: int) -> None:
        """Remember up to where the chain knows this lane."""
        self._append(ANCHORED, encode(size))
        self.anchored = size

    def consistency(self, old_size: int, size: int) -> tuple[bytes, ...]:
        """The proof that the log of `size` receipts extends that of `old_size`; empty where there was none."""
        if old_size in (0, size):
            return ()
        return tuple(consistency_proof(self.bodies[:size], old_size))

    def close(self) -> None:
        self._file.close()

    def _take_receipt(self, data: bytes, body: ReceiptBody) -> None:
        self.bodies.append(data)
        self.units += body.units
        self._frontier.append(data)

    def _append(self, kind: int, data: bytes) -> None:
        entry = encode((kind, data))
        self._file.write(_FRAME.pack(len(entry), crc32(entry)) + entry)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _load(self, path: Path) -> None:
        self._file.seek(0)
        data = self._file.read()
        end = 0
        for kind, content, place in _entries(data):
            if kind == RECEIPT:
                self._take_receipt(content, decode(ReceiptBody, content, "receipt"))
            elif kind == VOUCHER:
                self._vouchers.append(decode(SignedVoucher, content, "voucher"))
            else:
                self.anchored = decode(int, content, "anchored size")
            end = place
        if not _is_torn_tail(data[end:]) or self.vouched > self.size or self.anchored > self.size:
            raise Rejected("gateway.log_damaged", path=str(path), offset=end)
        if end < len(data):
            self._file.truncate(end)


class Lanes:
    """All lanes of a gateway, opened on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[tuple[bytes, int], Lane] = {}

    def lane(self, licence: bytes, number: int) -> Lane:
        place = (licence, number)
        if place not in self._open:
            self._open[place] = Lane(self._folder / licence.hex() / f"{number}.log")
        return self._open[place]

    def units_unsigned(self, licence: bytes) -> int:
        """What the licensee has received and not signed for, over all lanes of a licence."""
        for path in sorted((self._folder / licence.hex()).glob("*.log")):
            self.lane(licence, int(path.stem))
        return sum(lane.units_unsigned for (owner, _), lane in self._open.items() if owner == licence)

    def all(self) -> Iterator[tuple[bytes, int, Lane]]:
        """Every lane on disk: (licence, number, lane)."""
        for path in sorted(self._folder.glob("*/*.log")):
            licence, number = bytes.fromhex(path.parent.name), int(path.stem)
            yield licence, number, self.lane(licence, number)

    def close(self) -> None:
        for lane in self._open.values():
            lane.close()


def _is_torn_tail(rest: bytes) -> bool:
    """Whether what follows the last whole entry can be one entry that a crash cut or left half written."""
    if len(rest) < _FRAME.size:
        return True
    length, _ = _FRAME.unpack_from(rest)
    return bool(len(rest) <= _FRAME.size + length)


def _entries(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(kind, content, end) of every whole entry; stops where a crash cut the last one."""
    place = 0
    while place + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, place)
        entry = data[place + _FRAME.size : place + _FRAME.size + length]
        if length > _ENTRY_BYTES_MAX or len(entry) < length or crc32(entry) != checksum:
            return
        kind, content = decode(tuple[int, bytes], entry, "log entry")
        place += _FRAME.size + length
        yield kind, content, place
