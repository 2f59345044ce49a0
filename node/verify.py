"""The verify thread: signatures are checked beside the event loop, which stays free because libsodium lets go of it.

One thread is enough: the interpreter runs one thread at a time but for the checks themselves. Batches come first, the
oldest to its end: whoever votes on a block waits for them, and what clients hand in beyond what can be done should
wait outside. Of what clients hand in it takes a chunk of each job in turn, so that a thousand do not keep one waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from queue import PriorityQueue
from threading import Thread
from typing import Final

from concento.keys import Check, verify_many

CHUNK: Final = 64
"""Checks of one job before the next has its turn: about 4 ms."""

AT_ONCE_MAX: Final = 4
"""Checks that an idle node does where it stands: handing them to the thread and back takes longer."""

VerifyMany = Callable[[Sequence[Check]], list[bool]]
Done = Callable[[tuple[bool, ...]], None]


@dataclass(slots=True)
class _Job:
    checks: Sequence[Check]
    done: Done
    of_batch: bool
    verdicts: list[bool] = field(default_factory=list)


class VerifyThread:
    """Takes jobs of checks and calls back on the loop with the verdicts, in the order of the checks."""

    def __init__(self, verify: VerifyMany = verify_many) -> None:
        self._verify = verify
        self._loop = asyncio.get_running_loop()
        self._jobs: PriorityQueue[tuple[int, int, _Job | None]] = PriorityQueue()
        self._numbers = count()
        self._waiting = 0
        self._is_closed = False
        self._thread = Thread(target=self._work, name="verify", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Checks handed in and not yet answered."""
        return self._waiting

    def submit(self, checks: Sequence[Check], done: Done, *, of_batch: bool) -> None:
        """Starts a job; `done(verdicts)` is called once on the loop, never from within this call."""
        job, is_idle = _Job(checks, done, of_batch), not self._waiting
        self._waiting += len(checks)
        if is_idle and len(checks) <= AT_ONCE_MAX:
            job.verdicts = self._verify(checks)
            self._loop.call_soon(self._finish, job)
        else:
            self._put(job)

    def close(self) -> None:
        """Ends the thread after its chunk; what is left is never answered."""
        self._is_closed = True
        self._jobs.put((-1, 0, None))
        self._thread.join()

    def _put(self, job: _Job) -> None:
        self._jobs.put((0 if job.of_batch else 1, next(self._numbers), job))

    # In the thread

    def _work(self) -> None:
        while (entry := self._jobs.get())[2] is not None and not self._is_closed:
            job = entry[2]
            start = len(job.verdicts)
            job.verdicts += self._verify(job.checks[start : start + CHUNK])
            if len(job.verdicts) == len(job.checks):
                self._loop.call_soon_threadsafe(self._finish, job)
            elif job.of_batch:
                self._jobs.put(entry)
            else:
                self._put(job)

    # On the loop

    def _finish(self, job: _Job) -> None:
        self._waiting -= len(job.checks)
        if not self._is_closed:
            job.done(tuple(job.verdicts))
