"""Frames: any bytes give payloads or one named error, whole or one byte at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.errors import Broken, Rejected
from concento.limits import FRAME_BYTES_MAX
from node.p2p.frames import FrameDecoder, frame

payloads = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def decoded(chunks: list[bytes], bytes_max: int = FRAME_BYTES_MAX) -> list[bytes]:
    decoder = FrameDecoder(bytes_max)
    found = []
    for chunk in chunks:
        decoder.feed(chunk)
        while (payload := decoder.next()) is not None:
            found.append(payload)
    return found


@given(payloads, st.integers(min_value=1, max_value=50))
def test_payloads_come_out_as_they_went_in_however_the_stream_is_cut(sent: list[bytes], size: int) -> None:
    stream = b"".join(map(frame, sent))
    assert decoded([stream[at : at + size] for at in range(0, len(stream), size)]) == sent


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_give_payloads_or_one_named_error(chunks: list[bytes]) -> None:
    kind, found = "peer.frame", []
    try:
        found = decoded(chunks, 32)
    except Rejected as error:
        kind = error.kind
    assert kind == "peer.frame"
    assert all(0 < len(payload) <= 32 for payload in found)


@pytest.mark.parametrize("length", [0, 33, 2**31, 2**32 - 1])
def test_a_length_that_is_not_allowed_is_refused_before_its_bytes_arrive(length: int) -> None:
    decoder = FrameDecoder(32)
    decoder.feed(length.to_bytes(4, "big"))
    with pytest.raises(Rejected, match="are allowed"):
        decoder.next()


def test_a_great_length_alone_allocates_nothing() -> None:
    decoder = FrameDecoder(FRAME_BYTES_MAX)
    decoder.feed(FRAME_BYTES_MAX.to_bytes(4, "big") + b"few")
    assert decoder.next() is None
    assert decoder.held == 7


def test_a_limit_that_was_raised_holds_from_the_next_frame_on() -> None:
    decoder = FrameDecoder(4)
    decoder.feed(frame(b"four") + frame(b"five."))
    assert decoder.next() == b"four"
    decoder.bytes_max = 5
    assert decoder.next() == b"five."


@pytest.mark.parametrize("payload", [b"", bytes(FRAME_BYTES_MAX + 1)])
def test_a_payload_that_no_peer_would_take_is_a_bug_of_ours(payload: bytes) -> None:
    with pytest.raises(Broken):
        frame(payload)
