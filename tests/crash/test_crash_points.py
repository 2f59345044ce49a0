"""A real process killed before, in and behind its writes and syncs comes back by itself, and never says two things."""

from __future__ import annotations

import itertools

import pytest

from bench.crashes import HOWS, KINDS, Life, audit, live_once
from bench.faultnet import FaultNetwork
from sim.faultydisk import CRASH_HOWS, PLACE_KINDS

pytestmark = pytest.mark.e2e

VICTIM = "node2"
SAMPLE = [Life(1, how, kind) for kind, how in zip(KINDS, itertools.cycle(("torn", "power", "after")), strict=False)]
"""`make crash-long` takes all of them, many times."""


def test_the_driver_knows_every_place_and_every_way() -> None:
    assert (KINDS, HOWS) == (PLACE_KINDS, CRASH_HOWS)


def test_a_node_killed_at_each_kind_of_write_comes_back_with_the_same_state(network: FaultNetwork) -> None:
    network.kill(VICTIM)
    reached = [live_once(network, VICTIM, life) for life in SAMPLE]
    assert reached == list(KINDS)
    network.start(VICTIM)
    network.wait_ready(VICTIM)
    assert audit(network) == []
