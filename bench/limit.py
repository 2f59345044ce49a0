"""The limit that no network on this machine can beat: n processes doing nothing but checking signatures.

Every one of n validators checks every signature once, so n processes on C cores give at most
(checks per second in all) / n transactions per second.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from functools import lru_cache
from statistics import median
from typing import Final, Self

from concento.keys import Check, public_key, sign, verify_many

CHECKS: Final = 256
MESSAGE_BYTES: Final = 200
SAMPLE_CHECKS: Final = 32
SAMPLE_EVERY_S: Final = 1.0
"""A sample takes some 3 ms of one core."""
CHECK_US: Final = 75.0
"""The machine that costs are told for checks a signature in so long: a shared one is half as fast at some minutes as
at others, and what is compared may be minutes apart."""


def signature_limit(processes: int, seconds: float) -> float:
    """Transactions per second if checking signatures were everything that `processes` validators did."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        counts = pool.map(_check, [seconds] * processes)
    return sum(counts) / processes


class Pace:
    """How fast this machine checks signatures while a load has it: small samples, measured in CPU time.

    A shared machine is half as fast at some minutes as at others, so that a limit measured before a load of minutes
    says little about it. CPU time leaves out that the load is in the way.
    """

    def __init__(self) -> None:
        self._times_us: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def limit(self, processes: int) -> float:
        """The signature limit at the median of the samples, in transactions per second."""
        return (os.cpu_count() or 1) * 1e6 / self.check_us / processes

    @property
    def check_us(self) -> float:
        """CPU microseconds of one check, at the median of the samples."""
        return median(self._times_us)

    def _sample(self) -> None:
        while not self._times_us or not self._stop.wait(SAMPLE_EVERY_S):
            self._times_us.append(_sample_us())


def check_us() -> float:
    """CPU microseconds of one check at this moment."""
    return median(_sample_us() for _ in range(3))


def _sample_us() -> float:
    checks, began = _checks(SAMPLE_CHECKS), time.thread_time()
    verify_many(checks)
    return (time.thread_time() - began) * 1e6 / SAMPLE_CHECKS


def _check(seconds: float) -> float:
    """Checks per second of one process, while the others do the same."""
    checks = _checks(CHECKS)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        verify_many(checks)
        done += CHECKS
    return done / (time.perf_counter() - began)


@lru_cache
def _checks(count: int) -> tuple[Check, ...]:
    checks = []
    for number in range(count):
        seed, message = number.to_bytes(32, "big"), number.to_bytes(MESSAGE_BYTES, "big")
        checks.append((public_key(seed), message, sign(seed, message)))
    return tuple(checks)
