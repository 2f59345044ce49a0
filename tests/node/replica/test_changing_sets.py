"""What a network of replicas lives through while its validators change."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from concento.blocks import block_id
from concento.development import development_account
from concento.errors import Rejected
from concento.evidence import Evidence, double_vote
from concento.messages.governance import AddValidator, Approve, Propose, RemoveValidator, Upgrade
from concento.messages.tokens import Transfer
from concento.votes import Proposal, Vote, VoteType, proposal_bytes, vote_bytes
from node.replica.core import Replica, open_replica
from node.replica.wire import EvidenceMessage, ProposalMessage
from sim import network as simulated
from state.validators import height_key
from support.consortium import Consortium, key_named


def begun(size: int = 4, candidates: int = 1) -> Consortium:
    network = Consortium(size, candidates)
    network.begin()
    return network


def test_a_node_joins_and_proposes_blocks() -> None:
    network = begun()
    network.join("node5")
    assert len(network.validators()) == 5
    network.pay(12)
    assert "node5" in network.proposers()
    network.check_agreement()


def test_a_node_signs_from_the_first_height_of_its_set_and_not_before() -> None:
    network = begun()
    network.join("node5")
    network.pay(6)
    chain = network.nodes["node1"].core._chain
    first = next(height for height in range(1, chain.height) if key_named("node5") in chain.validators_at(height))
    assert network.signed_heights("node5")[0] == first
    header = next(
        block.stored.record.block.header
        for block in network.nodes["node1"].committed
        if block.stored.height == first - 1
    )
    assert header.next_validators_hash == chain.validators_at(first).hash != header.validators_hash


def test_a_removed_validator_stops_signing_and_the_others_go_on() -> None:
    network = begun(5, 0)
    network.leave("node5")
    chain = network.nodes["node1"].core._chain
    last = max(height for height in range(1, chain.height) if key_named("node5") in chain.validators_at(height))
    network.pay(8)
    assert max(network.signed_heights("node5")) <= last
    assert "node5" not in network.proposers()[last:]
    network.check_agreement()


def test_what_a_removed_validator_proposes_and_votes_counts_for_nothing() -> None:
    network = begun(5, 0)
    network.leave("node5")
    network.run(300)
    gone, core = network.nodes["node5"], network.nodes["node1"].core
    height = core._chain.height
    block = gone.core._chain.build(0, network.now.wall_ms + 1, gone.key.public, (), ())
    message = proposal_bytes(network.genesis.network, height, 0, -1, block_id(block.header))
    proposal = Proposal(height, 0, -1, block_id(block.header), gone.key.public, gone.key.sign(message))
    network.inject("node5", "node1", ProposalMessage(proposal, block))
    for kind in VoteType:
        words = vote_bytes(network.genesis.network, kind, height, 0, proposal.block_id)
        vote = Vote(kind, height, 0, proposal.block_id, gone.key.public, gone.key.sign(words))
        network.inject("node5", "node1", vote)
    network.run(50)
    heard = core._engine._heard
    assert heard is not None
    assert heard.height == height
    assert (heard.proposal(0), heard.keeper.size()) == (None, 0)
    with pytest.raises(Rejected):
        core._chain.check(block)
    network.pay(3)
    network.check_agreement()


def test_what_waits_at_a_removed_validator_is_forgotten_there_and_goes_through_elsewhere() -> None:
    network = begun(5, 0)
    proposal = network.propose(RemoveValidator(key_named("node5")))
    network.hand_in(*(network.act(name, Approve(proposal)) for name in ("node2", "node3", "node4")))
    # It is cut off with a payment that nobody else has, and learns later that it has left.
    network.partition(["node5"], ["node1", "node2", "node3", "node4"])
    network.away = ("node5",)
    waiting = network.act("bob", Transfer(development_account("carol"), 7), valid_ms=110_000)
    network.submit("node5", waiting)
    network.pay(4)
    assert network.nodes["node5"].core.lookup(waiting.id) is not None
    network.heal()
    network.run_until(network.reached(network.nodes["node1"].height, "node5"))
    if not network.is_final(waiting)():
        assert network.nodes["node5"].core.lookup(waiting.id) is None
        network.submit("node1", waiting)
    network.run_until(network.is_final(waiting))
    again = network.submit("node5", network.act("bob", Transfer(development_account("carol"), 1)))
    network.run_until(lambda: again in network.nodes["node5"].answers)
    (outcome,) = network.nodes["node5"].answers[again]
    assert outcome.error is not None
    assert outcome.error.kind == "node.observer"


def test_a_new_validator_costs_no_time_at_its_first_height() -> None:
    """What it says of its first height before the others are there is kept: nothing has to be asked for again."""
    network = begun(4, 3)
    for name in ("node5", "node6", "node7"):
        network.join(name)
    rounds = [block.stored.record.block.header.round for block in network.nodes["node1"].committed]
    assert set(rounds) == {0}


def test_a_replaced_key_hands_over_under_load() -> None:
    network = begun()
    network.replace("node2", "node5")
    assert key_named("node2") not in network.validators()
    network.pay(8)
    assert "node5" in network.proposers()[-8:]
    assert "node2" not in network.proposers()[-6:]
    # The machine of the old key may go.
    network.kill("node2")
    network.pay(4)
    network.check_agreement()


def test_a_network_grows_to_seven_and_shrinks_to_four_under_load() -> None:
    network = begun(4, 3)
    for name in ("node5", "node6", "node7"):
        network.join(name)
        network.pay(2)
    assert (len(network.validators()), network.validators().quorum) == (7, 5)
    network.kill("node1")
    network.kill("node6")
    network.pay(6)
    network.start("node1", "node6")
    for name in ("node7", "node1", "node6"):
        network.leave(name)
    assert sorted(network.names()) == ["node2", "node3", "node4", "node5"]
    network.pay(6)
    network.check_agreement()


def test_two_of_seven_may_fall_silent_and_three_may_not() -> None:
    network = begun(7, 0)
    network.kill("node1")
    network.kill("node2")
    network.pay(2)
    network.kill("node3")
    stuck = network.act("bob", Transfer(development_account("carol"), 1))
    network.submit("node4", stuck)
    network.run(20_000)
    assert not network.is_final(stuck)()
    network.start("node3")
    network.run_until(network.is_final(stuck, "node3", "node4"))


def test_exactly_two_thirds_of_six_do_not_decide() -> None:
    network = begun(6, 0)
    network.kill("node1")
    network.kill("node2")
    stuck = network.act("bob", Transfer(development_account("carol"), 1))
    network.submit("node4", stuck)
    network.run(20_000)
    assert not network.is_final(stuck)()
    network.start("node1")
    network.run_until(network.is_final(stuck, "node1", "node4"))
    network.check_agreement()


def test_all_of_the_first_validators_may_go_and_a_new_node_still_follows_from_genesis() -> None:
    network = begun(4, 5)
    network.kill("node9")
    for old, new in (("node1", "node5"), ("node2", "node6"), ("node3", "node7"), ("node4", "node8")):
        network.replace(old, new)
    for old in ("node1", "node2", "node3", "node4"):
        network.kill(old)
    network.pay(3)
    assert sorted(network.names()) == ["node5", "node6", "node7", "node8"]
    network.start("node9")
    network.run_until(network.reached(network.nodes["node5"].height, "node9"))
    assert network.nodes["node9"].app_hash == network.nodes["node5"].app_hash
    network.check_agreement()


def test_a_validator_without_its_disk_follows_over_every_change_and_signs_again() -> None:
    network = begun(5, 2)
    network.join("node6")
    network.leave("node5")
    network.join("node7")
    network.kill("node1")
    network.wipe("node1")
    network.start("node1")
    network.pay(12)
    network.run_until(network.reached(network.nodes["node2"].height, "node1"))
    network.pay(8)
    assert max(network.signed_heights("node1")) >= network.nodes["node2"].height - 4
    network.check_agreement()


def test_the_change_that_a_crash_falls_into_is_the_same_after_it() -> None:
    network = begun(5, 1)
    network.admit("node6")
    proposal = network.propose(AddValidator(key_named("node6")))
    approvals = [network.act(name, Approve(proposal)) for name in ("node2", "node3", "node4")]
    network.submit("node1", *approvals)
    for approval in approvals:
        network.run_until(network.is_final(approval, *network.names()))
    # Decided, and not yet in force: all lose power at once.
    decided = network.nodes["node1"].height
    for name in network.nodes:
        network.kill(name)
    network.start()
    network.run_until(network.reached(decided + 2))
    network.pay(4)
    assert key_named("node6") in network.validators()
    assert len({node.core.status().validators.hash for node in network.up}) == 1
    network.check_agreement()


def test_a_set_that_changes_while_a_part_is_cut_off_is_caught_up_with() -> None:
    network = begun(5, 1)
    network.partition(["node5"], ["node1", "node2", "node3", "node4", "node6"])
    network.away = ("node5",)
    network.join("node6")
    network.leave("node5")
    network.pay(3)
    network.heal()
    network.run_until(network.reached(network.nodes["node1"].height, "node5"))
    assert not network.nodes["node5"].core._engine._signer.enabled
    network.check_agreement()


def test_missed_turns_survive_a_change_of_the_set() -> None:
    """A dead validator waits at the end of the order, also in a set that it shares with a new one."""
    network = begun(5, 1)
    network.kill("node5")
    network.pay(6)
    network.join("node6")
    network.pay(10)
    network.leave("node5")
    network.pay(6)
    assert len({node.core._chain._turns for node in network.up if node.name in network.names()}) == 1
    network.check_agreement()


def contradiction(network: Consortium, name: str, height: int) -> tuple[Vote, Vote]:
    """Two prevotes of one validator for one place."""
    key = network.nodes[name].key
    votes = []
    for block in (b"1" * 32, b"2" * 32):
        message = vote_bytes(network.genesis.network, VoteType.PREVOTE, height, 0, block)
        votes.append(Vote(VoteType.PREVOTE, height, 0, block, key.public, key.sign(message)))
    return votes[0], votes[1]


def evidence_in(network: Consortium) -> list[Evidence]:
    blocks = [committed.stored.record.block for committed in network.nodes["node2"].committed]
    return [piece for block in blocks for piece in block.evidence]


def test_equivocation_removes_while_more_than_the_minimum_remain() -> None:
    network = begun(5, 0)
    votes = contradiction(network, "node5", network.nodes["node1"].height + 1)
    network.kill("node5")
    for vote in votes:
        network.inject("node4", "node1", vote)
    network.pay(6)
    assert evidence_in(network) == [double_vote(*votes)]
    assert key_named("node5") not in network.validators()
    assert len(network.validators()) == 4
    # Of four nobody is spared: the next one keeps its vote.
    again = contradiction(network, "node4", network.nodes["node1"].height + 1)
    for vote in again:
        network.inject("node3", "node1", vote)
    network.pay(6)
    assert evidence_in(network) == [double_vote(*votes), double_vote(*again)]
    assert key_named("node4") in network.validators()


def test_a_key_that_was_voted_out_is_accused_once_and_never_comes_back() -> None:
    network = begun(5, 0)
    votes = contradiction(network, "node5", network.nodes["node1"].height)
    network.leave("node5")
    again = contradiction(network, "node5", network.nodes["node1"].height - 2)
    for pair in (votes, again):
        network.inject("node2", "node1", EvidenceMessage(double_vote(*pair)))
        network.pay(5)
    assert len(network.validators()) == 4
    assert evidence_in(network) == [double_vote(*votes)]
    network.admit("node5")
    refused = network.act("node1", Propose(AddValidator(key_named("node5")), network.now.wall_ms + 60_000))
    token = network.submit("node1", refused)
    network.run_until(lambda: token in network.nodes["node1"].answers)
    (outcome,) = network.nodes["node1"].answers[token]
    assert outcome.error is not None
    assert outcome.error.kind == "governance.key_spent"


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_under_random_loss_keep_one_chain(seed: int) -> None:
    random = Random(seed)
    network = begun(5, 3)
    network.is_lost = lambda _from, _to, _message: random.random() < 0.05
    waiting = ["node6", "node7", "node8"]
    gone: list[str] = []
    for _ in range(6):
        step = random.choice(("join", "leave", "kill", "replace"))
        inside = network.names()
        if step == "join" and waiting:
            network.join(waiting.pop(0))
        elif step == "leave" and len(network.validators()) > 4 and len(inside) > 4:
            name = random.choice(inside[1:])
            network.leave(name)
            gone.append(name)
        elif step == "replace" and waiting:
            name = random.choice(inside[1:])
            network.replace(name, waiting.pop(0))
            gone.append(name)
        else:
            name = random.choice(inside[1:])
            network.kill(name, kept=random.randrange(64))
            network.start(name)
        network.pay()
    network.is_lost = None
    network.pay(4)
    network.check_agreement()
    assert len({node.core.status().validators.hash for node in network.up if node.name in network.names()}) == 1


# Upgrades


def with_releases(monkeypatch: pytest.MonkeyPatch, releases: dict[str, int]) -> None:
    """Every node runs a release that speaks protocols up to its number."""
    by_key = {key_named(name): number for name, number in releases.items()}

    def opened(genesis: Any, key: bytes, *rest: Any) -> Replica:
        return open_replica(genesis, key, *rest, protocol_max=by_key[key])  # type: ignore[misc]

    monkeypatch.setattr(simulated, "open_replica", opened)


def test_a_node_without_the_new_release_stops_at_the_upgrade_and_does_not_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    releases = {"node1": 2, "node2": 2, "node3": 2, "node4": 1}
    with_releases(monkeypatch, releases)
    network = begun(4, 0)
    at = network.nodes["node1"].height + 20
    network.decide(Upgrade(2, at))
    old = network.nodes["node4"]
    while old.is_up:
        network.drive()
    network.kill("node4")
    assert old.halted is not None
    assert f"from block {at} on this network speaks protocol 2; this release knows up to 1" in old.halted
    assert old.committed[-1].stored.height == at - 1
    network.pay(5)
    protocols = {block.stored.height: block.stored.record.block.header.protocol for block in network.up[0].committed}
    assert [protocols[height] for height in (at - 1, at, at + 1)] == [1, 2, 2]
    assert max(network.signed_heights("node4")) == at - 1
    # Started again, the old release refuses at once; the new one catches up and takes part.
    with pytest.raises(Rejected) as refusal:
        network.start("node4")
    assert refusal.value.kind == "node.protocol_new"
    assert "install a release that speaks protocol 2" in str(refusal.value.hint)
    releases["node4"] = 2
    with_releases(monkeypatch, releases)
    network.start("node4")
    network.run_until(network.reached(network.nodes["node1"].height, "node4"))
    network.pay(8)
    assert max(network.signed_heights("node4")) > at
    network.check_agreement()


def test_a_network_of_old_releases_stops_as_one_and_goes_on_when_most_have_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_releases(monkeypatch, dict.fromkeys(("node1", "node2", "node3", "node4"), 1))
    network = begun(4, 0)
    at = network.nodes["node1"].height + 12
    network.decide(Upgrade(2, at))
    waiting = network.act("bob", Transfer(development_account("carol"), 1), valid_ms=100_000)
    while network.up:
        network.drive()
    assert {node.committed[-1].stored.height for node in network.nodes.values()} == {at - 1}
    for name in network.nodes:
        network.kill(name)
    with_releases(monkeypatch, dict.fromkeys(("node1", "node2", "node3", "node4"), 2))
    network.start("node1", "node2", "node3")
    network.submit("node1", waiting)
    network.run_until(network.is_final(waiting))
    network.check_agreement()


def test_sets_are_kept_by_their_first_height_for_ever() -> None:
    network = begun()
    network.join("node5")
    kv = network.nodes["node1"].kv
    firsts = [int.from_bytes(key[-8:], "big") for key, _ in kv.scan(b"svalidators/")]
    assert len(firsts) == 2
    assert kv.get(b"svalidators/" + height_key(1)) is not None
