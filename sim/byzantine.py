"""Liars: the production replica behind a wrapper that rewrites what it sends. It signs with its own key only.

A mode says what kind of lie; when to lie is drawn per message. Honest nodes must stay safe whatever it does, and go on
while at most a third lie.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from concento.batches import Batch, batch_header, batch_id
from concento.blocks import Block, block_id
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.hashing import Network as ChainNetwork
from concento.hashing import signing_bytes
from concento.transactions import Signed
from concento.votes import NIL, Commit, Proposal, Vote, proposal_bytes, vote_bytes
from consensus.messages import Polka, Status
from node.replica.events import Send
from node.replica.wire import (
    BatchAck,
    BlockResponse,
    CommitMessage,
    Message,
    ProposalMessage,
    decode_message,
    encode_message,
)
from sim.crypto import Key
from sim.dice import chance, draw
from sim.network import Node

HEARD_MAX: Final = 200
"""Own payloads that a replayer chooses from."""
FAR_VOTES: Final = 40

Twisted = Iterator[tuple[bytes, bytes]]


@dataclass
class Liar:
    """One dishonest validator. `rate` is how often it lies, of the messages that it could."""

    seed: int
    mode: str
    rate: float
    key: Key
    network: ChainNetwork
    sent: deque[bytes] = field(default_factory=lambda: deque(maxlen=HEARD_MAX))
    blocks: dict[int, bytes] = field(default_factory=dict)
    others: dict[bytes, None] = field(default_factory=dict)
    seen: dict[int, list[Block]] = field(default_factory=dict)
    heard: list[bytes] = field(default_factory=list)
    number: int = 0

    def twist(self, node: Node, effect: Send) -> Twisted:
        """What leaves in place of this effect: (receiver, payload) pairs."""
        self.number += 1
        if self.mode in ("false proof", "junk batches", "old transactions"):
            self._look_around(node)
        message = decode_message(effect.payload)
        if isinstance(message, ProposalMessage):
            self.blocks[message.proposal.height] = message.proposal.block_id
        for index, peer in enumerate(effect.peers):
            if chance(self.rate, self.seed, "lie", self.number, index):
                yield from ((peer, payload) for payload in MODES[self.mode](self, index, message, effect.payload))
            else:
                yield peer, effect.payload
        self.sent.append(effect.payload)

    def _look_around(self, node: Node) -> None:
        """The blocks that its replica has heard of: whose, it does not care."""
        if node.replica is None:
            return
        for identity, found in node.core._candidates._found.items():
            if identity not in self.others:
                self.others[identity] = None
                self.seen.setdefault(found.block.header.height, []).append(found.block)
        for batch in node.core._batches.held:
            if batch.id not in self.others and batch.author != self.key.public:
                self.others[batch.id] = None
                self.heard.extend(transaction.raw for transaction in batch.transactions)

    def pick(self, index: int, below: int) -> int:
        return draw(self.seed, "pick", self.number, index) % below

    def vote(self, vote: Vote, **changes: object) -> Vote:
        """Its vote, changed and signed again."""
        other = msgspec.structs.replace(vote, **changes)
        message = vote_bytes(self.network, other.type, other.height, other.round, other.block_id)
        return msgspec.structs.replace(other, signature=self.key.sign(message))

    def proposal(self, proposal: Proposal, **changes: object) -> Proposal:
        other = msgspec.structs.replace(proposal, **changes)
        message = proposal_bytes(self.network, other.height, other.round, other.pol_round, other.block_id)
        return msgspec.structs.replace(other, signature=self.key.sign(message))

    def is_own(self, message: Message) -> bool:
        match message:
            case Vote(validator=signer):
                return signer == self.key.public
            case ProposalMessage(proposal=Proposal(proposer=signer)):
                return signer == self.key.public
            case _:
                return False


def _equivocate(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """Another word at the same place, to some of the peers."""
    match message:
        case Vote() if liar.is_own(message):
            known = liar.blocks.get(message.height, b"\x07" * 32)
            other = NIL if message.block_id else known
            return [payload, encode_message(liar.vote(message, block_id=other))][liar.pick(index, 2) :]
        case ProposalMessage(proposal, block) if liar.is_own(message) and proposal.pol_round < 0:
            return [encode_message(liar_block(liar, proposal, block, 1 + liar.pick(index, 3)))]
        case _:
            return [payload]


def liar_block(liar: Liar, proposal: Proposal, block: Block, later_ms: int) -> ProposalMessage:
    """The proposal of a block that differs in its time alone: as valid as the first."""
    header = msgspec.structs.replace(block.header, time_ms=block.header.time_ms + later_ms)
    other = msgspec.structs.replace(block, header=header)
    return ProposalMessage(liar.proposal(proposal, block_id=block_id(header)), other)


def _mutate(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """A field changed and signed again where it can sign, else one byte of the payload changed."""
    step = 1 - 2 * liar.pick(index, 2)
    match message:
        case Vote() if liar.is_own(message) and message.round + step >= 0:
            changes = ({"round": message.round + step}, {"block_id": b"\x01"}, {"height": message.height + 1})
            return [encode_message(liar.vote(message, **changes[liar.pick(index + 100, 3)]))]
        case ProposalMessage(proposal, block) if liar.is_own(message):
            pol_round = max(-1, proposal.pol_round + step)
            return [encode_message(ProposalMessage(liar.proposal(proposal, pol_round=pol_round), block))]
        case _:
            at, bit = 1 + liar.pick(index, max(1, len(payload) - 1)), 1 << liar.pick(index + 100, 8)
            return [payload[:at] + bytes((payload[at] ^ bit,)) + payload[at + 1 :]] if at < len(payload) else [payload]


def _withhold(_liar: Liar, _index: int, _message: Message, _payload: bytes) -> list[bytes]:
    return []


def _replay(liar: Liar, index: int, _message: Message, payload: bytes) -> list[bytes]:
    """Something that it has sent before, to whomever."""
    again = liar.sent[liar.pick(index, len(liar.sent))] if liar.sent else payload
    return [payload, again, again]


def _lie_in_sync(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """A tip that it does not have, decided blocks that are not, commits with a signer too few, acks of anything."""
    match message:
        case Status(height=height):
            far = (height + 5, height + 100_000, max(1, height - 3), 1)[liar.pick(index, 4)]
            return [encode_message(msgspec.structs.replace(message, height=far, rounds=()))]
        case BlockResponse(block, commit, bodies):
            header = msgspec.structs.replace(block.header, app_hash=bytes(32))
            other = msgspec.structs.replace(block, header=header)
            shorter = msgspec.structs.replace(block, batches=block.batches[:-1])
            lies = (
                BlockResponse(shorter, commit, bodies[: len(shorter.batches)]),
                BlockResponse(msgspec.structs.replace(block, last_commit=_thinner(block.last_commit)), commit, bodies),
                BlockResponse(other, commit, bodies),
                BlockResponse(other, msgspec.structs.replace(commit, block_id=block_id(header)), bodies),
                BlockResponse(block, _thinner(commit), bodies),
                BlockResponse(block, commit, bodies[:-1]),
            )
            return [encode_message(lies[liar.pick(index, len(lies))])]
        case CommitMessage(commit, block):
            return [encode_message(CommitMessage(_thinner(commit), block))]
        case Polka():
            return [encode_message(msgspec.structs.replace(message, signatures=message.signatures[1:]))]
        case BatchAck():
            return [encode_message(BatchAck((bytes(32),)))]
        case _:
            return [payload]


def _thinner(commit: Commit) -> Commit:
    """One signature replaced by another's: as many entries, one signer too few."""
    signatures = commit.signatures
    if len(signatures) < 2:
        return commit
    forged = msgspec.structs.replace(signatures[-1], signature=signatures[0].signature)
    return msgspec.structs.replace(commit, signatures=(*signatures[:-1], forged))


def _junk_batches(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """A batch, well signed by this validator, in which one transaction's signature is not good: its own, or one that
    the others have already checked with the right signature."""
    if not isinstance(message, Batch) or message.header.author != liar.key.public:
        return [payload]
    if liar.heard and liar.pick(index + 200, 2):
        raw = liar.heard[liar.pick(index + 300, len(liar.heard))]
    else:
        raw = message.transactions[0]
    try:
        first = decode(Signed, raw, "transaction")
    except Rejected:
        return [payload]
    junk = encode(Signed(first.body, tuple((key, bytes(64)) for key, _ in first.signatures)))
    return [_own_batch(liar, index, message, (junk, *message.transactions[1:]))]


def _old_transactions(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """A batch with a new transaction and one that is old: its signature is good, and the chain may have it."""
    if not isinstance(message, Batch) or message.header.author != liar.key.public or not liar.heard:
        return [payload]
    old = liar.heard[liar.pick(index, len(liar.heard))]
    return [_own_batch(liar, index, message, (old, *message.transactions))]


def _own_batch(liar: Liar, index: int, like: Batch, transactions: tuple[bytes, ...]) -> bytes:
    """A batch of these, with the liar's good signature over it."""
    number = like.header.number + 1 + liar.pick(index, 1_000)
    header = batch_header(liar.key.public, number, transactions)
    signature = liar.key.sign(signing_bytes(liar.network, "batch", batch_id(header)))
    return encode_message(Batch(header, signature, transactions))


def _amnesia(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """Votes for whatever was proposed last, as if it had never locked."""
    if isinstance(message, Vote) and liar.is_own(message):
        return [encode_message(liar.vote(message, block_id=liar.blocks.get(message.height, message.block_id)))]
    return [payload]


def _forge(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """With its votes, votes for another block in the names of others, with made-up signatures."""
    if not isinstance(message, Vote):
        return [payload]
    liar.others[message.validator] = None
    other = b"" if liar.pick(index, 2) else b"\x09" * 32
    forged = (
        msgspec.structs.replace(message, validator=key, block_id=other, signature=bytes(64)) for key in liar.others
    )
    return [payload, *(encode_message(vote) for vote in forged if vote.validator != liar.key.public)]


def _false_proof(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """An old block of this height with a proof of lock that does not exist."""
    match message:
        case ProposalMessage(proposal, _) if liar.is_own(message) and proposal.round > 0:
            old = [block for block in liar.seen.get(proposal.height, ()) if block.header.round < proposal.round]
            if not old:
                return [payload]
            block = old[liar.pick(index, len(old))]
            pol_round = proposal.round - 1 if liar.pick(index + 100, 2) else block.header.round
            lie = liar.proposal(proposal, block_id=block_id(block.header), pol_round=pol_round)
            return [encode_message(ProposalMessage(lie, block))]
        case Polka():
            return []
        case _:
            return [payload]


def _far(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """Besides its vote, votes for many rounds that are far away."""
    if not isinstance(message, Vote) or not liar.is_own(message):
        return [payload]
    first = message.round + 2 + liar.pick(index, FAR_VOTES)
    return [payload, *(encode_message(liar.vote(message, round=first + step)) for step in range(FAR_VOTES))]


def _starve(liar: Liar, index: int, message: Message, payload: bytes) -> list[bytes]:
    """Proposes, but keeps its batches from all peers but one, whoever asks."""
    return [] if isinstance(message, Batch) and index else [payload]


MODES: Final[dict[str, Callable[[Liar, int, Message, bytes], list[bytes]]]] = {
    "equivocate": _equivocate,
    "mutate": _mutate,
    "withhold": _withhold,
    "replay": _replay,
    "lie in sync": _lie_in_sync,
    "junk batches": _junk_batches,
    "amnesia": _amnesia,
    "forge": _forge,
    "false proof": _false_proof,
    "far": _far,
    "starve": _starve,
    "old transactions": _old_transactions,
}
