"""The verify thread: signatures are checked beside the event loop, which stays free because libsodium lets go of it.

One thread is enough: the interpreter runs one thread at a time but for the checks themselves. It takes a chunk of each
job in turn, so that a batch of a thousand does not keep a single transaction waiting to the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Final

from concento.keys import Check, verify_many

CHUNK: Final = 64
"""Checks of one job before the next has its turn: about 4 ms."""

VerifyMany = Callable[[Sequence[Check]], list[bool]]
Done = Callable[[tuple[bool, ...]], None]


@dataclass(slots=True)
class _Job:
    checks: Sequence[Check]
    done: Done
    verdicts: list[bool] = field(default_factory=list)


class VerifyThread:
    """Takes jobs of checks and calls back on the loop with the verdicts, in the order of the checks."""

    def __init__(self, verify: VerifyMany = verify_many) -> None:
        self._verify = verify
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._waiting = 0
        self._is_closed = False
        self._thread = Thread(target=self._work, name="verify", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Checks handed in and not yet answered."""
        return self._waiting

    def submit(self, checks: Sequence[Check], done: Done) -> None:
        """Starts a job; `done(verdicts)` is called once on the loop, never from within this call."""
        self._waiting += len(checks)
        self._jobs.put(_Job(checks, done))

    def close(self) -> None:
        """Ends the thread after its chunk; what is left is never answered."""
        self._is_closed = True
        self._jobs.put(None)
        self._thread.join()

    # In the thread

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._is_closed:
            start = len(job.verdicts)
            job.verdicts += self._verify(job.checks[start : start + CHUNK])
            if len(job.verdicts) < len(job.checks):
                self._jobs.put(job)
            elif not self._is_closed:
                self._loop.call_soon_threadsafe(self._finish, job)

    # On the loop

    def _finish(self, job: _Job) -> None:
        self._waiting -= len(job.checks)
        job.done(tuple(job.verdicts))
