"""The works behind a remix: a remix is a recording of them too, so they have their part of it as of its parents.

Nobody chooses these parts: with the rate of a right alone, whoever owns a recording could leave the writers of its work
out of every remix by asking nothing for himself. Rules: docs/protocol/lineage.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from concento.errors import Rejected
from concento.limits import WORKS_MAX
from concento.messages.assets import OWN, Leg
from state.modules.assets import require_asset
from state.view import View

_WHOLE_BPS: Final = 10_000


def inherited_legs(view: View, parents: Sequence[bytes]) -> tuple[Leg, ...]:
    """The legs of a remix of these parents: the works behind them, in their order, and its own table.

    A work that is a parent itself is paid by its own right and has no leg. Together the works have the part that they
    have in the parent that gives most to works, divided as their parts in the parents are: so parents without works
    take nothing from them. Raises Rejected("lineage.too_many") where there are more works than a remix can pay.
    """
    named = set(parents)
    parts = [_works_of(view, parent, named) for parent in parents]
    largest: dict[bytes, int] = {}
    for part in parts:
        for work, bps in part.items():
            largest[work] = max(largest.get(work, 0), bps)
    if len(largest) > WORKS_MAX:
        raise Rejected("lineage.too_many", what="works", count=len(largest), count_max=WORKS_MAX)
    most = max((sum(part.values()) for part in parts), default=0)
    legs = tuple(Leg(work, bps) for work, bps in _divided(largest, most).items())
    return (*legs, Leg(OWN, _WHOLE_BPS - sum(leg.bps for leg in legs)))


def _works_of(view: View, parent: bytes, named: set[bytes]) -> dict[bytes, int]:
    """Work -> its part of the parent. Works and models have none behind them; a dataset's are its members' own."""
    legs = require_asset(view, parent).legs
    return {leg.target: leg.bps for leg in legs if leg.target != OWN and leg.target not in named}


def _divided(parts: dict[bytes, int], most: int) -> dict[bytes, int]:
    """The parts scaled to `most` in all, none below one basis point and something left for the remix itself."""
    total = sum(parts.values())
    if total == most:
        return parts
    room = min(most, _WHOLE_BPS - len(parts))
    return {work: max(1, bps * room // total) for work, bps in parts.items()}
