"""What is asked of single nodes and of votes: each question has an answer that is refused."""

from collections import Counter

import pytest

from concento.votes import Proposal, Vote, VoteType
from node.replica.wire import BatchRequest, ProposedRequest, encode_message
from sim.crypto import STUB
from sim.network import Network
from sim.nodewatch import ASKED_IN_A_ROW_MAX, NodeWatch, check_resources, check_round
from sim.violation import Violation
from sim.votewatch import VoteWatch

BLOCK = b"\x01" * 32
KEYS = [bytes((number,)) * 32 for number in range(4)]


def watch() -> VoteWatch:
    return VoteWatch(lambda _height: set(KEYS), Counter())


def prevote(number: int, round_: int) -> Vote:
    return Vote(VoteType.PREVOTE, 1, round_, BLOCK, KEYS[number], bytes(64))


def running() -> Network:
    network = Network(signing=STUB)
    network.start()
    network.run(100)
    return network


def test_a_prevote_on_a_proof_of_lock_that_does_not_exist_is_seen() -> None:
    votes = watch()
    for number in (0, 1):
        votes.voted(prevote(number, 0), honest=True)
    votes.proposed(Proposal(1, 2, 0, BLOCK, KEYS[0], bytes(64)), honest=False)
    with pytest.raises(Violation, match="a proof of lock is there"):
        votes.voted(prevote(2, 2), honest=True)


def test_a_prevote_on_a_proof_of_lock_is_right() -> None:
    votes = watch()
    for number in (0, 1, 3):
        votes.voted(prevote(number, 0), honest=True)
    votes.proposed(Proposal(1, 2, 0, BLOCK, KEYS[0], bytes(64)), honest=True)
    votes.voted(prevote(2, 2), honest=True)


def test_a_precommit_whose_block_is_not_on_disk_is_seen() -> None:
    network = running()
    nodes = NodeWatch(lambda _transaction: True)
    with pytest.raises(Violation, match="on disk"):
        nodes.precommitted(network.nodes["node1"], BLOCK)


def test_asking_one_peer_again_and_again_is_seen() -> None:
    network = running()
    node, nodes = network.nodes["node1"], NodeWatch(lambda _transaction: True)
    peers = [network.nodes[name].key.public for name in ("node2", "node3")]
    for message in (BatchRequest((BLOCK,)), ProposedRequest(1, b"\x02" * 32)):
        payload = encode_message(message)
        for peer in peers * ASKED_IN_A_ROW_MAX:
            nodes.requested(node, (peer,), payload)
        for _ in range(ASKED_IN_A_ROW_MAX - 1):
            nodes.requested(node, (peers[1],), payload)
        with pytest.raises(Violation, match="asked of everybody"):
            nodes.requested(node, (peers[1],), payload)


def test_a_node_that_others_have_left_behind_is_seen() -> None:
    network = running()
    engine = network.nodes["node1"].core._engine
    network.submit("node1", network.transfer("bob", "carol", 1))
    network.run_until(lambda: engine._heard is not None and engine.state.step.name == "PREVOTE", 2_000)
    check_round(network.nodes["node1"])
    heard = engine._heard
    assert heard is not None
    for key in heard.validators.keys[:2]:
        heard.keeper.add(Vote(VoteType.PREVOTE, engine.state.height, 1, b"", key, bytes(64)))
    with pytest.raises(Violation, match="a third in a later round"):
        check_round(network.nodes["node1"])


def test_too_many_votes_are_seen() -> None:
    network = running()
    check_resources(network.nodes["node1"], 4)
    with pytest.raises(Violation, match="bounded memory"):
        check_resources(network.nodes["node1"], -1)
