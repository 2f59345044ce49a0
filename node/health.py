"""Whether the node is alive, and whether it is fit to be asked: the checks behind `/livez` and `/readyz`.

Alive means that the event loop answers, and nothing else: restarting nodes because their peers are gone would turn a
lost quorum into a lost network. Ready means that what it answers is recent, and that it can take part.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.backend import Check
from node.replica.guardfile import VALIDATORS_FOR_OBSERVING_MIN
from node.replica.sync import NOBODY_HAS_HINT

_log = logging.getLogger(__name__)

LAG_S_MAX: Final = 1.0
"""Above it, the event loop counts as not answering."""
LAG_PERIOD_S: Final = 0.25
DAMAGES_TOLD: Final = 20
"""Places in the log: where there are more the disk is gone, and a stranger who asks for them must not fill the rest."""
BEHIND_BLOCKS_MAX: Final = 2
"""Blocks that a ready node may be behind its furthest peer: it may just be hearing of them."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks look at, gathered at one moment."""

    height: int
    tip_age_ms: int
    tip_age_ms_max: int
    behind: int
    nobody_has: int | None
    """The block that is needed next, where no peer has it any more."""
    validators_reached: int
    """Validators of the next height that are connected, this node counted where it is one."""
    validators: int
    quorum: int
    is_validator: bool
    may_sign: bool
    store_fault: str | None
    disk_free_bps: int
    disk_free_bps_min: int


def readiness(facts: Facts) -> list[Check]:
    """The checks of `/readyz`."""
    checks = [
        Check(
            "tip",
            facts.height > 0 and facts.tip_age_ms <= facts.tip_age_ms_max,
            f"block {facts.height} is {facts.tip_age_ms} ms old, at most {facts.tip_age_ms_max} are fine"
            if facts.height
            else "no block yet",
        ),
        Check("blocks", facts.behind <= BEHIND_BLOCKS_MAX and facts.nobody_has is None, _blocks(facts)),
        Check(
            "peers",
            facts.validators_reached >= facts.quorum,
            f"{facts.validators_reached} of {facts.validators} validators in reach, {facts.quorum} are needed",
        ),
        Check("store", facts.store_fault is None, facts.store_fault or "the store can be read"),
        Check(
            "disk",
            facts.disk_free_bps >= facts.disk_free_bps_min,
            f"{facts.disk_free_bps / 100:.1f} % of the disk is free",
        ),
    ]
    if facts.is_validator:
        why = "the signing guard allows this node to vote" if facts.may_sign else _no_guard(facts)
        checks.append(Check("signer", facts.may_sign, why))
    return checks


def _blocks(facts: Facts) -> str:
    behind = f"{facts.behind} blocks behind the furthest peer"
    if facts.nobody_has is None:
        return behind
    return f"{behind}, and none has block {facts.nobody_has} any more; {NOBODY_HAS_HINT}"


def _no_guard(facts: Facts) -> str:
    said = "without a usable guard this validator only observes"
    if facts.validators >= VALIDATORS_FOR_OBSERVING_MIN:
        return f"{said}, until the network is past what it may have signed"
    return f"{said}; if its key has signed nothing there: concento node run --sign-from {facts.height + 1}"


def disk_free_bps(path: Path) -> int:
    """Free space of the disk under a path, in hundredths of a percent."""
    found = os.statvfs(path)
    return found.f_bavail * 10_000 // max(found.f_blocks, 1)


class Damage:
    """What readers found damaged on this node's disk: each place is told once, the first few of them."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def note(self, reason: str) -> None:
        if reason not in self._found and len(self._found) < DAMAGES_TOLD:
            self._found[reason] = None
            _log.error("the disk is damaged: %s", reason)

    @property
    def first(self) -> str | None:
        return next(iter(self._found), None)


class LoopLag:
    """Measures how late the event loop is, four times a second."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.last_s = 0.0

    def start(self) -> None:
        self._asked = self._loop.time() + LAG_PERIOD_S
        self._timer = self._loop.call_at(self._asked, self._measure)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def check(self) -> Check:
        """How late the loop is: in its last measurement, or already in the one that is due."""
        lag = max(self.last_s, self._loop.time() - self._asked)
        return Check("event_loop", lag <= LAG_S_MAX, f"the event loop is {max(lag, 0.0) * 1000:.0f} ms late")

    def _measure(self) -> None:
        self.last_s = max(0.0, self._loop.time() - self._asked)
        self.start()
