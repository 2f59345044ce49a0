"""Who reaches whom in a local network, whether enough validators do, and how it comes back. Sees documents only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

Node = dict[str, Any]
"""One node as `localnet.describe` has it: `reaches` names whom it is connected to; None where it does not answer."""


def cuts(nodes: Sequence[Node]) -> list[tuple[str, str]]:
    """Pairs of living nodes without a connection between them."""
    living = [node for node in nodes if node["reaches"] is not None]
    return [
        (one["name"], other["name"])
        for index, one in enumerate(living)
        for other in living[index + 1 :]
        if other["name"] not in one["reaches"] or one["name"] not in other["reaches"]
    ]


def parts(nodes: Sequence[Node]) -> list[list[str]]:
    """The living nodes in groups that are connected, directly or through others; one group where nothing is split."""
    apart = {frozenset(pair) for pair in cuts(nodes)}
    left = [node["name"] for node in nodes if node["reaches"] is not None]
    found = []
    while left:
        group = [left.pop(0)]
        for name in group:
            joined = [other for other in left if frozenset((name, other)) not in apart]
            group += joined
            left = [other for other in left if other not in joined]
        found.append(sorted(group))
    return found


def quorum(nodes: Sequence[Node], validators: Collection[str], needed: int) -> dict[str, Any]:
    """How many validators the best connected one reaches, itself counted, of how many that must sign."""
    apart = {frozenset(pair) for pair in cuts(nodes)}
    living = [node["name"] for node in nodes if node["reaches"] is not None and node["name"] in validators]
    reached = max(
        (sum(frozenset((name, other)) not in apart for other in living) for name in living),
        default=0,
    )
    return {"needed": needed, "validators": len(validators), "reached": reached, "met": reached >= needed}


class Recovery:
    """Follows one network over time: for how long there was no quorum, and how soon blocks came again."""

    def __init__(self) -> None:
        self._lost_at: float | None = None
        self._back_at: float | None = None
        self._lost_s = 0.0
        self._height = 0
        self._block_s: float | None = None

    def note(self, document: dict[str, Any], now_s: float) -> dict[str, Any] | None:
        """What to tell now: `lost_s` without quorum so far or in the end, `back` or not, `block_s` until a block."""
        height = max((node["height"] or 0 for node in document["nodes"]), default=0)
        if not document["quorum"]["met"]:
            if self._lost_at is None:
                self._lost_at, self._back_at, self._block_s = now_s, None, None
            self._lost_s = now_s - self._lost_at
        elif self._lost_at is not None:
            self._lost_at, self._back_at, self._height = None, now_s, height
        if self._back_at is not None and self._block_s is None and height > self._height:
            self._block_s = now_s - self._back_at
        if self._lost_at is None and self._back_at is None:
            return None
        block_s = None if self._block_s is None else round(self._block_s, 1)
        return {"lost_s": round(self._lost_s, 1), "back": self._lost_at is None, "block_s": block_s}
