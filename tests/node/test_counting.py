"""After a quick start the records are counted beside the work."""

from __future__ import annotations

import asyncio

from concento.errors import Broken
from concento.hashing import Network
from node.counting import Counting
from state.store.kv import STATE, MemoryKeyValue
from state.store.opening import close_store, create_store, open_store

NETWORK = Network("concento-test-1", bytes(range(32)))


def closed_store() -> MemoryKeyValue:
    kv = MemoryKeyValue()
    close_store(create_store(kv, NETWORK, {b"account/%d" % number: b"balance" for number in range(500)}))
    return kv


async def counted(kv: MemoryKeyValue) -> list[Broken]:
    """What a whole count complains of."""
    lost: list[Broken] = []
    counting = Counting(open_store(kv, NETWORK), lost.append)
    await counting.wait()
    return lost


def test_a_store_that_has_everything_is_left_in_peace() -> None:
    assert asyncio.run(counted(closed_store())) == []


def test_a_store_that_lost_a_record_stops_the_node_with_the_way_out() -> None:
    kv = closed_store()
    kv.write({STATE + b"account/7": None})
    (error,) = asyncio.run(counted(kv))
    assert "499" in str(error)
    assert "concento node repair" in str(error)


def test_a_count_is_ended_with_the_node() -> None:
    async def stopped() -> list[Broken]:
        kv, lost = closed_store(), list[Broken]()
        counting = Counting(open_store(kv, NETWORK), lost.append)
        await counting.stop()
        kv.close()
        return lost

    assert asyncio.run(stopped()) == []
