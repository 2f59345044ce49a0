"""What peers ask of this node's disk: decided blocks and parts of snapshots, in slices, below a rate, in turn.

A request costs its sender little and this node a read of megabytes. So each peer has a short line of requests, one
slice is read at a time with other work in between, and whoever was given a slice waits until his account is even
(`node/replica/budget.py`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from concento.limits import BLOCK_BYTES_MAX
from node.replica.budget import Budget
from node.replica.events import ArmTimer, Now
from node.replica.outbox import Outbox
from node.replica.wire import Message, encode_message, priority_of

LINE_MAX: Final = 4
"""Requests of one peer that wait; an honest one sends the next when the last is answered. Older ones are dropped."""
SLICE_BYTES: Final = 256 * 1024
"""Read at a time before other events get their turn, or one block where that is larger: a millisecond or two."""
ANSWER_BYTES_MAX: Final = 2 * BLOCK_BYTES_MAX
"""Sent for one request: well below what a peer's queue holds."""

SERVE_TIMER: Final = ("serve",)

Answers = Iterator[Message]
"""The messages that answer one request, each read from the disk when it is asked for."""


class Serving:
    def __init__(self, out: Outbox, budget: Budget) -> None:
        self._out = out
        self._budget = budget
        self._lines: OrderedDict[bytes, deque[Answers]] = OrderedDict()
        self._is_timing = False

    def ask(self, peer: bytes, answers: Answers, now: Now) -> None:
        """Another request of this peer: begun at once where nothing else is being served."""
        line = self._lines.setdefault(peer, deque())
        line.append(answers)
        if len(line) > LINE_MAX:
            line.popleft()
        if not self._is_timing:
            self.go_on(now)

    def gone(self, peer: bytes, now: Now) -> None:
        """Nothing more for this peer. What it was given still counts."""
        self._lines.pop(peer, None)
        self._budget.forget(now)

    def go_on(self, now: Now) -> None:
        """The serve timer: one slice for whoever waits longest and owes nothing."""
        peer = next((peer for peer in self._lines if not self._budget.wait_ms(peer, now)), None)
        if peer is not None:
            self._slice(peer, now)
        self._is_timing = bool(self._lines)
        if self._is_timing:
            soonest_ms = min(self._budget.wait_ms(peer, now) for peer in self._lines)
            self._out.emit(ArmTimer(SERVE_TIMER, max(1, soonest_ms)))

    def _slice(self, peer: bytes, now: Now) -> None:
        """Sends a slice to this peer; it goes to the end of the line."""
        line = self._lines.pop(peer)
        sent = 0
        while line and sent < SLICE_BYTES:
            message = next(line[0], None)
            if message is None:
                line.popleft()
                continue
            payload = encode_message(message)
            sent += len(payload)
            self._out.send_encoded((peer,), payload, priority_of(message))
        if line:
            self._lines[peer] = line
        self._budget.charge(peer, sent, now)
