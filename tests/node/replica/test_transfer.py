"""A transaction on its way through four replicas."""

from __future__ import annotations

from sim.network import Network


def test_transfer_given_to_one_node_is_final_on_all_four() -> None:
    network = Network()
    network.start()
    before = network.balance("node1", "carol")
    payment = network.transfer("bob", "carol", 5_000_000)
    token = network.submit("node2", payment)
    network.run_until(network.is_final(payment), 5_000)
    (outcome,) = network.nodes["node2"].answers[token]
    assert (outcome.id, outcome.status, outcome.known, outcome.error) == (payment.id, "pending", False, None)
    assert {network.balance(name, "carol") for name in network.nodes} == {before + 5_000_000}
    assert len({node.app_hash for node in network.up}) == 1
    network.check_agreement()
