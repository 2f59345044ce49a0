"""What a node tells of its chain: every block, and single transactions while there are few of them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from concento.errors import Broken
from concento.messages.tokens import Transfer
from node.narrate import SENTENCES_MAX, SENTENCES_PER_S, Aside, Narrator
from node.replica.events import Committed
from state.store.blockstore import StoredBlock, find_block
from support.ledger import account_of
from support.node import DecidedNode


class Told:
    """A log that keeps (event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    def take(self, event: str) -> list[dict[str, Any]]:
        found = [fields for name, fields in self.lines if name == event]
        self.lines = []
        return found


class Listener:
    """A chain and who tells it; `payments` decides a block of so many, so much later."""

    def __init__(self) -> None:
        self.node = DecidedNode()
        self.log = Told()
        self._narrator = Narrator(self.log, self.node)  # type: ignore[arg-type]  # keeps what a log would write

    def payments(self, count: int, after_ms: int = 1) -> None:
        pay = Transfer(account_of("carol"), 5_000_000)
        transactions = [self.node.tx("alice", pay) for _ in range(count)]
        outcome = self.node.block(*transactions, time_ms=self.node.time_ms + after_ms)
        record = find_block(self.node.kv, self.node.height)
        assert record is not None
        stored = StoredBlock(record, outcome.results, tuple(outcome.leaves), outcome.closing_events)
        self._narrator.tell(Committed(stored, tuple(transactions), synced=False))


def test_a_block_is_one_line_and_a_payment_in_it_a_sentence() -> None:
    chain = Listener()
    chain.payments(1)
    (event, block), (_, payment) = chain.log.lines
    assert (event, block["height"], block["txs"], block["synced"]) == ("block.committed", 1, 1, False)
    assert block["proposer"].startswith("node")
    assert payment["status"] == "ok"
    assert "alice paid carol 5.000000 BEAT" in payment["text"]


def test_a_large_block_is_a_count() -> None:
    chain = Listener()
    chain.payments(SENTENCES_MAX + 1)
    ((event, block),) = chain.log.lines
    assert (event, block["txs"]) == ("block.committed", SENTENCES_MAX + 1)


def test_small_blocks_close_together_tell_no_more_than_a_large_one() -> None:
    chain = Listener()
    for _ in range(3 * SENTENCES_MAX):
        chain.payments(1)
    assert len([event for event, _ in chain.log.lines if event == "block.committed"]) == 3 * SENTENCES_MAX
    assert len(chain.log.take("tx")) == SENTENCES_MAX


def test_after_a_rest_payments_are_told_again() -> None:
    chain = Listener()
    chain.payments(SENTENCES_MAX)
    chain.payments(1)
    assert len(chain.log.take("tx")) == SENTENCES_MAX
    chain.payments(1, after_ms=1000 // SENTENCES_PER_S)
    assert len(chain.log.take("tx")) == 1
    chain.payments(SENTENCES_MAX, after_ms=3_600_000)
    chain.payments(1)
    assert len(chain.log.take("tx")) == SENTENCES_MAX


BLOCKS = cast("list[Committed]", ["block 1", "block 2"])


def test_what_nobody_waits_for_is_done_soon_and_in_order() -> None:
    async def main() -> list[Committed]:
        done: list[Committed] = []
        both = asyncio.Event()

        def work(committed: Committed) -> None:
            done.append(committed)
            if len(done) == 2:
                both.set()

        aside = Aside(work, pytest.fail)
        for committed in BLOCKS:
            aside.note(committed)
        assert not done
        await both.wait()
        return done

    assert asyncio.run(main()) == BLOCKS


def test_what_nobody_waits_for_is_done_before_the_node_ends() -> None:
    async def main() -> list[Committed]:
        done: list[Committed] = []
        aside = Aside(done.append, pytest.fail)
        for committed in BLOCKS:
            aside.note(committed)
        aside.finish()
        return done

    assert asyncio.run(main()) == BLOCKS


def test_a_failure_beside_the_work_is_told_and_ends_it() -> None:
    async def main() -> list[Exception]:
        failures: list[Exception] = []

        def work(_committed: Committed) -> None:
            raise Broken("the log is gone")

        aside = Aside(work, failures.append)
        for committed in BLOCKS:
            aside.note(committed)
        aside.finish()
        aside.finish()
        return failures

    assert [str(failure) for failure in asyncio.run(main())] == ["the log is gone"]
