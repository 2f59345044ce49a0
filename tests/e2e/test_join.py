"""A node joins a network of real processes with a snapshot of its peers instead of every block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from concento.client import Client, RpcError
from support.localnetwork import Network, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    found = Network(tmp_path_factory.mktemp("join"))
    found.environment["CONCENTO_NODE_SNAPSHOT_EVERY"] = "5s"
    found.up()
    yield found
    found.command("testnet", "down")


def events(network: Network, name: str) -> list[dict[str, object]]:
    log = network.home / "testnet" / name / "logs" / "node.log"
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def snapshots(network: Network, name: str) -> list[Path]:
    folder = network.home / "testnet" / name / "snapshots"
    return [entry for entry in folder.glob("snapshot-*") if (entry / "manifest").exists()]


def test_a_node_that_joined_with_a_snapshot_validates_restarts_and_says_what_it_lacks(network: Network) -> None:
    first = network.pay()
    wait_for(lambda: bool(snapshots(network, "node1")) and network.pay()["status"] == "final")
    wait_for(lambda: all(snapshots(network, name) for name in ("node1", "node2", "node3", "node4")))
    listed = network.done("node", "snapshot", "--node-home", str(network.home / "testnet" / "node1"))
    assert listed["items"]
    network.environment["CONCENTO_NODE_SYNC"] = "snapshot"
    joined = network.done("testnet", "add-node")
    assert joined["name"] == "node5"
    told = [event["event"] for event in events(network, "node5")]
    assert "snapshot.joined" in told
    with Client(network.url("node5")) as client:
        status = client.status()
        assert status["oldest_height"] > first["height"]
        assert status["role"] == "validator"
        with pytest.raises(RpcError) as refusal:
            client.call("tx_get", tx=first["tx"])
        assert refusal.value.kind == "tx.pruned"
    network.done("testnet", "kill", "node5")
    network.done("testnet", "start", "node5")
    height = network.pay()["height"]
    hashes = set()
    for name in ("node1", "node5"):
        with Client(network.url(name)) as client:
            wait_for(lambda client=client: client.status()["height"] > height)
            hashes.add(client.block(height=height)["app_hash"])
    assert len(hashes) == 1
