"""A store that was closed in order opens at once; after any other end its tree is built again from the records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from concento.errors import Rejected
from concento.hashing import Network
from state.store import opening
from state.store.kv import BLOCK, STATE, TREE, MemoryKeyValue
from state.store.opening import (
    CLOSED_KEY,
    PIECE_NODES,
    OpenStore,
    advance,
    check_records,
    close_store,
    create_store,
    is_closed,
    open_store,
)
from support.stored_blocks import stored_block

NETWORK = Network("concento-test-1", bytes(range(32)))
GENESIS = {b"account/%d" % number: b"balance" for number in range(2_000)}


class Counted(MemoryKeyValue):
    """A store in memory that counts what is read of it."""

    reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().get(key)

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for pair in super().scan(prefix, after, reverse):
            self.reads += 1
            yield pair


def grow(store: OpenStore, count: int) -> None:
    for _ in range(count):
        height = store.commit.height + 1
        changes: dict[bytes, bytes | None] = {
            b"account/%d" % (number * 7 % 2_500): b"block %d" % height for number in range(height, height + 40)
        }
        store.kv.write(advance(store, stored_block(height), changes, {}))


@pytest.fixture
def kv() -> Counted:
    kv = Counted()
    grow(create_store(kv, NETWORK, GENESIS), 5)
    return kv


def copied(kv: MemoryKeyValue) -> Counted:
    """What a machine finds that went down now."""
    return Counted(dict(kv.scan(b"")))


def test_a_store_closed_in_order_opens_with_a_few_reads(kv: Counted) -> None:
    store = open_store(kv, NETWORK)
    close_store(store)
    kv.reads = 0
    again = open_store(kv, NETWORK)
    assert (again.tree.root, again.tree.count) == (store.tree.root, store.tree.count)
    assert not again.is_counted
    assert kv.reads < 10


def test_it_goes_on_from_there_as_one_that_was_never_closed(kv: Counted) -> None:
    other = open_store(copied(kv), NETWORK)
    close_store(open_store(kv, NETWORK))
    again = open_store(kv, NETWORK)
    grow(again, 4)
    grow(other, 4)
    assert again.tree.root == other.tree.root
    assert again.tree.prove(b"account/70") == other.tree.prove(b"account/70")


def test_after_any_other_end_the_tree_is_built_from_the_records(kv: Counted) -> None:
    """Between two pieces the nodes on disk are of several moments: nothing rests on them."""
    close_store(open_store(kv, NETWORK))
    store = open_store(kv, NETWORK)
    grow(store, 3)
    found = copied(kv)
    for key, value in list(found.scan(TREE))[::3]:
        found.write({key: value[:-1]})
    assert not is_closed(found, store.commit)
    again = open_store(found, NETWORK)
    assert again.is_counted
    assert again.tree.root == store.tree.root
    close_store(again)
    assert open_store(found, NETWORK).tree.prove(b"account/7") == store.tree.prove(b"account/7")


def test_what_was_lost_while_it_was_closed_is_found_by_the_count(kv: Counted) -> None:
    close_store(open_store(kv, NETWORK))
    for space in (STATE, BLOCK):
        found = copied(kv)
        found.write({next(found.scan(space))[0]: None})
        store = open_store(found, NETWORK)
        with pytest.raises(Rejected) as caught:
            check_records(found, store.commit, "here")
        assert caught.value.kind == "store.missing_keys"


def test_a_lost_root_of_the_tree_is_refused_and_mended_by_repair(kv: Counted) -> None:
    store = open_store(kv, NETWORK)
    close_store(store)
    kv.write({TREE + b"\x00": None})
    with pytest.raises(Rejected) as caught:
        open_store(kv, NETWORK)
    assert caught.value.kind == "store.corrupt"
    kv.write({CLOSED_KEY: None})
    assert open_store(kv, NETWORK).tree.root == store.tree.root


def test_a_block_writes_of_the_tree_what_is_above_the_nodes_that_may_wait_and_no_more_than_a_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "WAITING_NODES", 4_000)
    many = {b"account/%d" % number: b"rich" for number in range(50_000)}
    store = create_store(MemoryKeyValue(), NETWORK, many)
    written = []
    for height in range(1, 10):
        batch = advance(store, stored_block(height), {b"account/1": b"%d" % height}, {})
        nodes = [len(value or b"") for key, value in batch.items() if key.startswith(TREE)]
        assert sum(nodes) < 256 * 1024
        written.append(len(nodes))
    assert written[0] == PIECE_NODES
    assert written[-1] < 5
    assert store.tree.waiting_count == 4_000
