"""A validator alone has lost its guard: nobody can tell it what it signed, so its operator must."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from concento.client import Client
from node.replica.files import GUARD_FILE
from support.localnetwork import ROOT, Network, wait_for

pytestmark = pytest.mark.e2e


@contextmanager
def running(network: Network, *options: str) -> Iterator[Client]:
    words = [sys.executable, "-m", "cli", "node", "run", "--node-home", str(home_of(network)), *options]
    process = subprocess.Popen(words, cwd=ROOT, env=network.environment, stdin=subprocess.DEVNULL)
    try:
        with Client(network.url("node1")) as client:
            wait_for(lambda: client.status()["height"] > 0)
            yield client
    finally:
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM


def home_of(network: Network) -> Path:
    return network.home / "testnet" / "node1"


def test_it_signs_again_from_the_height_that_its_operator_names(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.up("--nodes", "1")
    assert network.pay()["status"] == "final"
    network.done("testnet", "down")
    (home_of(network) / "replica" / GUARD_FILE).unlink()
    with running(network) as client:
        height = client.status()["height"]
        assert not client.status()["ready"]
    with running(network, "--sign-from", str(height + 1)) as client:
        assert client.status()["height"] == height
        assert network.pay()["height"] > height
        assert client.status()["ready"]
