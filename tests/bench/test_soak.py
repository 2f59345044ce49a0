"""The long run judges what was written down: what grows, stalls or is lost is found, and a flat run passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.soak import STEADY, Sample, judged

LENGTH_S = 400.0
FINALITY = [(float(at), 20.0) for at in range(400)]


def flat() -> list[Sample]:
    """Two nodes that only get on."""
    return [
        Sample(float(at), node, 100 + len(node), at, at * 40, at * 40, 120.0, 60, 8, 1_000_000 + at * 40 * 600)
        for at in range(0, 400, 5)
        for node in STEADY
    ]


def grown(change: Callable[[Sample], Sample]) -> list[Sample]:
    return [change(sample) for sample in flat()]


def bad(samples: list[Sample], finality: list[tuple[float, float]] = FINALITY) -> set[str]:
    """What is bad of the first node, or of all."""
    found = judged(samples, finality, LENGTH_S)
    whats = {verdict.what for verdict in found if not verdict.holds}
    return {what.removeprefix("node1: ") for what in whats if not what.startswith("node2")}


def test_a_run_that_is_as_it_was_is_good() -> None:
    assert bad(flat()) == set()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda found: replace(found, memory_mb=100 + found.at_s / 3), "MB of memory more than in the second quarter"),
        (
            lambda found: replace(found, descriptors=60 + int(found.at_s / 10)),
            "descriptors more than in the second quarter",
        ),
        (lambda found: replace(found, threads=8 + int(found.at_s / 40)), "threads more than in the second quarter"),
        (
            lambda found: replace(found, disk_bytes=int(found.at_s**3 * 4)),
            "MB on disk beyond 1.6 times what was written before",
        ),
        (
            lambda found: replace(found, transactions=int(min(found.at_s, 320) * 40)),
            "committed of what was handed in",
        ),
    ],
)
def test_whatever_grows_or_is_lost_is_found(change: Callable[[Sample], Sample], what: str) -> None:
    assert what in bad(grown(change))


def test_payments_that_take_longer_and_longer_are_found() -> None:
    assert bad(flat(), [(at, 20 + at / 5) for at, _ in FINALITY]) == {"median finality, times that before"}


def test_a_node_that_was_started_again_is_not_judged_as_if_it_had_lived() -> None:
    with pytest.raises(ValueError, match="same process"):
        judged(grown(lambda found: replace(found, pid=int(found.at_s))), FINALITY, LENGTH_S)
