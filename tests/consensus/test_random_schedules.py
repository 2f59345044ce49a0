"""Random faults, then quiet: the chain never forks, and it goes on once the faults end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cluster import Cluster, fake_key

QUIET_MS = 30_000
SPACING_MS = 150
"""A calm chain: the faults are the interesting part of each second."""

FAULTS = st.one_of(
    st.tuples(st.just("crash"), st.integers(0, 9), st.integers(0, 0)),
    st.tuples(st.just("crash at effect"), st.integers(0, 9), st.integers(0, 12)),
    st.tuples(st.just("restart"), st.integers(0, 9), st.integers(0, 0)),
    st.tuples(st.just("split"), st.integers(0, 9), st.integers(1, 9)),
    st.tuples(st.just("deaf"), st.integers(0, 9), st.integers(0, 0)),
    st.tuples(st.just("loss"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("delay"), st.integers(0, 9), st.integers(1, 300)),
    st.tuples(st.just("slow blocks"), st.integers(0, 9), st.integers(0, 700)),
    st.tuples(st.just("heal"), st.integers(0, 9), st.integers(0, 0)),
)
STEPS = st.lists(st.tuples(FAULTS, st.integers(1, 1_500)), min_size=1, max_size=12)


def inflict(cluster: Cluster, size: int, fault: tuple[str, int, int]) -> None:
    kind, number, amount = fault
    node = cluster.nodes[number % size]
    up = node.engine is not None
    match kind:
        case "crash" if up:
            cluster.crash(node.number)
        case "crash at effect" if up:
            node.crash_after = amount
        case "restart" if not up and node.number not in cluster.puppets:
            cluster.restart(node.number)
        case "split":
            cluster.partition(set(range(amount % size)), set(range(amount % size, size)))
        case "deaf":
            cluster.drop = lambda source, target, message: target == node.number
        case "loss":
            cluster.loss = amount / 10
        case "delay":
            cluster.delay_ms = (1, amount)
        case "slow blocks":
            cluster.judge_ms = amount
        case "heal":
            cluster.heal()


def survive(cluster: Cluster, size: int, steps: list[tuple[tuple[str, int, int], int]]) -> None:
    for fault, for_ms in steps:
        inflict(cluster, size, fault)
        cluster.run(for_ms)
    cluster.heal()
    cluster.delay_ms, cluster.judge_ms = (1, 20), 0
    for node in cluster.nodes:
        node.crash_after = None
        if node.engine is None and node.number not in cluster.puppets:
            cluster.restart(node.number)
    cluster.run_until_height(max(cluster.heights()) + 2, QUIET_MS)
    assert not any(node.rolled_back for node in cluster.nodes)
    accused = {found.peer for number in cluster.honest for found in cluster.nodes[number].misbehaved}
    assert accused <= {fake_key(number) for number in cluster.puppets}


@settings(max_examples=40, derandomize=True)
@given(size=st.sampled_from([4, 4, 7, 10]), seed=st.integers(0, 1_000), steps=STEPS)
def test_crashes_partitions_and_loss_never_fork_and_end_well(
    size: int, seed: int, steps: list[tuple[tuple[str, int, int], int]]
) -> None:
    survive(Cluster(size, seed, spacing_ms=SPACING_MS), size, steps)


@settings(max_examples=40, derandomize=True)
@given(size=st.sampled_from([4, 7]), seed=st.integers(0, 1_000), steps=STEPS)
def test_the_same_with_f_liars_among_them(size: int, seed: int, steps: list[tuple[tuple[str, int, int], int]]) -> None:
    survive(Cluster(size, seed, puppets=tuple(range((size - 1) // 3)), spacing_ms=SPACING_MS), size, steps)
