"""The simulator's liars around the replica of a real process, and their names as a command line writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from node.replica.core import Replica
from node.replica.events import Effect, Event, Now, Send
from node.replica.files import MemoryFiles
from sim.byzantine import MODES, Liar
from sim.network import Node
from state.store.kv import MemoryKeyValue

LIE_RATE: Final = 0.5
"""Of the messages that could be lies. Not all: a node that only lies is soon heard by nobody."""


class LyingCore:
    """A core whose messages are rewritten as they leave."""

    def __init__(self, replica: Replica, liar: Liar) -> None:
        self._replica = replica
        self._liar = liar
        # What a liar of the simulator looks at is its replica only: the disk of this one is real.
        self._seen = Node("liar", liar.key, MemoryKeyValue(), MemoryFiles(), is_validator=True, replica=replica)

    def handle(self, event: Event, now: Now) -> Iterator[Effect]:
        for effect in self._replica.handle(event, now):
            if not isinstance(effect, Send):
                yield effect
                continue
            for peer, payload in self._liar.twist(self._seen, effect):
                yield Send((peer,), payload, effect.priority)


def mode_named(name: str) -> str | None:
    """The mode of the simulator's liars with this name, written as on a command line: `lie-in-sync`."""
    return next((mode for mode in MODES if mode.replace(" ", "-") == name), None)


def mode_names() -> Iterable[str]:
    """The modes as they are written on a command line."""
    return (mode.replace(" ", "-") for mode in MODES)
