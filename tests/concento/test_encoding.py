"""Bytes that are a value in more than one way are refused: a hash of bytes is a hash of their value."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from concento.encoding import Bytes32, Natural, Record, decode, encode
from concento.errors import Rejected

ROOT = Path(__file__).parents[2]
SUITE = json.loads((Path(__file__).parents[1] / "vectors" / "msgpack-test-suite.json").read_text())
Plain = Any


class Point(Record):
    x: Natural
    name: Annotated[str, Meta(max_length=8)]


class Circle(Record, tag="circle"):
    centre: Point
    key: Bytes32


class Line(Record, tag="line"):
    ends: tuple[Point, ...]


class Drawing(Record):
    shapes: tuple[Circle | Line, ...]


DRAWING = Drawing((Circle(Point(1, "a"), bytes(32)), Line((Point(2, "b"), Point(2**53 - 1, "")))))


FORMS = [bytes.fromhex(text.replace("-", "")) for cases in SUITE.values() for case in cases for text in case["msgpack"]]


def is_accepted(data: bytes) -> bool:
    try:
        value = decode(Plain, data)
    except Rejected:
        return False
    return encode(value) == data


def test_of_the_public_suite_only_shortest_forms_without_floats_maps_and_extensions_are_accepted() -> None:
    accepted = [data for data in FORMS if is_accepted(data)]
    assert len(FORMS) == 233
    assert len(accepted) >= 60
    floats = [data for data in accepted if data[0] == 0xCA]
    maps_and_extensions = [data for data in accepted if 0x81 <= data[0] <= 0x8F or 0xC7 <= data[0] <= 0xC9]
    assert (floats, maps_and_extensions) == ([], [])


@pytest.mark.parametrize("group", ["20.number-positive.yaml", "12.binary.yaml", "31.string-utf8.yaml"])
def test_every_value_of_the_suite_that_we_can_write_is_accepted_in_exactly_one_form(group: str) -> None:
    for case in SUITE[group]:
        verdicts = [
            is_accepted(data)
            for data in (bytes.fromhex(text.replace("-", "")) for text in case["msgpack"])
            if data[0] not in (0xCA, 0xCB)
        ]
        assert verdicts.count(True) == 1, case


def test_floats_are_refused_wherever_a_field_has_a_type() -> None:
    for data in (b"\x92\xca\x3f\x80\x00\x00\xa0", b"\x92\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\xa0"):
        with pytest.raises(Rejected):
            decode(Point, data)


def test_a_record_of_unions_survives_the_round_trip() -> None:
    assert decode(Drawing, encode(DRAWING)) == DRAWING


@pytest.mark.parametrize(
    "wrong",
    [
        (1.0, "a"),
        (True, "a"),
        ("1", "a"),
        (None, "a"),
        (-1, "a"),
        (2**53, "a"),
        (2**63, "a"),
        (2**64 - 1, "a"),
        (1, b"a"),
        (1, "much too long"),
        (1,),
        (1, "a", 2),
        ((1, "a"),),
        (),
    ],
)
def test_fields_of_another_type_range_or_number_are_refused(wrong: object) -> None:
    with pytest.raises(Rejected) as refused:
        decode(Point, encode(wrong))
    assert refused.value.kind == "encoding.invalid"


@pytest.mark.parametrize("depth", [100, 1_000, 1_024, 1_025, 100_000])
def test_nesting_is_refused_without_a_recursion_error(depth: int) -> None:
    with pytest.raises(Rejected):
        decode(Drawing, b"\x91" * depth + b"\x01")


def test_trailing_bytes_and_missing_bytes_are_refused() -> None:
    data = encode(DRAWING)
    for wrong in (data + b"\x00", data[:-1], b"", b"\xc1"):
        with pytest.raises(Rejected):
            decode(Drawing, wrong)


def test_an_array_longer_than_any_list_of_the_protocol_is_refused_before_it_is_built() -> None:
    with pytest.raises(Rejected):
        decode(Plain, b"\xdd\x00\x0f\xff\xff" + b"\x90" * 0xFFFFF)


def test_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(Rejected):
        decode(Point, b"\x92\x01\xa1\xff")


def test_an_unknown_member_of_a_union_is_refused() -> None:
    with pytest.raises(Rejected):
        decode(Drawing, encode(((("square", 1),),)))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_one_named_error(data: bytes) -> None:
    if is_drawing(data):
        assert encode(decode(Drawing, data)) == data


def is_drawing(data: bytes) -> bool:
    try:
        decode(Drawing, data)
    except Rejected as error:
        return error.kind not in ("encoding.invalid", "encoding.not_canonical")
    return True


@given(st.lists(st.tuples(st.integers(0, 2**53 - 1), st.text(max_size=8)), max_size=20))
def test_equal_values_have_equal_bytes(points: list[tuple[int, str]]) -> None:
    line = Line(tuple(Point(x, name) for x, name in points))
    assert decode(Line, encode(line)) == line
    assert encode(Line(line.ends)) == encode(line)


AT_ONCE = """
import sys, threading
from concento.encoding import encode
from concento.transactions import Body, Signed, decode_transaction
sys.setswitchinterval(1e-6)
body = Body("x", bytes(8), bytes(32), bytes(16), 1, 1, (), "")
raw = encode(Signed(encode(body), ((bytes(32), bytes(64)),)))
at_once = threading.Barrier(8)
def first():
    at_once.wait()
    try:
        decode_transaction(raw)
    except Exception:
        pass
threads = [threading.Thread(target=first) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_that_need_a_record_type_for_the_first_time_at_once_do_not_crash_the_process() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", AT_ONCE], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
