"""The runner: effects in order, one event at a time, and nothing after the first failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from concento.errors import Broken
from concento.keys import Check
from node.logs import Log
from node.replica.events import (
    Answer,
    Append,
    ArmTimer,
    Disconnect,
    Effect,
    Event,
    Halt,
    Now,
    Outcome,
    PeerUp,
    Priority,
    Send,
    Started,
    Submit,
    Sync,
    TimerFired,
    Verified,
    Verify,
    Write,
    WriteGuard,
)
from node.replica.files import GUARD_FILE, MemoryFiles
from node.runner import Runner
from state.store.kv import MemoryKeyValue
from support.virtual_loop import run_virtual

Script = Callable[[Event], Sequence[Effect]]


class Core:
    """Answers events as a test wants, and remembers them."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.events: list[Event] = []
        self.times: list[Now] = []

    def handle(self, event: Event, now: Now) -> Sequence[Effect]:
        self.events.append(event)
        self.times.append(now)
        return self._script(event)


class World:
    """Everything that effects touch; `done` is what was done, in order."""

    def __init__(self, script: Script) -> None:
        self.done: list[Any] = []
        self.core = Core(script)
        self.kv = _Kv(self.done)
        self.files = _Files(self.done)
        self.runner = Runner(self.core, self.kv, self.files, self, Log(logging.Logger("test"), "node1"))
        self.runner.connect(self)

    def send(self, peers: Sequence[bytes], payload: bytes, priority: int) -> None:
        self.done.append(("send", tuple(peers), payload, priority))

    def disconnect(self, peer: bytes, reason: str, ban_ms: int = 0) -> None:
        self.done.append(("disconnect", peer, reason, ban_ms))

    def submit(self, checks: Sequence[Check], done: Callable[[tuple[bool, ...]], None], *, of_batch: bool) -> None:
        self.done.append("verify")
        asyncio.get_running_loop().call_soon(done, tuple(True for _ in checks))


class _Kv(MemoryKeyValue):
    def __init__(self, done: list[Any]) -> None:
        super().__init__()
        self._done = done

    def write(self, changes: Any) -> None:
        self._done.append("write")
        super().write(changes)


class _Files(MemoryFiles):
    def __init__(self, done: list[Any]) -> None:
        super().__init__()
        self._done = done

    def append(self, name: str, offset: int, data: bytes) -> None:
        self._done.append(("append", name))
        super().append(name, offset, data)

    def sync(self, name: str) -> None:
        self._done.append(("sync", name))
        if name == "full":
            raise OSError(28, "No space left on device")
        super().sync(name)


def with_world(script: Script, test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World(script)
        await test(world)
        world.runner.stop()

    run_virtual(main())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_effects_are_performed_in_their_order() -> None:
    effects = [
        Append("segment", 0, b"batch"),
        Sync("segment"),
        WriteGuard(0, b"guard"),
        Write({b"key": b"value"}),
        Send((b"p1", b"p2"), b"vote", Priority.VOTE),
        Disconnect(b"p3", "it lied", 5),
    ]

    async def test(world: World) -> None:
        world.runner.post(Started())
        await settle()
        assert world.done == [
            ("append", "segment"),
            ("sync", "segment"),
            ("sync", GUARD_FILE),
            "write",
            ("send", (b"p1", b"p2"), b"vote", Priority.VOTE),
            ("disconnect", b"p3", "it lied", 5),
        ]
        assert world.kv.get(b"key") == b"value"
        assert world.files.read(GUARD_FILE, 0, 5) == b"guard"

    with_world(lambda event: effects, test)


def test_an_event_posted_by_an_effect_waits_until_all_effects_are_done() -> None:
    def script(event: Event) -> Sequence[Effect]:
        first = [Verify(1, (), False), Sync("a"), Sync("b")]
        return first if isinstance(event, Started) else [Sync("c")]

    async def test(world: World) -> None:
        world.files.append("a", 0, b"")
        world.files.append("b", 0, b"")
        world.files.append("c", 0, b"")
        del world.done[:]
        world.runner.post(Started())
        await settle()
        assert world.done == ["verify", ("sync", "a"), ("sync", "b"), ("sync", "c")]
        assert world.core.events == [Started(), Verified(1, ())]

    with_world(script, test)


def test_a_timer_comes_back_after_its_delay_on_the_clock_that_only_grows() -> None:
    def script(event: Event) -> Sequence[Effect]:
        return [ArmTimer(("propose", 3), 500)] if isinstance(event, Started) else []

    async def test(world: World) -> None:
        world.runner.post(Started())
        await asyncio.sleep(0.499)
        assert len(world.core.events) == 1
        await asyncio.sleep(0.002)
        assert world.core.events[1:] == [TimerFired(("propose", 3))]
        assert 499 <= world.core.times[1].mono_ms - world.core.times[0].mono_ms <= 501

    with_world(script, test)


@pytest.mark.parametrize(("delay_ms", "fires_in_s"), [(500, 0.3), (150, 0.0)])
def test_a_timer_counts_from_the_moment_that_it_names(delay_ms: int, fires_in_s: float) -> None:
    def script(event: Event) -> Sequence[Effect]:
        since_ms = int(asyncio.get_running_loop().time() * 1000) - 200
        return [ArmTimer(("propose", 3), delay_ms, since_ms)] if isinstance(event, Started) else []

    async def test(world: World) -> None:
        world.runner.post(Started())
        await settle()
        await asyncio.sleep(fires_in_s - 0.001)
        assert (len(world.core.events) == 2) is (fires_in_s == 0)
        await asyncio.sleep(0.002)
        assert world.core.events[1:] == [TimerFired(("propose", 3))]

    with_world(script, test)


def test_of_the_timers_of_one_slot_only_the_newest_fires_and_those_of_others_and_of_none_all_do() -> None:
    stale = [ArmTimer(("propose", 1), 100, slot=1), ArmTimer(("vote", 1), 100, slot=2)]
    newest = [ArmTimer(("propose", 2), 200, slot=1), ArmTimer(("cut",), 150), ArmTimer(("cut",), 100)]

    def script(event: Event) -> Sequence[Effect]:
        return [*stale, *newest] if isinstance(event, Started) else []

    async def test(world: World) -> None:
        world.runner.post(Started())
        await asyncio.sleep(1)
        fired = [event.timer for event in world.core.events if isinstance(event, TimerFired)]
        assert fired == [("vote", 1), ("cut",), ("cut",), ("propose", 2)]

    with_world(script, test)


def test_a_failed_write_ends_everything_before_anything_is_sent() -> None:
    def script(event: Event) -> Sequence[Effect]:
        return [Append("full", 0, b"x"), Sync("full"), Send((b"p",), b"vote", Priority.VOTE)]

    async def test(world: World) -> None:
        world.runner.post(Started())
        world.runner.post(PeerUp(b"p"))
        with pytest.raises(Broken, match="No space left"):
            await world.runner.failed
        await settle()
        assert world.done == [("append", "full"), ("sync", "full")]
        assert world.core.events == [Started()]

    with_world(script, test)


def test_halt_and_a_bug_in_the_core_end_the_node() -> None:
    def halting(event: Event) -> Sequence[Effect]:
        return [Halt("two commits for one height")]

    def buggy(event: Event) -> Sequence[Effect]:
        raise ZeroDivisionError

    async def halts(world: World) -> None:
        world.runner.post(Started())
        with pytest.raises(Broken, match="two commits"):
            await world.runner.failed

    async def breaks(world: World) -> None:
        world.runner.post(Started())
        with pytest.raises(ZeroDivisionError):
            await world.runner.failed

    with_world(halting, halts)
    with_world(buggy, breaks)


def test_a_submission_gets_its_own_answer() -> None:
    waiting: list[Submit] = []

    def outcome(event: Submit) -> Answer:
        return Answer(event.token, (Outcome(event.raw[0], "pending", False, None),))

    def script(event: Event) -> Sequence[Effect]:
        if isinstance(event, Submit):
            waiting.append(event)
            return []
        return [outcome(submit) for submit in reversed(waiting)]

    async def test(world: World) -> None:
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(world.runner.submit([b"one"]))
            second = tasks.create_task(world.runner.submit([b"two"]))
            await settle()
            world.runner.post(Started())
        assert (first.result()[0].id, second.result()[0].id) == (b"one", b"two")

    with_world(script, test)


def test_a_payload_counts_as_handled_only_after_its_effects() -> None:
    async def test(world: World) -> None:
        world.runner.post(Started(), lambda: world.done.append("handled"))
        await settle()
        assert world.done == [("send", (b"p",), b"x", Priority.BULK), "handled"]

    with_world(lambda event: [Send((b"p",), b"x", Priority.BULK)], test)
