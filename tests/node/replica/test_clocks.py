"""Clocks that are wrong: they cost their own node its turns, and neither the chain its time nor anybody a block."""

from __future__ import annotations

from sim.network import Network

HOUR_MS = 3_600_000


def started(**offsets_ms: int) -> Network:
    network = Network()
    for name, offset_ms in offsets_ms.items():
        network.nodes[name].wall_offset_ms = offset_ms
    network.start()
    network.run_until(network.reached(1), 60_000)
    return network


def pay(network: Network, name: str) -> None:
    payment = network.transfer("bob", "carol", 1)
    network.submit(name, payment)
    network.run_until(network.is_final(payment), 30_000)


def block_times(network: Network, name: str) -> list[int]:
    return [committed.stored.record.block.header.time_ms for committed in network.nodes[name].committed]


def test_a_clock_an_hour_ahead_and_one_an_hour_behind_neither_stop_the_chain_nor_move_its_time() -> None:
    """Case 12: those two propose in vain or vote for nothing; the block times are those of the right clocks."""
    network = started(node1=HOUR_MS, node2=-HOUR_MS)
    precision_ms = network.genesis.params.consensus.clock_precision_ms
    for number in range(12):
        pay(network, ("node3", "node4")[number % 2])
        times = block_times(network, "node3")
        assert times[-1] <= network.now.wall_ms + precision_ms
    assert times == sorted(set(times))
    assert network.now.wall_ms - times[-1] < 30_000
    network.check_agreement()


def test_a_clock_that_is_set_back_five_minutes_while_it_runs_stops_nobody() -> None:
    """Case 100: timers go by the clock that only grows, and block time never goes back."""
    network = started()
    for offset_ms in (0, -300_000, -300_000, 0):
        network.nodes["node2"].wall_offset_ms = offset_ms
        for _ in range(4):
            pay(network, "node3")
    times = block_times(network, "node2")
    assert times == sorted(set(times))
    network.check_agreement()


def test_all_clocks_set_back_five_minutes_neither_stop_the_chain_nor_turn_its_time_back() -> None:
    """Case 100, on one machine: a block is then a millisecond younger than its parent, which everybody accepts."""
    network = started()
    pay(network, "node1")
    before = block_times(network, "node1")[-1]
    for node in network.nodes.values():
        node.wall_offset_ms = -300_000
    for name in ("node2", "node3", "node4"):
        pay(network, name)
    times = block_times(network, "node1")
    assert times == sorted(set(times))
    assert before < times[-1] <= before + 2 * len(times)
    rounds = [committed.stored.record.block.header.round for committed in network.nodes["node1"].committed]
    assert max(rounds[-3:]) <= 1
    network.check_agreement()
