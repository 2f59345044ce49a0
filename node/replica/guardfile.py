"""The guard file: where the signing guard's record is kept, and whether this node may use it.

Without a usable record a validator only observes: once more than two thirds of the validators, itself counted, have
told a tip that this node has reached too, block by block and commit by commit, it signs from three heights above. A
tip that nobody can prove counts for nothing, so that a liar cannot keep it from signing. A file that was found to be
older than its key's use is blanked, so that a restart does not trust it again.
"""

from __future__ import annotations

from typing import Final

from concento.errors import Rejected
from concento.validators import ValidatorSet
from consensus.guard import (
    FILE_BYTES,
    FRESH,
    GuardRecord,
    Slot,
    encode_slot,
    newest_slot,
    signs_from,
    slot_offset,
)
from consensus.messages import Step
from node.replica.events import WriteGuard
from node.replica.files import GUARD_FILE, Files
from node.replica.outbox import Outbox

VALIDATORS_FOR_OBSERVING_MIN: Final = 4
"""Below, the tips of the others prove too little (f = 0): only an operator can say that the key signs nowhere else."""


class Guard:
    """The record of this node's key and the right to sign with it."""

    def __init__(self, key: bytes, genesis_hash: bytes, slot: Slot | None) -> None:
        self._key = key
        self._genesis_hash = genesis_hash
        self._sequence = slot.sequence if slot else 0
        self._claims: dict[bytes, int] = {}
        self.record: GuardRecord = slot.record if slot else FRESH
        self.signs_from: int | None = 0 if slot else None
        """The least height this node may sign at; None while it does not know."""

    def may_sign(self, height: int) -> bool:
        return self.signs_from is not None and height >= self.signs_from

    def note_claim(self, key: bytes, tip: int) -> None:
        """What a validator told of its tip for the first time since this node began to observe."""
        if self.signs_from is None:
            self._claims.setdefault(key, tip)

    def reached(self, own_tip: int, validators: ValidatorSet) -> bool:
        """This node's own chain reaches so far; True where now it is known when to sign."""
        if self.signs_from is not None or len(validators) < VALIDATORS_FOR_OBSERVING_MIN:
            return False
        proved = {key: tip for key, tip in self._claims.items() if tip <= own_tip}
        self.signs_from = signs_from({**proved, self._key: own_tip}, validators)
        return self.signs_from is not None

    def write(self, record: GuardRecord, out: Outbox) -> None:
        """Keeps the record before anything that follows."""
        self._sequence += 1
        self.record = record
        data = encode_slot(Slot(self._sequence, self._genesis_hash, self._key, record))
        out.emit(WriteGuard(slot_offset(self._sequence), data))

    def distrust(self, out: Outbox) -> None:
        """The file is older than what the key has signed: observe, and do not trust it after a restart."""
        self.signs_from = None
        self._claims = {}
        out.emit(WriteGuard(0, bytes(FILE_BYTES)))


def create_guard(files: Files, key: bytes, genesis_hash: bytes) -> None:
    """Writes the guard of a key that has never signed. Only for a new key, or a whole new network. Raises Rejected."""
    if files.size(GUARD_FILE) is not None:
        raise Rejected("guard.exists")
    first = encode_slot(Slot(0, genesis_hash, key, FRESH))
    files.write_at(GUARD_FILE, 0, first + bytes(FILE_BYTES - len(first)))


def open_guard(files: Files, key: bytes, genesis_hash: bytes) -> Guard:
    """The guard of this key on this chain; without a right to sign where the file is missing, damaged or another's."""
    size = files.size(GUARD_FILE)
    slot = newest_slot(files.read(GUARD_FILE, 0, FILE_BYTES)) if size is not None else None
    if slot is not None and (slot.key, slot.genesis_hash) != (key, genesis_hash):
        slot = None
    return Guard(key, genesis_hash, slot)


def rests_on_block(record: GuardRecord) -> bool:
    """Whether the block must be on disk before this leaves: nobody may come to rest on one that a crash could lose.

    A proposal and a prevote need not wait for it: it gets there while votes travel.
    """
    return record.step >= Step.PRECOMMIT
