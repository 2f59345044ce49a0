"""The verify thread: signatures are checked beside the event loop, which stays free because libsodium lets go of it.

One thread is enough and keeps the order: the interpreter runs one thread at a time but for the checks themselves.
Work is done in chunks, so that a batch of a thousand does not keep a single transaction waiting to the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from concento.keys import Check, verify_many

CHUNK: Final = 64
"""Checks per hand-over, about 4 ms: switching threads costs 0.1 ms, waiting for one chunk is not felt."""

VerifyMany = Callable[[Sequence[Check]], list[bool]]


class VerifyThread:
    """Takes jobs of checks and calls back on the loop with the verdicts, in the order of the checks."""

    def __init__(self, verify: VerifyMany = verify_many) -> None:
        self._verify = verify
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="verify")
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Checks handed in and not yet answered."""
        return self._waiting

    def submit(self, checks: Sequence[Check], done: Callable[[tuple[bool, ...]], None]) -> None:
        """Starts a job; `done(verdicts)` is called once on the loop, never from within this call."""
        self._waiting += len(checks)
        verdicts: list[bool] = []

        def step() -> None:
            future = self._pool.submit(self._verify, checks[len(verdicts) : len(verdicts) + CHUNK])
            future.add_done_callback(answered)

        def answered(future: Future[list[bool]]) -> None:
            # The loop may be gone by the time the last chunk is done.
            if not future.cancelled() and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(collect, future.result())

        def collect(part: list[bool]) -> None:
            self._waiting -= len(part)
            verdicts.extend(part)
            if len(verdicts) < len(checks):
                step()
            else:
                done(tuple(verdicts))

        step()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
