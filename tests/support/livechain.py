"""A chain that answers over loopback: the node's own RPC server over a ledger that decides a block per submission.

What a client or a command does to it is what it does to a network of one honest node; only consensus is left out.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from concento.client import Client, Session, Signer
from concento.genesis import Genesis
from concento.transactions import Transaction
from node.backend import Submission
from node.rpc.server import serve
from state.transition import BlockOutcome
from support.ledger import account_of, seed_of
from support.node import DecidedNode


class LiveNode(DecidedNode):
    """Decides as soon as something is submitted; block time is the time of this machine."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        super().__init__(genesis)
        self.holding = False
        self.block()

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        answers = await super().submit(raws)
        if self.pool and not self.holding:
            self.decide()
        return answers

    def block(
        self,
        *transactions: Transaction,
        time_ms: int | None = None,
        evidence: tuple[tuple[bytes, int], ...] = (),
    ) -> BlockOutcome:
        now_ms = max(self.time_ms + 1, time.time_ns() // 1_000_000)
        return super().block(*transactions, time_ms=now_ms if time_ms is None else time_ms, evidence=evidence)


class LiveChain:
    """A node behind its door, in a thread of its own."""

    def __init__(self, node: LiveNode, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.node = node
        self.url = url
        self._loop = loop
        self._clients: list[Client] = []

    def run(self, work: Any) -> Any:
        """A coroutine on the node's loop: between two requests."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def blocks(self, count: int = 1) -> None:
        """Empty blocks, for what finalisation still has to do."""

        async def decide() -> None:
            for _ in range(count):
                self.node.decide()

        self.run(decide())

    def session(self, name: str) -> Session:
        """Somebody who acts; development accounts have their own keys, everybody else one of his name."""
        self._clients.append(client := Client(self.url))
        return Session(client, Signer(name, account_of(name), (seed_of(name),)))

    def close(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def balance(self, name: str) -> int:
        return self.node.balance(name)


@contextmanager
def live_chain(genesis: Genesis | None = None) -> Iterator[LiveChain]:
    """A chain that answers until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    node = LiveNode(genesis)
    server = None
    try:
        server = asyncio.run_coroutine_threadsafe(serve(node, "127.0.0.1", 0), loop).result(20)
        chain = LiveChain(node, f"http://127.0.0.1:{server.port}", loop)
        try:
            yield chain
        finally:
            chain.close()
    finally:
        if server is not None:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def holders_file(path: Path, addresses: Sequence[str], shares: int = 10) -> Path:
    """A CSV file of holders with as many shares each."""
    path.write_text("holder,shares\n" + "".join(f"{address},{shares}\n" for address in addresses), encoding="utf-8")
    return path
