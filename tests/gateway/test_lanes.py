"""A lane's log survives every crash whole, and refuses what a crash cannot explain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from concento.errors import Rejected
from concento.keys import public_key, sign
from concento.merkle import merkle_root, verify_consistency
from concento.messages.receipts import ReceiptBody, SignedVoucher, Voucher, voucher_bytes
from gateway.lanes import Lane, Lanes
from support.fakechain import DATASET, GATEWAY, LANE, LANE_SEED, LICENCE, NETWORK


def body(seq: int, units: int = 1) -> ReceiptBody:
    return ReceiptBody(
        licence=LICENCE,
        epoch=0,
        gateway=GATEWAY.account,
        lane=LANE,
        seq=seq,
        asset=DATASET,
        member=b"\x31" * 32,
        part=0,
        offset=0,
        length=10,
        units=units,
        purpose="train-generative",
        request_hash=bytes([seq % 256]) * 32,
        content=b"\x41" * 32,
        height=9,
    )


def voucher(lane: Lane, size: int | None = None) -> SignedVoucher:
    value = Voucher(
        LICENCE, 0, GATEWAY.account, LANE, lane.size if size is None else size, lane.units, lane.head, 9, bytes(32), b""
    )
    return SignedVoucher(value, public_key(LANE_SEED), sign(LANE_SEED, voucher_bytes(NETWORK, value)))


_OPEN: list[Lane | Lanes] = []


@pytest.fixture(autouse=True)
def _close_logs() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def opened(path: Path) -> Lane:
    _OPEN.append(lane := Lane(path))
    return lane


def all_lanes(folder: Path) -> Lanes:
    _OPEN.append(lanes := Lanes(folder))
    return lanes


def filled(path: Path, receipts: int) -> Lane:
    lane = opened(path)
    for seq in range(receipts):
        lane.add_receipt(body(seq))
        lane.add_voucher(voucher(lane))
    return lane


def test_a_lane_read_again_says_the_same(tmp_path: Path) -> None:
    lane = filled(tmp_path / "1.log", 5)
    lane.set_anchored(3)
    lane.add_receipt(body(5, units=4))
    lane.close()
    again = opened(tmp_path / "1.log")
    assert (again.size, again.units, again.vouched, again.anchored, again.units_unsigned) == (6, 9, 5, 3, 4)
    assert again.head == merkle_root(again.bodies) == lane.head


@pytest.mark.parametrize("cut", [1, 7, 8, 60, 200])
def test_a_torn_tail_is_cut_off_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "1.log"
    lane = opened(path)
    lane.add_receipt(body(0))
    whole = path.stat().st_size
    lane.add_receipt(body(1))
    lane.close()
    data = path.read_bytes()
    path.write_bytes(data[: max(whole, len(data) - cut)])
    again = opened(path)
    assert again.size == 1
    again.add_receipt(body(1))
    again.close()
    assert opened(path).size == 2


def test_a_changed_byte_before_the_tail_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.log"
    filled(path, 3).close()
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(Rejected) as refused:
        opened(path)
    assert refused.value.kind == "gateway.log_damaged"


def test_a_voucher_must_say_what_the_log_says(tmp_path: Path) -> None:
    lane = filled(tmp_path / "1.log", 2)
    stale = voucher(lane)
    lane.add_receipt(body(2))
    with pytest.raises(Rejected) as refused:
        lane.add_voucher(stale)
    assert refused.value.kind == "gateway.voucher_wrong"
    assert lane.vouched == 2


def test_the_next_voucher_fits_one_anchor_or_is_the_oldest_that_goes_on(tmp_path: Path) -> None:
    lane = filled(tmp_path / "1.log", 5)
    assert lane.next_voucher(0, 3).voucher.size == 3
    assert lane.next_voucher(3, 67).voucher.size == 5
    for seq in range(5, 9):
        lane.add_receipt(body(seq))
    lane.add_voucher(voucher(lane))
    assert lane.next_voucher(5, 7).voucher.size == 9
    with pytest.raises(Rejected):
        lane.next_voucher(9, 73)


def test_consistency_proofs_show_that_the_log_only_grew(tmp_path: Path) -> None:
    lane = filled(tmp_path / "1.log", 9)
    for old in range(1, 9):
        verify_consistency(merkle_root(lane.bodies[:old]), old, lane.head, 9, lane.consistency(old, 9))
    assert lane.consistency(0, 9) == ()
    assert lane.consistency(9, 9) == ()


def test_unsigned_units_are_counted_over_all_lanes_of_a_licence_also_after_a_restart(tmp_path: Path) -> None:
    lanes = all_lanes(tmp_path)
    lanes.lane(LICENCE, 1).add_receipt(body(0, units=3))
    lanes.lane(LICENCE, 2).add_receipt(body(0, units=4))
    lanes.lane(b"\x55" * 32, 1).add_receipt(body(0, units=100))
    lanes.close()
    assert all_lanes(tmp_path).units_unsigned(LICENCE) == 7
    assert [(licence[:1], number) for licence, number, _ in all_lanes(tmp_path).all()] == [
        (b"\x21", 1),
        (b"\x21", 2),
        (b"\x55", 1),
    ]
