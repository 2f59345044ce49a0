"""Catching up: decided blocks are asked from one peer at a time, in order, and proved by their commits.

Which peer is ahead is told by their statuses. A peer that does not deliver is left alone for a while, one that sends
what its commit does not prove is disconnected; the next one is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from concento.batches import batch_check, batch_id, decode_batch
from concento.blocks import Block, block_id, commit_root, content_root, evidence_root
from concento.errors import Damaged, Rejected
from consensus.messages import Status, Step
from consensus.signer import Crypto
from node.replica.batches import Batches, HeldBatch, decode_all
from node.replica.chain import Chain
from node.replica.events import ArmTimer, Now
from node.replica.outbox import Outbox
from node.replica.retention import BLOCKS_KEPT_MIN
from node.replica.segments import EntryKind, Segments
from node.replica.serving import ANSWER_BYTES_MAX
from node.replica.wire import BLOCKS_PER_REQUEST_MAX, BlockRequest, BlockResponse
from state.store.blockstore import find_block

FIRST_BLOCK_MS: Final = 2_000
"""How long a peer has for its first block: a largest frame over a slow line."""
NEXT_BLOCK_MS: Final = 300
"""How long the next block may take before the rest is asked for again: a peer stops where it likes."""
DOWNLOAD_MS: Final = 4_000
"""How long all blocks of one request may take: a peer that drips them keeps the others from being asked."""
LEFT_ALONE_MS: Final = 5_000
"""How long a peer that did not deliver is not asked."""
TOLD_MS: Final = 100
"""How long a peer that is behind is not told so again, half of the time between statuses: who repeats old ones would
else be answered with each of them, and its answers would be answered."""
NOBODY_HAS_HINT: Final = "stop this node and run: concento node resync, then: concento node run --sync snapshot"
SYNC_TIMER: Final = ("sync",)


@dataclass(slots=True)
class _Download:
    peer: bytes
    last: int
    deadline_ms: int
    last_deadline_ms: int
    has_delivered: bool = False


class Sync:
    def __init__(
        self,
        chain: Chain,
        crypto: Crypto,
        batches: Batches,
        segments: Segments,
        out: Outbox,
        peers: Collection[bytes],
    ) -> None:
        """`peers`: those connected now, kept by the owner."""
        self._chain = chain
        self._crypto = crypto
        self._batches = batches
        self._segments = segments
        self._out = out
        self._peers = peers
        self._tips: dict[bytes, int] = {}
        self._left_alone: dict[bytes, int] = {}
        self._told_until: dict[bytes, int] = {}
        self._stopped_short: dict[bytes, int] = {}
        self._gave_nothing: dict[bytes, int] = {}
        self._download: _Download | None = None
        self._is_timing = False

    # Who is ahead

    def tip_of(self, peer: bytes) -> int | None:
        return self._tips.get(peer)

    def note_tip(self, peer: bytes, tip: int) -> None:
        self._tips[peer] = max(tip, self._tips.get(peer, 0))

    def tell_behind(self, peer: bytes, now: Now) -> None:
        """Lets a peer know this node's height: it asks one of us for the blocks, not all of us send them at once."""
        if self._told_until.get(peer, 0) <= now.mono_ms:
            self._told_until[peer] = now.mono_ms + TOLD_MS
            self._out.send((peer,), Status(self._chain.height, 0, Step.NEW_HEIGHT, -1, ()))

    def peer_gone(self, peer: bytes) -> None:
        self._tips.pop(peer, None)
        self._told_until.pop(peer, None)
        self._gave_nothing.pop(peer, None)
        # `_stopped_short` stays: a new connection is no fresh start. There are as many keys as members and observers.
        if self._download is not None and self._download.peer == peer:
            self._download = None

    @property
    def is_behind(self) -> bool:
        """Whether more than the block of this height is decided: so many say so that one of them is honest."""
        return (self._vouched_tip or 0) > self._chain.height

    @property
    def believed_tip(self) -> int:
        """The highest block that enough validators vouch for; where too few are here, that anybody claims."""
        vouched = self._vouched_tip
        return max(self._tips.values(), default=0) if vouched is None else vouched

    @property
    def _vouched_tip(self) -> int | None:
        """The highest block that so many validators claim that one of them is honest; None where too few are here."""
        validators = self._chain.validators
        claims = sorted((tip for key, tip in self._tips.items() if key in validators), reverse=True)
        return claims[validators.minority - 1] if len(claims) >= validators.minority else None

    @property
    def nobody_has(self) -> int | None:
        """The block that is needed next, where every peer may have dropped it, was asked for it, and gave none."""
        height = self._chain.height
        if self.believed_tip < height:
            return None
        ahead = [peer for peer, tip in self._tips.items() if tip >= height]
        if any(self._tips[peer] < height + BLOCKS_KEPT_MIN for peer in ahead):
            return None
        return height if ahead and all(self._gave_nothing.get(peer) == height for peer in ahead) else None

    @property
    def is_catching_up(self) -> bool:
        """Whether several blocks are being fetched, and are there."""
        height = self._chain.height
        return self._download is not None and min(self._download.last, self.believed_tip) > height

    # Asking

    def run(self, now: Now) -> None:
        """Asks for decided blocks from this height on, where a peer has them and none is being asked."""
        height = self._chain.height
        if self._download is not None and self._download.last < height:
            self._download = None
        if self._download is not None:
            return
        sources = [
            peer
            for peer in self._peers
            if self._tips.get(peer, -1) >= height and self._left_alone.get(peer, 0) <= now.mono_ms
        ]
        if not sources:
            return
        # What a peer says of its tip is its word alone: one that stopped short of it goes behind the others.
        peer = min(sources, key=lambda source: (self._stopped_short.get(source, -1), -self._tips[source]))
        count = min(self._tips[peer] - height + 1, BLOCKS_PER_REQUEST_MAX)
        last_ms = now.mono_ms + DOWNLOAD_MS
        self._download = _Download(peer, height + count - 1, now.mono_ms + FIRST_BLOCK_MS, last_ms)
        self._out.send((peer,), BlockRequest(height, count))
        self._arm()

    def proved(self, peer: bytes, response: BlockResponse, now: Now) -> list[HeldBatch] | None:
        """The batches of an answer whose commit proves its block, or None where it is not an answer or no proof."""
        block = response.block
        expected = self._download is not None and self._download.peer == peer
        if block.header.height != self._chain.height or not expected:
            return None
        try:
            _check_parts(block)
            self._chain.check_commit(response.commit, block_id(block.header))
            return self._batches_of(block, response.bodies, now)
        except Rejected as error:
            self._failed(peer, now)
            self._out.misbehaved(peer, str(error))
            self.run(now)
            return None

    def delivered(self, now: Now) -> None:
        """A block of the current download was applied."""
        if self._download is not None:
            self._download.has_delivered = True
            self._download.deadline_ms = min(now.mono_ms + NEXT_BLOCK_MS, self._download.last_deadline_ms)
        self.run(now)

    def tick(self, now: Now) -> None:
        """The sync timer: switches away from a peer that does not deliver."""
        self._is_timing = False
        download = self._download
        if download is not None and download.deadline_ms <= now.mono_ms:
            if download.has_delivered:
                self._stopped_short[download.peer] = now.mono_ms
                self._download = None
            else:
                self._out.log("sync.slow_peer", peer=download.peer, height=self._chain.height)
                self._gave_nothing[download.peer] = self._chain.height
                if self.nobody_has is not None:
                    self._out.log("sync.nobody_has", "warning", height=self._chain.height, hint=NOBODY_HAS_HINT)
                self._failed(download.peer, now)
        self.run(now)
        if self._download is not None or any(tip >= self._chain.height for tip in self._tips.values()):
            self._arm()

    # Answering

    def answers(self, first: int, count: int) -> Iterator[BlockResponse]:
        """Decided blocks from `first` on, as many as are kept and fit one answer, each read when it is its turn."""
        size = 0
        for height in range(first, first + count):
            if height >= self._chain.height or size > ANSWER_BYTES_MAX:
                return
            try:
                record = find_block(self._chain.records, height)
                bodies = tuple(self._segments.read(place) for place in record.bodies) if record else ()
            except Damaged as error:
                # Nothing of this node's own rests on an old block: others have it, and whoever asks goes to them.
                self._out.log("store.damaged", "error", height=height, reason=str(error))
                return
            if record is None:
                return
            size += sum(map(len, bodies))
            yield BlockResponse(record.block, record.commit, bodies)

    # Inside

    def _batches_of(self, block: Block, bodies: Sequence[bytes], now: Now) -> list[HeldBatch]:
        """The batches of a proved block, kept: checked only for what its header does not cover."""
        if len(bodies) != len(block.batches):
            raise Rejected("block.invalid", height=self._chain.height, reason="its batches are not all here")
        return [self._batch(identity, raw, now) for identity, raw in zip(block.batches, bodies, strict=True)]

    def _batch(self, identity: bytes, raw: bytes, now: Now) -> HeldBatch:
        known = self._batches.find(identity)
        if known is not None:
            return known
        batch = decode_batch(raw)
        network = self._chain.network
        if batch_id(batch.header) != identity or not self._crypto.verify(*batch_check(network, batch)):
            raise Rejected("batch.invalid", reason="not the one that the block names")
        transactions = decode_all(network, batch.transactions)
        place = self._segments.append(EntryKind.BATCH, raw)
        return HeldBatch(identity, batch.header.author, raw, transactions, place, now.mono_ms)

    def _failed(self, peer: bytes, now: Now) -> None:
        self._left_alone[peer] = now.mono_ms + LEFT_ALONE_MS
        if self._download is not None and self._download.peer == peer:
            self._download = None

    def _arm(self) -> None:
        if not self._is_timing:
            self._is_timing = True
            self._out.emit(ArmTimer(SYNC_TIMER, NEXT_BLOCK_MS // 3))


def _check_parts(block: Block) -> None:
    """Raises Rejected unless all parts of the block belong to its header."""
    header = block.header
    parts = content_root(block.batches), commit_root(block.last_commit), evidence_root(block.evidence)
    if parts != (header.content_root, header.last_commit_root, header.evidence_root):
        raise Rejected("block.invalid", height=header.height, reason="its parts are not those of its header")
