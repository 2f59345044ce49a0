"""How many histories a property test draws: few in every run, thousands in `make money-long`."""

from __future__ import annotations

import os


def histories(count: int) -> int:
    """So many, times what CONCENTO_HISTORIES says."""
    return count * int(os.environ.get("CONCENTO_HISTORIES", "1"))
