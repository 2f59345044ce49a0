"""Makes a failing schedule small: leaves out halves, then quarters, down to single faults, while it fails alike.

What happens to each message does not depend on the schedule, so leaving out a fault changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

RUNS_MAX: Final = 120
"""A schedule has at most some twenty faults; this is enough for them and takes a minute."""


def shrink(kept: Sequence[int], fails: Callable[[Sequence[int]], bool]) -> list[int]:
    """A part of `kept` that still fails, and of which no single element can be left out (within RUNS_MAX)."""
    current, runs = list(kept), 0
    size = max(1, len(current) // 2)
    while runs < RUNS_MAX and current:
        for start in range(0, len(current), size):
            without = current[:start] + current[start + size :]
            runs += 1
            if fails(without):
                current = without
                break
            if runs >= RUNS_MAX:
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
    return current
