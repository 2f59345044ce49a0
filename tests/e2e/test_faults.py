"""Faults made by command on a real network: split, slowed, lied to; what the table says, and that it heals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench.faultnet import forks
from concento.client import Client
from support.localnetwork import Network, wait_for

pytestmark = pytest.mark.e2e

NAMES = ("node1", "node2", "node3", "node4")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    found = Network(tmp_path_factory.mktemp("faults"))
    found.up()
    yield found
    found.command("testnet", "down")


@pytest.fixture(autouse=True)
def _healed(network: Network) -> Iterator[None]:
    yield
    network.command("testnet", "heal")


def status(network: Network) -> dict[str, Any]:
    document: dict[str, Any] = network.done("testnet", "status")
    return document


def same_blocks(network: Network) -> list[str]:
    """Where nodes differ, at any height that all of them have."""
    last = min(height or 0 for height in network.heights())
    chains = {}
    for name in NAMES:
        with Client(network.url(name)) as client:
            blocks = [client.block(height=height) for height in range(1, last + 1)]
        chains[name] = [(block["id"], block["app_hash"], 0) for block in blocks]
    return forks(chains)


def test_a_network_cut_in_halves_decides_nothing_and_says_so_and_goes_on_when_it_is_healed(network: Network) -> None:
    network.done("testnet", "partition", "node1,node2", "/", "node3,node4")
    wait_for(lambda: status(network)["parts"] == [["node1", "node2"], ["node3", "node4"]])
    before = network.heights()
    found = network.command("wallet", "send", "carol", "1", "--from", "bob", "--timeout", "4", "--json")
    assert found.returncode == 7
    cut = status(network)
    assert [node["height"] for node in cut["nodes"]] == before
    assert cut["quorum"] == {"needed": 3, "validators": 4, "reached": 2, "met": False}
    assert ["node1", "node3"] in cut["cuts"]
    said = network.command("testnet", "watch", "--for", "0.2").stdout
    assert "split: node1 node2 | node3 node4" in said
    assert "NO QUORUM: 2 of 4 validators reach each other, 3 must sign" in said
    network.done("testnet", "heal")
    # What was handed in while the network was cut is decided now.
    wait_for(lambda: min(height or 0 for height in network.heights()) > max(height or 0 for height in before))
    # Three that reach each other are a quorum: the last pair may take a moment longer to meet.
    wait_for(lambda: status(network)["cuts"] == [])
    assert status(network)["quorum"]["met"]
    assert network.pay()["status"] == "final"
    assert same_blocks(network) == []


def test_one_that_is_cut_off_is_named_and_catches_up(network: Network) -> None:
    network.done("testnet", "partition", "node4")
    wait_for(lambda: status(network)["parts"] == [["node1", "node2", "node3"], ["node4"]])
    paid = network.pay()
    assert paid["status"] == "final"
    assert status(network)["quorum"]["met"]
    network.done("testnet", "heal")
    assert len(set(network.until_level(paid["height"]))) == 1


def test_a_cut_outlives_the_restart_of_a_node(network: Network) -> None:
    network.done("testnet", "partition", "node4")
    network.done("testnet", "kill", "node4")
    network.done("testnet", "start", "node4")
    wait_for(lambda: status(network)["parts"] == [["node1", "node2", "node3"], ["node4"]])


def test_slow_lines_make_blocks_slow(network: Network) -> None:
    fast = network.pay()
    document = network.done("testnet", "delay", "node1,node2", "150")
    assert document["delays_ms"] == {"node1": 150, "node2": 150}
    slow = network.pay()
    assert slow["status"] == fast["status"] == "final"
    with Client(network.url("node1")) as client:
        times = [client.block(height=slow["height"] - back)["time_ms"] for back in (0, 1)]
    assert times[0] - times[1] >= 150
    network.done("testnet", "heal")
    wait_for(lambda: status(network)["cuts"] == [])


def test_an_equivocator_is_found_out_on_chain_and_nobody_forks(network: Network) -> None:
    network.done("testnet", "byzantine", "node4", "equivocate")
    assert status(network)["nodes"][3]["byzantine"] == "equivocate"
    for _ in range(4):
        assert network.pay()["status"] == "final"
    with Client(network.url("node1")) as client:
        last = client.status()["height"]
        proofs = sum(client.commit(height)["evidence"] for height in range(1, last + 1))
    punished = [event["event"] for event in _events(network) if event["topic"] == "validators"]
    assert proofs > 0
    # Four validators are the fewest that there may be: it stays, and earns nothing for a day.
    assert {event["kind"] for event in punished} == {"validators.suspended"}
    assert {event["validator"] for event in punished} == {"node4"}
    network.done("testnet", "byzantine", "node4", "honest")
    assert network.pay()["status"] == "final"
    network.until_level(last)
    assert same_blocks(network) == []


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("partition", "node1,node9"), 6, "testnet.no_such_node"),
        (("partition", "node1,node1/node2"), 9, "testnet.split_invalid"),
        (("partition", "node1/"), 9, "testnet.split_invalid"),
        (("partition", "node1,node2,node3,node4"), 9, "testnet.split_invalid"),
        (("delay", "node7", "10"), 6, "testnet.no_such_node"),
        (("byzantine", "node7", "mutate"), 6, "testnet.no_such_node"),
        (("byzantine", "node1", "rudely"), 9, "testnet.mode_unknown"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_hint(
    network: Network, words: tuple[str, ...], code: int, kind: str
) -> None:
    found = network.command("testnet", *words, "--json")
    error = json.loads(found.stdout)["error"]
    assert (found.returncode, error["data"]["kind"]) == (code, kind)
    assert error["data"]["hint"]


def _events(network: Network) -> list[dict[str, Any]]:
    """All events of the chain so far, as node1 streams them."""
    found = []
    with Client(network.url("node1")) as client:
        tip = client.status()["height"]
        for event in client.events(start="0.0"):
            if event["height"] >= tip:
                return found
            found.append(event)
    return found
