"""What became of a long list that goes to the chain in chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OnChunk = Callable[[int, int], None]
"""Told (entries on the chain, entries in all) after each chunk."""


@dataclass(slots=True)
class Upload:
    """How many of `count` entries were there `before`, what was sent for the rest, and the last Tx document of it."""

    id: str
    count: int
    before: int = 0
    transactions: int = 0
    fee_ubeat: int = 0
    last: dict[str, Any] | None = None

    def sent(self, document: dict[str, Any]) -> None:
        self.transactions += 1
        self.fee_ubeat += int(document["fee_ubeat"])
        self.last = document

    @property
    def final(self) -> bool:
        """Whether everything that was sent had its effect."""
        return self.last is None or self.last["status"] == "final"
