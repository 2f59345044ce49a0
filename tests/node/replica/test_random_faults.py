"""Random faults by seed: whatever happens, nobody contradicts another, and when it ends payments go through."""

from __future__ import annotations

from random import Random

import pytest

from node.replica.events import Append, Effect, Send, Sync, Write, WriteGuard
from sim.network import Network, Node, PowerCut


def misfortune(network: Network, dice: Random) -> None:
    """One thing that goes wrong, or right again."""
    name = dice.choice(list(network.nodes))
    match dice.randrange(9):
        case 0:
            loss = dice.random()
            network.is_lost = lambda *_: dice.random() < loss
        case 1:
            network.is_lost = None
        case 2 | 3:
            names = list(network.nodes)
            dice.shuffle(names)
            cut = dice.randrange(1, len(names))
            network.partition(names[:cut], names[cut:])
        case 4:
            network.heal()
        case 5 if network.nodes[name].is_up:
            network.kill(name, dice.choice((0, 3, 1_000)))
        case 6 if network.nodes[name].is_up:
            left = dice.randrange(1, 12)

            def cut_power(node: Node, effect: Effect) -> None:
                nonlocal left
                if node.name == name and isinstance(effect, Append | Sync | WriteGuard | Write | Send):
                    left -= 1
                    if left <= 0:
                        network.before_effect = None
                        raise PowerCut(dice.choice((0, 7)))

            network.before_effect = cut_power
        case _ if not network.nodes[name].is_up:
            network.start(name)


def survive(seed: int) -> None:
    dice = Random(seed)
    network = Network()
    network.start()
    loses_disk = dice.random() < 0.3
    for _ in range(dice.randrange(5, 25)):
        misfortune(network, dice)
        for _ in range(dice.randrange(3)):
            node = dice.choice(list(network.nodes.values()))
            if node.is_up:
                network.submit(node.name, network.transfer("bob", "carol", 1))
        network.run(dice.choice((1, 5, 30, 300, 2_000)))
        if loses_disk and not network.nodes["node4"].is_up:
            # One disk, guard included, is within what the protocol promises to survive.
            network.wipe("node4")
            loses_disk = False
    network.before_effect = None
    network.is_lost = None
    for node in network.nodes.values():
        if not node.is_up:
            network.start(node.name)
    network.heal()
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run_until(network.is_final(payment), 30_000)
    network.run_until(lambda: len({node.app_hash for node in network.up}) == 1, 5_000)
    network.check_agreement()


@pytest.mark.parametrize("seed", range(12))
def test_network_survives_random_faults(seed: int) -> None:
    survive(seed)
