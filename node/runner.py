"""The dull part: takes events to the replica and performs what comes back, in order. No rule of the protocol is here.

Everything runs on the event loop. Events wait in one line; between two of them no effect is left undone, so that
whoever runs on the same loop always sees the store of one height. The first failure of an effect ends the node: after
a write that failed nothing may be signed or sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Final, Protocol

from concento.errors import Broken
from concento.keys import Check
from node.logs import Log
from node.replica.events import (
    Answer,
    Append,
    ArmTimer,
    Committed,
    Disconnect,
    Effect,
    Event,
    Finished,
    Halt,
    Now,
    Outcome,
    Remove,
    Send,
    Stop,
    Submit,
    Sync,
    TimerFired,
    Verified,
    Verify,
    Write,
    WriteGuard,
)
from node.replica.events import Log as LogEffect
from node.replica.files import GUARD_FILE, Files
from state.store.kv import KeyValue

SLICE_S: Final = 0.005
"""How long events are handled before sockets and clients get a turn."""


def time_now() -> Now:
    """The time of the event that is handled next."""
    return Now(int(asyncio.get_running_loop().time() * 1000), time.time_ns() // 1_000_000)


class Core(Protocol):
    """What the runner runs: the replica, or a wrapper around it that misbehaves on purpose."""

    def handle(self, event: Event, now: Now) -> Iterable[Effect]: ...


class Links(Protocol):
    """The part of `Peers` that effects need."""

    def send(self, peers: Sequence[bytes], payload: bytes, priority: int) -> None: ...

    def disconnect(self, peer: bytes, reason: str, ban_ms: int = 0) -> None: ...


class Verifier(Protocol):
    def submit(self, checks: Sequence[Check], done: Callable[[tuple[bool, ...]], None], *, of_batch: bool) -> None: ...


class Runner:
    """Runs one core on the running event loop."""

    def __init__(self, core: Core, kv: KeyValue, files: Files, verifier: Verifier, log: Log) -> None:
        self._core = core
        self._kv = kv
        self._files = files
        self._verifier = verifier
        self._log = log
        self._links: Links | None = None
        self._loop = asyncio.get_running_loop()
        self._line: deque[tuple[Event, Callable[[], None] | None]] = deque()
        self._is_pumping = False
        self._tokens = count(1)
        self._slots: dict[int, asyncio.TimerHandle] = {}
        self._answers: dict[int, asyncio.Future[tuple[Outcome, ...]]] = {}
        self._watchers: list[Callable[[Committed], None]] = []
        self.failed: asyncio.Future[None] = self._loop.create_future()
        """Ends with the exception that ended the node."""
        self.finished: asyncio.Future[None] = self._loop.create_future()
        """Ends when the core has done what it was made for."""

    def connect(self, links: Links) -> None:
        """Names whom `Send` goes through; before the first event."""
        self._links = links

    def watch(self, watcher: Callable[[Committed], None]) -> Callable[[], None]:
        """Calls `watcher` with every committed block until the returned function is called."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def post(self, event: Event, handled: Callable[[], None] | None = None) -> None:
        """Puts an event at the end of the line; `handled` is called once its effects are performed."""
        self._line.append((event, handled))
        if not self._is_pumping:
            self._is_pumping = True
            self._loop.call_soon(self._pump)

    async def submit(self, raws: Sequence[bytes]) -> tuple[Outcome, ...]:
        """Hands transactions to the core and waits for their outcomes."""
        token = next(self._tokens)
        future: asyncio.Future[tuple[Outcome, ...]] = self._loop.create_future()
        self._answers[token] = future
        self.post(Submit(token, tuple(raws)))
        try:
            return await future
        finally:
            self._answers.pop(token, None)

    def stop(self) -> None:
        """Handles nothing more."""
        self._line.clear()
        if not self.failed.done():
            self.failed.cancel()

    def fail(self, error: Exception) -> None:
        """Ends the node with this error, unless it ends already."""
        if not self.failed.done():
            self.failed.set_exception(error)

    # Inside

    def _pump(self) -> None:
        until = self._loop.time() + SLICE_S
        while self._line and not self.failed.done():
            event, handled = self._line.popleft()
            is_told = False
            try:
                is_told = self._handle(event)
            except OSError as error:
                self.fail(Broken("the disk did not do what it was asked to: {reason}", reason=str(error)))
            except Exception as error:  # whatever it was: the node must not go on with half an event done
                self.fail(error)
            if handled is not None:
                handled()
            if is_told or self._loop.time() > until:
                break
        self._is_pumping = bool(self._line) and not self.failed.done()
        if self._is_pumping:
            self._loop.call_soon(self._pump)

    def _handle(self, event: Event) -> bool:
        """Whether a client was told something: it gets its turn before the next event."""
        is_told = False
        for effect in self._core.handle(event, time_now()):
            self._perform(effect)
            is_told = is_told or type(effect) in (Answer, Committed)
        return is_told

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send():
                if self._links is not None:
                    self._links.send(effect.peers, effect.payload, effect.priority)
            case Append():
                self._files.append(effect.file, effect.offset, effect.data)
            case Sync():
                self._files.sync(effect.file)
            case Remove():
                self._files.remove(effect.file)
            case WriteGuard():
                self._files.write_at(GUARD_FILE, effect.offset, effect.data)
            case Write():
                self._kv.write(effect.changes)
            case ArmTimer():
                self._arm(effect)
            case Verify():
                self._verify(effect)
            case Answer():
                self._answer(effect)
            case Committed():
                for watcher in list(self._watchers):
                    watcher(effect)
            case Disconnect():
                self._log.limited("warning", "peer.disconnected", peer=effect.peer, reason=effect.reason)
                if self._links is not None:
                    self._links.disconnect(effect.peer, effect.reason, effect.ban_ms)
            case LogEffect():
                self._log.limited(effect.level, effect.name, **effect.fields)
            case Halt():
                raise Broken(effect.sentence)
            case Stop():
                self.fail(effect.reason)
            case Finished():
                self.finished.set_result(None)
            case _:
                raise Broken(f"no such effect: {type(effect).__name__}")

    def _arm(self, effect: ArmTimer) -> None:
        gone_ms = 0 if effect.since_ms is None else time_now().mono_ms - effect.since_ms
        delay_s = max(0, effect.delay_ms - gone_ms) / 1000
        armed = self._loop.call_later(delay_s, self.post, TimerFired(effect.timer))
        if effect.slot is not None:
            stale = self._slots.get(effect.slot)
            if stale is not None:
                stale.cancel()
            self._slots[effect.slot] = armed

    def _verify(self, effect: Verify) -> None:
        token = effect.token
        self._verifier.submit(
            effect.checks, lambda verdicts: self.post(Verified(token, verdicts)), of_batch=effect.of_batch
        )

    def _answer(self, effect: Answer) -> None:
        future = self._answers.get(effect.token)
        if future is not None and not future.done():
            future.set_result(effect.outcomes)
