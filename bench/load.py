"""The generator: hands in what was signed beforehand, at a rate or as fast as it is taken, and counts in blocks.

Finality of a transaction runs from the moment at which it was due to be handed in, also where the generator itself was
late, until a client that asks one node for its height every few milliseconds has seen the block with it. The same for
every arm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

from bench.targets import Item, Target, target

BATCH: Final = 250
BATCH_BYTES: Final = 200_000
"""What one request carries at most, by number and by size."""
LANES: Final = 4
"""Connections to each node that hand in as fast as it takes: one would wait for answers more than it offers."""
TICK_S: Final = 0.02
"""At a rate, what is due is handed to one node after the other this often: requests cost more than what is in them."""
ASKED_MAX: Final = 16
"""Requests to one node, at a rate, that may wait for their answers: those of more than a second where it is handed one
every 80 ms."""
BUSY_S: Final = 0.02
"""After an answer that says busy."""
POLL_S: Final = 0.05
POLL_CLOSE_S: Final = 0.008
"""How often the height is asked for: at full load seldom, where finality is measured often."""
QUIET_S: Final = 15
"""After so long without a transaction in any block the rest is lost, or has failed."""


@dataclass(frozen=True, slots=True)
class Sustained:
    """What the blocks of a run say."""

    transactions: int
    seconds: float
    blocks: int
    busy: int = 0
    """Answers that said busy."""
    finality_ms: tuple[float, ...] = ()
    """Sorted; empty where it was not measured."""

    @property
    def rate(self) -> float:
        return self.transactions / self.seconds


class _Watch:
    """Sees blocks come on one node, in a thread of its own."""

    def __init__(self, node: Target, poll_s: float) -> None:
        self._node = node
        self._poll_s = poll_s
        self.first = node.height()
        self.seen: dict[int, float] = {}
        self.counted: dict[int, int] = {}
        self._newest = time.perf_counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)
        self._thread.start()

    @property
    def transactions(self) -> int:
        return sum(self.counted.values())

    @property
    def is_quiet(self) -> bool:
        return time.perf_counter() - self._newest > QUIET_S

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        tip = self.first
        while not self._stop.wait(self._poll_s):
            for height, count in self._node.counts(tip):
                self.seen[height] = time.perf_counter()
                self.counted[height] = count
                if count:
                    self._newest = self.seen[height]
                tip = height


class _Door:
    """One node over as many connections as there are requests at once, `ASKED_MAX` at most; more stand in line."""

    def __init__(self, arm: str, url: str) -> None:
        self._arm = arm
        self._url = url
        self._idle: list[Target] = []
        self._pool = ThreadPoolExecutor(ASKED_MAX)

    def submit(self, items: Sequence[Item]) -> set[Future[list[Item]]]:
        """Hands items in without waiting; each request will tell what the node was too busy for."""
        return {self._pool.submit(self._ask, batch) for batch in batches(items)}

    def close(self) -> None:
        """What is in line is given up, and nobody waits for what is asked."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, items: Sequence[Item]) -> list[Item]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = target(self._arm, self._url)
        refused = connection.submit(items)
        self._idle.append(connection)
        return refused


def sustain(arm: str, urls: Sequence[str], items: Sequence[Item]) -> Sustained:
    """Offers everything at once and hands it in as fast as the nodes take it, until all of it is final."""
    _catch_up([target(arm, url) for url in urls])
    lanes = [url for url in urls for _ in range(LANES)]
    shares = [items[index :: len(lanes)] for index in range(len(lanes))]
    with closing(_Watch(target(arm, urls[0]), POLL_S)) as watch:
        began = time.perf_counter()
        with ThreadPoolExecutor(len(lanes)) as pool:
            busy = sum(pool.map(lambda url, share: hand_in(target(arm, url), share), lanes, shares))
        found = _final(target(arm, urls[0]), watch, items)
    last = max((watch.seen[height] for height in found.values()), default=time.perf_counter())
    blocks = sum(1 for count in watch.counted.values() if count)
    return Sustained(len(found), last - began, blocks, busy)


def offer(arm: str, urls: Sequence[str], items: Sequence[Item], rate: float, tick_s: float = TICK_S) -> Sustained:
    """Offers items at a rate, whatever the network does: an open loop. What it is too busy for comes again.

    Every `tick_s` one node, in turn, is handed what is due; nobody waits for the answer.
    """
    _catch_up([target(arm, url) for url in urls])
    due: dict[str, float] = {}
    asked: set[Future[list[Item]]] = set()
    again: list[Item] = []
    turn = handed = busy = 0
    with ExitStack() as opened:
        watch = opened.enter_context(closing(_Watch(target(arm, urls[0]), POLL_CLOSE_S)))
        doors = [opened.enter_context(closing(_Door(arm, url))) for url in urls]
        began = time.perf_counter()
        while handed < len(items) or asked or again:
            turn += 1
            at = began + turn * tick_s
            time.sleep(max(0.0, at - time.perf_counter()))
            ready = min(len(items), int(turn * tick_s * rate))
            due.update((item.key, at) for item in items[handed:ready])
            asked |= doors[turn % len(doors)].submit([*again, *items[handed:ready]])
            handed = ready
            answered, asked = wait(asked, timeout=0)
            refused = [job.result() for job in answered]
            busy += sum(map(bool, refused))
            again = [item for some in refused for item in some]
        found = _final(target(arm, urls[0]), watch, items)
    finality = sorted((watch.seen[height] - due[key]) * 1_000 for key, height in found.items())
    last = max((watch.seen[height] for height in found.values()), default=time.perf_counter())
    return Sustained(len(finality), last - began, len(watch.counted), busy, tuple(finality))


def idle_finality_ms(node: Target, items: Sequence[Item]) -> list[float]:
    """Milliseconds from handing in one transaction to being told that it is final, one after the other, sorted."""
    found = []
    for number, item in enumerate(items):
        began = time.perf_counter()
        node.make_final(item)
        found.append((time.perf_counter() - began) * 1_000)
        # Not in step with any timer of the nodes.
        time.sleep(0.05 if number % 2 else 0.08)
    return sorted(found)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values lies; 0 where there is none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def batches(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Cut by number and by size."""
    found, start, size = [], 0, 0
    for at, item in enumerate(items):
        if at > start and (at - start == BATCH or size + len(item.raw) > BATCH_BYTES):
            found.append(items[start:at])
            start, size = at, 0
        size += len(item.raw)
    return [*found, items[start:]] if items else []


def hand_in(node: Target, items: Sequence[Item]) -> int:
    """Hands in until everything was taken; how often the node said busy.

    Raises RuntimeError where something is refused for good.
    """
    busy = 0
    for batch in batches(items):
        waiting = list(batch)
        while waiting := node.submit(waiting):
            busy += 1
            time.sleep(BUSY_S)
    return busy


def _catch_up(nodes: Sequence[Target]) -> None:
    """Waits until every node has what the newest one has: what is offered rests on what was made ready there."""
    tip, until = max(node.height() for node in nodes), time.monotonic() + QUIET_S
    while min(node.height() for node in nodes) < tip and time.monotonic() < until:
        time.sleep(POLL_S)


def _final(node: Target, watch: _Watch, items: Sequence[Item]) -> dict[str, int]:
    """The height of each item that succeeded: waits for all of them, or until nothing more comes.

    Blocks are read once they count as many transactions as are wanted, which costs the run little. They count those too
    that find no room and come again in a later one.
    """
    wanted = {item.key for item in items}
    found: dict[str, int] = {}
    read: set[int] = set()
    while len(found) < len(wanted):
        is_over = watch.is_quiet
        if is_over or watch.transactions >= len(wanted):
            for height in sorted(watch.counted.keys() - read):
                if watch.counted[height]:
                    found.update((key, height) for key in node.committed(height) if key in wanted)
                read.add(height)
        if is_over:
            break
        time.sleep(POLL_S)
    return found
