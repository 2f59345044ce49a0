"""The load of the long run: everything that people do, steadily, at nodes that nothing happens to."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

from bench.faultload import session
from bench.mixes import MIXES
from bench.targets import Item, LedgerNode
from concento.client import Client
from concento.development import development_account
from concento.errors import ConcentoError
from concento.messages.tokens import Transfer

ACCOUNTS: Final = 20_000
"""Accounts that are paid in turn: the state grows for the first minutes, and is written over afterwards."""
ACCESS_PER_TURN: Final = 4
"""Purchases and anchorings, half of each."""
DATASET_TURNS: Final = 30
"""A data set of a thousand recordings every half minute."""
PROBE_S: Final = 1.0

Refused = (ConcentoError, RuntimeError, OSError, http.client.HTTPException)


class Mixed:
    """Hands in so many transactions a second, reads beside it, and measures how long a payment takes to be final."""

    def __init__(self, urls: Sequence[str], per_second: int) -> None:
        self.handed_in = 0
        self.reads = 0
        self.events = 0
        self.failures: Counter[str] = Counter()
        self.finality_ms: list[tuple[float, float]] = []
        """(when, how long) of each payment that was waited for."""
        self._urls = urls
        self._per_second = per_second
        self._stop = threading.Event()
        with Client(*urls, timeout_s=30) as client:
            self._mixes = {name: mix.prepare(client, ACCOUNTS) for name, mix in MIXES.items()}
        jobs = (self._hand_in, self._read, self._probe, self._follow)
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _hand_in(self) -> None:
        nodes = [LedgerNode(url) for url in self._urls]
        due = time.monotonic()
        for turn in count():
            due += 1.0
            node = nodes[turn % len(nodes)]
            self._turn(node, "transfers", self._per_second)
            self._turn(node, "access", ACCESS_PER_TURN)
            if turn % DATASET_TURNS == 0:
                self._turn(node, "datasets", 1)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            # What a slow moment has left undone is not handed in all at once.
            due = max(due, time.monotonic() - 1.0)

    def _turn(self, node: LedgerNode, mix: str, size: int) -> None:
        try:
            items: list[Item] = self._mixes[mix](size)
            refused = node.submit(items)
            self.handed_in += len(items) - len(refused)
            self.failures[f"{mix} busy"] += len(refused)
        except Refused as error:
            self.failures[f"{mix} {getattr(error, 'kind', type(error).__name__)}"] += 1

    def _probe(self) -> None:
        payers = [session("bob", url) for url in self._urls]
        for turn in count():
            began = time.monotonic()
            try:
                payers[turn % len(payers)].send([Transfer(development_account("carol"), 1)])
                self.finality_ms.append((began, 1000 * (time.monotonic() - began)))
            except Refused as error:
                self.failures[f"probe {getattr(error, 'kind', type(error).__name__)}"] += 1
            if self._stop.wait(PROBE_S):
                return

    def _read(self) -> None:
        """What pages and tools ask for, each time over a new connection."""
        for turn in count():
            with Client(self._urls[turn % len(self._urls)], timeout_s=10) as client:
                for ask in self._questions(client):
                    try:
                        ask()
                        self.reads += 1
                    except Refused as error:
                        self.failures[f"read {getattr(error, 'kind', type(error).__name__)}"] += 1
            if self._stop.wait(0.5):
                return

    def _questions(self, client: Client) -> tuple[Callable[[], object], ...]:
        return (
            client.status,
            lambda: client.block(height=client.status()["height"]),
            lambda: client.call("chain_getBlocks", limit=20),
            lambda: client.account("@alice"),
            lambda: client.call("account_getHistory", who="@alice", limit=20),
            lambda: client.call("asset_search", tag="lofi", limit=20),
        )

    def _follow(self) -> None:
        """One subscriber, who begins again wherever it is cut off."""
        while not self._stop.is_set():
            try:
                with Client(self._urls[-1], timeout_s=20) as client:
                    for _ in client.events():
                        self.events += 1
                        if self._stop.is_set():
                            return
            except Refused as error:
                self.failures[f"events {getattr(error, 'kind', type(error).__name__)}"] += 1
                self._stop.wait(1.0)
