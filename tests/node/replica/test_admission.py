"""What a node answers to a client that submits."""

from __future__ import annotations

import gc
from dataclasses import replace
from sys import getrefcount

import pytest

from concento.encoding import encode
from concento.errors import Broken, Rejected, Unavailable
from concento.transactions import Signed, Transaction
from node.replica import admission
from node.replica import pool as pool_file
from node.replica.events import Effect, Outcome, Verify
from node.replica.pool import Pool
from sim.network import Network, Node


@pytest.fixture(scope="module")
def network() -> Network:
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    return network


def outcome(network: Network, *raws: bytes, name: str = "node1") -> Outcome:
    token = network.submit(name, *raws)
    network.run(5)
    return network.nodes[name].answers[token][-1]


def kind(found: Outcome) -> str:
    assert found.status == "refused"
    assert found.error is not None
    return found.error.kind


def test_bytes_that_are_no_transaction_have_no_id(network: Network) -> None:
    found = outcome(network, b"nonsense")
    assert (found.id, kind(found)) == (None, "encoding.invalid")


def test_wrong_signature_is_refused_by_its_position(network: Network) -> None:
    payment = network.transfer("bob", "carol", 1)
    ((key, _),) = payment.signatures
    found = outcome(network, encode(Signed(payment.body_bytes, ((key, bytes(64)),))))
    assert kind(found) == "tx.signature"
    assert found.error is not None
    assert found.error.numbers == {"index": 0}


def test_transaction_of_another_chain_is_refused(network: Network) -> None:
    assert kind(outcome(network, network.transfer("bob", "carol", 1, chain_id="other-net").raw)) == "tx.wrong_chain"


def test_expired_transaction_is_refused(network: Network) -> None:
    assert kind(outcome(network, network.transfer("bob", "carol", 1, valid_ms=-10).raw)) == "tx.expired"


def test_same_bytes_again_are_known_and_not_refused(network: Network) -> None:
    payment = network.transfer("bob", "carol", 1)
    first = outcome(network, payment.raw)
    again = outcome(network, payment.raw)
    assert (first.known, again.known, again.error) == (False, True, None)
    network.run_until(network.is_final(payment), 5_000)
    last = outcome(network, payment.raw)
    assert (last.status, last.known) == ("included", True)


def test_answer_keeps_the_order_of_a_mixed_submission(network: Network) -> None:
    good = network.transfer("bob", "carol", 1)
    token = network.submit("node1", good, b"bad", good)
    network.run(5)
    answers = network.nodes["node1"].answers[token]
    assert [found.id for found in answers] == [good.id, None, good.id]
    assert [found.known for found in answers] == [False, False, True]


def test_fees_of_waiting_transactions_are_reserved(network: Network) -> None:
    # dana has 1,000 BEAT: a second fee of 600 BEAT at most is one too many.
    first = network.transfer("dana", "carol", 1, max_fee_ubeat=600_000_000)
    second = network.transfer("dana", "carol", 1, max_fee_ubeat=600_000_000)
    token = network.submit("node1", first, second)
    network.run(5)
    one, two = network.nodes["node1"].answers[token]
    assert one.status == "pending"
    assert kind(two) == "tokens.balance_low"
    network.run_until(network.is_final(first), 5_000)
    assert outcome(network, second.raw).status == "pending"


def test_payment_beyond_the_balance_is_refused(network: Network) -> None:
    assert kind(outcome(network, network.transfer("dana", "carol", 10**15).raw)) == "tokens.balance_low"


def test_expired_transaction_is_still_known_to_whoever_waits() -> None:
    network = Network()
    network.start()
    network.run_until(network.reached(1))
    # The proposer of the next height would put it into a block at once, in time, and have it decided later.
    proposer = network.nodes["node1"].core.status().proposer
    name = next(node.name for node in network.up if node.key.public != proposer)
    network.partition((name,), set(network.nodes) - {name})
    payment = network.transfer("bob", "carol", 1, valid_ms=1_000)
    outcome(network, payment.raw, name=name)
    network.run(3_000)
    network.heal()
    network.run(10_000)
    found = network.nodes[name].core.lookup(payment.id)
    assert found is not None
    assert found.raw == payment.raw
    assert network.nodes[name].kv.get(b"t" + payment.id) is None
    assert len(network.nodes[name].core._pool) == 0


@pytest.mark.parametrize(("bound", "value"), [("CHECKING_MAX", 2), ("CHECKING_BYTES_MAX", 300)])
def test_what_is_beyond_the_checks_under_way_is_refused_without_a_look(
    monkeypatch: pytest.MonkeyPatch, network: Network, bound: str, value: int
) -> None:
    monkeypatch.setattr(admission, bound, value)
    taken = network.submit("node1", *(network.transfer("bob", "carol", 1) for _ in range(2)))
    refused = network.submit("node1", network.transfer("bob", "carol", 1), b"nonsense")
    network.run(5)
    answers = network.nodes["node1"].answers
    assert [found.status for found in answers[taken]] == ["pending", "pending"]
    assert [(found.id, kind(found)) for found in answers[refused]] == [(None, "node.busy")] * 2
    assert outcome(network, network.transfer("bob", "carol", 1).raw).status == "pending"


def test_no_signature_is_checked_of_what_would_find_no_room(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    network.run(1_000)
    checked: list[int] = []

    def look(node: Node, effect: Effect) -> None:
        if isinstance(effect, Verify) and not effect.of_batch:
            checked.append(len(effect.checks))

    monkeypatch.setattr(pool_file, "POOL_COUNT_MAX", 3)
    monkeypatch.setattr(network, "before_effect", look)
    tokens = [network.submit("node1", *(network.transfer("bob", "carol", 1) for _ in range(n))) for n in (2, 3)]
    network.run(5)
    statuses = [found.status for token in tokens for found in network.nodes["node1"].answers[token]]
    assert statuses == ["pending", "pending", "pending", "refused", "refused"]
    assert checked == [2, 1]


@pytest.mark.parametrize("room", [0, 1])
def test_nothing_keeps_what_was_refused(monkeypatch: pytest.MonkeyPatch, network: Network, room: int) -> None:
    """Not even until the garbage is collected: an overloaded node refuses megabytes a second."""
    network.run(1_000)
    monkeypatch.setattr(pool_file, "POOL_COUNT_MAX", room)
    raws = tuple(network.transfer("bob", "carol", 1).raw for _ in range(room + 1))
    before = getrefcount(raws[-1])
    gc.disable()
    try:
        refused = outcome(network, *raws)
        after = getrefcount(raws[-1])
    finally:
        gc.enable()
    assert (kind(refused), after) == ("node.busy", before)


def test_full_pool_says_busy(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    pool = Pool()
    monkeypatch.setattr(pool_file, "POOL_COUNT_MAX", 3)
    for _ in range(3):
        pool.add(network.transfer("bob", "carol", 1), 10**12)
    with pytest.raises(Unavailable, match="full"):
        pool.add(network.transfer("bob", "carol", 1), 10**12)


def test_one_sender_cannot_take_the_whole_pool(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    pool = Pool()
    monkeypatch.setattr(pool_file, "POOL_SENDER_COUNT_MAX", 2)
    for _ in range(2):
        pool.add(network.transfer("bob", "carol", 1), 10**12)
    with pytest.raises(Unavailable):
        pool.add(network.transfer("bob", "carol", 1), 10**12)
    pool.add(network.transfer("alice", "carol", 1), 10**12)


def test_pool_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    pool = Pool()
    payment = network.transfer("bob", "carol", 1)
    monkeypatch.setattr(pool_file, "POOL_BYTES_MAX", len(payment.raw))
    pool.add(payment, 10**12)
    with pytest.raises(Unavailable):
        pool.add(network.transfer("bob", "carol", 1), 10**12)
    pool.remove(payment.id)
    pool.add(network.transfer("bob", "carol", 1), 10**12)


def test_what_comes_back_is_at_the_head_of_the_line(network: Network) -> None:
    pool = Pool()
    first, second, third = (network.transfer("bob", "carol", amount) for amount in (1, 2, 3))
    for payment in (first, second):
        pool.add(payment, 10**12)
    taken = pool.take()
    pool.add(third, 10**12)
    # An id may come twice: two nodes were given it, and the block had room for neither.
    pool.requeue([payment.id for payment in (*taken, *taken)])
    assert pool.take() == [first, second, third]
    pool.requeue([first.id])
    assert pool._line_bytes == len(first.raw)


def test_expired_transactions_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    pool = Pool()
    payments = [network.transfer("bob", "carol", 1, valid_ms=1_000 * number) for number in (1, 2, 3)]
    monkeypatch.setattr(pool_file, "EXPIRED_BYTES_MAX", 2 * len(payments[0].raw))
    for payment in payments:
        pool.add(payment, 10**12)
    pool.expire(2**60)
    assert len(pool) == 0
    assert [pool.find(payment.id) is not None for payment in payments] == [False, True, True]


def test_reservation_ends_when_the_transaction_goes(network: Network) -> None:
    pool = Pool()
    first = network.transfer("bob", "carol", 1, max_fee_ubeat=6)
    pool.add(first, 10)
    with pytest.raises(Rejected):
        pool.add(network.transfer("bob", "carol", 1, max_fee_ubeat=6), 10)
    pool.remove(first.id)
    pool.add(network.transfer("bob", "carol", 1, max_fee_ubeat=6), 10)


def test_a_check_that_breaks_refuses_that_transaction_and_stops_nobody(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = [network.transfer("bob", "carol", amount) for amount in (11, 12)]
    chain = network.nodes["node1"].core._chain
    good = chain.ledger.check_transaction

    def check(view: object, transaction: Transaction, *rest: object) -> None:
        if transaction.id == payments[0].id:
            raise Broken("a record that must be there is not")
        good(view, transaction, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(chain, "ledger", replace(chain.ledger, check_transaction=check))
        token = network.submit("node1", *payments)
        network.run(5)
        outcomes = network.nodes["node1"].answers[token]
    assert kind(outcomes[0]) == "tx.check_failed"
    assert outcomes[1].status == "pending"
    assert any(entry.name == "admission.broken" and entry.level == "error" for entry in network.nodes["node1"].logs)
    network.run_until(network.is_final(payments[1]))
    assert network.nodes["node1"].is_up
