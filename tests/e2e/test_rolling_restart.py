"""All nodes of a network are restarted one after the other while people pay."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from concento.accounts import account_of_key
from concento.client import Client, Session, Signer
from concento.development import development_seed
from concento.errors import ConcentoError
from concento.keys import public_key
from concento.messages.tokens import Transfer
from support.localnetwork import Network, wait_for

pytestmark = pytest.mark.e2e

NODES = ("node1", "node2", "node3", "node4")
ROUNDS_MOST = 2
"""A proposer that was just killed costs its round; one more for a machine that is busy with starting processes."""


class Payer(threading.Thread):
    """Pays one ubeat after another until it is told to stop; who is down is passed over."""

    def __init__(self, network: Network) -> None:
        super().__init__(daemon=True)
        seed = development_seed("bob")
        self.urls = [network.url(name) for name in NODES]
        self.signer = Signer("bob", account_of_key(public_key(seed)), (seed,))
        self.to = account_of_key(public_key(development_seed("carol")))
        self.stopping = threading.Event()
        self.paid: list[dict[str, Any]] = []
        self.refused: list[str] = []

    def run(self) -> None:
        with Client(*self.urls) as client:
            session = Session(client, self.signer)
            while not self.stopping.is_set():
                try:
                    self.paid.append(session.send([Transfer(self.to, 1)]))
                except ConcentoError as error:
                    self.refused.append(error.kind)


def is_level(network: Network) -> bool:
    """Whether all nodes answer, and none is more than a few blocks behind."""
    heights = []
    for name in NODES:
        with Client(network.url(name)) as client:
            heights.append(int(client.status()["height"]))
    return max(heights) - min(heights) <= 5


def test_a_rolling_restart_under_load_loses_no_payment_and_holds_up_no_height(tmp_path: Path) -> None:
    """Case 94."""
    network = Network(tmp_path)
    network.up()
    payer = Payer(network)
    before = int(network.done("wallet", "balance", "carol")["balance_ubeat"])
    first = min(height or 0 for height in network.heights())
    try:
        payer.start()
        for name in NODES:
            done = len(payer.paid)
            network.environment["CONCENTO_URL"] = network.url("node2" if name == "node1" else "node1")
            network.done("testnet", "kill", name)
            wait_for(lambda: len(payer.paid) > done + 5)  # noqa: B023
            network.done("testnet", "start", name)
            wait_for(lambda: is_level(network))
        payer.stopping.set()
        payer.join()
        assert payer.refused == []
        assert {paid["status"] for paid in payer.paid} == {"final"}
        last = max(paid["height"] for paid in payer.paid)
        assert len(set(network.until_level(last))) == 1
        assert int(network.done("wallet", "balance", "carol")["balance_ubeat"]) - before == len(payer.paid)
        with Client(network.url("node1")) as client:
            rounds = [client.block(height=height)["round"] for height in range(first + 1, last + 1)]
        assert max(rounds) <= ROUNDS_MOST
        assert sum(round_ == 0 for round_ in rounds) > len(rounds) * 3 // 4
    finally:
        payer.stopping.set()
        network.command("testnet", "down")
