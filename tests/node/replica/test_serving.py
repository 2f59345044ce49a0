"""What peers may make a node read: a slice at a time, below a rate, each in turn."""

from __future__ import annotations

from collections.abc import Iterator

from node.replica.budget import PEER_BYTES_PER_S, TOTAL_BYTES_PER_S, Budget
from node.replica.events import ArmTimer, Now, Send
from node.replica.outbox import Outbox
from node.replica.serving import LINE_MAX, SLICE_BYTES, Serving
from node.replica.wire import BatchAck

ANNE, BERT = b"a" * 32, b"b" * 32
MESSAGE = BatchAck((bytes(32),) * 256)
SIZE = 8_700


def endless(read: list[bytes], peer: bytes) -> Iterator[BatchAck]:
    while True:
        read.append(peer)
        yield MESSAGE


def played(serving: Serving, out: Outbox, until_ms: int) -> dict[bytes, int]:
    """Lets the serve timer fire until then; the bytes that each peer was sent, and no event sent more than a slice."""
    sent: dict[bytes, int] = {}
    now_ms, due_ms = 0, 1
    out.take()
    while due_ms <= until_ms:
        now_ms = due_ms
        serving.go_on(Now(now_ms, 0))
        in_event = 0
        due_ms = until_ms + 1
        for effect in out.take():
            if isinstance(effect, Send):
                in_event += len(effect.payload)
                sent[effect.peers[0]] = sent.get(effect.peers[0], 0) + len(effect.payload)
            elif isinstance(effect, ArmTimer):
                due_ms = now_ms + effect.delay_ms
        assert in_event < SLICE_BYTES + SIZE
    return sent


def test_one_peer_gets_no_more_than_its_rate() -> None:
    out = Outbox()
    serving = Serving(out, Budget(out))
    serving.ask(ANNE, endless([], ANNE), Now(0, 0))
    sent = played(serving, out, 2_000)
    assert PEER_BYTES_PER_S < sent[ANNE] < 2.2 * PEER_BYTES_PER_S


def test_peers_are_served_in_turn_and_together_below_the_total() -> None:
    out = Outbox()
    serving = Serving(out, Budget(out))
    peers = [bytes((number,)) * 32 for number in range(6)]
    for peer in peers:
        serving.ask(peer, endless([], peer), Now(0, 0))
    sent = played(serving, out, 2_000)
    assert max(sent.values()) < 1.3 * min(sent[peer] for peer in peers)
    assert sum(sent.values()) < 2.2 * TOTAL_BYTES_PER_S


def test_whoever_asks_without_end_waits_in_a_short_line_and_nothing_is_read_before_its_turn() -> None:
    out, read = Outbox(), list[bytes]()
    serving = Serving(out, Budget(out))
    serving.ask(BERT, endless([], BERT), Now(0, 0))
    for _ in range(100):
        serving.ask(ANNE, endless(read, ANNE), Now(0, 0))
    assert not read
    assert len(serving._lines[ANNE]) == LINE_MAX


def test_a_peer_that_left_is_served_no_more_and_returns_to_the_same_rate() -> None:
    out = Outbox()
    serving = Serving(out, Budget(out))
    serving.ask(ANNE, endless([], ANNE), Now(0, 0))
    assert any(isinstance(effect, Send) for effect in out.take())
    serving.gone(ANNE, Now(0, 0))
    serving.ask(ANNE, endless([], ANNE), Now(0, 0))
    assert not any(isinstance(effect, Send) for effect in out.take())
