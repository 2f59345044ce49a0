"""Batches between validators: pushed, acknowledged, fetched, refused."""

from __future__ import annotations

import pytest

from concento.batches import Batch, batch_id, cut_batch
from concento.encoding import encode
from concento.transactions import Signed, Transaction
from node.replica import batches, wire
from node.replica.batches import AUTHOR_BATCHES_MAX
from sim.network import Network


def started() -> Network:
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    return network


def spoiled(transaction: Transaction) -> bytes:
    """The transaction with a signature that does not verify."""
    ((key, signature),) = transaction.signatures
    return encode(Signed(transaction.body_bytes, ((key, signature[:63] + bytes((signature[63] ^ 1,))),)))


def batch_of(network: Network, author: str, *raws: bytes, number: int = 1) -> Batch:
    key = network.nodes[author].key
    return cut_batch(network.genesis.network, key.seed, key.public, number, tuple(raws))


def test_batch_is_pushed_to_everybody_and_counts_as_shared_once_acknowledged() -> None:
    network = started()
    # Votes are lost: nothing is decided, but batches travel.
    network.is_lost = lambda _from, _to, message: isinstance(message, wire.Vote)
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(3)
    node = network.nodes["node1"].core
    found = node.lookup(payment.id)
    assert found is not None
    assert (found.status, found.raw, found.skipped) == ("pending", payment.raw, None)
    network.run(10)
    found = node.lookup(payment.id)
    assert found is not None
    assert found.status == "shared"


def test_two_acknowledgements_are_too_few_for_shared() -> None:
    network = started()
    network.kill("node3")
    network.kill("node4")
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(500)
    found = network.nodes["node1"].core.lookup(payment.id)
    assert found is not None
    assert found.status == "pending"


def test_unacknowledged_batch_is_pushed_again_after_a_new_connection() -> None:
    network = started()
    network.partition(("node1",), ("node2", "node3", "node4"))
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(1_000)
    assert not any(network.nodes[name].kv.get(b"t" + payment.id) for name in network.nodes)
    network.heal()
    network.run_until(network.is_final(payment), 5_000)


def test_batch_missing_at_one_node_is_fetched_when_a_proposal_names_it() -> None:
    network = started()
    requested = []

    def is_lost(_origin: str, to: str, message: object) -> bool:
        if isinstance(message, wire.BatchRequest):
            requested.append(to)
        return isinstance(message, Batch) and to == "node4" and not requested

    network.is_lost = is_lost
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    # Without node3 the vote of node4 is needed.
    network.kill("node3")
    network.run_until(network.is_final(payment), 5_000)
    assert requested
    network.check_agreement()


def test_fetching_goes_on_with_others_where_the_proposer_does_not_answer() -> None:
    network = started()
    payment = network.transfer("bob", "carol", 1)
    asked: set[str] = set()

    def is_lost(_origin: str, to: str, message: object) -> bool:
        if isinstance(message, wire.BatchRequest):
            asked.add(to)
            return len(asked) < 2
        return isinstance(message, Batch) and to == "node4" and not asked

    network.is_lost = is_lost
    network.submit("node1", payment)
    network.run_until(network.is_final(payment), 5_000)
    assert len(asked) >= 2


def test_one_bad_signature_spoils_the_batch_and_disconnects_its_author() -> None:
    network = started()
    good, bad = network.transfer("bob", "carol", 1), network.transfer("bob", "carol", 2)
    network.inject("node4", "node1", batch_of(network, "node4", good.raw, spoiled(bad)))
    network.run(500)
    key4 = network.nodes["node4"].key.public
    assert [peer for peer, _ in network.nodes["node1"].disconnected] == [key4]
    assert network.nodes["node1"].kv.get(b"t" + good.id) is None


def test_malformed_transaction_spoils_the_batch_too() -> None:
    network = started()
    network.inject("node4", "node1", batch_of(network, "node4", b"\x01\x02"))
    network.run(100)
    assert network.nodes["node1"].disconnected[0][0] == network.nodes["node4"].key.public


def test_batch_with_anothers_signature_disconnects_only_who_sent_it() -> None:
    network = started()
    batch = batch_of(network, "node4", network.transfer("bob", "carol", 1).raw)
    forged = Batch(batch.header, bytes(64), batch.transactions)
    network.inject("node3", "node1", forged)
    network.run(100)
    assert [peer for peer, _ in network.nodes["node1"].disconnected] == [network.nodes["node3"].key.public]
    # The id itself is not spoiled: the right batch is taken afterwards.
    network.inject("node4", "node1", batch)
    network.run(3)
    assert network.nodes["node1"].core._batches.find(batch_id(batch.header)) is not None


def test_flood_of_batches_from_one_author_is_bounded() -> None:
    network = started()
    # Nothing is decided meanwhile.
    network.is_lost = lambda *_: True
    for number in range(AUTHOR_BATCHES_MAX + 50):
        payment = network.transfer("bob", "carol", 1)
        network.inject("node4", "node1", batch_of(network, "node4", payment.raw, number=number))
    network.run(100)
    author = network.nodes["node4"].key.public
    held = [batch for batch in network.nodes["node1"].core._batches.held if batch.author == author]
    assert len(held) == AUTHOR_BATCHES_MAX


def test_batch_of_a_stranger_is_ignored() -> None:
    network = Network(4, observers=1)
    network.start()
    network.run_until(network.reached(1))
    batch = batch_of(network, "node5", network.transfer("bob", "carol", 1).raw)
    network.inject("node5", "node1", batch)
    network.run(50)
    assert network.nodes["node1"].core._batches.find(batch_id(batch.header)) is None


def test_batch_of_a_dead_author_is_decided_all_the_same() -> None:
    network = started()
    network.is_lost = lambda _origin, _to, message: not isinstance(message, Batch)
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(10)
    network.kill("node1")
    network.heal()
    network.run_until(network.is_final(payment), 10_000)


def test_transactions_submitted_together_are_cut_into_one_batch_and_later_ones_wait_for_company() -> None:
    network = started()
    network.is_lost = lambda _from, _to, message: isinstance(message, wire.Vote)
    payments = [network.transfer("bob", "carol", 1) for _ in range(12)]
    network.submit("node1", *payments[:2])
    network.run(5)
    for payment in payments[2:]:
        network.submit("node1", payment)
        network.run(1)
    network.run(40)
    own = [len(batch.transactions) for batch in network.nodes["node1"].core._batches.held]
    assert own == [2, 10]


@pytest.mark.parametrize(("count", "wait_ms"), [(2, 20), (30, 120), (80, 200)])
def test_transactions_wait_for_company_the_longer_the_more_are_on_their_way(count: int, wait_ms: int) -> None:
    network = started()
    network.is_lost = lambda _from, _to, message: isinstance(message, wire.Vote)
    network.submit("node1", *[network.transfer("bob", "carol", 1) for _ in range(count)])
    network.run(5)
    network.submit("node1", network.transfer("bob", "carol", 1))
    network.run(wait_ms - 5)
    core = network.nodes["node1"].core
    assert core._pool.waiting_count == 1
    network.run(15)
    assert [len(batch.transactions) for batch in core._batches.held] == [count, 1]


def test_what_waits_for_company_is_cut_when_the_batch_before_it_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "COMPANY_MS_MIN", 60_000)
    monkeypatch.setattr(batches, "COMPANY_MS_MAX", 60_000)
    network = started()
    first, second = network.transfer("bob", "carol", 1), network.transfer("bob", "carol", 2)
    network.submit("node1", first)
    network.run(3)
    network.submit("node1", second)
    network.run_until(network.is_final(second), 1_000)


def test_batch_that_is_asked_for_many_times_in_one_request_is_sent_once() -> None:
    network = started()
    network.partition(["node1", "node4"], ["node2"], ["node3"])
    payment = network.transfer("bob", "carol", 1)
    network.submit("node1", payment)
    network.run(100)
    held = [batch.id for batch in network.nodes["node1"].core._batches.held]
    assert len(held) == 1
    sent = network.sent_count
    network.inject("node4", "node1", wire.BatchRequest(tuple(held * 200)))
    network.run(10)
    assert network.sent_count - sent < 10


def test_a_block_is_proposed_with_no_more_transactions_than_are_executed_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "PROPOSED_COUNT_MAX", 3)
    network = started()
    for _ in range(4):
        network.submit("node1", *(network.transfer("bob", "carol", 1) for _ in range(2)))
        network.submit("node2", *(network.transfer("carol", "bob", 1) for _ in range(2)))
    network.run(3_000)
    records = [committed.stored.record for committed in network.nodes["node1"].committed]
    assert sum(len(record.transactions) for record in records) == 16
    # One batch goes into a block whatever its size.
    assert all(len(record.transactions) <= 3 or len(record.block.batches) == 1 for record in records)


def test_own_batches_that_nobody_is_known_to_hold_are_proposed_where_there_is_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "PROPOSED_UNSHARED_MAX", 1)
    network = started()
    network.is_lost = lambda _from, _to, message: isinstance(message, wire.Vote | wire.BatchAck)
    network.submit("node1", *(network.transfer("bob", "carol", 1) for _ in range(2)))
    network.run(20)
    held = network.nodes["node1"].core._batches
    (own,) = held.held
    assert held.choose() == (own.id,)
    network.submit("node2", network.transfer("carol", "bob", 1))
    network.run(20)
    (others,) = (batch for batch in held.held if batch is not own)
    assert held.choose() == (others.id,)
    own.acks.update((network.nodes[name].key.public, None) for name in ("node2", "node3"))
    assert held.choose() == (own.id, others.id)


def test_no_more_batches_are_cut_while_enough_of_this_node_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "OWN_COUNT_MAX", 2)
    network = started()
    network.is_lost = lambda _from, _to, message: isinstance(message, wire.Vote)
    payments = [network.transfer("bob", "carol", 1) for _ in range(6)]
    for payment in payments:
        network.submit("node1", payment)
        network.run(50)
    core = network.nodes["node1"].core
    assert [len(batch.transactions) for batch in core._batches.held] == [1, 1]
    assert core._pool.waiting_count == 4
    network.heal()
    for payment in payments:
        network.run_until(network.is_final(payment), 10_000)


def test_a_decided_batch_that_comes_again_is_not_kept() -> None:
    network = started()
    payments = [network.transfer("bob", "carol", amount) for amount in (1, 2)]
    batch = batch_of(network, "node1", *[payment.raw for payment in payments])
    network.inject("node1", "node2", batch)
    network.run_until(network.is_final(payments[0]), 5_000)
    held = network.nodes["node2"].core._batches
    assert held.find(batch_id(batch.header)) is None
    # What was skipped would else give it a place again.
    held._is_included = lambda _identity: False
    network.inject("node3", "node2", batch)
    network.run(20)
    assert held.find(batch_id(batch.header)) is None


def test_a_batch_whose_signatures_are_checked_after_its_block_is_not_kept() -> None:
    network = started()
    paid, skipped = network.transfer("bob", "carol", 1), network.transfer("carol", "bob", 1, max_fee_ubeat=1)
    batch = batch_of(network, "node1", paid.raw, skipped.raw)
    core = network.nodes["node2"].core
    verify, late = core._verifier.verify, []
    core._verifier.verify = lambda checks, done, *, of_batch: verify(
        checks, lambda bad: late.append((done, bad)), of_batch=of_batch
    )
    for name in ("node2", "node3", "node4"):
        network.inject("node1", name, batch)
    network.inject("node2", "node1", batch)
    network.run_until(network.is_final(paid), 20_000)
    assert late
    for done, bad in late:
        done(bad)
    assert core._batches.find(batch_id(batch.header)) is None


def test_a_node_cuts_no_more_than_the_others_keep_of_one_author(monkeypatch: pytest.MonkeyPatch) -> None:
    network = started()
    network.is_lost = lambda _from, _to, message: isinstance(message, wire.Vote)
    payments = [network.transfer("bob", "carol", amount) for amount in range(1, 7)]
    size = len(payments[0].raw)
    monkeypatch.setattr(batches, "BATCH_BYTES_MAX", size)
    monkeypatch.setattr(batches, "AUTHOR_BYTES_MAX", 3 * size + size // 2)
    for payment in payments:
        network.submit("node1", payment)
        network.run(100)
    own = [
        batch
        for batch in network.nodes["node1"].core._batches.held
        if batch.author == network.nodes["node1"].key.public
    ]
    assert 1 <= sum(batch.size for batch in own) <= 3 * size + size // 2
    assert network.nodes["node1"].core._pool.waiting_count > 0
