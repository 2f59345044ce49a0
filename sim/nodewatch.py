"""What is asked of one node, from what it does and what it holds: bounded memory, its round, its disk, its requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from concento.batches import decode_batch
from concento.blocks import Block
from concento.encoding import decode
from concento.transactions import Transaction, decode_transaction
from consensus.messages import Step
from node.replica.batches import AUTHOR_BATCHES_MAX
from node.replica.candidates import UNJUDGED_PER_PEER_MAX
from node.replica.events import Append
from node.replica.pool import POOL_COUNT_MAX
from node.replica.wire import BatchRequest, ProposedRequest, decode_message
from sim.network import Node
from sim.validity import header_id
from sim.violation import Violation

ROUNDS_HELD_MAX: Final = 32
"""Rounds of which a node may hold something: those kept behind it, the next, and two far ones of each validator."""
ROUNDS_KEPT: Final = 16
ASKED_IN_A_ROW_MAX: Final = 3
"""Requests for one thing that one peer may get before another is asked."""
_BLOCK_KIND: Final = 2
_ENTRY_HEAD_BYTES: Final = 9


@dataclass
class NodeWatch:
    """`places`: the blocks that a node has appended to a file, and where they end. `is_signed` is a second opinion."""

    is_signed: Callable[[Transaction], bool]
    good: set[bytes] = field(default_factory=set)
    places: dict[tuple[str, bytes], tuple[str, int]] = field(default_factory=dict)
    asked: dict[tuple[str, bytes], tuple[bytes, int]] = field(default_factory=dict)

    def appended(self, node: Node, effect: Append) -> None:
        """A block, or a batch that the node has found good."""
        payload = effect.data[_ENTRY_HEAD_BYTES:]
        if effect.data[4] == _BLOCK_KIND:
            block = decode(Block, payload, "block")
            self.places[node.name, header_id(block.header)] = effect.file, effect.offset + len(effect.data)
        elif payload not in self.good:
            for raw in decode_batch(payload).transactions:
                if not self.is_signed(decode_transaction(raw)):
                    raise Violation("a batch that is held is good", f"{node.name} keeps a batch with a bad signature")
            self.good.add(payload)

    def precommitted(self, node: Node, block_id: bytes) -> None:
        """The guard says a precommit for this block: nobody may come to rest on a block that a crash could lose."""
        file, end = self.places.get((node.name, block_id), ("", 0))
        if not end or node.files.durable_size(file) < end:
            raise Violation("a precommit's block is on disk", f"{node.name} has {end} of {block_id.hex()[:8]}")

    def wiped(self, node: Node) -> None:
        self.places = {place: where for place, where in self.places.items() if place[0] != node.name}

    def requested(self, node: Node, peers: tuple[bytes, ...], payload: bytes) -> None:
        """Whatever is missing is asked from one peer after the other, as long as there are others."""
        message = decode_message(payload)
        ids = message.ids if isinstance(message, BatchRequest) else ()
        if isinstance(message, ProposedRequest):
            ids = (message.block_id,)
        others = len(node.core._peers)
        for wanted in ids:
            last, count = self.asked.get((node.name, wanted), (b"", 0))
            count = count + 1 if last == peers[0] and others > 1 else 1
            self.asked[node.name, wanted] = peers[0], count
            if count > ASKED_IN_A_ROW_MAX:
                raise Violation("what is missing is asked of everybody", f"{node.name} asks one peer {count} times")


def check_round(node: Node) -> None:
    """More than a third in a later round move a node there."""
    engine = node.core._engine
    heard, state = engine._heard, engine.state
    if heard is None or state.step in (Step.NEW_HEIGHT, Step.DECIDED):
        return
    rounds = heard.keeper._rounds
    for round_, votes in rounds.items():
        if round_ > state.round and 3 * len({*votes.prevotes.votes, *votes.precommits.votes}) > len(heard.validators):
            raise Violation("a third in a later round move a node", f"{node.name} at {state.round}, not {round_}")


def check_resources(node: Node, size: int) -> None:
    """What a node holds is bounded, whatever it was sent."""
    core = node.core
    status = core.status()
    heard = core._engine._heard
    # Of each validator: two votes, each perhaps contradicted, of every round that is kept, and of two far ones.
    rounds = min(status.round, ROUNDS_KEPT) + 2 + 2 + 2
    held = {
        "votes": (heard.keeper.size() if heard else 0, 4 * size * rounds),
        "early messages": (len(core._engine._early), 8 * size * (size + 1)),
        "blocks": (len(core._candidates._found), (size + 2) * (UNJUDGED_PER_PEER_MAX + ROUNDS_HELD_MAX)),
        "missing blocks": (len(core._candidates._missing), size * ROUNDS_HELD_MAX),
        "batches": (len(list(core._batches.held)), size * AUTHOR_BATCHES_MAX),
        "pool": (status.pool_count, POOL_COUNT_MAX),
        "inputs": (len(core._inputs), 0),
        "evidence": (len(core._evidence), 64),
    }
    for name, (count, count_max) in held.items():
        if count > count_max:
            raise Violation("bounded memory", f"{node.name} holds {count} {name}, not {count_max}")
