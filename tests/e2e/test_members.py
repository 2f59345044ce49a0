"""Nodes join and leave a network of real processes, and the protocol switches: by commands, as operators do it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from concento.client import Client
from support.localnetwork import ROOT, Network, wait_for

pytestmark = pytest.mark.e2e

LEFT_S = 10.0
"""Within this time a node that was voted out has no connection any more."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    found = Network(tmp_path_factory.mktemp("members"))
    found.up()
    fund(found)
    yield found
    found.command("testnet", "down")


def fund(network: Network) -> None:
    """What validators need to pay for proposals and voices."""
    for name in ("node1", "node2", "node3", "node4"):
        network.done("wallet", "send", name, "1", "--from", "treasury")


def approve(network: Network, proposal: str, *names: str) -> None:
    for name in names:
        network.done("gov", "approve", proposal, "--from", name)


def test_a_node_is_added_live_validates_and_proposes(network: Network) -> None:
    joined = network.done("testnet", "add-node")
    assert (joined["name"], joined["validators"], joined["quorum"]) == ("node5", 5, 4)
    assert network.done("rpc", "chain_getBlock", f"height={joined['first_block']}")["proposer_name"] == "node5"
    nodes = network.done("testnet", "status")["nodes"]
    assert [(entry["name"], entry["state"], entry["role"]) for entry in nodes] == [
        (f"node{number}", "up", "validator") for number in range(1, 6)
    ]
    # It counts: with one of the first four dead, its signature is needed.
    network.done("testnet", "kill", "node4")
    paid = network.pay()
    commit = network.done("rpc", "chain_getCommit", f"height={paid['height']}")
    assert "node5" in commit["signer_names"]
    network.done("testnet", "start", "node4")


def test_a_proof_follows_the_handover(network: Network, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    network.done("proof", "get", "account/carol", "--out", str(proof))
    assert len(json.loads(proof.read_text())["handovers"]) == 1
    verdict = network.done("proof", "verify", str(proof))
    assert (verdict["ok"], verdict["validators"]) == (True, 5)
    assert list((network.home / "trust").iterdir()) != []
    balance = network.done("wallet", "balance", "carol", "--verify")
    assert balance["proved"]["validators"] == 5
    assert balance["balance_ubeat"] == network.done("wallet", "balance", "carol")["balance_ubeat"]
    spoilt = json.loads(proof.read_text())
    spoilt["handovers"] = []
    proof.write_text(json.dumps(spoilt))
    # This machine has followed the handover; one that has not must see it.
    network.done("proof", "verify", str(proof))
    shutil.rmtree(network.home / "trust")
    code, kind, _ = network.refused("proof", "verify", str(proof))
    assert (code, kind) == (8, "proof.invalid")


def test_a_node_that_is_voted_out_has_no_connection_within_ten_seconds(network: Network) -> None:
    proposal = network.done("gov", "propose", "validator", "remove", "node5", "--from", "node1")["proposal"]
    approve(network, proposal, "node2", "node3", "node4")
    assert network.done("gov", "show", proposal)["state"] == "accepted"
    since = time.monotonic()
    with Client(network.url("node5")) as client:
        wait_for(lambda: client.status()["peers"] == 0)
    assert time.monotonic() - since < LEFT_S
    assert [entry["name"] for entry in network.done("gov", "validators")["items"]] == sorted(
        ["node1", "node2", "node3", "node4"], key=lambda name: network_key(network, name)
    )
    network.done("testnet", "remove-node", "node5")
    assert len(network.done("testnet", "status")["nodes"]) == 4
    network.pay()


def network_key(network: Network, name: str) -> str:
    items = network.done("rpc", "chain_getValidators")["items"]
    return next(str(entry["key"]) for entry in items if entry["name"] == name)


def test_fewer_than_the_minimum_are_refused_with_what_to_do(network: Network) -> None:
    code, kind, sentence = network.refused("gov", "propose", "validator", "remove", "node1", "--from", "node2")
    assert (code, kind) == (4, "governance.too_few")
    assert "3 validators would remain, at least 4 must" in sentence
    code, kind, _ = network.refused("gov", "propose", "upgrade", "2", "1000000", "--from", "alice")
    assert (code, kind) == (8, "governance.not_a_validator")


def test_a_node_of_its_own_key_observes_and_takes_the_place_of_a_validator(network: Network, tmp_path: Path) -> None:
    home = tmp_path / "own"
    rpc, p2p = network.base_port + 10, network.base_port + 30
    made = network.done(
        *("node", "init", "--node-home", str(home), "--genesis", str(network.home / "testnet" / "genesis.json")),
        *("--name", "spare", "--rpc-listen", f"127.0.0.1:{rpc}", "--p2p-listen", f"127.0.0.1:{p2p}"),
        *(f"--peer=node{number}@127.0.0.1:{network.base_port + 19 + number}" for number in range(1, 5)),
    )
    key = str(made["key"])
    proposal = network.done("gov", "propose", "observer", "add", key, "--name", "spare", "--from", "node1")["proposal"]
    approve(network, proposal, "node2", "node3")
    assert [entry["name"] for entry in network.done("gov", "observers")["items"]] == ["spare"]
    process = subprocess.Popen(
        [sys.executable, "-m", "node.app", "--home", str(home)],
        cwd=ROOT,
        env=network.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with Client(f"http://127.0.0.1:{rpc}") as client:
            wait_for(lambda: bool(client.status()["ready"]))
            assert client.status()["role"] == "observer"
            proposal = network.done("gov", "propose", "validator", "replace", "node4", "spare", "--from", "node1")[
                "proposal"
            ]
            approve(network, proposal, "node2", "node3")
            network.pay()
            network.pay()
            wait_for(lambda: client.status()["role"] == "validator")
            network.done("testnet", "kill", "node3")
            paid = network.pay()
            commit = network.done("rpc", "chain_getCommit", f"height={paid['height']}")
            assert key in commit["signers"]
            # The validator's name stays its own.
            assert "node4" in commit["signer_names"]
    finally:
        process.terminate()
        process.wait(10)


def test_a_node_without_the_new_release_stops_at_the_height_and_says_what_to_do(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.up()
    try:
        fund(network)
        at = network.done("node", "status")["height"] + 12
        proposal = network.done("gov", "propose", "upgrade", "2", str(at), "--from", "node1")["proposal"]
        approve(network, proposal, "node2", "node3")
        assert network.done("gov", "upgrades")["switches"] == [{"height": at, "protocol": 2}]

        def are_down() -> bool:
            network.command("wallet", "send", "carol", "1", "--from", "bob", "--no-wait")
            return all(entry["state"] == "down" for entry in network.done("testnet", "status")["nodes"])

        wait_for(are_down)
        for name in ("node1", "node2"):
            home = network.home / "testnet" / name
            again = subprocess.run(
                [sys.executable, "-m", "node.app", "--home", str(home)],
                cwd=ROOT,
                env=network.environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert again.returncode == 9
            assert f"from block {at} on this network speaks protocol 2" in again.stderr
            assert "hint: install a release that speaks protocol 2" in again.stderr
            assert "Traceback" not in again.stderr
            assert "node.protocol_new" in (home / "logs" / "node.err").read_text()
    finally:
        network.command("testnet", "down")
