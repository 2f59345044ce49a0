"""What peers make a node send by asking: one account for batches, proposed blocks, decided blocks and snapshots."""

from __future__ import annotations

from collections.abc import Iterator

from concento.batches import Batch
from concento.limits import BLOCK_BYTES_MAX
from node.replica import wire
from node.replica.budget import (
    PEER_BYTES_AT_ONCE,
    PEER_BYTES_PER_S,
    SHARE_BYTES_AT_ONCE,
    SHARE_BYTES_PER_S,
    TOTAL_BYTES_AT_ONCE,
    TOTAL_BYTES_PER_S,
    Budget,
)
from node.replica.events import ArmTimer, Disconnect, Effect, Log, Now, PeerDown, PeerMessage, PeerUp, Send
from node.replica.outbox import Outbox
from node.replica.serving import Serving
from sim.network import Network

ANNE, BERT = b"a" * 32, b"b" * 32
PEERS = [bytes((number,)) * 32 for number in range(255)]
PIECE = 250_000
"""Bytes of a full batch, about."""


def granted(budget: Budget, peer: bytes, now_ms: int) -> int:
    """How much this peer gets at this moment that asks for batch after batch."""
    size = 0
    while budget.grants(peer, PIECE, Now(now_ms, 0)):
        size += PIECE
    return size


def test_whoever_asks_for_batches_without_end_gets_his_rate_and_no_more() -> None:
    budget = Budget(Outbox())
    given = sum(granted(budget, ANNE, now_ms) for now_ms in range(0, 10_000, 5))
    most = PEER_BYTES_AT_ONCE + 10 * PEER_BYTES_PER_S
    assert 0.95 * most < given <= most


def test_two_full_blocks_are_given_at_once_and_again_when_they_are_worked_off() -> None:
    budget = Budget(Outbox())
    assert granted(budget, ANNE, 0) > PEER_BYTES_AT_ONCE - PIECE
    assert granted(budget, ANNE, 0) == 0
    assert granted(budget, ANNE, PEER_BYTES_AT_ONCE * 1000 // PEER_BYTES_PER_S + 1) > PEER_BYTES_AT_ONCE - PIECE


def test_all_together_get_no_more_than_the_total_and_the_shares() -> None:
    budget = Budget(Outbox())
    given = sum(granted(budget, peer, now_ms) for now_ms in range(0, 5_000, 50) for peer in PEERS)
    at_once = TOTAL_BYTES_AT_ONCE + len(PEERS) * SHARE_BYTES_AT_ONCE
    assert given <= at_once + 5 * (TOTAL_BYTES_PER_S + len(PEERS) * SHARE_BYTES_PER_S)


def test_who_seldom_asks_gets_a_full_blocks_batches_whatever_the_others_ask() -> None:
    budget = Budget(Outbox())
    for now_ms in range(0, 20_000, 50):
        for peer in PEERS[:42]:
            granted(budget, peer, now_ms)
        if now_ms % 18_000 == 0:
            assert granted(budget, ANNE, now_ms) >= BLOCK_BYTES_MAX - PIECE


def endless() -> Iterator[wire.BatchAck]:
    while True:
        yield wire.BatchAck((bytes(32),) * 256)


def test_decided_blocks_wait_for_what_was_given_of_batches() -> None:
    out = Outbox()
    budget = Budget(out)
    owed = granted(budget, ANNE, 0)
    serving = Serving(out, budget)
    serving.ask(ANNE, endless(), Now(0, 0))
    (timer,) = out.take()
    assert isinstance(timer, ArmTimer)
    assert timer.delay_ms == -(-owed * 1000 // PEER_BYTES_PER_S)
    serving.ask(BERT, endless(), Now(0, 0))
    serving.go_on(Now(1, 0))
    assert {effect.peers[0] for effect in out.take() if isinstance(effect, Send)} == {BERT}


def test_blocks_are_served_though_two_others_use_up_the_total_with_batches() -> None:
    out = Outbox()
    budget = Budget(out)
    serving = Serving(out, budget)
    served = 0
    serving.ask(ANNE, endless(), Now(0, 0))
    for now_ms in range(1, 10_000, 5):
        granted(budget, BERT, now_ms)
        granted(budget, PEERS[0], now_ms)
        granted(budget, PEERS[1], now_ms)
        serving.go_on(Now(now_ms, 0))
        served += sum(len(effect.payload) for effect in out.take() if isinstance(effect, Send))
    assert served > 9 * SHARE_BYTES_PER_S


def test_accounts_are_kept_while_anything_is_owed_and_no_longer() -> None:
    budget = Budget(Outbox())
    granted(budget, ANNE, 0)
    budget.forget(Now(1, 0))
    assert granted(budget, ANNE, 1) < PIECE
    budget.forget(Now(60_000, 0))
    assert not budget._peers
    assert not budget._shares


# In a replica


def with_batches(*lost: type[wire.Message]) -> tuple[Network, list[bytes], int]:
    """Node 1 holds batches that nothing decides, for want of votes: their ids, and the bytes of all of them."""
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    network.is_lost = lambda _from, _to, message: isinstance(message, (wire.Vote, *lost))
    for first in (0, 200, 400):
        network.submit("node1", *(network.transfer("bob", "carol", first + number) for number in range(1, 201)))
        network.run(50)
    held = list(network.nodes["node1"].core._batches.held)
    return network, [batch.id for batch in held], sum(len(batch.raw) for batch in held)


def asked(network: Network, message: wire.Message, times: int) -> list[Effect]:
    """What node 1 does when node 2 sends this so often at one moment."""
    node, sender = network.nodes["node1"], network.nodes["node2"].key.public
    event = PeerMessage(sender, wire.encode_message(message))
    return [effect for _ in range(times) for effect in node.core.handle(event, network.now_of(node))]


def bytes_sent(effects: list[Effect], kind: type[wire.Message]) -> int:
    sent = [effect.payload for effect in effects if isinstance(effect, Send)]
    return sum(len(payload) for payload in sent if isinstance(wire.decode_message(payload), kind))


def test_a_node_does_not_send_the_same_batches_without_end_and_disconnects_nobody_for_asking() -> None:
    network, identities, size = with_batches()
    effects = asked(network, wire.BatchRequest(tuple(identities)), 2 * PEER_BYTES_AT_ONCE // size)
    assert PEER_BYTES_AT_ONCE - size < bytes_sent(effects, Batch) <= PEER_BYTES_AT_ONCE
    assert not any(isinstance(effect, Disconnect) for effect in effects)
    assert any(isinstance(effect, Log) and effect.name == "peer.asks_too_much" for effect in effects)
    network.run(1_000)
    assert bytes_sent(asked(network, wire.BatchRequest(tuple(identities)), 1), Batch) >= size


def test_proposed_blocks_and_batches_are_charged_to_the_same_account() -> None:
    network, identities, size = with_batches()
    asked(network, wire.BatchRequest(tuple(identities)), 2 * PEER_BYTES_AT_ONCE // size)
    (found, *_) = network.nodes["node1"].core._candidates._found
    sent = bytes_sent(asked(network, wire.ProposedRequest(2, found), 1_000), wire.ProposedBlock)
    assert sent < size
    network.run(1_000)
    assert bytes_sent(asked(network, wire.ProposedRequest(2, found), 1), wire.ProposedBlock) > 0


def test_a_new_connection_is_no_fresh_start() -> None:
    network, _, size = with_batches(wire.BatchAck)
    node, peer = network.nodes["node1"], network.nodes["node2"].key.public
    effects: list[Effect] = []
    for _ in range(2 * PEER_BYTES_AT_ONCE // size):
        node.core.handle(PeerDown(peer), network.now_of(node))
        effects += node.core.handle(PeerUp(peer), network.now_of(node))
    assert PEER_BYTES_AT_ONCE - size < bytes_sent(effects, Batch) <= PEER_BYTES_AT_ONCE
