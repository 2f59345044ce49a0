"""What peers ask of this node's disk: decided blocks and parts of snapshots, in slices, below a rate, in turn.

A request costs its sender little and this node a read of megabytes. So each peer has a short line of requests, one
slice is read at a time with other work in between, and a pause follows each that is as long as its bytes are worth.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from concento.limits import BLOCK_BYTES_MAX, MIB
from node.replica.events import ArmTimer, Now
from node.replica.outbox import Outbox
from node.replica.wire import Message, encode_message, priority_of

LINE_MAX: Final = 4
"""Requests of one peer that wait; an honest one sends the next when the last is answered. Older ones are dropped."""
SLICE_BYTES: Final = 256 * 1024
"""Read at a time before other events get their turn, or one block where that is larger: a millisecond or two."""
PEER_BYTES_PER_S: Final = 32 * MIB
"""To one peer: twenty times what a network of 128 validators decides in a second."""
TOTAL_BYTES_PER_S: Final = 64 * MIB
"""To all of them: about a tenth of one core."""
ANSWER_BYTES_MAX: Final = 2 * BLOCK_BYTES_MAX
"""Sent for one request: well below what a peer's queue holds."""

SERVE_TIMER: Final = ("serve",)

Answers = Iterator[Message]
"""The messages that answer one request, each read from the disk when it is asked for."""


class Serving:
    def __init__(self, out: Outbox) -> None:
        self._out = out
        self._lines: OrderedDict[bytes, deque[Answers]] = OrderedDict()
        self._next_ms: dict[bytes, int] = {}
        self._is_timing = False

    def ask(self, peer: bytes, answers: Answers, now: Now) -> None:
        """Another request of this peer: begun at once where nothing else is being served."""
        line = self._lines.setdefault(peer, deque())
        line.append(answers)
        if len(line) > LINE_MAX:
            line.popleft()
        if not self._is_timing:
            self.go_on(now)

    def gone(self, peer: bytes) -> None:
        """Nothing more for this peer. What it was given still counts: a new connection is no fresh start."""
        self._lines.pop(peer, None)

    def go_on(self, now: Now) -> None:
        """The serve timer: one slice for whoever waits longest and is not ahead of its rate."""
        self._is_timing = False
        self._next_ms = {peer: then for peer, then in self._next_ms.items() if then > now.mono_ms}
        peer = next((peer for peer in self._lines if peer not in self._next_ms), None)
        sent = 0 if peer is None else self._slice(peer, now)
        if self._lines or sent:
            soonest = min((self._next_ms.get(peer, now.mono_ms) for peer in self._lines), default=now.mono_ms)
            self._is_timing = True
            delay_ms = max(1, _worth_ms(sent, TOTAL_BYTES_PER_S), soonest - now.mono_ms)
            self._out.emit(ArmTimer(SERVE_TIMER, delay_ms))

    def _slice(self, peer: bytes, now: Now) -> int:
        """How many bytes were sent to this peer; it goes to the end of the line."""
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
        self._next_ms[peer] = now.mono_ms + _worth_ms(sent, PEER_BYTES_PER_S)
        return sent


def _worth_ms(size: int, per_second: int) -> int:
    return size * 1000 // per_second
