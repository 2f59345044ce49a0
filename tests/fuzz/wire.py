"""What peers and disks feed: frames and the messages in them, the handshake, transactions, segment files."""

from __future__ import annotations

from random import Random
from typing import Any, Final, get_args
from zlib import crc32

import msgspec
from msgspec.inspect import EnumType, TupleType, Type

from concento.batches import decode_batch
from concento.blocks import Block
from concento.encoding import decode, encode
from concento.errors import Broken, Rejected
from concento.hashing import signing_bytes
from concento.keys import public_key, sign, verify_many
from concento.limits import FRAME_BYTES_MAX
from concento.messages import Action
from concento.messages.tokens import Transfer
from concento.transactions import decode_transaction, signature_checks
from fuzz.target import Wrong
from node.p2p.frames import FrameDecoder, frame
from node.p2p.handshake import HANDSHAKE_FRAME_BYTES_MAX, Handshake, Identity, Role
from node.replica.events import Append
from node.replica.files import MemoryFiles
from node.replica.outbox import Outbox
from node.replica.segments import FIRST_MARKS, EntryKind, Mark, Marks, open_segments
from node.replica.wire import RULES, CommitMessage, decode_message, encode_message
from state.transition import apply_block, check_transaction
from support.ledger import BEAT, account_of, seed_of
from support.node import DecidedNode
from support.nonsense import Nonsense
from support.story import play, share

_TAG_OF_BATCH: Final = 6


class Drawn(Nonsense):
    """Values of every type that goes over the wire."""

    def value(self, info: Type) -> Any:
        match info:
            case EnumType(cls=kind):
                return self.random.choice(list(kind))
            case TupleType(item_types=items):
                return tuple(self.value(item) for item in items)
            case _:
                return super().value(info)


def played() -> tuple[DecidedNode, dict[str, str]]:
    """A chain on which something of everything has happened, and the names of what there is; equal every time."""
    node = DecidedNode()
    names = play(node).names()
    return node, {**names, **share(node)}


def payloads(data: bytes, bytes_max: int) -> list[bytes]:
    """The payloads of a stream of frames, which arrives in two pieces."""
    decoder, found = FrameDecoder(bytes_max), []
    cut = len(data) // 3
    for piece in (data[:cut], data[cut:]):
        decoder.feed(piece)
        while (payload := decoder.next()) is not None:
            found.append(payload)
    if decoder.held > len(data):
        raise Wrong(f"{decoder.held} bytes are held of {len(data)}")
    return found


def _framed(parts: Any) -> bytes:
    return b"".join(frame(part) for part in parts if isinstance(part, bytes) and part)


class Frames:
    """A stream of frames with the messages of every tag in them, as a peer sends it after the handshake."""

    def __init__(self) -> None:
        node, _ = played()
        drawn = Drawn(1, [bytes(32), node.headers[-1].app_hash])
        messages = [bytes((tag,)) + encode(drawn.message(rule.record)) for tag, rule in RULES.items() for _ in range(3)]
        messages += [bytes((_TAG_OF_BATCH,)) + raw for raws in node.batches.values() for raw in raws]
        blocks = [Block(header, commit, (), ()) for header, commit in zip(node.headers, node.commits, strict=False)]
        messages += [
            encode_message(CommitMessage(commit, block)) for block, commit in zip(blocks, node.commits, strict=False)
        ]
        self.seeds = [frame(message) for message in messages] + [frame(messages[0]) + frame(messages[-1])]

    def open(self, data: bytes) -> Any:
        return payloads(data, FRAME_BYTES_MAX)

    def shut(self, random: Random, value: Any) -> bytes:
        return _framed(value)

    def run(self, data: bytes) -> str:
        for payload in payloads(data, FRAME_BYTES_MAX):
            message = decode_message(payload)
            if encode_message(message) != payload:
                raise Wrong(f"a {type(message).__name__} is encoded otherwise than it came")
        return "ok"

    def close(self) -> None:
        """Nothing is open."""


class Handshakes:
    """What one side is sent in a handshake, as the frames of it; both sides are played."""

    def __init__(self) -> None:
        self._network = played()[0].genesis.network
        dialer, listener = self._side(Role.DIALER), self._side(Role.LISTENER)
        to_listener, to_dialer = dialer.start(), []
        for message in list(to_listener):
            to_dialer += listener.receive(message)
        proof = [answer for message in to_dialer for answer in dialer.receive(message)]
        last = [answer for message in proof for answer in listener.receive(message)]
        self.seeds = [_framed([*to_listener, *proof]), _framed([*to_dialer, *last])]
        self.seeds += [_framed(to_listener), _framed(last), _framed([encode_refusal("no")])]

    def _side(self, role: Role) -> Handshake:
        seeds = {Role.DIALER: seed_of("node1"), Role.LISTENER: seed_of("node2")}
        seed = seeds[role]
        identity = Identity(self._network, 1, public_key(seed), lambda message: sign(seed, message))
        allowed = {public_key(other) for other in seeds.values()}
        return Handshake(identity, role, bytes((role,)) * 32, b"c" * 32, allowed.__contains__)

    def open(self, data: bytes) -> Any:
        return payloads(data, HANDSHAKE_FRAME_BYTES_MAX)

    def shut(self, random: Random, value: Any) -> bytes:
        return _framed(value)

    def run(self, data: bytes) -> str:
        outcomes = set()
        arrived = payloads(data, HANDSHAKE_FRAME_BYTES_MAX)
        for role in Role:
            try:
                outcomes.add(self._play(role, arrived))
            except Rejected as refused:
                outcomes.add(refused.kind)
        return "ok" if "ok" in outcomes else min(outcomes)

    def _play(self, role: Role, arrived: list[bytes]) -> str:
        side = self._side(role)
        side.start()
        for payload in arrived:
            for answer in side.receive(payload):
                if len(answer) > HANDSHAKE_FRAME_BYTES_MAX:
                    raise Wrong("an answer is longer than a handshake message may be")
            if side.peer is not None:
                break
        if side.peer is None:
            return "unfinished"
        if frame(payload) not in b"".join(self.seeds):
            raise Wrong("a handshake was finished with a message that its peer did not sign")
        return "ok"

    def close(self) -> None:
        """Nothing is open."""


def encode_refusal(reason: str) -> bytes:
    return encode((3, reason))


class Transactions:
    """A transaction as a client or a batch brings it; every second one that was spoilt inside is signed again."""

    def __init__(self) -> None:
        self._node, names = played()
        ids = [bytes.fromhex(text) for text in names.values() if len(text) == 64]
        drawn = Drawn(2, [*ids, account_of("alice"), account_of("bob"), account_of("carol")])
        actions = [drawn.message(kind) for kind in get_args(Action) for _ in range(2)]
        transactions = [self._node.tx("alice", Transfer(account_of("carol"), BEAT))]
        for action in actions:
            try:
                transactions.append(self._node.tx("alice", action))
            except Rejected:
                continue
        raws = [
            raw for batches in self._node.batches.values() for one in batches for raw in decode_batch(one).transactions
        ]
        self.seeds = [transaction.raw for transaction in transactions] + raws

    def open(self, data: bytes) -> Any:
        return msgspec.msgpack.decode(data)

    def shut(self, random: Random, value: Any) -> bytes:
        if random.random() < 0.5 and isinstance(value, list) and value and isinstance(value[0], bytes):
            seed = seed_of("alice")
            message = signing_bytes(self._node.genesis.network, "transaction", value[0])
            value = [value[0], [[public_key(seed), sign(seed, message)]]]
        return msgspec.msgpack.encode(value)

    def run(self, data: bytes) -> str:
        transaction = decode_transaction(data)
        if transaction.raw != data:
            raise Wrong("a transaction has other bytes than it came with")
        node = self._node
        if not all(verify_many(signature_checks(node.genesis.network, transaction))):
            raise Rejected("tx.signature", index=0)
        check_transaction(node.view(), transaction, node.height + 1, node.time_ms, node.params, node.genesis.network)
        # What a block with it would do; nothing of it is kept.
        result = apply_block(node.view(), node.context([transaction])).results[0]
        return result.kind or result.status

    def close(self) -> None:
        """Nothing is open."""


class SegmentFiles:
    """A segment file with batches and blocks, as a disk gives it back."""

    def __init__(self) -> None:
        node, _ = played()
        raws = [raw for raws in node.batches.values() for raw in raws]
        blocks = [
            encode(Block(header, commit, (), ())) for header, commit in zip(node.headers, node.commits, strict=False)
        ]
        files = [
            [(EntryKind.BATCH, raw) for raw in raws[:3]],
            [(EntryKind.BLOCK, block) for block in blocks[:4]],
            [entry for pair in zip(raws, blocks, strict=False) for entry in ((1, pair[0]), (2, pair[1]))][:8],
            [(EntryKind.BATCH, b""), (EntryKind.BLOCK, b"one")],
        ]
        self.seeds = [self._file(entries) for entries in files]

    @staticmethod
    def _file(entries: Any) -> bytes:
        found = b""
        for kind, payload in entries:
            checksum = crc32(payload, kind)
            found += len(payload).to_bytes(4, "big") + bytes((kind,)) + checksum.to_bytes(4, "big") + payload
        return found

    def open(self, data: bytes) -> Any:
        _, entries = self._opened(data, FIRST_MARKS)
        return [[int(entry.kind), entry.payload] for entry in entries]

    def shut(self, random: Random, value: Any) -> bytes:
        return self._file((int(kind) & 3, payload) for kind, payload in value)

    @staticmethod
    def _opened(data: bytes, marks: Marks) -> Any:
        files = MemoryFiles()
        files.append("segment-00000000", 0, data)
        return files, open_segments(files, Outbox(), marks)[1]

    def run(self, data: bytes) -> str:
        files, entries = self._opened(data, FIRST_MARKS)
        out = Outbox()
        segments, again = open_segments(files, out, FIRST_MARKS)
        if again != entries:
            raise Wrong("opened a second time the segments hold something else")
        for entry in entries:
            if segments.read(entry.place) != entry.payload:
                raise Wrong("an entry is not where it was found")
        segments.append(EntryKind.BATCH, b"next")
        for effect in out.take():
            match effect:
                case Append(name, offset, added):
                    files.append(name, offset, added)
                case _:
                    raise Wrong(f"an append performs {effect}")
        if [entry.payload for entry in open_segments(files, Outbox(), FIRST_MARKS)[1][-1:]] != [b"next"]:
            raise Wrong("what was appended behind a repaired end is not found again")
        self._with_marks(data)
        for entry in entries:
            self._decode(entry.kind, entry.payload)
        return "ok" if entries else "empty"

    def _with_marks(self, data: bytes) -> None:
        """The same file where the newest commit says that half of it was durable: damage there is refused."""
        try:
            self._opened(data, Marks(Mark(0, len(data) // 2 + 1), ()))
        except Broken as error:
            raise Wrong("damage stops the node in place of being refused") from error

    @staticmethod
    def _decode(kind: EntryKind, payload: bytes) -> None:
        if kind is EntryKind.BATCH:
            decode_batch(payload)
        else:
            decode(Block, payload, "block")

    def close(self) -> None:
        """Nothing is open."""
