"""Catching up from peers that are slow, lie, or go away."""

from __future__ import annotations

import msgspec
import pytest

from concento.batches import cut_batch
from concento.blocks import block_id
from concento.encoding import encode
from concento.votes import Proposal
from consensus.messages import Status, Step
from node.replica import wire
from node.replica.sync import FIRST_BLOCK_MS, TOLD_MS
from sim.network import Network, Node
from state.store.blockstore import find_block
from state.store.kv import BLOCK, number_key


def one_behind(blocks: int = 6) -> Network:
    """A network whose node4 was down while the others made blocks; not yet started again."""
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    network.kill("node4")
    for _ in range(blocks):
        payment = network.transfer("bob", "carol", 1)
        network.submit("node1", payment)
        network.run_until(network.is_final(payment))
    network.run(200)
    return network


def caught_up(network: Network) -> None:
    node = network.nodes["node4"]
    network.run_until(lambda: node.height >= network.nodes["node1"].height, 15_000)
    assert node.app_hash == network.nodes["node1"].app_hash
    network.check_agreement()


def response(node: Node, height: int) -> wire.BlockResponse:
    record = find_block(node.kv, height)
    bodies = node.core.bodies(height)
    assert record is not None
    assert bodies is not None
    return wire.BlockResponse(record.block, record.commit, bodies)


def test_blocks_come_from_one_peer_in_order() -> None:
    network = one_behind()
    senders = set()

    def watch(origin: str, _to: str, message: object) -> bool:
        if isinstance(message, wire.BlockResponse):
            senders.add(origin)
        return False

    network.is_lost = watch
    network.start("node4")
    caught_up(network)
    assert len(senders) == 1
    synced = [committed for committed in network.nodes["node4"].committed if committed.synced]
    assert [committed.stored.height for committed in synced] == sorted({c.stored.height for c in synced})


def test_silent_peer_is_switched_away_from() -> None:
    network = one_behind()
    silent: list[str] = []

    def is_lost(origin: str, _to: str, message: object) -> bool:
        if isinstance(message, wire.BlockResponse) and not silent:
            silent.append(origin)
        return isinstance(message, wire.BlockResponse) and origin == silent[0]

    network.is_lost = is_lost
    network.start("node4")
    start = network.mono_ms
    caught_up(network)
    assert FIRST_BLOCK_MS <= network.mono_ms - start < 3 * FIRST_BLOCK_MS
    assert any(entry.name == "sync.slow_peer" for entry in network.nodes["node4"].logs)


def test_download_broken_off_in_the_middle_is_taken_up_again() -> None:
    network = one_behind(10)
    count = 0

    def is_lost(_origin: str, _to: str, message: object) -> bool:
        nonlocal count
        count += isinstance(message, wire.BlockResponse)
        return isinstance(message, wire.BlockResponse) and count in (4, 9)

    network.is_lost = is_lost
    network.start("node4")
    caught_up(network)


@pytest.mark.parametrize("lie", ["forged commit", "other block", "other body", "missing body"])
def test_lying_peer_is_disconnected_and_another_one_asked(lie: str) -> None:
    network = one_behind()
    node1 = network.nodes["node1"]
    height = next(height for height in range(2, node1.height) if response(node1, height).bodies)
    good = response(node1, height)
    signatures = good.commit.signatures
    forged = tuple(msgspec.structs.replace(entry, signature=bytes(64)) for entry in signatures)
    key = network.nodes["node2"].key
    other_batch = cut_batch(
        network.genesis.network, key.seed, key.public, 1, (network.transfer("bob", "carol", 1).raw,)
    )
    other_header = msgspec.structs.replace(good.block.header, time_ms=good.block.header.time_ms + 1)
    bad = {
        "forged commit": wire.BlockResponse(
            good.block, msgspec.structs.replace(good.commit, signatures=forged), good.bodies
        ),
        "other block": wire.BlockResponse(
            msgspec.structs.replace(good.block, header=other_header), good.commit, good.bodies
        ),
        "other body": wire.BlockResponse(good.block, good.commit, (encode(other_batch),)),
        "missing body": wire.BlockResponse(good.block, good.commit, ()),
    }[lie]
    told: list[str] = []

    def is_lost(origin: str, to: str, message: object) -> bool:
        if isinstance(message, wire.BlockResponse) and message.block.header.height == height and not told:
            told.append(origin)
            network.inject(origin, to, bad)
            return True
        return False

    network.is_lost = is_lost
    network.start("node4")
    caught_up(network)
    liar = network.nodes[told[0]].key.public
    assert [peer for peer, _ in network.nodes["node4"].disconnected] == [liar]


def test_peer_that_goes_away_is_replaced() -> None:
    network = one_behind()
    gone: list[str] = []

    def is_lost(origin: str, _to: str, message: object) -> bool:
        if isinstance(message, wire.BlockResponse) and not gone:
            gone.append(origin)
            network.disconnect(origin, "node4")
        return False

    network.is_lost = is_lost
    network.start("node4")
    caught_up(network)
    assert gone


def test_bodies_that_a_disk_has_damaged_are_not_given_away_and_cost_their_node_nothing_else() -> None:
    network = one_behind()
    for name in ("node1", "node2"):
        node = network.nodes[name]
        for file in node.files.names():
            if file.startswith("segment"):
                node.files.write_at(file, 9, bytes(node.files.size(file) - 9))
    network.start("node4")
    caught_up(network)
    damaged = [log.name for name in ("node1", "node2") for log in network.nodes[name].logs]
    assert "store.damaged" in damaged
    assert all(network.nodes[name].halted is None for name in network.nodes)


def test_blocks_that_a_disk_has_damaged_stop_no_node_that_is_asked_for_them() -> None:
    network = one_behind()
    for name in ("node1", "node2"):
        node = network.nodes[name]
        node.kv.write({key: b"what is no block" for key, _ in node.kv.scan(BLOCK + number_key(4))})
    network.start("node4")
    caught_up(network)
    damaged = [log.name for name in ("node1", "node2") for log in network.nodes[name].logs]
    assert "store.damaged" in damaged
    assert all(network.nodes[name].halted is None for name in network.nodes)


def test_tip_that_one_member_invents_stops_nobody() -> None:
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    for name in ("node1", "node2", "node3"):
        network.inject("node4", name, Status(10**6, 0, Step.NEW_HEIGHT, -1, ()))
    network.kill("node4")
    network.run(50)
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run_until(network.is_final(payment), 2_000)


def test_tip_that_one_member_invents_makes_no_node_look_behind_or_cut_off() -> None:
    network = Network(4, observers=1)
    network.start()
    network.run_until(network.reached(1))
    for liar in ("node4", "node5"):
        network.inject(liar, "node1", Status(2**50, 0, Step.NEW_HEIGHT, -1, ()))
    node = network.nodes["node1"]
    for _ in range(100):
        network.run(300)
        status = node.core.status()
        assert status.believed_height <= status.height + 1
        assert (status.syncing, status.nobody_has) == (False, None)
    assert "sync.nobody_has" not in {line.name for line in node.logs}


def test_peer_that_repeats_old_statuses_is_told_the_height_once_in_a_while() -> None:
    network = Network()
    network.start()
    network.run_until(network.reached(3))
    answers = []

    def watch(origin: str, to: str, message: object) -> bool:
        is_answer = isinstance(message, Status) and not message.rounds
        if is_answer and (origin, to) == ("node1", "node3"):
            answers.append(message)
        return False

    network.is_lost = watch
    old = Status(1, 0, Step.NEW_HEIGHT, -1, ())
    for _ in range(50):
        network.inject("node3", "node1", old)
    network.run(TOLD_MS // 2)
    assert len(answers) == 1
    network.run(TOLD_MS)
    network.inject("node3", "node1", old)
    network.run(TOLD_MS // 2)
    assert len(answers) == 2


def test_blocks_that_nobody_asked_for_are_ignored() -> None:
    network = one_behind()
    network.is_lost = lambda _from, _to, message: isinstance(message, wire.BlockResponse | Status)
    network.start("node4")
    network.run(10)
    network.inject("node1", "node4", response(network.nodes["node1"], 2))
    network.run(10)
    assert network.nodes["node4"].height == 1
    assert network.nodes["node4"].disconnected == []


def test_node_whose_state_differs_stops_and_says_what_helps() -> None:
    network = one_behind()
    node = network.nodes["node4"]
    network.start("node4")
    core = node.core
    # A wrong state that its own commit record agrees with: a fault of software or memory, not of the disk.
    core.store.commit = msgspec.structs.replace(core.store.commit, app_hash=b"x" * 32)
    network.run(3_000)
    assert node.halted is not None
    assert "concento node repair" in node.halted


def test_wiped_observer_catches_up_hundreds_of_blocks() -> None:
    network = Network(1, observers=1)
    network.start("node1")
    for _ in range(100):
        payment = network.transfer("bob", "carol", 1)
        network.submit("node1", payment)
        network.run_until(network.is_final(payment, "node1"))
    network.start("node2")
    network.run_until(lambda: network.nodes["node2"].height >= network.nodes["node1"].height, 5_000)
    assert network.nodes["node2"].app_hash == network.nodes["node1"].app_hash


def test_block_that_was_proposed_below_its_height_is_judged_again_at_its_height() -> None:
    network = one_behind()
    network.is_lost = lambda _origin, _to, message: isinstance(message, wire.BlockResponse)
    network.start("node4")
    network.run(20)
    node, ahead = network.nodes["node4"], network.nodes["node1"]
    height = node.height + 1
    block = response(ahead, height + 1).block
    identity = block_id(block.header)
    candidates = node.core._candidates
    candidates.offer(ahead.key.public, block, network.now_of(node))
    candidates.judge(Proposal(height, 1, -1, identity, ahead.key.public, bytes(64)), network.now_of(node))
    assert candidates._found[identity].verdict is False
    network.is_lost = lambda _origin, _to, message: (
        isinstance(message, wire.BlockResponse) and message.block.header.height > height
    )
    network.run_until(lambda: node.height == height, 15_000)
    assert candidates._found[identity].verdict is None


def test_peer_that_drips_blocks_holds_nobody_up_for_long() -> None:
    network = one_behind(60)
    asked: dict[str, int] = {}

    def is_lost(origin: str, to: str, message: object) -> bool:
        if to == "node3" and isinstance(message, wire.BlockRequest):
            asked["first"] = message.first
        # Of every answer of node3 only the first block arrives.
        is_answer = origin == "node3" and isinstance(message, wire.BlockResponse)
        return is_answer and message.block.header.height != asked["first"]

    network.is_lost = is_lost
    network.start("node4")
    network.inject("node3", "node4", Status(10**6, 0, Step.NEW_HEIGHT, -1, ()))
    start = network.mono_ms
    caught_up(network)
    assert network.mono_ms - start < 3_000


@pytest.mark.parametrize(
    "order", [("node1", "node2", "node3"), ("node2", "node3", "node1"), ("node3", "node1", "node2")]
)
def test_catching_up_ends_beside_a_liar_a_dripper_and_one_that_stops(
    order: tuple[str, str, str],
) -> None:
    network = one_behind(12)
    liar, dripper, stopper = order
    honest_from_ms = network.mono_ms + 20_000
    sent: dict[str, int] = dict.fromkeys(order, 0)

    def is_lost(origin: str, to: str, message: object) -> bool:
        if to != "node4" or not isinstance(message, wire.BlockResponse) or network.mono_ms > honest_from_ms:
            return False
        sent[origin] += 1
        if origin == liar:
            bad = msgspec.structs.replace(message.commit, signatures=message.commit.signatures[:1])
            forged = msgspec.structs.replace(message, commit=bad)
            if message != forged:
                network.inject(origin, to, forged)
                return True
        return origin == stopper or (origin == dripper and sent[origin] % 4 != 1)

    network.is_lost = is_lost
    network.start("node4")
    network.run_until(lambda: network.nodes["node4"].height >= network.nodes["node1"].height, 60_000)
    network.check_agreement()
    assert network.nodes["node4"].app_hash == network.nodes["node1"].app_hash
