"""The trade of a run: what is sent is sensible often enough to reach every part of the ledger, and repeats."""

from collections import Counter

from concento.transactions import decode_transaction
from sim.crypto import STUB
from sim.dice import stream
from sim.judge import judge
from sim.ledger import STUB_LEDGER
from sim.load import Load
from sim.market import Market
from sim.network import Network
from sim.swarm import draw_swarm


def test_trade_reaches_the_ledger() -> None:
    done: Counter[str] = Counter()
    swarms = [draw_swarm(seed) for seed in range(3, 400, 3)]
    seeds = [swarm.seed for swarm in swarms if swarm.market_share and swarm.size < 4 and not swarm.churn_share][:6]
    for seed in seeds:
        result = judge(seed)
        assert result.violation is None
        done += result.reached
    for name in ("RegisterWork", "SealDataset", "BuyLicence"):
        assert done[f"action {name}"] > 0


def test_the_same_dice_make_the_same_trade() -> None:
    def first() -> list[bytes]:
        market = Market(Network(signing=STUB), stream(1, "trade"))
        return [transaction.raw for _ in range(12) for transaction in market.transactions()]

    assert first() == first()
    assert all(decode_transaction(raw).body.actions for raw in first())


def test_clients_send_the_same_thing_twice_now_and_then() -> None:
    network = Network(signing=STUB, ledger=STUB_LEDGER)
    load = Load(network, stream(2, "load"), 1.0, None, 0.0)
    sent = [entry for _ in range(200) for entry in load.next() if not isinstance(entry, bytes)]
    assert len({entry.id for entry in sent}) < len(sent)


def test_nodes_agree_over_a_ledger_that_only_orders() -> None:
    network = Network(signing=STUB, ledger=STUB_LEDGER)
    network.start()
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.submit("node2", payment)
    network.run_until(network.is_final(payment))
    network.run(500)
    assert len({node.app_hash for node in network.nodes.values()}) == 1
