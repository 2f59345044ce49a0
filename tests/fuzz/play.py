"""Plays cases: one is a function of (target, seed, number); red is what lets out what it must not, or takes long."""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import FrameType
from typing import Any, Final

from concento.errors import Rejected
from fuzz.documents import Bodies, KeyFiles, Proofs
from fuzz.mutate import BYTES_MAX, pick, spoilt, spoilt_bytes
from fuzz.target import Target
from fuzz.wire import Frames, Handshakes, SegmentFiles, Transactions
from sim.dice import stream

TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "frames": Frames,
    "handshake": Handshakes,
    "transactions": Transactions,
    "segments": SegmentFiles,
    "proofs": Proofs,
    "rpc": Bodies,
    "keys": KeyFiles,
}

CASE_S_MAX: Final = 1.0
"""Of processor time: other programs of the machine do not make a case slow."""

GROWTH_BYTES_MAX: Final = 64 * 1024 * 1024
"""By how much the most memory that the process ever had may grow over what the real inputs need."""

STRUCTURED_SHARE: Final = 0.65


class TooSlow(BaseException):
    """Raised into a case by the clock; no handler for exceptions may take it for one of its own."""


@dataclass
class Played:
    """What came of a target."""

    name: str
    seed: int
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    growth_bytes: int = 0
    red: str | None = None

    @property
    def sentence(self) -> str:
        """One line for whoever ran it."""
        figures = f"{self.cases} cases, {self.outcomes['ok']} taken, {len(self.outcomes)} outcomes"
        return (
            f"{self.name:<12} {figures}, slowest {self.slowest_s * 1_000:.0f} ms, "
            f"memory +{self.growth_bytes / 2**20:.0f} MiB{': ' + self.red if self.red else ''}"
        )


def case(target: Target, name: str, seed: int, number: int) -> bytes:
    """The bytes of one case: a real input with one to three things wrong in it."""
    random = stream("fuzz", name, seed, number)
    data = pick(random, target.seeds)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        other = pick(random, target.seeds)
        data = _changed(target, random, data, other)
    return data[:BYTES_MAX]


def _changed(target: Target, random: Random, data: bytes, other: bytes) -> bytes:
    if random.random() < STRUCTURED_SHARE:
        try:
            return target.shut(random, spoilt(random, target.open(data), target.open(other)))
        except Exception:
            # What an earlier change broke, or what no encoder can write, is changed as bytes.
            return spoilt_bytes(random, data, other)
    return spoilt_bytes(random, data, other)


def outcome(target: Target, data: bytes) -> tuple[str, float]:
    """How a case ends and the processor time that it took. Raises what it must not let out."""
    signal.setitimer(signal.ITIMER_PROF, CASE_S_MAX)
    started = time.process_time()
    try:
        ended = target.run(data)
    except Rejected as refused:
        ended = refused.kind
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return ended, time.process_time() - started


def play(name: str, seed: int, seconds: float, cases: int | None = None, first: int = 0) -> Played:
    """Cases from `first` on, for so long or so many, or until one is red."""
    result = Played(name, seed)
    target = TARGETS[name]()
    before = signal.signal(signal.SIGPROF, _too_slow)
    try:
        for data in target.seeds:
            outcome(target, data)
        memory, until = _peak_bytes(), time.monotonic() + seconds
        while time.monotonic() < until if cases is None else result.cases < cases:
            _play_one(target, result, first + result.cases)
            result.growth_bytes = _peak_bytes() - memory
            if result.red is None and result.growth_bytes > GROWTH_BYTES_MAX:
                result.red = (
                    f"memory grew by {result.growth_bytes} bytes; {replay(name, seed, first + result.cases - 1)}"
                )
            if result.red is not None:
                break
    finally:
        signal.signal(signal.SIGPROF, before)
        target.close()
    return result


def _play_one(target: Target, result: Played, number: int) -> None:
    data = case(target, result.name, result.seed, number)
    result.cases += 1
    try:
        ended, took_s = outcome(target, data)
    except (Exception, TooSlow) as error:
        result.red = f"{type(error).__name__}: {error}"[:300] + f"; {replay(result.name, result.seed, number)}"
        return
    result.outcomes[ended] += 1
    result.slowest_s = max(result.slowest_s, took_s)
    if took_s > CASE_S_MAX:
        result.red = f"it took {took_s:.1f} s; {replay(result.name, result.seed, number)}"


def replay(name: str, seed: int, number: int) -> str:
    return f"replay: make fuzz TARGET={name} SEED={seed} CASE={number}"


def _too_slow(_signal: int, _frame: FrameType | None) -> Any:
    raise TooSlow(f"more than {CASE_S_MAX:.0f} s of processor time")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
