"""One network of real processes for all tests of this folder: four validators, of which one has to suffer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.faultload import Trickle
from bench.faultnet import FaultNetwork
from support.localnetwork import free_base_port

VICTIM = "node2"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultNetwork]:
    found = FaultNetwork(tmp_path_factory.mktemp("crash"), free_base_port())
    try:
        found.start_all()
        # Slow, but steady: every test needs blocks.
        trickle = Trickle(found.urls, per_second=10, seed=1)
        yield found
        trickle.stop()
    finally:
        found.close()


@pytest.fixture(autouse=True)
def _whole(network: FaultNetwork) -> None:
    """Each test begins with all nodes up, whatever the one before has left."""
    network.start_all()
