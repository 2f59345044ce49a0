"""A local network of real processes, driven by commands as a person does: faults, damage, and what is said then."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.localnetwork import PATIENCE_S, ROOT, Network

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    found = Network(tmp_path_factory.mktemp("network"))
    found.up()
    yield found
    found.command("testnet", "down")


@pytest.fixture(autouse=True)
def _all_up(network: Network) -> None:
    """Each test begins with a whole network, whatever the one before has left."""
    network.up()


def test_starting_what_runs_attaches_and_says_so(network: Network) -> None:
    found = network.command("testnet", "up", "--detach")
    assert found.returncode == 0
    assert "Attached: 4 of 4" in found.stderr


def test_any_validator_may_be_killed_and_comes_back_with_the_same_state(network: Network) -> None:
    for name in ("node1", "node2", "node3", "node4"):
        network.environment["CONCENTO_URL"] = network.url("node2" if name == "node1" else "node1")
        network.done("testnet", "kill", name)
        paid = network.pay()
        assert paid["status"] == "final"
        network.done("testnet", "start", name)
        assert len(set(network.until_level(paid["height"] + 1))) == 1
    network.environment["CONCENTO_URL"] = network.url("node1")


def test_all_four_killed_at_once_go_on_where_they_were(network: Network) -> None:
    before = network.pay()
    for name in ("node1", "node2", "node3", "node4"):
        network.done("testnet", "kill", name)
    code, kind, _ = network.refused("wallet", "balance", "carol")
    assert (code, kind) == (3, "node.unreachable")
    network.up()
    after = network.pay()
    assert after["height"] > before["height"]
    assert len(set(network.until_level(after["height"] + 1))) == 1


def test_a_frozen_node_does_not_stop_the_others_and_catches_up(network: Network) -> None:
    network.done("testnet", "pause", "node4")
    paid = network.pay()
    assert paid["status"] == "final"
    network.done("testnet", "resume", "node4")
    assert len(set(network.until_level(paid["height"] + 1))) == 1


def test_a_lost_store_is_refused_by_name_and_resync_brings_it_back(network: Network) -> None:
    paid = network.pay()
    home = network.home / "testnet" / "node2"
    network.done("testnet", "kill", "node2")
    shutil.rmtree(home / "store")
    code, kind, text = network.refused("testnet", "start", "node2")
    assert (code, kind) == (3, "testnet.not_ready")
    assert "resync" in text
    network.done("node", "resync", "--node-home", str(home), "--yes")
    network.done("testnet", "start", "node2")
    assert len(set(network.until_level(paid["height"] + 1))) == 1


def test_a_store_with_a_cut_manifest_is_refused_and_repair_mends_it(network: Network) -> None:
    paid = network.pay()
    home = network.home / "testnet" / "node3"
    network.done("testnet", "kill", "node3")
    manifest = next((home / "store").glob("MANIFEST-*"))
    manifest.write_bytes(manifest.read_bytes()[:-20])
    _, kind, text = network.refused("testnet", "start", "node3")
    assert kind == "testnet.not_ready"
    assert "repair" in text or "resync" in text
    mended = network.command("node", "repair", "--node-home", str(home))
    if mended.returncode != 0:
        network.done("node", "resync", "--node-home", str(home), "--yes")
    network.done("testnet", "start", "node3")
    assert len(set(network.until_level(paid["height"] + 1))) == 1


def test_a_second_process_on_one_home_is_refused(network: Network) -> None:
    home = network.home / "testnet" / "node1"
    found = subprocess.run(
        [sys.executable, "-m", "node.app", "--home", str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert found.returncode == 9
    assert "Traceback" not in found.stderr


def test_a_port_that_somebody_holds_is_named_with_its_process(network: Network, tmp_path: Path) -> None:
    other = Network(tmp_path)
    with socket.create_server(("127.0.0.1", other.base_port + 1)):
        code, kind, text = other.refused("testnet", "up", "--detach", "--base-port", str(other.base_port))
    assert (code, kind) == (9, "port.in_use")
    assert str(os.getpid()) in text
    assert not (other.home / "testnet").exists()


def test_another_genesis_is_refused_and_reset_begins_another_chain(tmp_path: Path) -> None:
    other = Network(tmp_path)
    first = other.up("--nodes", "4")
    other.command("testnet", "down")
    foreign = json.loads((ROOT / "genesis.json").read_text()) | {"time_ms": 1}
    (tmp_path / "foreign.json").write_text(json.dumps(foreign))
    code, kind, _ = other.refused("testnet", "up", "--detach", "--genesis", str(tmp_path / "foreign.json"))
    assert (code, kind) == (9, "testnet.other_genesis")
    second = other.up("--reset", "--yes")
    other.command("testnet", "down")
    assert second["genesis_hash"] != first["genesis_hash"]
