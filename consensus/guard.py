"""The signing guard: what this validator has signed last, and what it may therefore still sign. Pure; the replica owns
the file.

The file is preallocated with two slots and locked to one process. A record goes into the slot its sequence number
names (even, odd, even, ...), so the newest record is never overwritten by its successor: a write torn by a power cut
damages the older slot, and the signature it held has not left, because nothing is sent before the write is synced.

Two rules keep a validator honest whatever crashes: a place (height, round, step) once passed is never signed in again,
and the same place gives the stored bytes. The record also carries all that a restart at this height needs to go on:
the lock, the valid value with its prevotes, and the votes that led into the round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from concento.encoding import Bytes32, Natural, Record, decode, encode
from concento.errors import Broken, Rejected
from concento.hashing import tagged_hash
from concento.keys import PublicKey
from concento.limits import VALIDATORS_MAX
from concento.validators import ValidatorSet
from concento.votes import NIL, MaybeBlockId, PolRound, Proposal, Round, Vote, VoteType
from consensus.messages import Polka, Step

SLOT_BYTES: Final = 64 * 1024
"""Room of one slot. The largest record, 128 validators with a polka and a whole round of votes, has 31 kB."""

FILE_BYTES: Final = 2 * SLOT_BYTES

HEIGHTS_UNTIL_SIGNING: Final = 3
"""A validator without a usable guard signs this many heights above the greatest tip it was told of: it may have voted
one height above any block it stored, and its peers' answers may be one height old."""

_LENGTH_BYTES: Final = 4
_CHECKSUM_BYTES: Final = 32

Signed: TypeAlias = Proposal | Vote
Place: TypeAlias = tuple[int, int, Step]
"""(height, round, step), ordered as tuples: what may only grow."""


class GuardRecord(Record):
    """The place of the last signature, the machine's lock and valid value there, and the last message of each type."""

    height: Natural
    round: Round
    step: Step
    locked_round: PolRound
    locked_id: MaybeBlockId
    valid_round: PolRound
    valid_id: MaybeBlockId
    polka: Polka | None
    entry: Annotated[tuple[Vote, ...], Meta(max_length=2 * VALIDATORS_MAX)]
    proposal: Proposal | None
    prevote: Vote | None
    precommit: Vote | None


class Slot(Record):
    """One write of the guard: whose it is, on which chain, and the how-manieth."""

    sequence: Natural
    genesis_hash: Bytes32
    key: PublicKey
    record: GuardRecord


FRESH: Final = GuardRecord(0, 0, Step.NEW_HEIGHT, -1, NIL, -1, NIL, None, (), None, None, None)
"""The guard of a key that has never signed. Only making a new key, or a whole new network, may write it."""


def place(message: Signed) -> Place:
    """Where a message stands in the order of signing."""
    if isinstance(message, Proposal):
        return message.height, message.round, Step.PROPOSE
    return message.height, message.round, Step.PREVOTE if message.type is VoteType.PREVOTE else Step.PRECOMMIT


def last_place(record: GuardRecord) -> Place:
    return record.height, record.round, record.step


def stored(record: GuardRecord, at: Place) -> Signed | None:
    """The message that was signed at this place, where the record still has it."""
    for message in (record.proposal, record.prevote, record.precommit):
        if message is not None and place(message) == at:
            return message
    return None


def may_sign(record: GuardRecord, at: Place) -> bool:
    """Whether a new signature may be made at this place; where not, only `stored` may leave."""
    return at > last_place(record)


def with_signed(record: GuardRecord, message: Signed) -> GuardRecord:
    """The record after this message was signed. Raises Broken where it must not have been: the node stops."""
    at = place(message)
    if not may_sign(record, at):
        raise Broken("the signing guard was asked to go back", height=at[0], round=at[1], step=at[2])
    proposal, prevote, precommit = record.proposal, record.prevote, record.precommit
    if isinstance(message, Proposal):
        proposal = message
    elif message.type is VoteType.PREVOTE:
        prevote = message
    else:
        precommit = message
    height, round_, step = at
    return GuardRecord(
        height,
        round_,
        step,
        record.locked_round,
        record.locked_id,
        record.valid_round,
        record.valid_id,
        record.polka,
        record.entry,
        proposal,
        prevote,
        precommit,
    )


def is_rolled_back(record: GuardRecord, met: Signed) -> bool:
    """Whether this message of the guard's own key, with a good signature, shows that the guard is older than the key's
    use.

    True for a place the record has not reached, and for another word at a place it remembers.
    """
    at = place(met)
    if at > last_place(record):
        return True
    known = stored(record, at)
    if known is None:
        return False
    return _word(known) != _word(met)


def _word(message: Signed) -> tuple[bytes, int]:
    return message.block_id, message.pol_round if isinstance(message, Proposal) else 0


def signs_from(tips: Mapping[bytes, int], validators: ValidatorSet) -> int | None:
    """The height from which a validator without a usable guard may sign, or None while too few have told their tip.

    `tips` holds the tip of each validator by key, this node's own included; none that is above what it has seen proved.
    """
    known = [tips[key] for key in validators.keys if key in tips]
    if len(known) < validators.quorum:
        return None
    return max(known) + HEIGHTS_UNTIL_SIGNING


def slot_offset(sequence: int) -> int:
    """Where in the file the record of this sequence number goes."""
    return sequence % 2 * SLOT_BYTES


def encode_slot(slot: Slot) -> bytes:
    """Length, record, checksum; to be written at `slot_offset(slot.sequence)` and synced."""
    payload = encode(slot)
    size = len(payload).to_bytes(_LENGTH_BYTES, "big")
    if _LENGTH_BYTES + len(payload) + _CHECKSUM_BYTES > SLOT_BYTES:
        raise Broken("a guard record is larger than its slot", bytes=len(payload), bytes_max=SLOT_BYTES)
    return size + payload + tagged_hash("guard", size, payload)


def decode_slot(data: bytes) -> Slot | None:
    """The slot these bytes begin with, or None where they are empty, torn or damaged."""
    size = int.from_bytes(data[:_LENGTH_BYTES], "big")
    end = _LENGTH_BYTES + size
    payload, checksum = data[_LENGTH_BYTES:end], data[end : end + _CHECKSUM_BYTES]
    if not size or checksum != tagged_hash("guard", data[:_LENGTH_BYTES], payload):
        return None
    try:
        return decode(Slot, payload, "guard record")
    except Rejected:
        return None


def newest_slot(file: bytes) -> Slot | None:
    """The newest whole record of a guard file, or None: then this validator has no usable guard and only observes."""
    halves = (file[:SLOT_BYTES], file[SLOT_BYTES:FILE_BYTES])
    slots = [slot for half in halves if (slot := decode_slot(half)) is not None]
    return max(slots, key=lambda slot: slot.sequence, default=None)
