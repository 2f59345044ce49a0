"""Where the parts of a replica leave what is to be done, in order, while one event is handled."""

from __future__ import annotations

from collections.abc import Iterable

from node.replica.events import Disconnect, Effect, Level, Log, Priority, Send
from node.replica.wire import Message, encode_message, priority_of

BAN_MS: int = 10_000
"""How long a peer that sent what no honest node sends stays out: it may be an old release that is about to restart."""


class Outbox:
    """The effects of the event that is being handled."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []

    def emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def send(self, peers: Iterable[bytes], message: Message) -> None:
        """To each of these peers, encoded once; to nobody where there are none."""
        receivers = tuple(peers)
        if receivers:
            self.emit(Send(receivers, encode_message(message), priority_of(message)))

    def send_encoded(self, peers: Iterable[bytes], payload: bytes, priority: Priority) -> None:
        """A payload that is encoded already, in the queue of its kind."""
        self.emit(Send(tuple(peers), payload, priority))

    def send_bulk(self, peers: Iterable[bytes], payload: bytes) -> None:
        """A payload that is encoded already."""
        receivers = tuple(peers)
        if receivers:
            self.emit(Send(receivers, payload, Priority.BULK))

    def misbehaved(self, peer: bytes, reason: str) -> None:
        self.log("peer.misbehaved", "warning", peer=peer, reason=reason)
        self.emit(Disconnect(peer, reason, BAN_MS))

    def log(self, name: str, level: Level = "info", **fields: int | str | bytes) -> None:
        self.emit(Log(level, name, fields))

    def take(self) -> list[Effect]:
        """Everything since the last call."""
        effects, self._effects = self._effects, []
        return effects
