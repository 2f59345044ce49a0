"""The made-up world does what it says: links that fail one way, clocks that drift, nodes that stand still."""

from collections.abc import Iterable, Iterator
from unittest.mock import Mock

import pytest

from node.replica.events import ArmTimer, Effect, Event, Now, Send, TimerFired
from sim.network import Network, Node
from sim.violation import Violation


def running() -> Network:
    network = Network()
    network.start()
    network.run(50)
    return network


def test_a_silent_link_is_silent_one_way_and_stays_open() -> None:
    network = running()
    for name in ("node1", "node2", "node3"):
        network.silent[name, "node4"] += 1
    payment = network.transfer("bob", "carol", 1)
    network.submit("node4", payment)
    network.run_until(network.is_final(payment, "node1", "node2", "node3"), 20_000)
    assert not network.is_final(payment, "node4")()
    assert len(network.links) == 6


def test_a_severed_link_does_not_open_again_before_it_is_mended() -> None:
    network = running()
    pair = frozenset(("node1", "node2"))
    network.severed[pair] += 1
    network.disconnect("node1", "node2")
    network.connect("node1", "node2")
    assert pair not in network.links
    network.severed[pair] -= 1
    network.connect("node1", "node2")
    assert pair in network.links


def test_a_paused_node_handles_nothing_and_then_everything() -> None:
    network = running()
    node = network.nodes["node4"]
    height = node.height
    node.paused_until_ms = network.mono_ms + 3_000
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(2_900)
    assert node.height == height
    network.run_until(network.is_final(payment, "node4"), 20_000)


def test_a_drifting_clock_runs_ahead() -> None:
    network = running()
    node = network.nodes["node1"]
    node.drift_ppm, node.wall_offset_ms = 10_000, 500
    network.run(10_000)
    now, right = network.now_of(node), network.now
    assert now.mono_ms == right.mono_ms * 101 // 100
    assert now.wall_ms - right.wall_ms == now.mono_ms - right.mono_ms + 500


def test_a_timer_is_due_when_the_clock_of_its_node_says_so_and_never_at_once() -> None:
    network = running()
    node = network.nodes["node1"]
    node.drift_ppm = 20_000
    armed = network.now_of(node).mono_ms
    fired: list[int] = []
    handle = node.core.handle

    def watch(event: Event, now: Now) -> Iterable[Effect]:
        if isinstance(event, TimerFired) and event.timer == ("test",):
            fired.append(now.mono_ms)
            return ()
        return handle(event, now)

    node.replica = Mock(handle=watch)
    network._perform(node, ArmTimer(("test",), 1))
    network._perform(node, ArmTimer(("test",), 100))
    network.run(150)
    # This clock leaves out one millisecond in fifty.
    assert all(0 <= at - armed - delay_ms <= 1 for at, delay_ms in zip(fired, (1, 100), strict=True))


def test_answers_that_are_answered_without_end_end_the_run() -> None:
    network = running()

    def again() -> None:
        network.at(0, again)
        network.at(0, again)

    again()
    with pytest.raises(Violation, match="bounded work"):
        network.run(10)


def test_a_twisted_node_sends_what_its_wrapper_says() -> None:
    network = running()
    told: list[bytes] = []

    def swallow(_node: Node, effect: Send) -> Iterator[tuple[bytes, bytes]]:
        told.append(effect.payload)
        return iter(())

    for name in ("node1", "node2"):
        network.twist[name] = swallow
    height = max(node.height for node in network.up)
    network.submit("node3", network.transfer("bob", "carol", 1))
    network.run(2_000)
    assert told
    assert max(node.height for node in network.up) <= height + 1


def test_what_reaches_a_paused_node_keeps_its_order() -> None:
    network = running()
    node = network.nodes["node4"]
    node.paused_until_ms = network.mono_ms + 3_000
    network.disconnect("node3", "node4")
    network.run(100)
    network.resume(node)
    network.connect("node3", "node4")
    network.run(4_000)
    assert network.nodes["node3"].key.public in node.core._peers
    assert node.key.public in network.nodes["node3"].core._peers


def test_a_hurried_node_votes_too_early_and_catches_up() -> None:
    network = running()
    for node in network.nodes.values():
        node.hurry = 20
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run_until(network.is_final(payment), 20_000)
