"""The generator: how what is offered is cut, and what a run's figures are made of."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from threading import Barrier, Event

import pytest

from bench import load
from bench.load import batches, offer, percentile, sustain
from bench.mixes import kvstore_pairs
from bench.targets import Item, kvstore_key


class Chain:
    """Four nodes of a network in memory that take two items a call and put what they took into a block at once."""

    def __init__(self) -> None:
        self.blocks: list[list[str]] = [[]]
        self.refusals = 3

    def submit(self, items: Sequence[Item]) -> list[Item]:
        if self.refusals:
            self.refusals -= 1
            return list(items)
        taken = items[:2]
        self.blocks.append([item.key for item in taken if not item.key.endswith("fails")])
        return list(items[2:])

    def height(self) -> int:
        return len(self.blocks) - 1

    def counts(self, after: int) -> list[tuple[int, int]]:
        return [(height, 2) for height in range(after + 1, len(self.blocks))]

    def committed(self, height: int) -> list[str]:
        return self.blocks[height]


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Chain:
    chain = Chain()
    monkeypatch.setattr(load, "target", lambda arm, url: chain)
    monkeypatch.setattr(load, "BUSY_S", 0.0)
    monkeypatch.setattr(load, "QUIET_S", 0.5)
    return chain


def items(count: int) -> list[Item]:
    return [Item(f"item{number}", b"x" * 100) for number in range(count)]


def test_batches_keep_every_item_within_both_bounds() -> None:
    many = [Item(str(number), b"x" * (1_000 if number % 7 else 60_000)) for number in range(900)]
    cut = batches(many)
    assert [item for batch in cut for item in batch] == many
    assert all(len(batch) <= load.BATCH for batch in cut)
    assert all(sum(len(item.raw) for item in batch) <= load.BATCH_BYTES for batch in cut)
    assert batches([]) == []


def test_a_full_run_counts_what_succeeded_in_blocks_and_offers_again_what_was_refused(chain: Chain) -> None:
    found = sustain("C", ["a", "b"], [*items(6), Item("one that fails", b""), Item("another that fails", b"")])
    assert found.transactions == 6
    assert found.busy >= 3
    assert {key for block in chain.blocks for key in block} == {f"item{number}" for number in range(6)}


def test_a_run_waits_for_what_found_no_room_in_a_block_that_named_it(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two blocks name one each, and neither ran; the next one comes when somebody has read that."""

    def submit(items: Sequence[Item]) -> list[Item]:
        chain.blocks.append([])
        return []

    def committed(height: int) -> list[str]:
        if len(chain.blocks) == 3:
            chain.blocks.append(["item0", "item1"])
        return chain.blocks[height]

    monkeypatch.setattr(chain, "submit", submit)
    monkeypatch.setattr(chain, "committed", committed)
    assert sustain("C", ["a"], items(2)).transactions == 2


def test_an_open_loop_measures_everything_that_was_due(chain: Chain) -> None:
    found = offer("C", ["a", "b"], items(8), rate=1_000.0)
    assert found.transactions == len(found.finality_ms) == 8
    assert all(late >= 0 for late in found.finality_ms)
    assert list(found.finality_ms) == sorted(found.finality_ms)


def test_an_open_loop_waits_for_no_answer(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request is answered only once three are on their way: whoever waited would never hand in the second."""
    taken, together = chain.submit, Barrier(3)

    def submit(items: Sequence[Item]) -> list[Item]:
        together.wait(timeout=60)
        return taken(items)

    monkeypatch.setattr(chain, "submit", submit)
    monkeypatch.setattr(chain, "refusals", 0)
    found = offer("C", ["a", "b"], items(6), rate=100.0)
    assert found.transactions == 6


def test_a_refusal_for_good_ends_an_open_loop_at_once(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """One node never answers and the other refuses: nobody waits for the first, and nobody asks for blocks any more."""
    never = Event()

    def submit(items: Sequence[Item]) -> list[Item]:
        if items[0].key == "item2":
            raise RuntimeError("a batch was refused")
        never.wait(timeout=60)
        return []

    monkeypatch.setattr(chain, "submit", submit)
    with pytest.raises(RuntimeError, match="refused"):
        offer("C", ["a", "b"], items(1_000), rate=100.0)
    never.set()
    assert "watch" not in {thread.name for thread in threading.enumerate()}


def test_percentiles_come_from_the_values_themselves() -> None:
    values = [float(number) for number in range(100)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50.0, 99.0, 99.0)
    assert percentile([], 0.5) == 0.0


def test_pairs_are_distinct_and_as_long_as_a_transfer() -> None:
    sign_more = kvstore_pairs()
    pairs = [*sign_more(3), *sign_more(3)]
    assert len({pair.key for pair in pairs}) == 6
    assert {len(pair.raw) for pair in pairs} == {249}
    assert [kvstore_key(pair.raw) for pair in pairs] == [pair.key for pair in pairs]
