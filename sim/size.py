"""How costs grow with the number of validators, further than one machine goes: `python -m sim.size`.

The production replica on the simulated network counts, for every block, the messages and bytes of one node and the
signatures that it checks; its own CPU is measured as it runs. What the simulator leaves out is measured in the same
run and put in by number: a signature made and one checked, a message through TLS on both ends. So the CPU of a block
is that of a validator on a core of its own. One block of one transaction after the other, no faults.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from time import process_time
from typing import Final

from concento.devnet import development_genesis
from concento.genesis import Genesis
from concento.hashing import Network as Chain
from concento.keys import public_key, sign, verify
from node.p2p.handshake import Identity
from node.p2p.peers import Address, Peers
from node.replica.events import Effect, Event, Verify
from sim.crypto import Key, Signing, StubKey
from sim.network import Network, Node

BLOCKS: Final = 10
WARM_BLOCKS: Final = 3
REPEATS: Final = 2_000
VOTE_BYTES: Final = 180
GROWTH_MAX: Final = 1.3
"""How much faster than the number of validators the CPU of a block may grow: messages and votes grow as it does."""
WITHIN_MS: Final = 60_000


@dataclass
class Counted:
    """What all nodes together have done; `made` and `checked` are signatures."""

    messages: int = 0
    bytes: int = 0
    made: int = 0
    checked: int = 0
    replica_s: float = 0.0

    def minus(self, other: Counted) -> Counted:
        return Counted(
            self.messages - other.messages,
            self.bytes - other.bytes,
            self.made - other.made,
            self.checked - other.checked,
            self.replica_s - other.replica_s,
        )


@dataclass
class Watching:
    """Looks at a network and counts; changes nothing."""

    counted: Counted = field(default_factory=Counted)
    _began: float = 0.0

    def handled(self, _node: Node, _event: Event) -> None:
        self._began = process_time()

    def performed(self, _node: Node, effect: Effect) -> None:
        if isinstance(effect, Verify):
            self.counted.checked += len(effect.checks)

    def sent(self, _node: Node, peers: Sequence[bytes], payload: bytes) -> None:
        self.counted.messages += len(peers)
        self.counted.bytes += len(peers) * len(payload)

    def settled(self, _node: Node) -> None:
        self.counted.replica_s += process_time() - self._began

    def started(self, _node: Node) -> None:
        pass

    def failed(self, node: Node, error: Exception) -> None:
        raise RuntimeError(f"{node.name} failed") from error


@dataclass(frozen=True, slots=True)
class CountingKey:
    """A cheap key that counts what it is asked for: those are the votes, whose checks are no effects."""

    inner: StubKey
    counted: Counted

    @property
    def seed(self) -> bytes:
        return self.inner.seed

    @property
    def public(self) -> bytes:
        return self.inner.public

    def sign(self, message: bytes) -> bytes:
        self.counted.made += 1
        return self.inner.sign(message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        self.counted.checked += 1
        return self.inner.verify(key, message, signature)


@dataclass(frozen=True, slots=True)
class Units:
    """Measured on this machine, in microseconds: what the simulated node does not do itself."""

    sign_us: float
    verify_us: float
    message_us: float


@dataclass(frozen=True, slots=True)
class Size:
    """One node of a network of so many validators, per block. `latency_ms` is at 2 ms a message."""

    validators: int
    messages: float
    bytes: float
    made: float
    checked: float
    replica_us: float
    block_us: float
    latency_ms: float

    def __str__(self) -> str:
        return (
            f"{self.validators:>4} validators, of one node a block: {self.messages:>6.1f} messages, "
            f"{self.bytes / 1000:>7.1f} kB, {self.checked:>6.1f} signatures checked; "
            f"{self.replica_us / 1000:>6.2f} ms of the replica, {self.block_us / 1000:>6.2f} ms in all; "
            f"decided in {self.latency_ms:.0f} ms of the simulator"
        )


def main() -> int:
    """Prints a line a size, then the ratios; 1 where one is too large."""
    parser = argparse.ArgumentParser(prog="python -m sim.size", description=__doc__)
    parser.add_argument("--validators", default="4,7,10,16,31,64,100")
    options = parser.parse_args()
    units = measured_units()
    print(
        f"measured: {units.sign_us:.0f} us to sign, {units.verify_us:.0f} us to check a signature, "
        f"{units.message_us:.0f} us a message, both ends together"
    )
    found = []
    for validators in map(int, options.validators.split(",")):
        found.append(measure(validators, units))
        print(found[-1], flush=True)
    bad = 0
    for little, much in pairwise(found):
        times, ratio = much.validators / little.validators, much.block_us / little.block_us
        bad += ratio > GROWTH_MAX * times
        verdict = "ok" if ratio <= GROWTH_MAX * times else "TOO MUCH"
        between = f"{little.validators} -> {much.validators} validators"
        print(f"CPU of a block, {between}: {ratio:.2f} (at most {GROWTH_MAX * times:.1f}) {verdict}")
    return 1 if bad else 0


def measure(validators: int, units: Units, blocks: int = BLOCKS) -> Size:
    """Runs a network for some blocks, one payment each."""
    watching = Watching()
    counted = watching.counted

    def make(seed: bytes, public: bytes) -> Key:
        return CountingKey(StubKey(seed, public), counted)

    genesis: Genesis = development_genesis(validators)
    network = Network(validators, genesis=genesis, signing=Signing("counted", make), watcher=watching)
    network.start()
    network.run(1_000)
    for _ in range(WARM_BLOCKS):
        _block(network)
    before = replace(counted)
    first = network.nodes["node1"].height
    deciding_ms = 0
    for _ in range(blocks):
        deciding_ms += _block(network)
    made = network.nodes["node1"].height - first
    spent = counted.minus(before)
    share = 1 / (made * validators)
    # A payment's own signature was made by its client.
    signed, checked = (spent.made - blocks) * share, spent.checked * share
    messages, replica_us = spent.messages * share, spent.replica_s * 1e6 * share
    outside_us = signed * units.sign_us + checked * units.verify_us + messages * units.message_us
    return Size(
        validators, messages, spent.bytes * share, signed, checked, replica_us, replica_us + outside_us,
        deciding_ms / blocks,
    )  # fmt: skip


def _block(network: Network) -> int:
    """One payment, until all nodes have it; how long that took, in virtual milliseconds."""
    payment = network.transfer("alice", "bob", 1)
    began_ms = network.mono_ms
    network.submit("node1", payment)
    network.run_until(network.is_final(payment), WITHIN_MS)
    return network.mono_ms - began_ms


def measured_units() -> Units:
    """What a signature and a message cost here and now."""
    seed, message = bytes(32), bytes(VOTE_BYTES)
    key, signature = public_key(seed), sign(seed, message)
    return Units(
        _cpu_us(lambda: sign(seed, message)),
        _cpu_us(lambda: verify(key, message, signature)),
        min(asyncio.run(_message_us()) for _ in range(3)),
    )


def _cpu_us(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        began = process_time()
        for _ in range(REPEATS // 5):
            work()
        best = min(best, (process_time() - began) * 1e6 / (REPEATS // 5))
    return best


async def _message_us() -> float:
    """A vote from one node's connections to another's, through TLS, one write each as votes come."""
    chain = Chain("sim-size", bytes(32))
    seeds = [bytes((number,)) * 32 for number in (1, 2)]
    keys = [public_key(seed) for seed in seeds]
    inboxes = [_Inbox(), _Inbox()]

    def peers(own: int, targets: dict[bytes, Address]) -> Peers:
        def signed(message: bytes) -> bytes:
            return sign(seeds[own], message)

        identity = Identity(chain, 1, keys[own], signed)
        return Peers(identity, targets, keys, lambda payload: (payload[0], 1_000_000), inboxes[own])

    listening = peers(0, {})
    await listening.start("127.0.0.1", 0)
    dialling = peers(1, {keys[0]: Address("127.0.0.1", listening.port)})
    await dialling.start("127.0.0.1", 0)
    while not all(inbox.is_up for inbox in inboxes):
        await asyncio.sleep(0.01)
    payload = bytes(VOTE_BYTES)
    began = process_time()
    for number in range(REPEATS):
        dialling.send([keys[0]], payload, 0)
        while inboxes[0].count <= number:
            await asyncio.sleep(0)
    spent_us = (process_time() - began) * 1e6 / REPEATS
    await dialling.stop()
    await listening.stop()
    return spent_us


@dataclass
class _Inbox:
    """Counts what comes."""

    is_up: bool = False
    count: int = 0

    def peer_up(self, _peer: bytes) -> None:
        self.is_up = True

    def peer_down(self, _peer: bytes, reason: str) -> None:
        self.is_up = False

    def peer_message(self, _peer: bytes, _payload: bytes, handled: Callable[[], None]) -> None:
        self.count += 1
        handled()

    def peer_refused(self, _address: str, reason: str) -> None:
        raise RuntimeError(f"a peer was refused: {reason}")


if __name__ == "__main__":
    sys.exit(main())
