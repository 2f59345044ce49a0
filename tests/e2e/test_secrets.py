"""Nothing that a network says, writes or shows of itself holds a byte of its keys."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from concento.development import development_seed
from support.localnetwork import Network

pytestmark = pytest.mark.e2e

NODES = ("node1", "node2", "node3", "node4")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    found = Network(tmp_path_factory.mktemp("secrets"))
    found.up()
    yield found
    found.command("testnet", "down")


def needles() -> dict[str, bytes]:
    """Every seed of the network as people and programs write it."""
    found = {}
    for name in (*NODES, "gateway1", "bob"):
        seed = development_seed(name)
        forms = {"raw": seed, "hex": seed.hex().encode(), "HEX": seed.hex().upper().encode()}
        forms["base64"] = base64.b64encode(seed)[:42]
        forms["list"] = ", ".join(str(byte) for byte in seed[:12]).encode()
        found.update({f"{name} {form}": needle for form, needle in forms.items()})
    return found


def holds(haystack: bytes) -> list[str]:
    return [name for name, needle in needles().items() if needle in haystack]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def test_no_log_store_or_answer_shows_a_key(network: Network) -> None:
    """Case 87. A restart, a refusal and a payment, so that there is something to log."""
    network.pay()
    network.refused("wallet", "send", "carol", "999999999", "--from", "bob")
    network.done("testnet", "kill", "node4")
    network.up()
    for name in NODES:
        for path in ("/metrics", "/openrpc.json", "/readyz?verbose", "/"):
            assert holds(get(network.url(name) + path)) == [], path
    status = network.done("testnet", "status")
    assert holds(json.dumps(status).encode()) == []
    assert holds(network.command("doctor", "--json").stdout.encode()) == []
    searched = 0
    for path in sorted(network.home.rglob("*")):
        if path.is_file() and not path.is_symlink() and "key" not in path.name:
            assert holds(path.read_bytes()) == [], path
            searched += path.suffix == ".log" or "log" in path.name
    assert searched >= len(NODES)


def test_no_command_line_or_environment_of_a_node_shows_a_key(network: Network) -> None:
    """Case 87. What every user of the machine can list."""
    seen = 0
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(network.home).encode() in line:
            seen += 1
            assert holds(line + (process / "environ").read_bytes()) == []
    assert seen >= len(NODES)
