"""Real processes on loopback: four nodes decide, one is killed and comes back; a node that cannot start says why."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from concento.accounts import account_of_key
from concento.client.client import Client
from concento.client.session import Session, Signer
from concento.development import development_seed, validator_names
from concento.devnet import development_genesis
from concento.errors import ConcentoError
from concento.genesis import genesis_json
from concento.keys import public_key
from concento.messages.tokens import Transfer
from node.config import NodeConfig, write_config
from node.lock import lock_home
from node.maintain import init
from node.signer import write_key

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""For machines that run the whole suite at once."""
STOP_S = 5.0


def account(name: str) -> bytes:
    return account_of_key(public_key(development_seed(name)))


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Network:
    """Four homes, and the processes that run in them."""

    def __init__(self, folder: Path) -> None:
        self.names = validator_names(4)
        ports = free_ports(8)
        self.rpc = dict(zip(self.names, ports[:4], strict=True))
        self.p2p = dict(zip(self.names, ports[4:], strict=True))
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self._started: list[subprocess.Popen[str]] = []
        genesis = development_genesis(4, time.time_ns() // 1_000_000)
        (folder / "genesis.json").write_text(genesis_json(genesis), encoding="utf-8")
        for name in self.names:
            config = NodeConfig(
                home=folder / name,
                name=name,
                genesis=Path("../genesis.json"),
                rpc_listen=f"127.0.0.1:{self.rpc[name]}",
                p2p_listen=f"127.0.0.1:{self.p2p[name]}",
                peers=tuple(f"{other}@127.0.0.1:{port}" for other, port in self.p2p.items()),
                log_file=True,
            )
            config.home.mkdir()
            write_key(config.key_path, development_seed(name))
            write_config(config)
            init(config, genesis)

    def start(self, name: str, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *options, "-m", "node.app", "--home", str(self.folder / name)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes[name] = process
        self._started.append(process)
        return process

    def stop(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()

    def client(self, name: str) -> Client:
        return Client(f"http://127.0.0.1:{self.rpc[name]}")

    def status(self, name: str) -> dict[str, Any]:
        with self.client(name) as client:
            found: dict[str, Any] = client.call("node_getStatus")
            return found

    def until(self, name: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The node's status, once it answers and meets the condition."""
        deadline = time.monotonic() + PATIENCE_S
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            process = self.processes[name]
            if process.poll() is not None:
                pytest.fail(f"{name} ended with {process.returncode}: {process.stderr and process.stderr.read()}")
            try:
                status = self.status(name)
            except ConcentoError:
                status = {}
            if status and condition(status):
                return status
            time.sleep(0.05)
        pytest.fail(f"{name} does not get there: {status}")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    found = Network(tmp_path)
    yield found
    found.stop()


def refusal(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 9
    assert "Traceback" not in errors
    return errors


def test_four_nodes_decide_pay_lose_one_and_get_it_back(network: Network) -> None:
    for name in network.names:
        network.start(name)
    for name in network.names:
        network.until(name, lambda status: status["ready"] and status["peers"] == 3)
    with network.client("node1") as client:
        bob = Session(client, Signer("bob", account("bob"), (development_seed("bob"),)))
        paid = bob.send([Transfer(account("carol"), 5_000_000)])
        assert paid["status"] == "final"
        network.processes["node3"].kill()
        network.processes["node3"].wait()
        alone = bob.send([Transfer(account("carol"), 1_000_000)])
        assert alone["height"] > paid["height"]
    network.start("node3")
    back = network.until("node3", lambda status: status["height"] >= alone["height"] and status["ready"])
    assert back["role"] == "validator"
    for name in network.names:
        reached = network.until(name, lambda status: status["height"] >= back["height"])
        with network.client(name) as client:
            assert client.call("account_get", who="carol")["balance_ubeat"] == str(10_006_000_000)
            assert client.call("chain_getBlock", height=back["height"])["id"] == back["block_id"]
        assert reached["genesis_hash"] == back["genesis_hash"]
    started = time.monotonic()
    for process in network.processes.values():
        process.send_signal(signal.SIGTERM)
    for process in network.processes.values():
        assert process.wait(STOP_S + 5) == 128 + signal.SIGTERM
    assert time.monotonic() - started < STOP_S
    log = (network.folder / "node1" / "logs" / "node.log").read_text()
    told = [json.loads(line).get("text") for line in log.splitlines()]
    assert "bob paid carol 5.000000 BEAT" in told
    assert development_seed("node1").hex() not in log


def test_a_node_says_what_keeps_it_from_starting(network: Network) -> None:
    with socket.create_server(("127.0.0.1", network.p2p["node1"])):
        assert f"is held by process {os.getpid()}" in refusal(network.start("node1"))
    with lock_home(network.folder / "node1"):
        assert f"running already, as process {os.getpid()}" in refusal(network.start("node1"))
    assert "does not run under python -O" in refusal(network.start("node1", "-O"))
    (network.folder / "node1" / "node.key").rename(network.folder / "node1" / "away.key")
    assert "concento node init" in refusal(network.start("node1"))
    assert "there is no node in" in refusal(network.start("nowhere"))
