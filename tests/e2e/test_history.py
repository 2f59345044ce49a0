"""Clients pay, read and subscribe while real nodes are killed, frozen, cut off: what they are told stays true."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faultnet import FaultNetwork
from bench.history import History, run
from support.localnetwork import free_base_port

pytestmark = pytest.mark.e2e


def test_what_clients_are_told_stays_true_through_faults(tmp_path: Path) -> None:
    network, history = FaultNetwork(tmp_path, free_base_port()), History()
    try:
        network.start_all()
        faults = run(network, history, seconds=10, seed=7)
    finally:
        network.close()
    assert faults > 0
    assert history.final
    assert history.wrong == []
