"""How many bytes peers may make this node send by asking: one account for whatever is asked for, of each and of all.

A request of a hundred bytes is answered with megabytes: it is worth what it costs to answer. What a round of votes
waits for (batches, a proposed block) is given at once or refused, and the rest of the request with it: its sender asks
again, or somebody else. What can wait (decided blocks, snapshots) is given once its sender owes nothing. Nobody is
disconnected for asking. Where all together are given too much, each still has a small share of his own: whoever asks
without end keeps himself waiting, and not the one who seldom asks.
"""

from __future__ import annotations

from typing import Final

from concento.limits import BLOCK_BYTES_MAX, KIB, MIB, OBSERVERS_MAX, VALIDATORS_MAX
from node.replica.events import Now, Priority
from node.replica.outbox import Outbox

PEER_BYTES_PER_S: Final = 32 * MIB
"""To one peer: twenty times what a network of 128 validators decides in a second."""
PEER_BYTES_AT_ONCE: Final = 2 * BLOCK_BYTES_MAX
"""Two full blocks: the batches of a proposal that lost every push, and of the one in the round after it."""
TOTAL_BYTES_PER_S: Final = 64 * MIB
"""To all of them: about a tenth of one core."""
TOTAL_BYTES_AT_ONCE: Final = 4 * PEER_BYTES_AT_ONCE
"""Where a network comes back after a split, several lack the same at once."""
SHARE_BYTES_PER_S: Final = TOTAL_BYTES_PER_S // (VALIDATORS_MAX + OBSERVERS_MAX)
"""What one peer gets though the others have used up the total: all shares together are not more than it once again."""
SHARE_BYTES_AT_ONCE: Final = BLOCK_BYTES_MAX + 64 * KIB
"""A full block's batches, for one who has not asked for a while."""


class _Account:
    """What was given and is not yet worked off. It never forgives more than time has passed."""

    __slots__ = ("_at_ms", "_owed", "_per_second")

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._owed = 0
        self._at_ms = 0

    def owed(self, mono_ms: int) -> int:
        return max(0, self._owed - (mono_ms - self._at_ms) * self._per_second // 1000)

    def give(self, size: int, mono_ms: int) -> None:
        self._owed, self._at_ms = self.owed(mono_ms) + size, mono_ms

    def free_ms(self, mono_ms: int) -> int:
        """In how long nothing is owed."""
        return -(-self.owed(mono_ms) * 1000 // self._per_second)


class Budget:
    """The accounts of all peers. Kept over reconnections: a new connection is no fresh start."""

    def __init__(self, out: Outbox) -> None:
        self._out = out
        self._total = _Account(TOTAL_BYTES_PER_S)
        self._peers: dict[bytes, _Account] = {}
        self._shares: dict[bytes, _Account] = {}

    def grants(self, peer: bytes, size: int, now: Now) -> bool:
        """Whether this much may be given now, at once; what is granted is charged."""
        now_ms = now.mono_ms
        if self._peer(peer).owed(now_ms) + size > PEER_BYTES_AT_ONCE:
            return False
        if self._total.owed(now_ms) + size <= TOTAL_BYTES_AT_ONCE:
            self._total.give(size, now_ms)
        elif self._share(peer).owed(now_ms) + size <= SHARE_BYTES_AT_ONCE:
            self._share(peer).give(size, now_ms)
        else:
            return False
        self._peer(peer).give(size, now_ms)
        return True

    def give(self, peer: bytes, payload: bytes, priority: Priority, now: Now) -> bool:
        """Sends what was asked for, or refuses it: then the rest of the request is refused, too."""
        if not self.grants(peer, len(payload), now):
            self._out.log("peer.asks_too_much", "warning", peer=peer)
            return False
        self._out.send_encoded((peer,), payload, priority)
        return True

    def wait_ms(self, peer: bytes, now: Now) -> int:
        """In how long this peer may be given something that can wait: 0 is now."""
        now_ms = now.mono_ms
        all_ms = min(self._total.free_ms(now_ms), self._share(peer).free_ms(now_ms))
        return max(self._peer(peer).free_ms(now_ms), all_ms)

    def charge(self, peer: bytes, size: int, now: Now) -> None:
        """Something that could wait was given, of a size that was not known before it was read."""
        now_ms = now.mono_ms
        account = self._share(peer) if self._total.owed(now_ms) else self._total
        account.give(size, now_ms)
        self._peer(peer).give(size, now_ms)

    def forget(self, now: Now) -> None:
        """Drops the accounts of those who owe nothing: they are as if they had never asked."""
        now_ms = now.mono_ms
        self._peers = {peer: account for peer, account in self._peers.items() if account.owed(now_ms)}
        self._shares = {peer: account for peer, account in self._shares.items() if account.owed(now_ms)}

    def _peer(self, peer: bytes) -> _Account:
        return self._peers.setdefault(peer, _Account(PEER_BYTES_PER_S))

    def _share(self, peer: bytes) -> _Account:
        return self._shares.setdefault(peer, _Account(SHARE_BYTES_PER_S))
