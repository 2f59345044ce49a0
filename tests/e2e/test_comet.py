"""Four real CometBFT nodes with our ledger behind them: payments, one node killed, all killed, equal app hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import soundfile

from concento.client import Client
from concento.errors import ConcentoError, Rejected
from node.comet.home import find_binary
from node.config import NodeConfig
from support.localnetwork import free_base_port

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
NAMES = ("node1", "node2", "node3", "node4")


class CometNetwork:
    """One home, one network behind CometBFT, the command line."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.base_port = free_base_port()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.base_port + int(name[-1]) - 1}"

    def done(self, *words: str) -> Any:
        """The JSON of a command that must succeed."""
        found = self.command(*words)
        assert found.returncode == 0, found.stdout + found.stderr
        return json.loads(found.stdout)

    def command(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CONCENTO_")}
        own = {"CONCENTO_HOME": str(self.home), "CONCENTO_URL": ",".join(map(self.url, NAMES))}
        return subprocess.run(
            [sys.executable, "-m", "cli", *words, "--json"],
            cwd=ROOT,
            env=inherited | own | environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )

    def up(self, **environment: str) -> subprocess.CompletedProcess[str]:
        words = ("testnet", "up", "--detach", "--engine", "comet", "--base-port", str(self.base_port))
        return self.command(*words, **environment)

    def pay(self) -> int:
        """The height at which a payment became final."""
        return int(self.done("wallet", "send", "carol", "1", "--from", "bob")["height"])

    def app_hashes(self, height: int) -> set[str]:
        """What every node says that the state was before this height, once all have it."""
        found = set()
        for name in NAMES:
            wait_for_height(self.url(name), height)
            with Client(self.url(name)) as client:
                found.add(client.block(height=height)["app_hash"])
        return found


def wait_for_height(url: str, height: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            with Client(url) as client:
                if client.status()["height"] >= height:
                    return
        except ConcentoError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{url} did not reach height {height}")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CometNetwork]:
    found = CometNetwork(tmp_path_factory.mktemp("comet"))
    try:
        find_binary(NodeConfig(home=found.home))
    except Rejected as error:
        pytest.skip(f"LEFT OUT, the ledger behind a real CometBFT: {error}; {error.hint}")
    try:
        up = found.up()
        assert up.returncode == 0, up.stdout + up.stderr
        yield found
    finally:
        found.command("testnet", "down")


def test_payments_are_final_and_every_node_has_the_same_state(network: CometNetwork) -> None:
    first = network.pay()
    last = network.pay()
    assert last > first
    assert len(network.app_hashes(last)) == 1
    assert len(network.app_hashes(last + 1)) == 1
    assert network.app_hashes(last) != network.app_hashes(last + 1)


def test_a_refused_payment_says_why(network: CometNetwork) -> None:
    found = network.command("wallet", "send", "carol", "99999999", "--from", "bob")
    assert json.loads(found.stdout)["error"]["data"]["kind"] == "tokens.balance_low"


def test_three_go_on_when_one_is_killed_and_it_catches_up(network: CometNetwork) -> None:
    network.done("testnet", "kill", "node4")
    height = network.pay()
    network.done("testnet", "start", "node4")
    assert len(network.app_hashes(height + 1)) == 1


def test_all_four_killed_at_once_go_on_from_where_they_were(network: CometNetwork) -> None:
    before = network.pay()
    for name in NAMES:
        network.done("testnet", "kill", name)
    up = network.up()
    assert up.returncode == 0, up.stdout + up.stderr
    after = network.pay()
    assert after > before
    assert len(network.app_hashes(before + 1)) == 1
    assert len(network.app_hashes(after + 1)) == 1


def test_where_there_is_no_cometbft_the_command_says_how_to_get_one(tmp_path: Path) -> None:
    other = CometNetwork(tmp_path)
    found = other.up(PATH="/nowhere", GOBIN=str(tmp_path), HOME=str(tmp_path))
    error = json.loads(found.stdout)["error"]
    assert found.returncode == 9
    assert error["data"]["kind"] == "comet.binary_missing"
    assert "go install github.com/cometbft/cometbft" in error["data"]["hint"]
    assert not (tmp_path / "testnet").exists()


def test_a_proof_holds_for_somebody_with_nothing_but_the_genesis_file(network: CometNetwork, tmp_path: Path) -> None:
    network.pay()
    proof = tmp_path / "proof.json"
    network.done("proof", "get", "account/carol", "--out", str(proof))
    genesis = network.home / "testnet" / "genesis.json"
    assert json.loads(proof.read_text())["engine"] == "comet"
    assert network.done("proof", "verify", str(proof), "--genesis", str(genesis))
    forged = json.loads(proof.read_text()) | {"value": None}
    proof.write_text(json.dumps(forged))
    refused = network.command("proof", "verify", str(proof), "--genesis", str(genesis))
    assert json.loads(refused.stdout)["error"]["data"]["kind"] == "proof.invalid"


def test_a_statement_proves_what_was_paid_and_names_what_it_cannot_prove(network: CometNetwork, tmp_path: Path) -> None:
    album, statement = tmp_path / "album", tmp_path / "statement.json"
    album.mkdir()
    tone = numpy.sin(numpy.arange(8_000) / 20).astype("float32") * 0.4
    soundfile.write(album / "tone.wav", tone, 8_000)
    terms = ("--allow", "train-generative", "--price", "40")
    added = network.done(
        "asset", "add", str(album), "--title", "Tone", "--split", "alice=70,bea=30", *terms, "--from", "alice"
    )
    use = ("--purpose", "train-generative", "--max-price", "40")
    network.done("licence", "buy", added["dataset"], *use, "--from", "bob")
    network.done("earnings", "show", "alice", "--out", str(statement))
    genesis = str(network.home / "testnet" / "genesis.json")
    verdict = network.done("earnings", "verify", str(statement), "--genesis", genesis)
    assert (verdict["ok"], verdict["earned_ubeat"]) == (True, "27720000")
    assert {"payer", "path"} <= set(verdict["unproved"])
    assert "amount_ubeat" not in verdict["unproved"]
    more = json.loads(statement.read_text())
    more["statement"]["lines"][0]["amount_ubeat"] = "27720001"
    statement.write_text(json.dumps(more))
    refused = network.command("earnings", "verify", str(statement), "--genesis", genesis)
    assert refused.returncode == 8


def test_a_fifth_validator_is_voted_in_and_out_while_the_network_runs(network: CometNetwork) -> None:
    joined = network.done("testnet", "add-node")
    assert (joined["name"], joined["validators"], joined["quorum"]) == ("node5", 5, 4)
    with Client(network.url("node5")) as client:
        assert client.status()["role"] == "validator"
        assert client.block(height=joined["first_block"])["proposer_name"] == "node5"
    left = network.done("testnet", "remove-node", "node5")
    assert (left["validators"], left["quorum"]) == (4, 3)
    assert len(network.app_hashes(network.pay())) == 1


def test_a_node_whose_signing_state_was_lost_does_not_start_and_says_so(network: CometNetwork) -> None:
    """Made anew it would be empty, and the key might sign a second time what it signed before."""
    network.done("testnet", "kill", "node4")
    state = network.home / "testnet" / "node4" / "comet" / "data" / "priv_validator_state.json"
    kept = state.read_bytes()
    state.unlink()
    refused = network.command("testnet", "start", "node4")
    assert refused.returncode != 0
    assert "priv_validator_state.json" in refused.stdout
    assert not state.exists()
    height = network.pay()
    state.write_bytes(kept)
    network.done("testnet", "start", "node4")
    assert len(network.app_hashes(height + 1)) == 1


def test_a_node_begins_with_a_snapshot_and_not_with_the_first_block(network: CometNetwork) -> None:
    """The last test here: it changes how the network runs. node4 loses its blocks and keeps what it has signed."""
    nodes = network.home / "testnet"
    network.done("testnet", "down")
    servers = [f"127.0.0.1:{network.base_port + 90 + number}" for number in range(2)]
    for name, server in zip(NAMES, servers, strict=False):
        with (nodes / name / "node.toml").open("a") as settings:
            settings.write(f'comet_rpc = "{server}"\n')
    assert network.up(CONCENTO_NODE_SNAPSHOT_EVERY="15s").returncode == 0
    deadline = time.monotonic() + PATIENCE_S
    # CometBFT needs two blocks above a snapshot to trust its root.
    while not list((nodes / "node1" / "snapshots").glob("comet/*/manifest")):
        assert time.monotonic() < deadline, "no snapshot was taken"
        network.pay()
    for _ in range(2):
        network.pay()
    network.done("testnet", "kill", "node4")
    with urllib.request.urlopen(f"http://{servers[0]}/commit?height=2") as answer:
        trusted = json.loads(answer.read())["result"]["signed_header"]["commit"]["block_id"]["hash"]
    with (nodes / "node4" / "node.toml").open("a") as settings:
        settings.write(f'sync = "snapshot"\ncomet_servers = {json.dumps(servers)}\ncomet_trust = "2:{trusted}"\n')
    network.done("node", "resync", "--yes", "--node-home", str(nodes / "node4"))
    network.done("testnet", "start", "node4")
    height = network.pay()
    assert len(network.app_hashes(height)) == 1
    with Client(network.url("node4")) as client, pytest.raises(ConcentoError) as caught:
        client.block(height=1)
    assert caught.value.kind == "block.pruned"
    network.done("testnet", "kill", "node4")
    network.done("testnet", "start", "node4")
    assert len(network.app_hashes(network.pay())) == 1
