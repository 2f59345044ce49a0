"""This validator's signatures: made in memory, entered in the guard record, and only then handed out to be sent."""

from __future__ import annotations

from typing import Protocol

import msgspec

from concento.hashing import Network
from concento.votes import Proposal, Vote, VoteType, proposal_bytes, vote_bytes
from consensus.guard import GuardRecord, Signed, is_rolled_back, may_sign, place, stored, with_signed
from consensus.heard import HeightHeard
from consensus.machine import State

_UNSIGNED = bytes(64)


class Crypto(Protocol):
    """This node's key and the one verifier; the simulator has a cheap one."""

    def sign(self, message: bytes) -> bytes: ...

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool: ...


class Signer:
    """The guard record and the key behind it. While not `enabled` it gives out nothing, stored or new."""

    def __init__(self, network: Network, key: bytes | None, crypto: Crypto, record: GuardRecord) -> None:
        self.key = key
        self.record = record
        self.enabled = False
        self.has_unsaved = False
        self._network = network
        self._crypto = crypto

    def proposal(self, state: State, heard: HeightHeard, round_: int, pol: int, block_id: bytes) -> Proposal | None:
        """The signed proposal, or None where the guard forbids it."""
        if self.key is None:
            return None
        payload = proposal_bytes(self._network, state.height, round_, pol, block_id)
        unsigned = Proposal(state.height, round_, pol, block_id, self.key, _UNSIGNED)
        signed = self._signed(unsigned, payload, state, heard)
        return signed if isinstance(signed, Proposal) else None

    def vote(self, state: State, heard: HeightHeard, kind: VoteType, round_: int, block_id: bytes) -> Vote | None:
        """The signed vote, or None where the guard forbids it."""
        if self.key is None:
            return None
        payload = vote_bytes(self._network, kind, state.height, round_, block_id)
        unsigned = Vote(kind, state.height, round_, block_id, self.key, _UNSIGNED)
        signed = self._signed(unsigned, payload, state, heard)
        return signed if isinstance(signed, Vote) else None

    def contradicts(self, message: Signed, signer: bytes) -> bool:
        """Whether a verified message is of our own key and unknown to our guard; then nothing more is signed."""
        if not self.enabled or signer != self.key or not is_rolled_back(self.record, message):
            return False
        self.enabled = False
        return True

    def _signed(self, unsigned: Signed, payload: bytes, state: State, heard: HeightHeard) -> Signed | None:
        if not self.enabled:
            return None
        at = place(unsigned)
        known = stored(self.record, at)
        if known is not None:
            return known if msgspec.structs.replace(known, signature=_UNSIGNED) == unsigned else None
        if not may_sign(self.record, at):
            return None
        message = msgspec.structs.replace(unsigned, signature=self._crypto.sign(payload))
        self.record = _with_state(with_signed(self.record, message), state, heard)
        self.has_unsaved = True
        return message


def _with_state(record: GuardRecord, state: State, heard: HeightHeard) -> GuardRecord:
    """The record with all that a restart at this place needs to go on."""
    has_valid = state.valid_round >= 0
    return msgspec.structs.replace(
        record,
        locked_round=state.locked_round,
        locked_id=state.locked_id,
        valid_round=state.valid_round,
        valid_id=state.valid_id,
        polka=heard.keeper.polka_certificate(state.height, state.valid_round) if has_valid else None,
        entry=heard.keeper.entry(record.round),
    )
