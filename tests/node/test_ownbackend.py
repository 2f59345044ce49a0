"""What our own engine answers to whoever hands in transactions."""

from __future__ import annotations

import asyncio
import gc
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from sys import getrefcount
from types import SimpleNamespace
from typing import Any, cast

import pytest

from concento.errors import Rejected, Unavailable
from node.backend import Submission
from node.ownbackend import OwnBackend
from node.replica.events import Outcome


def backend_with(outcomes: tuple[Outcome, ...]) -> OwnBackend:
    """Made in a running loop; whatever is handed in, this becomes of it."""

    async def answer(_raws: Sequence[bytes]) -> tuple[Outcome, ...]:
        return outcomes

    backend: Any = object.__new__(OwnBackend)
    backend._loop = asyncio.get_running_loop()
    backend._runner = SimpleNamespace(submit=answer)
    backend._submitted = OrderedDict()
    return cast(OwnBackend, backend)


def submitted(outcomes: tuple[Outcome, ...]) -> list[Submission]:
    async def main() -> list[Submission]:
        return await backend_with(outcomes).submit([b"raw"] * len(outcomes))

    return asyncio.run(main())


def test_a_node_that_looked_at_nothing_refuses_once_for_all() -> None:
    busy = Outcome(None, "refused", False, Unavailable("node.busy", count=10))
    with pytest.raises(Unavailable, match="full"):
        submitted((busy, busy))


def test_nothing_keeps_what_was_refused_unseen() -> None:
    """Not even until the garbage is collected: an overloaded node refuses megabytes a second."""

    async def main() -> tuple[int, int]:
        raw = bytes(300)
        backend = backend_with((Outcome(None, "refused", False, Unavailable("node.busy", count=10)),))
        before = getrefcount(raw)
        with suppress(Unavailable):
            await backend.submit([raw])
        return before, getrefcount(raw)

    gc.disable()
    try:
        before, after = asyncio.run(main())
    finally:
        gc.enable()
    assert after == before


def test_refusals_of_some_are_told_one_by_one() -> None:
    bad = Outcome(None, "refused", False, Rejected("encoding.invalid", what="transaction", reason="short"))
    full = Outcome(bytes(32), "refused", False, Unavailable("node.busy", count=10))
    assert [found.error for found in submitted((bad, full))] == [bad.error, full.error]
