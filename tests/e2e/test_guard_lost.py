"""A validator alone has lost its guard: nobody can tell it what it signed, so its operator must."""

from __future__ import annotations

from pathlib import Path

import pytest

from concento.client import Client
from node.replica.files import GUARD_FILE
from support.localnetwork import Network, wait_for

pytestmark = pytest.mark.e2e


def home_of(network: Network) -> Path:
    return network.home / "testnet" / "node1"


def test_it_signs_again_from_the_height_that_its_operator_names(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.up("--nodes", "1")
    assert network.pay()["status"] == "final"
    network.done("testnet", "down")
    (home_of(network) / "replica" / GUARD_FILE).unlink()
    with Client(network.url("node1")) as client:
        with network.running(home_of(network)):
            wait_for(lambda: client.status()["height"] > 0)
            height = client.status()["height"]
            assert not client.status()["ready"]
        with network.running(home_of(network), "--sign-from", str(height + 1)):
            wait_for(lambda: client.status()["height"] == height)
            assert network.pay()["height"] > height
            assert client.status()["ready"]
