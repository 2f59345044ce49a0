"""Metrics: valid exposition, stable names, a registry per node."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from node.metrics import Metrics

READING = {
    "consensus_height": 7.0,
    "consensus_rounds": 1.0,
    "p2p_peers": 3.0,
}


def samples(metrics: Metrics, **checks: bool) -> dict[str, float]:
    text = metrics.exposition(checks).decode()
    return {
        sample.name + "".join(f"|{label}" for label in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_gauges_show_what_the_node_reads_at_that_moment() -> None:
    reading = dict(READING)
    metrics = Metrics("1.2.3", "node1", "testing-1", lambda: reading)
    assert samples(metrics)["concento_consensus_height"] == 7
    reading["consensus_height"] = 8.0
    found = samples(metrics)
    assert found["concento_consensus_height"] == 8
    assert found["concento_node_info|testing-1|node1|1.2.3"] == 1


def test_blocks_rounds_transactions_and_intervals_are_counted() -> None:
    metrics = Metrics("1", "n", "c", dict)
    metrics.block(10.0, 0, {"ok": 3, "failed": 1}, 0)
    metrics.block(10.3, 2, {"ok": 1, "skipped": 2}, 1)
    found = samples(metrics)
    assert found["concento_consensus_blocks_total"] == 2
    assert found["concento_consensus_round_changes_total"] == 2
    assert found["concento_consensus_byzantine_validators"] == 1
    assert found["concento_transactions_total|ok"] == 4
    assert found["concento_transactions_total|skipped"] == 2
    assert found["concento_consensus_block_interval_seconds_count"] == 1
    assert 0.29 < found["concento_consensus_block_interval_seconds_sum"] < 0.31


def test_requests_finality_and_peers_are_counted() -> None:
    metrics = Metrics("1", "n", "c", dict)
    metrics.request("tx_submit", "ok", 0.02)
    metrics.request("tx_submit", "tokens.balance_low", 0.01)
    metrics.final(0.07)
    metrics.refused()
    metrics.lost()
    metrics.received(100)
    found = samples(metrics)
    assert found["concento_rpc_request_duration_seconds_count|ok|tx_submit"] == 1
    assert found["concento_rpc_request_duration_seconds_count|tokens.balance_low|tx_submit"] == 1
    assert found["concento_finality_seconds_bucket|0.1"] == 1
    assert found["concento_finality_seconds_bucket|0.05"] == 0
    assert found["concento_p2p_refused_total"] == found["concento_p2p_disconnected_total"] == 1
    assert found["concento_p2p_received_bytes_total"] == 100


def test_every_check_of_readiness_is_a_metric() -> None:
    found = samples(Metrics("1", "n", "c", dict), tip=True, peers=False)
    assert (found["concento_check_ok|tip"], found["concento_check_ok|peers"]) == (1, 0)


def test_every_metric_carries_the_prefix() -> None:
    metrics = Metrics("1", "n", "c", lambda: READING)
    assert all(name.startswith("concento_") for name in samples(metrics))


def test_two_nodes_in_one_process_count_apart() -> None:
    first, second = (Metrics("1", name, "c", dict) for name in ("node1", "node2"))
    first.lost()
    assert samples(second)["concento_p2p_disconnected_total"] == 0
