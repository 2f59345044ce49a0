"""What a network of replicas lives through: loss, silence, partitions, power cuts, wiped disks."""

from __future__ import annotations

import pytest

from concento.evidence import double_vote
from concento.votes import Vote, VoteType, vote_bytes
from consensus.effects import Timer
from consensus.machine import QUICK_ROUNDS
from consensus.messages import Status, Step
from node.replica import core, wire
from node.replica.events import Append, ArmTimer, Effect, Send, Sync, Write, WriteGuard
from sim.byzantine import Liar
from sim.network import Network, Node, PowerCut
from state.store.kv import MemoryKeyValue

LIE = 1_000_000

KINDS = [rule.record for rule in wire.RULES.values()]


def started(size: int = 4, observers: int = 0) -> Network:
    network = Network(size, observers)
    network.start()
    network.run_until(network.reached(1))
    return network


def pay(network: Network, name: str = "node1", at_most_ms: int = 20_000) -> None:
    """A payment through this node becomes final everywhere."""
    payment = network.transfer("bob", "carol", 1)
    network.submit(name, payment)
    network.run_until(network.is_final(payment), at_most_ms)


def test_idle_network_settles_within_two_blocks_and_then_makes_heartbeats_only() -> None:
    network = started()
    pay(network)
    network.run(200)
    settled = {node.height for node in network.up}
    roots = {node.app_hash for node in network.up}
    network.run(4_000)
    assert {node.height for node in network.up} == settled
    network.run(20_000)
    heights = {node.height for node in network.up}
    assert len(settled) == len(heights) == 1
    assert 3 <= heights.pop() - settled.pop() <= 5
    assert {node.app_hash for node in network.up} == roots


def test_payment_is_followed_by_the_block_that_proves_its_state() -> None:
    network = started()
    pay(network)
    network.run(200)
    for node in network.up:
        record = node.core._chain.tip
        assert record is not None
        assert record.block.header.app_hash == node.app_hash


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_losing_every_message_of_one_kind_for_a_while_only_delays(kind: type) -> None:
    network = started()
    network.is_lost = lambda _from, _to, message: isinstance(message, kind)
    payment = network.transfer("bob", "carol", 1)
    network.submit("node3", payment)
    network.run(4_000)
    network.heal()
    network.run_until(network.is_final(payment), 20_000)
    network.check_agreement()


def test_losing_everything_from_the_start_only_delays() -> None:
    network = Network()
    network.is_lost = lambda *_: True
    network.start()
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(10_000)
    assert not network.is_final(payment)()
    network.heal()
    network.run_until(network.is_final(payment), 20_000)
    network.check_agreement()


def test_silent_validator_costs_a_timeout_now_and_then_and_not_every_fourth_block() -> None:
    network = started()
    network.kill("node2")
    pay(network)
    start = network.mono_ms
    for _ in range(12):
        pay(network)
    # Its turns come up every fourth block; after the first miss it is passed over for two seconds and more.
    assert network.mono_ms - start < 5_000
    network.check_agreement()


def test_halves_of_a_partition_wait_and_go_on_together() -> None:
    network = started()
    network.partition(("node1", "node2"), ("node3", "node4"))
    payments = [network.transfer("bob", "carol", 1), network.transfer("alice", "carol", 1)]
    network.submit("node1", payments[0])
    network.submit("node3", payments[1])
    before = {node.height for node in network.up}
    network.run(8_000)
    assert max(node.height for node in network.up) <= max(before) + 1
    network.heal()
    for payment in payments:
        network.run_until(network.is_final(payment), 20_000)
    network.check_agreement()


def test_killed_node_comes_back_and_catches_up() -> None:
    network = started()
    network.kill("node4")
    for _ in range(5):
        pay(network)
    network.start("node4")
    network.run_until(lambda: network.nodes["node4"].height == network.nodes["node1"].height, 5_000)
    assert network.nodes["node4"].app_hash == network.nodes["node1"].app_hash
    network.kill("node1")
    pay(network, "node4")
    network.check_agreement()


def test_all_nodes_killed_at_once_resume() -> None:
    network = started()
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(4)
    for name in network.nodes:
        network.kill(name)
    network.start()
    network.run_until(network.is_final(payment), 20_000)
    network.check_agreement()


@pytest.mark.parametrize("nth", range(1, 25))
def test_power_cut_before_any_effect_loses_nothing_and_signs_nothing_twice(nth: int) -> None:
    network = started()
    kept = nth % 3 * 6
    counted = iter(range(1, nth + 1))

    def cut(node: Node, effect: Effect) -> None:
        lasting = isinstance(effect, Append | Sync | WriteGuard | Write | Send)
        if node.name == "node2" and lasting and next(counted) == nth:
            network.before_effect = None
            raise PowerCut(kept)

    network.before_effect = cut
    payments = [network.transfer("bob", "carol", 1) for _ in range(4)]
    for number, payment in enumerate(payments):
        network.submit(f"node{number + 1}", payment)
        network.run(100)
    network.run_until(lambda: not network.nodes["node2"].is_up, 10_000)
    network.run(500)
    network.start("node2")
    # What was given to node2 alone may be gone with its memory; everything else is final.
    for payment in payments[:1] + payments[2:]:
        network.run_until(network.is_final(payment), 20_000)
    network.run_until(lambda: len({node.app_hash for node in network.up}) == 1, 5_000)
    # Its vote is needed again.
    network.kill("node3")
    pay(network)
    network.check_agreement()


def test_wiped_validator_catches_up_and_does_not_vote_too_early() -> None:
    network = started()
    for _ in range(3):
        pay(network)
    network.kill("node3")
    network.wipe("node3")
    pay(network)
    tip = max(node.height for node in network.up)
    key = network.nodes["node3"].key.public
    for place in [place for place in network.signed if place[0] == key]:
        del network.signed[place]
    network.start("node3")
    network.run_until(lambda: network.nodes["node3"].height >= tip, 5_000)
    for _ in range(6):
        pay(network)
    heights = [place[2] for place in network.signed if place[0] == key]
    assert heights
    assert min(heights) >= tip + 3
    network.kill("node1")
    pay(network, "node2")
    network.check_agreement()


def test_wiped_disk_with_its_guard_kept_votes_at_once() -> None:
    network = started()
    network.kill("node3")
    network.wipe("node3", keeps_guard=True)
    pay(network)
    network.start("node3")
    network.run(500)
    network.kill("node1")
    pay(network, "node2")
    network.check_agreement()


def test_guard_rolled_back_to_an_older_copy_is_noticed_and_not_used() -> None:
    network = started()
    olds = {name: node.files.read("guard", 0, 1 << 20) for name, node in network.nodes.items()}
    pay(network)
    network.run(200)
    # A proposer would sign again before it hears anything; nothing but keeping the guard helps there.
    proposer = network.nodes["node1"].core.status().proposer
    node = next(node for node in network.up if node.key.public != proposer and node.name != "node1")
    old = olds[node.name]
    # Without proposals all vote nil, round after round; the others remember its votes.
    network.is_lost = lambda _from, _to, message: isinstance(message, wire.ProposalMessage | wire.ProposedBlock)
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(3_000)
    network.kill(node.name)
    node.files.write_at("guard", 0, old)
    network.start(node.name)
    network.run(1_000)
    assert any(entry.name == "signer.rolled_back" for entry in node.logs)
    stopped_at = node.height + 1
    network.kill(node.name)
    network.start(node.name)
    network.run(1_000)
    network.heal()
    network.run_until(network.is_final(payment), 20_000)
    for _ in range(5):
        pay(network)
    key = node.key.public
    assert not [place for place, words in network.signed.items() if place[0] == key and len(words) > 1]
    assert node.core.status().guard_usable
    assert stopped_at + 3 <= node.height
    network.check_agreement()


def test_small_network_needs_its_operator_to_vouch_for_a_wiped_validator() -> None:
    network = started(3)
    network.kill("node3")
    network.wipe("node3")
    network.start("node3")
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(10_000)
    assert not network.is_final(payment)()
    assert not network.nodes["node3"].core.status().guard_usable
    network.override_guard("node3", network.nodes["node3"].height + 1)
    network.run_until(network.is_final(payment), 10_000)
    network.check_agreement()


def test_equivocation_at_the_height_being_decided_is_punished_in_a_later_block() -> None:
    network = started()
    key = network.nodes["node3"].key
    height = network.nodes["node1"].height + 1
    votes = []
    for identity in (b"1" * 32, b"2" * 32):
        message = vote_bytes(network.genesis.network, VoteType.PREVOTE, height, 0, identity)
        votes.append(Vote(VoteType.PREVOTE, height, 0, identity, key.public, key.sign(message)))
    network.kill("node3")
    for vote in votes:
        network.inject("node4", "node1", vote)
    network.run(10_000)
    punished = [committed.stored.record.block.evidence for committed in network.nodes["node2"].committed]
    assert [piece for pieces in punished for piece in pieces] == [double_vote(*votes)]


def test_an_equivocator_cannot_make_an_idle_network_decide_for_ever() -> None:
    network = started()
    node = network.nodes["node4"]
    network.twist["node4"] = Liar(7, "equivocate", 1.0, node.key, network.genesis.network).twist
    pay(network)
    network.run(3_000)
    before = network.nodes["node1"].height
    evidence = [len(block.stored.record.block.evidence) for block in network.nodes["node1"].committed]
    assert sum(evidence) > 0
    network.run(20_000)
    # Heartbeats are left, and what comes of them.
    assert network.nodes["node1"].height - before < 15


def test_single_validator_network_makes_blocks_alone() -> None:
    network = started(1)
    pay(network)
    network.check_agreement()


def test_observer_follows_without_a_vote() -> None:
    network = started(4, observers=1)
    pay(network)
    assert network.nodes["node5"].app_hash == network.nodes["node1"].app_hash
    token = network.submit("node5", network.transfer("bob", "carol", 1))
    network.run(10)
    (outcome,) = network.nodes["node5"].answers[token]
    assert outcome.error is not None
    assert outcome.error.kind == "node.observer"


def test_nothing_that_others_rest_on_leaves_before_it_is_on_disk() -> None:
    network = Network()
    unsynced: dict[str, bool] = {}
    checked: dict[str, int] = {}

    def watch(node: Node, effect: Effect) -> None:
        match effect:
            case Append():
                unsynced[node.name] = True
            case Sync():
                unsynced[node.name] = False
            case Write():
                assert not unsynced.get(node.name)
            case Send(_, payload, _):
                message = wire.decode_message(payload)
                precommit = isinstance(message, Vote) and message.type is VoteType.PRECOMMIT
                if precommit or isinstance(message, wire.BatchAck):
                    assert not unsynced.get(node.name)
                    checked[type(message).__name__] = checked.get(type(message).__name__, 0) + 1

    network.before_effect = watch
    network.start()
    for name in (*network.nodes, *network.nodes):
        pay(network, name)
    assert set(checked) == {"Vote", "BatchAck"}


def test_a_liar_about_his_tip_cannot_keep_a_validator_without_a_guard_from_signing() -> None:
    network = started()
    network.kill("node3")
    network.wipe("node3")
    pay(network)
    key = network.nodes["node3"].key.public
    for place in [place for place in network.signed if place[0] == key]:
        del network.signed[place]

    def is_lost(origin: str, to: str, message: object) -> bool:
        if origin == "node1" and to == "node3" and isinstance(message, Status) and message.height < LIE:
            network.inject(origin, to, Status(LIE, 0, Step.NEW_HEIGHT, -1, ()))
            return True
        return False

    network.is_lost = is_lost
    network.start("node3")
    for _ in range(8):
        pay(network)
    assert network.nodes["node3"].core.status().guard_usable
    assert any(place[0] == key for place in network.signed)
    network.check_agreement()


def forgotten(network: Network, name: str, guard: bytes) -> Node:
    """The node with an older copy of its guard, and what it signs from now on counted from nothing."""
    network.kill(name)
    node = network.nodes[name]
    node.files.write_at("guard", 0, guard)
    return node


def test_guard_older_than_the_own_blocks_is_found_at_the_start_before_anything_is_signed() -> None:
    network = started()
    old = {name: node.files.read("guard", 0, 1 << 20) for name, node in network.nodes.items()}
    for _ in range(3):
        pay(network)
    proposer = network.nodes["node1"].core.status().proposer
    node = forgotten(network, network.by_key[proposer].name, old[network.by_key[proposer].name])
    network.is_lost = lambda _from, to, _message: to == node.name
    network.start(node.name)
    network.run(10_000)
    assert any(entry.name == "signer.rolled_back" for entry in node.logs)
    assert not node.core.status().guard_usable
    network.check_agreement()


def test_a_whole_disk_put_back_to_an_older_copy_is_found_while_the_blocks_between_come_back() -> None:
    network = started()
    pay(network)
    network.kill("node3")
    node = network.nodes["node3"]
    copy = MemoryKeyValue(dict(node.kv.scan(b""))), node.files.crash()
    network.start("node3")
    for _ in range(4):
        pay(network)
    network.kill("node3")
    node.kv, node.files = copy
    network.start("node3")
    network.run(2_000)
    assert any(entry.name == "signer.rolled_back" for entry in node.logs)
    for _ in range(6):
        pay(network)
    assert node.core.status().guard_usable
    network.check_agreement()


def test_a_restarted_validator_hears_others_before_it_signs_but_waits_for_nobody_for_ever() -> None:
    network = started()
    pay(network)
    network.kill("node3")
    network.is_lost = lambda _from, to, message: to == "node3" and isinstance(message, Status)
    network.start("node3")
    before = {place for place in network.signed if place[0] == network.nodes["node3"].key.public}
    network.kill("node1")
    payment = network.transfer("bob", "carol", 1)
    network.submit("node2", payment)
    network.run(core.AWAKE_MS - 500)
    after = {place for place in network.signed if place[0] == network.nodes["node3"].key.public}
    assert after == before
    network.run_until(network.is_final(payment), 20_000)


def test_one_payment_handed_to_every_node_a_hundred_times_is_made_once_and_waits_nowhere() -> None:
    """Case 40."""
    network = started()
    payment = network.transfer("bob", "carol", 7)
    before = network.balance("node1", "carol")
    for number in range(100):
        for name in network.nodes:
            network.submit(name, payment)
        if number % 10 == 0:
            network.run(5)
    network.run_until(network.is_final(payment))
    network.run(3_000)
    for node in network.up:
        assert network.balance(node.name, "carol") == before + 7
        assert node.core.status().pool_count == 0
        outcomes = [outcome for committed in node.committed for outcome in committed.stored.outcomes]
        assert [outcome.status for outcome in outcomes if outcome.id == payment.id and outcome.status != "skipped"] == [
            "ok"
        ]
        token = network.submit(node.name, payment)
        network.run(50)
        assert [outcome.status for outcome in node.answers[token]] == ["included"]


def test_a_block_one_byte_over_the_limit_is_voted_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 9: the limit of this test is the size of one payment's batch, and then a byte less."""
    network = started()
    payment = network.transfer("bob", "carol", 1)
    size = len(payment.raw)
    monkeypatch.setattr("node.replica.candidates.BLOCK_BYTES_MAX", size - 1)
    network.submit("node1", payment)
    network.run(150)
    assert not network.is_final(payment)()
    assert min(node.core.status().round for node in network.up) >= QUICK_ROUNDS
    monkeypatch.setattr("node.replica.candidates.BLOCK_BYTES_MAX", size)
    network.run_until(network.is_final(payment), 60_000)
    network.check_agreement()


def test_blocks_keep_their_distance_from_decision_to_decision_and_not_from_the_end_of_applying() -> None:
    network = started()
    armed: list[ArmTimer] = []

    def look(node: Node, effect: Effect) -> None:
        if isinstance(effect, ArmTimer) and effect.timer[0] == "consensus":
            expected = network.now_of(node).mono_ms if effect.timer[3] == Timer.SPACING else None
            assert effect.since_ms == expected
            armed.append(effect)

    network.before_effect = look
    pay(network)
    assert {effect.timer[3] for effect in armed} >= {Timer.SPACING, Timer.PROPOSE}
