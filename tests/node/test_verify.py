"""The verify thread: every verdict, in order, beside the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from concento.keys import Check, public_key, sign, verify_many
from node.verify import AT_ONCE_MAX, CHUNK, VerifyThread

SEED = bytes(32)


def check(number: int, is_good: bool) -> Check:
    message = number.to_bytes(4, "big")
    return public_key(SEED), message, sign(SEED, message if is_good else b"something else")


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_every_check_gets_its_verdict_in_order(count: int) -> None:
    expected = tuple(number % 3 != 0 for number in range(count))

    async def main() -> tuple[bool, ...]:
        thread = VerifyThread()
        done: asyncio.Future[tuple[bool, ...]] = asyncio.get_running_loop().create_future()
        thread.submit([check(number, good) for number, good in enumerate(expected)], done.set_result, of_batch=True)
        assert not done.done()
        assert thread.waiting == count
        verdicts = await done
        assert thread.waiting == 0
        thread.close()
        return verdicts

    assert asyncio.run(main()) == expected


def test_a_small_job_does_not_wait_for_the_end_of_a_large_one() -> None:
    async def main() -> list[str]:
        thread = VerifyThread()
        order: list[str] = []
        both: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def note(name: str) -> None:
            order.append(name)
            if len(order) == 2:
                both.set_result(None)

        thread.submit(
            [check(number, True) for number in range(6 * CHUNK)], lambda verdicts: note("large"), of_batch=False
        )
        thread.submit([check(0, True)], lambda verdicts: note("small"), of_batch=False)
        await both
        thread.close()
        return order

    assert asyncio.run(main()) == ["small", "large"]


def test_batches_are_checked_before_what_clients_hand_in_and_the_oldest_first() -> None:
    async def main() -> list[str]:
        loop, started, go_on = asyncio.get_running_loop(), threading.Event(), threading.Event()

        def waiting(checks: Sequence[Check]) -> list[bool]:
            started.set()
            go_on.wait()
            return verify_many(checks)

        thread = VerifyThread(waiting)
        order: list[str] = []
        last: asyncio.Future[None] = loop.create_future()

        def hand_in(name: str, count: int, of_batch: bool) -> None:
            def done(_verdicts: tuple[bool, ...]) -> None:
                order.append(name)
                if len(order) == 4:
                    last.set_result(None)

            thread.submit([check(number, True) for number in range(count)], done, of_batch=of_batch)

        hand_in("under way", AT_ONCE_MAX + 1, of_batch=False)
        started.wait()
        hand_in("client", 1, of_batch=False)
        hand_in("large batch", 3 * CHUNK, of_batch=True)
        hand_in("small batch", 1, of_batch=True)
        go_on.set()
        await last
        thread.close()
        return order

    assert asyncio.run(main()) == ["under way", "large batch", "small batch", "client"]


@pytest.mark.parametrize("count", [1, AT_ONCE_MAX, AT_ONCE_MAX + 1])
def test_only_a_few_checks_of_an_idle_node_are_done_where_it_stands(count: int) -> None:
    places: list[int] = []

    def noting(checks: Sequence[Check]) -> list[bool]:
        places.append(threading.get_ident())
        return verify_many(checks)

    async def main() -> None:
        thread = VerifyThread(noting)
        done: asyncio.Queue[tuple[bool, ...]] = asyncio.Queue()
        for _ in range(2):
            thread.submit([check(0, True)] * count, done.put_nowait, of_batch=False)
        assert [await done.get(), await done.get()] == [(True,) * count] * 2
        thread.close()

    asyncio.run(main())
    here = threading.get_ident()
    assert [place == here for place in places] == [count <= AT_ONCE_MAX, False]


def test_nothing_is_answered_once_it_is_closed() -> None:
    async def main() -> list[str]:
        thread, told = VerifyThread(), list[str]()
        thread.submit([check(0, True)], lambda _verdicts: told.append("at once"), of_batch=False)
        thread.submit([check(0, True)], lambda _verdicts: told.append("in the thread"), of_batch=False)
        thread.close()
        await asyncio.sleep(0)
        return told

    assert asyncio.run(main()) == []
