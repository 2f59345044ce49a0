"""Catching up: decided blocks are asked from one peer at a time, in order, and proved by their commits.

Which peer is ahead is told by their statuses. A peer that does not deliver is left alone for a while, one that sends
what its commit does not prove is disconnected; the next one is asked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from concento.validators import ValidatorSet
from node.replica.events import ArmTimer, Now
from node.replica.outbox import Outbox
from node.replica.wire import BLOCKS_PER_REQUEST_MAX, BlockRequest

FIRST_BLOCK_MS: Final = 2_000
"""How long a peer has for its first block: a largest frame over a slow line."""
NEXT_BLOCK_MS: Final = 300
"""How long the next block may take before the rest is asked for again: a peer stops where it likes."""
LEFT_ALONE_MS: Final = 5_000
"""How long a peer that did not deliver is not asked."""

SYNC_TIMER: Final = ("sync",)


@dataclass(slots=True)
class _Download:
    peer: bytes
    last: int
    deadline_ms: int
    has_delivered: bool = False


class Sync:
    def __init__(self, out: Outbox, peers: Collection[bytes]) -> None:
        self._out = out
        self._peers = peers
        self._tips: dict[bytes, int] = {}
        self._left_alone: dict[bytes, int] = {}
        self._download: _Download | None = None
        self._is_timing = False

    def tip_of(self, peer: bytes) -> int | None:
        return self._tips.get(peer)

    def is_behind(self, height: int, validators: ValidatorSet) -> bool:
        """Whether more than the block of this height is decided: so many say so that one of them is honest."""
        return sum(key in validators and tip > height for key, tip in self._tips.items()) >= validators.minority

    def is_catching_up(self, height: int) -> bool:
        """Whether several blocks are being fetched."""
        return self._download is not None and self._download.last > height

    def note_tip(self, peer: bytes, tip: int) -> None:
        self._tips[peer] = max(tip, self._tips.get(peer, 0))

    def peer_gone(self, peer: bytes) -> None:
        self._tips.pop(peer, None)
        if self._download is not None and self._download.peer == peer:
            self._download = None

    def is_expected(self, peer: bytes) -> bool:
        """Whether a decided block from this peer is an answer."""
        return self._download is not None and self._download.peer == peer

    def run(self, height: int, now: Now) -> None:
        """Asks for decided blocks from the current height on, where a peer has them and none is being asked."""
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
        peer = max(sources, key=lambda source: self._tips[source])
        count = min(self._tips[peer] - height + 1, BLOCKS_PER_REQUEST_MAX)
        self._download = _Download(peer, height + count - 1, now.mono_ms + FIRST_BLOCK_MS)
        self._out.send((peer,), BlockRequest(height, count))
        self._arm()

    def delivered(self, now: Now) -> None:
        """A block of the current download was applied."""
        if self._download is not None:
            self._download.has_delivered = True
            self._download.deadline_ms = now.mono_ms + NEXT_BLOCK_MS

    def failed(self, peer: bytes, now: Now) -> None:
        """What the peer sent was useless."""
        self._left_alone[peer] = now.mono_ms + LEFT_ALONE_MS
        if self._download is not None and self._download.peer == peer:
            self._download = None

    def tick(self, height: int, now: Now) -> None:
        """The sync timer: switches away from a peer that does not deliver."""
        self._is_timing = False
        download = self._download
        if download is not None and download.deadline_ms <= now.mono_ms:
            if download.has_delivered:
                self._download = None
            else:
                self._out.log("sync.slow_peer", peer=download.peer, height=height)
                self.failed(download.peer, now)
        self.run(height, now)
        if self._download is not None or any(tip >= height for tip in self._tips.values()):
            self._arm()

    def _arm(self) -> None:
        if not self._is_timing:
            self._is_timing = True
            self._out.emit(ArmTimer(SYNC_TIMER, NEXT_BLOCK_MS // 3))
