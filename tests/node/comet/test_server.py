"""The socket: frames however they arrive, answers in order, several connections, and bytes that are no frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.errors import Broken
from concento.keys import Check, verify_many
from concento.messages.tokens import Transfer
from node.comet import messages as abci
from node.comet.protobuf import Malformed
from node.comet.server import Frames, Server
from support.comet import Comet, account


class Connection:
    """CometBFT's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._frames = Frames()
        self._arrived: list[bytes] = []

    def send(self, *requests: Any) -> None:
        self.writer.write(b"".join(abci.frame(abci.encode_request(request)) for request in requests))

    async def answers(self, count: int) -> list[Any]:
        while len(self._arrived) < count:
            data = await self.reader.read(1 << 16)
            if not data:
                raise EOFError
            self._arrived += self._frames.feed(data)
        found, self._arrived = self._arrived[:count], self._arrived[count:]
        return [abci.decode_response(payload) for payload in found]


async def verify_here(checks: Sequence[Check], is_block: bool) -> Sequence[bool]:
    return verify_many(checks)


def served(folder: Path, comet: Comet, act: Callable[[Server, Callable[[], Awaitable[Connection]]], Awaitable[None]],
           verify: Callable[[Sequence[Check], bool], Awaitable[Sequence[bool]]] = verify_here) -> None:  # fmt: skip
    """Runs `act` against a server on a socket of its own."""

    async def run() -> None:
        server = Server(comet.application, verify)
        await server.start(folder / "app")
        connections: list[Connection] = []

        async def connect() -> Connection:
            connections.append(Connection(*await asyncio.open_unix_connection(folder / "app")))
            return connections[-1]

        try:
            await asyncio.wait_for(act(server, connect), 30)
        finally:
            await server.close()
            for connection in connections:
                connection.writer.close()
            if server.failed.done():
                server.failed.exception()

    asyncio.run(run())


def payment(comet: Comet) -> bytes:
    return comet.tx("bob", Transfer(account("carol"), 1)).raw


# Frames


@given(st.lists(st.binary(max_size=300), max_size=12), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_frames_come_out_whole_and_in_order_however_they_arrive(payloads: list[bytes], steps: list[int]) -> None:
    stream = b"".join(abci.frame(payload) for payload in payloads)
    frames = Frames()
    found: list[bytes] = []
    at = turn = 0
    while at < len(stream):
        step = steps[turn % len(steps)]
        found += frames.feed(stream[at : at + step])
        at, turn = at + step, turn + 1
    assert found == payloads


def test_a_frame_that_is_too_long_is_refused_before_it_arrives() -> None:
    with pytest.raises(Malformed, match="a frame of 1001 bytes"):
        list(Frames(1000).feed(abci.frame(bytes(1001))[:3]))
    with pytest.raises(Malformed, match="64 bits"):
        list(Frames().feed(b"\xff" * 10))


def test_a_long_request_in_small_pieces_is_never_read_again_from_its_start() -> None:
    """Copying it anew for each piece would move 32 GiB: many times what the limit on processor time allows."""
    size, step = 16 << 20, 4 << 10
    stream = abci.frame(bytes(size))
    frames = Frames()
    started = time.process_time()
    found = [payload for at in range(0, len(stream), step) for payload in frames.feed(stream[at : at + step])]
    assert time.process_time() - started < 2
    assert [len(payload) for payload in found] == [size]


# The socket


def test_pipelined_requests_are_answered_in_order_with_flush_behind_them(tmp_path: Path) -> None:
    comet = Comet()
    raws = [payment(comet) if number % 3 else b"nonsense" for number in range(60)]

    async def act(_server: Server, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        connection.send(*(abci.CheckTx(raw) for raw in raws), abci.Flush(), abci.Echo("end"))
        answers = await connection.answers(len(raws) + 2)
        assert [answer.code for answer in answers[:-2]] == [0 if number % 3 else 3 for number in range(60)]
        assert answers[-2:] == [abci.FlushAnswer(), abci.EchoAnswer("end")]

    served(tmp_path, comet, act)
    assert len(comet.application.waiting) == 40


def test_signatures_are_checked_once_for_all_the_requests_that_carry_them(tmp_path: Path) -> None:
    comet = Comet()
    raws = tuple(payment(comet) for _ in range(5))
    asked: list[int] = []

    async def counting(checks: Sequence[Check], is_block: bool) -> Sequence[bool]:
        asked.append(len(checks))
        return verify_many(checks)

    async def act(_server: Server, connect: Callable[[], Awaitable[Connection]]) -> None:
        mempool, consensus = await connect(), await connect()
        mempool.send(*(abci.CheckTx(raw) for raw in raws), abci.Flush())
        await mempool.answers(6)
        block = comet.request(raws)
        consensus.send(abci.ProcessProposal(raws), abci.Flush(), block, abci.Flush(), abci.Commit(), abci.Flush())
        answers = await consensus.answers(6)
        assert answers[0].status == abci.Verdict.ACCEPT
        assert [result.code for result in answers[2].results] == [0] * 5

    served(tmp_path, comet, act, counting)
    assert sum(asked) == 5
    assert comet.application.info().height == 1


def test_one_connection_answers_while_another_waits_for_its_signatures(tmp_path: Path) -> None:
    comet = Comet()
    raw = payment(comet)

    async def act(_server: Server, connect: Callable[[], Awaitable[Connection]]) -> None:
        mempool, query = await connect(), await connect()
        mempool.send(abci.CheckTx(raw), abci.Flush())
        await begun.wait()
        query.send(abci.Info(), abci.Flush())
        assert (await query.answers(2))[0].height == 0
        released.set()
        assert (await mempool.answers(2))[0].code == 0

    begun, released = asyncio.Event(), asyncio.Event()

    async def slow(checks: Sequence[Check], is_block: bool) -> Sequence[bool]:
        begun.set()
        await released.wait()
        return verify_many(checks)

    served(tmp_path, comet, act, slow)


def test_a_connection_that_breaks_or_lies_does_not_disturb_the_others(tmp_path: Path) -> None:
    comet = Comet()

    async def act(server: Server, connect: Callable[[], Awaitable[Connection]]) -> None:
        good, gone, liar = await connect(), await connect(), await connect()
        gone.writer.write(b"\x05\x01")
        gone.writer.close()
        liar.writer.write(abci.frame(b"\xff\x01\x00"))
        (answer,) = await liar.answers(1)
        assert isinstance(answer, abci.ExceptionAnswer)
        with pytest.raises(EOFError):
            await liar.answers(1)
        good.send(abci.Info(), abci.Flush())
        assert (await good.answers(2))[1] == abci.FlushAnswer()
        assert not server.failed.done()

    served(tmp_path, comet, act)


def test_a_contradiction_is_told_to_the_engine_and_ends_the_node(tmp_path: Path) -> None:
    comet = Comet()

    async def act(server: Server, connect: Callable[[], Awaitable[Connection]]) -> None:
        connection = await connect()
        connection.send(abci.Commit())
        (answer,) = await connection.answers(1)
        assert "never gave" in answer.error
        with pytest.raises(Broken, match="never gave"):
            await server.failed

    served(tmp_path, comet, act)
