"""The wire form: public vectors of the encoding guide, what a reader must take, what it must refuse, and any bytes."""

# ruff: noqa: RUF009 - the calls make dataclass fields

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.comet import messages as abci
from node.comet.protobuf import (
    Malformed,
    decode,
    encode,
    many_uint,
    nested,
    raw,
    read_varint,
    signed,
    text,
    uint,
    varint,
)


@dataclass(frozen=True, slots=True)
class Guide:
    """The messages of the encoding guide in one: Test1.a, Test2.b, Test3.c, Test5.f."""

    a: int = signed(1)
    b: str = text(2)
    c: Any = nested(3, abci.Echo)
    f: tuple[int, ...] = many_uint(6)
    d: bytes = raw(7)
    e: int = uint(8)


# https://protobuf.dev/programming-guides/encoding/
VECTORS = [
    (Guide(a=150), "089601"),
    (Guide(b="testing"), "120774657374696e67"),
    (Guide(a=-2), "08feffffffffffffffff01"),
    (Guide(c=abci.Echo("abc")), "1a050a03616263"),
]


@pytest.mark.parametrize(("message", "wire"), VECTORS)
def test_vectors_of_the_encoding_guide(message: Guide, wire: str) -> None:
    assert encode(message).hex() == wire
    assert decode(Guide, bytes.fromhex(wire)) == message


def test_packed_numbers_are_read_as_the_guide_writes_them() -> None:
    assert decode(Guide, bytes.fromhex("3206038e029ea705")) == Guide(f=(3, 270, 86942))


def test_unknown_fields_of_every_wire_type_are_passed_over() -> None:
    unknown = bytes.fromhex("980601990600000000000000ff9a0602abcd9d06000000ff")
    assert decode(Guide, unknown + encode(Guide(a=7)) + unknown) == Guide(a=7)


def test_the_last_of_a_repeated_single_field_counts() -> None:
    assert decode(Guide, encode(Guide(a=1)) + encode(Guide(a=2))) == Guide(a=2)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ("08", "cut off"),
        ("0896", "cut off"),
        ("120774", "ends behind"),
        ("0bffff", "wire type"),
        ("0001", "field number"),
        ("0a01ff", "wire type"),
        ("1201ff", "UTF-8"),
        ("08ffffffffffffffffffff01", "more than 64 bits"),
        ("08ffffffffffffffffff02", "more than 64 bits"),
        ("1a001a00", "twice"),
    ],
)
def test_malformed_bytes_are_refused(wire: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        decode(Guide, bytes.fromhex(wire))


@given(st.integers(0, 2**64 - 1))
def test_a_number_comes_back(value: int) -> None:
    wire = varint(value)
    assert read_varint(wire + b"\xff", 0) == (value, len(wire))


def test_requests_have_the_numbers_of_the_definition() -> None:
    assert abci.decode_request(bytes.fromhex("1200")) == abci.Flush()
    assert abci.decode_request(bytes.fromhex("42070a036162631001")) == abci.CheckTx(b"abc", abci.CheckType.RECHECK)
    finalize = bytes.fromhex("a201130a01610a002202beef2805320608a08d061005")
    assert abci.decode_request(finalize) == abci.FinalizeBlock(
        txs=(b"a", b""), hash=b"\xbe\xef", height=5, time=abci.Timestamp(100_000, 5)
    )


def test_responses_have_the_numbers_of_the_definition() -> None:
    assert abci.encode_response(abci.FlushAnswer()).hex() == "1a00"
    assert (
        abci.encode_response(abci.InfoAnswer(app_version=1, height=3, app_hash=b"\xaa")).hex() == "2207180120032a01aa"
    )
    answer = abci.FinalizeBlockAnswer((abci.ExecTxResult(2, b"\x01"), abci.ExecTxResult()), (), b"\xff")
    assert abci.encode_response(answer).hex() == "aa010c1205080212010112002a01ff"
    assert abci.encode_response(abci.ProcessProposalAnswer(abci.Verdict.REJECT)).hex() == "9201020802"


def _values(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any message of a kind, by the table of its fields."""
    fields = {}
    for name, entry in kind.__dataclass_fields__.items():
        _, what, message, is_many = entry.metadata["proto"]
        one: st.SearchStrategy[Any] = {
            "uint": st.integers(0, 2**64 - 1),
            "signed": st.integers(-(2**63), 2**63 - 1),
            "text": st.text(max_size=20),
            "raw": st.binary(max_size=40),
            "nested": _values(message) if message else st.nothing(),
        }[what]
        absent = st.none() if what == "nested" else st.nothing()
        fields[name] = st.lists(one, max_size=4).map(tuple) if is_many else st.one_of(absent, one)
    return st.builds(kind, **fields)


@given(st.sampled_from(sorted(abci.REQUESTS)).flatmap(lambda number: _values(abci.REQUESTS[number])))
def test_every_request_comes_back(request: Any) -> None:
    assert abci.decode_request(abci.encode_request(request)) == request


@given(st.sampled_from(sorted(abci.RESPONSES)).flatmap(lambda number: _values(abci.RESPONSES[number])))
def test_every_response_comes_back(response: Any) -> None:
    assert abci.decode_response(abci.encode_response(response)) == response


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_malformed(data: bytes) -> None:
    try:
        request = abci.decode_request(data)
    except Malformed:
        return
    assert abci.decode_request(abci.encode_request(request)) == request


@given(
    st.sampled_from(sorted(abci.REQUESTS)).flatmap(lambda number: _values(abci.REQUESTS[number])),
    st.data(),
)
def test_a_damaged_request_is_another_request_or_malformed(request: Any, data: st.DataObject) -> None:
    wire = bytearray(abci.encode_request(request))
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    try:
        found = abci.decode_request(bytes(wire))
    except Malformed:
        return
    assert abci.decode_request(abci.encode_request(found)) == found
