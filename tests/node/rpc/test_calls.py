"""Long reads: off the event loop, of one moment, a few at a time."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from concento.errors import Unavailable
from concento.messages.tokens import Transfer
from node.rpc import calls
from node.rpc.calls import ASIDE_MAX, Call, Desk, wait_for_height
from state.queries import Chain
from state.store.leveldb import LevelDb
from support.ledger import BEAT, account_of
from support.node import DecidedNode


def test_a_long_read_sees_one_moment_while_blocks_go_on() -> None:
    node = DecidedNode()
    started, go_on = threading.Event(), threading.Event()

    def heights(chain: Chain) -> tuple[int, int]:
        before = chain.height
        started.set()
        assert go_on.wait(5)
        return before, chain.height

    async def run() -> tuple[int, int]:
        reading = asyncio.ensure_future(Desk(node).aside(heights))
        while not started.is_set():
            await asyncio.sleep(0)
        node.run("bob", Transfer(account_of("carol"), BEAT))
        go_on.set()
        return await reading

    assert asyncio.run(run()) == (0, 0)
    assert node.height == 1


def test_only_so_many_long_reads_run_at_the_same_time() -> None:
    lock, release = threading.Lock(), threading.Event()
    running = most = 0

    def read(_chain: Chain) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert release.wait(5)
        with lock:
            running -= 1

    async def run() -> None:
        desk = Desk(DecidedNode())
        reads = [asyncio.ensure_future(desk.aside(read)) for _ in range(ASIDE_MAX + 5)]
        while running < ASIDE_MAX:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*reads)

    asyncio.run(run())
    assert most == ASIDE_MAX


def test_a_long_read_ends_with_the_node_and_none_begins_after_it(tmp_path: Path) -> None:
    kv = LevelDb.create(tmp_path / "store")
    kv.write({b"%d" % number: b"x" for number in range(1_000)})
    started = threading.Event()

    def read(chain: Chain) -> None:
        while True:
            for _ in chain.store.scan(b""):
                started.set()

    async def run() -> None:
        desk = Desk(SimpleNamespace(store=kv, genesis=None))
        reading = asyncio.ensure_future(desk.aside(read))
        while not started.is_set():
            await asyncio.sleep(0)
        reading.cancel()
        desk.close()
        await asyncio.get_running_loop().shutdown_default_executor()
        kv.close()
        with pytest.raises(Unavailable) as failure:
            await desk.aside(read)
        assert failure.value.kind == "node.stopping"

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_height_that_does_not_come_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "BLOCK_WAIT_S_MAX", 0.01)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        await wait_for_height(Call(Desk(DecidedNode()), True, loop.time() + 5), 1)

    with pytest.raises(Unavailable) as failure:
        asyncio.run(run())
    assert failure.value.kind == "proof.no_block"
