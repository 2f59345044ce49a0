"""A node joins a network of real processes whose nodes have all dropped their first blocks.

They drop what is older than a day at most, so the first blocks are made by processes whose clocks are two days slow: a
`sitecustomize.py` that only they and their clients find sets their time of day back.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cli.localnet import prepare_node, require
from cli.members import _decide, _fund, _members
from concento.accounts import account_of_key
from concento.client import Client, RpcError, Session
from concento.client.wallet import development_signer
from concento.development import development_account, development_seed
from concento.genesis import parse_genesis
from concento.keys import public_key
from concento.messages.governance import AdmitObserver
from concento.messages.tokens import Transfer
from node.config import NodeConfig, read_config, write_config
from node.replica.retention import BLOCKS_KEPT_MIN
from support.localnetwork import Network, wait_for

pytestmark = pytest.mark.e2e

SLOW_BY_S = 2 * 24 * 3_600
SLOW_CLOCK = f"""import time
time_ns, now = time.time_ns, time.time
time.time_ns = lambda: time_ns() - {SLOW_BY_S} * 10**9
time.time = lambda: now() - {SLOW_BY_S}
"""
PEERS = ("node1", "node2", "node3", "node4")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """All four have dropped block 1, and keep their newest blocks and snapshots."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "sitecustomize.py").write_text(SLOW_CLOCK)
    found = Network(tmp_path_factory.mktemp("pruned"))
    found.environment |= {"PYTHONPATH": str(folder)}
    found.up()
    for _ in range(3):
        assert found.pay()["status"] == "final"
    found.done("testnet", "down")
    del found.environment["PYTHONPATH"]
    found.environment |= {"CONCENTO_NODE_RETAIN": "recent 1m", "CONCENTO_NODE_SNAPSHOT_EVERY": "2s"}
    found.up()
    with Client(found.url("node1")) as client:
        session = Session(client, development_signer("bob"))
        while client.status()["height"] < BLOCKS_KEPT_MIN + 20:
            assert session.send([Transfer(development_account("carol"), 1)])["status"] == "final"
    wait_for(lambda: all(oldest(found, name) > 1 for name in PEERS))
    yield found
    found.command("testnet", "down")


def oldest(network: Network, name: str) -> int:
    with Client(network.url(name)) as client:
        return int(client.status()["oldest_height"])


def refused(network: Network, name: str, method: str, **params: object) -> RpcError:
    with Client(network.url(name)) as client, pytest.raises(RpcError) as found:
        client.call(method, **params)
    return found.value


def log(network: Network, name: str) -> list[dict[str, object]]:
    path = network.home / "testnet" / name / "logs" / "node.log"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_node_added_after_the_first_blocks_are_gone_begins_with_a_snapshot_votes_and_says_what_it_lacks(
    network: Network,
) -> None:
    joined = network.done("testnet", "add-node")
    assert joined["name"] == "node5"
    assert "snapshot.joined" in [event["event"] for event in log(network, "node5")]
    with Client(network.url("node5")) as client:
        status = client.status()
        assert (status["role"], status["ready"]) == ("validator", True)
        began = status["oldest_height"]
        assert began > max(oldest(network, name) for name in PEERS)
        assert client.block(height=joined["first_block"])["proposer_name"] == "node5"
    lost = refused(network, "node5", "chain_getBlock", height=1)
    assert lost.kind == "block.pruned"
    assert str(began) in str(lost)
    with Client(network.url("node5")) as client, pytest.raises(RpcError) as behind:
        read_history(client, address_of(network, "bob"))
    assert behind.value.kind == "history.pruned"


def test_it_proves_a_balance_from_genesis_alone_and_agrees_with_the_others_after_a_restart(network: Network) -> None:
    network.done("testnet", "kill", "node5")
    network.done("testnet", "start", "node5")
    height = network.pay()["height"]
    wait_for(lambda: all(height_of(network, name) > height for name in (*PEERS, "node5")))
    assert len({app_hash(network, name, height) for name in (*PEERS, "node5")}) == 1
    proof = network.home / "proof.json"
    network.environment["CONCENTO_URL"] = network.url("node5")
    network.done("proof", "get", "account/bob", "--out", str(proof))
    network.environment["CONCENTO_URL"] = network.url("node1")
    assert network.done("proof", "verify", str(proof), "--genesis", str(network.home / "testnet" / "genesis.json"))


def test_a_node_that_asks_for_every_block_is_told_what_to_do_and_the_one_that_joined_serves_it(
    network: Network,
) -> None:
    """An observer that knows the node with the snapshot alone: first it wants blocks that nobody has."""
    config = prepare_observer(network)
    with network.running(config.home):
        wait_for(lambda: "any more" in check_of(config, "blocks"))
        assert "none has block 1 any more" in check_of(config, "blocks")
        hint = check_of(config, "blocks").partition("run: ")[2]
        assert hint == "concento node resync, then: concento node run --sync snapshot"
    network.done("node", "resync", "--yes", "--node-home", str(config.home))
    with network.running(config.home, "--sync", "snapshot"):
        wait_for(lambda: check_of(config, "blocks").startswith("0 blocks behind"))
        height = network.pay()["height"]
        wait_for(lambda: height_of(network, "node6") > height)
        assert app_hash(network, "node6", height) == app_hash(network, "node1", height)
        with Client(network.url("node6")) as client:
            assert client.status()["role"] == "observer"


def read_history(client: Client, address: str) -> None:
    """All pages, back to the first movement."""
    cursor = client.call("account_getHistory", who=address)["next"]
    while cursor is not None:
        cursor = client.call("account_getHistory", who=address, cursor=cursor)["next"]


def address_of(network: Network, name: str) -> str:
    return str(network.done("wallet", "balance", name)["address"])


def height_of(network: Network, name: str) -> int:
    with Client(network.url(name)) as client:
        return int(client.status()["height"])


def app_hash(network: Network, name: str, height: int) -> str:
    with Client(network.url(name)) as client:
        return str(client.block(height=height)["app_hash"])


def prepare_observer(network: Network) -> NodeConfig:
    """node6, admitted by a vote, whose only peer is node5."""
    layout = replace(require(network.home), nodes=6)
    genesis = parse_genesis(layout.genesis.read_bytes())
    key = public_key(development_seed("node6"))
    with Client(network.url("node1")) as client:
        _fund(client, genesis, tuple(_members(client)))
        _decide(client, AdmitObserver(key, "node6", account_of_key(key)))
    prepare_node(layout, genesis, "node6")
    only = f"{public_key(development_seed('node5')).hex()}@127.0.0.1:{layout.p2p_port('node5')}"
    config = replace(read_config(layout.node("node6")), peers=(only,))
    write_config(config)
    return config


def check_of(config: NodeConfig, name: str) -> str:
    """What this check of the node's readiness says; nothing where it does not answer yet."""
    request = urllib.request.Request(f"http://{config.rpc_listen}/readyz", headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            document = json.load(response)
    except urllib.error.HTTPError as error:
        document = json.load(error)
    except OSError:
        return ""
    return next((str(check["text"]) for check in document["checks"] if check["name"] == name), "")
