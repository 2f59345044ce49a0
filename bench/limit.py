"""The limit that no network on this machine can beat: n processes doing nothing but checking signatures.

Every one of n validators checks every signature once, so n processes on C cores give at most
(checks per second in all) / n transactions per second.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Final

from concento.keys import public_key, sign, verify_many

CHECKS: Final = 256
MESSAGE_BYTES: Final = 200


def signature_limit(processes: int, seconds: float) -> float:
    """Transactions per second if checking signatures were everything that `processes` validators did."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        counts = pool.map(_check, [seconds] * processes)
    return sum(counts) / processes


def _check(seconds: float) -> float:
    """Checks per second of one process, while the others do the same."""
    checks = []
    for number in range(CHECKS):
        seed, message = number.to_bytes(32, "big"), number.to_bytes(MESSAGE_BYTES, "big")
        checks.append((public_key(seed), message, sign(seed, message)))
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        verify_many(checks)
        done += CHECKS
    return done / (time.perf_counter() - began)
