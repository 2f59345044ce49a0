"""The signing guard: what may be signed, what a record shows, and what a damaged file still gives."""

from __future__ import annotations

import msgspec
import pytest

from concento.errors import Broken
from concento.votes import NIL, CommitSignature, VoteType
from consensus.guard import (
    FILE_BYTES,
    FRESH,
    SLOT_BYTES,
    GuardRecord,
    Slot,
    decode_slot,
    encode_slot,
    is_rolled_back,
    may_sign,
    newest_slot,
    place,
    signs_from,
    slot_offset,
    stored,
    with_signed,
)
from consensus.messages import Polka, Step
from sim.cluster import block_named, fake_key, fake_validators, signed_proposal, signed_vote

KEY = fake_key(1)
A, B = block_named("A"), block_named("B")
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT


def slot(sequence: int, record: GuardRecord = FRESH) -> Slot:
    return Slot(sequence, bytes(32), KEY, record)


def written(*slots: Slot) -> bytearray:
    file = bytearray(FILE_BYTES)
    for entry in slots:
        data = encode_slot(entry)
        offset = slot_offset(entry.sequence)
        file[offset : offset + len(data)] = data
    return file


def test_places_are_ordered_by_height_round_and_step() -> None:
    proposal = signed_proposal(KEY, 5, 2, -1, A)
    prevote, precommit = signed_vote(KEY, PREVOTE, 5, 2, A), signed_vote(KEY, PRECOMMIT, 5, 2, A)
    later = signed_vote(KEY, PREVOTE, 5, 3, NIL)
    next_height = signed_proposal(KEY, 6, 0, -1, A)
    places = [place(message) for message in (proposal, prevote, precommit, later, next_height)]
    assert places == sorted(places)
    assert len(set(places)) == 5


@pytest.mark.parametrize(
    "at", [(5, 2, Step.PREVOTE), (5, 2, Step.PROPOSE), (5, 1, Step.PRECOMMIT), (4, 9, Step.PREVOTE)]
)
def test_guard_never_signs_at_or_before_its_place(at: tuple[int, int, int]) -> None:
    record = with_signed(FRESH, signed_vote(KEY, PREVOTE, 5, 2, A))
    assert not may_sign(record, at)


def test_guard_raises_broken_when_asked_to_go_back() -> None:
    record = with_signed(FRESH, signed_vote(KEY, PRECOMMIT, 5, 2, A))
    with pytest.raises(Broken):
        with_signed(record, signed_vote(KEY, PREVOTE, 5, 2, A))


def test_same_place_gives_only_the_stored_signature() -> None:
    vote = signed_vote(KEY, PREVOTE, 5, 2, A)
    record = with_signed(FRESH, vote)
    assert stored(record, (5, 2, Step.PREVOTE)) is vote
    assert stored(record, (5, 2, Step.PRECOMMIT)) is None


def test_record_keeps_the_last_message_of_each_type() -> None:
    messages = [
        signed_proposal(KEY, 5, 0, -1, A),
        signed_vote(KEY, PREVOTE, 5, 0, A),
        signed_vote(KEY, PRECOMMIT, 5, 0, A),
    ]
    record = FRESH
    for message in messages:
        record = with_signed(record, message)
    assert [record.proposal, record.prevote, record.precommit] == messages


def test_own_signature_beyond_the_record_means_it_was_rolled_back() -> None:
    record = with_signed(FRESH, signed_vote(KEY, PREVOTE, 5, 2, A))
    assert is_rolled_back(record, signed_vote(KEY, PRECOMMIT, 5, 2, NIL))
    assert is_rolled_back(record, signed_vote(KEY, PREVOTE, 6, 0, A))


def test_other_word_at_a_stored_place_means_rolled_back() -> None:
    record = with_signed(FRESH, signed_vote(KEY, PREVOTE, 5, 2, A))
    assert is_rolled_back(record, signed_vote(KEY, PREVOTE, 5, 2, B))
    proposed = with_signed(FRESH, signed_proposal(KEY, 5, 2, 0, A))
    assert is_rolled_back(proposed, signed_proposal(KEY, 5, 2, 1, A))


def test_own_older_or_equal_signatures_are_no_roll_back() -> None:
    record = with_signed(FRESH, signed_vote(KEY, PREVOTE, 5, 2, A))
    assert not is_rolled_back(record, signed_vote(KEY, PREVOTE, 5, 2, A))
    assert not is_rolled_back(record, signed_vote(KEY, PREVOTE, 5, 1, B))


def test_newest_of_two_slots_is_read() -> None:
    newer = with_signed(FRESH, signed_vote(KEY, PREVOTE, 5, 2, A))
    assert newest_slot(bytes(written(slot(8), slot(9, newer)))) == slot(9, newer)
    assert newest_slot(bytes(written(slot(10, newer), slot(9)))) == slot(10, newer)


def test_successor_never_overwrites_the_newest_slot() -> None:
    assert {slot_offset(sequence) for sequence in (4, 6)} == {0}
    assert {slot_offset(sequence) for sequence in (5, 7)} == {SLOT_BYTES}


def test_write_torn_at_any_byte_leaves_the_record_before() -> None:
    before = with_signed(FRESH, signed_vote(KEY, PREVOTE, 5, 2, A))
    after = with_signed(before, signed_vote(KEY, PRECOMMIT, 5, 2, A))
    file = written(slot(1), slot(2, before))
    data = encode_slot(slot(3, after))
    old = bytes(file[SLOT_BYTES : SLOT_BYTES + len(data)])
    for cut in range(len(data)):
        file[SLOT_BYTES : SLOT_BYTES + len(data)] = data[:cut] + old[cut:]
        assert newest_slot(bytes(file)) == slot(2, before), cut


@pytest.mark.parametrize("file", [b"", bytes(FILE_BYTES), b"\xff" * FILE_BYTES, b"\x00\x00\x00\x02xx"])
def test_empty_or_foreign_file_gives_no_guard(file: bytes) -> None:
    assert newest_slot(file) is None


def test_every_flipped_byte_of_a_slot_is_noticed() -> None:
    data = bytearray(encode_slot(slot(1, with_signed(FRESH, signed_vote(KEY, PREVOTE, 5, 2, A)))))
    for index in range(len(data)):
        data[index] ^= 1
        assert decode_slot(bytes(data)) is None, index
        data[index] ^= 1
    assert decode_slot(bytes(data)) is not None


def test_largest_record_fits_its_slot() -> None:
    signatures = tuple(CommitSignature(index, bytes(64)) for index in range(128))
    vote = signed_vote(KEY, PREVOTE, 2**53 - 1, 1_000_000, A)
    record = msgspec.structs.replace(
        with_signed(FRESH, vote),
        proposal=signed_proposal(KEY, 2**53 - 1, 1_000_000, 999_999, A),
        precommit=vote,
        polka=Polka(2**53 - 1, 1_000_000, A, signatures),
        entry=(vote,) * 128,
    )
    encoded = encode_slot(slot(2**53 - 1, record))
    assert len(encoded) < SLOT_BYTES
    assert decode_slot(encoded) == slot(2**53 - 1, record)


def test_record_that_outgrows_its_slot_is_never_written() -> None:
    vote = signed_vote(KEY, PREVOTE, 2**53 - 1, 1_000_000, A)
    with pytest.raises(Broken):
        encode_slot(slot(1, msgspec.structs.replace(FRESH, entry=(vote,) * 500)))


def test_validator_without_a_guard_waits_for_more_than_two_thirds_of_the_tips() -> None:
    validators = fake_validators(4)
    assert signs_from({fake_key(0): 7, fake_key(1): 0}, validators) is None
    assert signs_from({fake_key(0): 7, fake_key(1): 0, fake_key(9): 50}, validators) is None
    assert signs_from({fake_key(0): 7, fake_key(1): 0, fake_key(3): 9}, validators) == 12
