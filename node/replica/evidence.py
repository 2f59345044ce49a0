"""Evidence of equivocation: checked, passed on, held until a block carries it, and judged inside blocks.

A piece is good for a block of height h where its two halves contradict each other, both are signed by a validator of
their height, that height lies below h and is not older than the parameter allows, and nobody was punished for
the same key and height before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from concento.errors import Rejected
from concento.evidence import Evidence, check_evidence, evidence_checks, evidence_height, evidence_id, offender
from concento.hashing import Network
from concento.limits import BLOCK_EVIDENCE_MAX
from concento.validators import ValidatorSet
from consensus.signer import Crypto

EVIDENCE_POOL_MAX: Final = 64
"""Pieces held at a time; there is one per key and height, and a key is gone after the first."""


class History(Protocol):
    """What must be known of the chain to judge evidence."""

    def validators_at(self, height: int) -> ValidatorSet: ...

    def time_at(self, height: int) -> int | None:
        """The block time of a decided height, or None where it is not kept."""

    def is_punished(self, key: bytes, height: int) -> bool: ...


def check_for_block(
    network: Network, crypto: Crypto, history: History, evidence: Evidence, height: int, time_ms: int, age_ms: int
) -> None:
    """Raises Rejected unless a block of this height and time may carry it."""
    at = evidence_height(evidence)
    check_evidence(evidence)
    key = offender(evidence)
    # A height that is no longer kept is older than any age allowed: retention never goes below that window.
    then = history.time_at(at) if 1 <= at < height else None
    is_signer = then is not None and key in history.validators_at(at)
    if then is None or not is_signer or time_ms - then > age_ms or history.is_punished(key, at):
        raise Rejected("evidence.invalid", height=at)
    if not all(crypto.verify(*check) for check in evidence_checks(network, evidence)):
        raise Rejected("evidence.invalid", height=at)


class EvidencePool:
    """Evidence that no block has carried yet, one piece per key and height."""

    def __init__(self) -> None:
        self._held: dict[tuple[bytes, int], Evidence] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, evidence: Evidence) -> bool:
        """Keeps it; False where it is known, or the pool is full."""
        place = offender(evidence), evidence_height(evidence)
        if place in self._held or len(self._held) >= EVIDENCE_POOL_MAX:
            return False
        self._held[place] = evidence
        return True

    def choose(self, is_good: Callable[[Evidence], bool], height: int) -> tuple[Evidence, ...]:
        """What a block of this height may carry, in the order of its ids; what may never be carried is dropped."""
        ready = {place: piece for place, piece in self._held.items() if place[1] < height}
        for place, piece in ready.items():
            if not is_good(piece):
                del self._held[place]
        good = [piece for place, piece in ready.items() if place in self._held]
        return tuple(sorted(good, key=evidence_id)[:BLOCK_EVIDENCE_MAX])

    def decided(self, evidence: Sequence[Evidence]) -> None:
        for piece in evidence:
            self._held.pop((offender(piece), evidence_height(piece)), None)
