"""Validators that come and go in a made-up world: changes happen, and the one chain stays."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from concento.messages.governance import Approve, Propose
from sim.checkers import Checker
from sim.churn import Churn, churn_genesis, make_candidates
from sim.crypto import STUB
from sim.network import Network
from state.events import decode_events


def churned(seed: int, steps: int) -> tuple[Network, Churn, Counter[str]]:
    """A network of four with three candidates, after this many rounds of proposals and approvals."""
    dice = Random(seed)
    network = Network(4, 3, churn_genesis(4), STUB)
    make_candidates(network)
    network.watcher = Checker(network.genesis, STUB, frozenset(), Counter())
    churn = Churn(network, dice)
    network.start()
    network.run_until(network.reached(1))
    told: Counter[str] = Counter()
    for _ in range(steps):
        for transaction in churn.transactions():
            network.submit("node1", transaction)
            network.submit(dice.choice(list(network.nodes)), transaction)
        network.run(100)
    for committed in network.nodes["node1"].committed:
        stored = committed.stored
        encoded = (*(outcome.events for outcome in stored.outcomes), stored.closing_events)
        told.update(event.kind for events in map(decode_events, encoded) for event in events)
    return network, churn, told


@pytest.mark.parametrize("seed", range(2))
def test_sets_change_in_every_way_and_all_nodes_have_the_same(seed: int) -> None:
    network, _, told = churned(seed, 45)
    assert told["governance.accepted"] >= 6
    assert told["validators.added"] + told["validators.left"] + told["validators.key_replaced"] >= 2
    payment = network.transfer("bob", "carol", 1)
    for name in network.nodes:
        network.submit(name, payment)
    network.run_until(network.is_final(payment))
    network.check_agreement()
    assert len({node.core.status().validators.hash for node in network.up}) == 1


def test_every_kind_of_change_comes_up() -> None:
    kinds: Counter[str] = Counter()
    for seed in (2, 3, 4):
        _, _, told = churned(seed, 40)
        kinds += told
    for kind in ("observers.admitted", "validators.added", "validators.left", "validators.key_replaced"):
        assert kinds[kind] > 0, kinds
    assert kinds["governance.failed"] + kinds["observers.removed"] > 0


def test_the_same_dice_propose_the_same() -> None:
    one, two = churned(5, 8), churned(5, 8)
    assert one[2] == two[2]
    assert one[0].nodes["node1"].app_hash == two[0].nodes["node1"].app_hash


def test_operators_say_only_what_operators_can_say() -> None:
    _, churn, _ = churned(1, 8)
    for _ in range(20):
        for transaction in churn.transactions():
            assert all(isinstance(action, Propose | Approve) for action in transaction.body.actions)
