"""What a node drops of old blocks, what it keeps all the same, and that the store stays whole."""

from __future__ import annotations

import pytest

from concento.errors import Rejected
from node.replica import retention, segments
from node.replica.retention import Retention
from sim.network import Network
from state.queries import Chain
from state.queries_chain import block_at, handovers_before
from state.queries_tx import tx_get
from state.store.blockstore import find_block, find_transaction
from state.store.opening import check_records, open_store
from support.windows import short_genesis

REACH_MS = 120_000
"""Twice as long as a batch may stay undecided: nothing younger may go."""


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Four validators, of which node2 keeps blocks for as short as it may."""
    monkeypatch.setattr(retention, "BLOCKS_KEPT_MIN", 5)
    monkeypatch.setattr(segments, "SEGMENT_BYTES_MAX", 2_000)
    network = Network(4, genesis=short_genesis(replay_window_ms=60_000))
    network.start()
    network.run_until(network.reached(1))
    network.nodes["node2"].core._chain.retention = Retention(1)
    return network


def paid(network: Network, count: int = 3) -> list[bytes]:
    found = []
    for _ in range(count):
        payment = network.transfer("bob", "carol", 1)
        network.submit("node1", payment)
        network.run_until(network.is_final(payment))
        found.append(payment.id)
    return found


def aged(network: Network) -> None:
    """So long that every block made before is out of reach, with time to drop them."""
    network.run(REACH_MS + 90_000)


def chain_of(network: Network, name: str) -> Chain:
    store = network.nodes[name].core.store
    return Chain(store.kv, store.tree, network.genesis)


def test_old_blocks_go_with_results_places_and_bodies_and_the_store_stays_whole(network: Network) -> None:
    ids = paid(network, 12)
    height = network.nodes["node2"].height
    names = network.nodes["node2"].files.names()
    aged(network)
    node = network.nodes["node2"]
    commit = node.core.store.commit
    assert commit.oldest_height > height
    assert all(find_block(node.kv, height) is None for height in range(1, commit.oldest_height))
    assert all(find_transaction(node.kv, identity) is None for identity in ids)
    assert not set(names) & set(node.files.names()) - {"guard"}
    check_records(node.kv, commit, "node2")
    assert open_store(node.kv, network.genesis.network).commit == commit
    assert find_block(network.nodes["node1"].kv, 1) is not None
    network.check_agreement()


def test_what_is_pruned_says_so(network: Network) -> None:
    (identity,) = paid(network, 1)
    aged(network)
    chain = chain_of(network, "node2")
    for refused, kind in (
        (lambda: tx_get(chain, identity, lambda _place: None, None), "tx.pruned"),
        (lambda: block_at(chain, 1), "block.pruned"),
    ):
        with pytest.raises(Rejected) as refusal:
            refused()
        assert refusal.value.kind == kind
        assert refusal.value.numbers["oldest_height"] == chain.oldest_height > 1
    assert tx_get(chain_of(network, "node1"), identity, lambda _place: None, None)["status"] == "final"


def test_nothing_within_the_windows_goes_whatever_the_setting(network: Network) -> None:
    paid(network, 8)
    network.run(REACH_MS - 30_000)
    assert network.nodes["node2"].core.store.commit.oldest_height == 1


def test_blocks_above_the_oldest_snapshot_stay(network: Network) -> None:
    paid(network, 8)
    network.nodes["node2"].core._chain.retention = Retention(1, lambda: 4)
    aged(network)
    assert network.nodes["node2"].core.store.commit.oldest_height == 5


def test_a_node_that_prunes_starts_again_and_goes_on(network: Network) -> None:
    paid(network, 6)
    aged(network)
    oldest = network.nodes["node2"].core.store.commit.oldest_height
    network.kill("node2")
    paid(network, 2)
    network.start("node2")
    network.run_until(lambda: network.nodes["node2"].height >= network.nodes["node1"].height)
    paid(network, 2)
    assert network.nodes["node2"].core.store.commit.oldest_height == oldest
    network.check_agreement()


def test_handovers_are_kept_for_light_clients(network: Network) -> None:
    network.run(500)
    before = len(handovers_before(chain_of(network, "node1"), 10_000))
    aged(network)
    assert len(handovers_before(chain_of(network, "node2"), 10_000)) == before
