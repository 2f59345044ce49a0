"""What our own engine answers to whoever hands in transactions."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from concento.errors import Rejected, Unavailable
from node.backend import Submission
from node.ownbackend import OwnBackend
from node.replica.events import Outcome


def submitted(outcomes: tuple[Outcome, ...]) -> list[Submission]:
    async def answer(_raws: Sequence[bytes]) -> tuple[Outcome, ...]:
        return outcomes

    async def main() -> list[Submission]:
        backend: Any = object.__new__(OwnBackend)
        backend._loop = asyncio.get_running_loop()
        backend._runner = SimpleNamespace(submit=answer)
        backend._submitted = OrderedDict()
        submissions: list[Submission] = await backend.submit([b"raw"] * len(outcomes))
        return submissions

    return asyncio.run(main())


def test_a_node_that_looked_at_nothing_refuses_once_for_all() -> None:
    busy = Outcome(None, "refused", False, Unavailable("node.busy", count=10))
    with pytest.raises(Unavailable, match="full"):
        submitted((busy, busy))


def test_refusals_of_some_are_told_one_by_one() -> None:
    bad = Outcome(None, "refused", False, Rejected("encoding.invalid", what="transaction", reason="short"))
    full = Outcome(bytes(32), "refused", False, Unavailable("node.busy", count=10))
    assert [found.error for found in submitted((bad, full))] == [bad.error, full.error]
