"""The tree's nodes on disk: written in pieces, read when needed, checked against the hashes above them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concento.errors import Broken
from state.store import tree as tree_module
from state.store.tree import Tree

Records = dict[bytes, bytes]

ALL = 1_000_000
"""More nodes than any tree here has."""

KEYS = st.integers(0, 300).map(lambda number: b"key %d" % number)
BLOCKS = st.lists(
    st.dictionaries(KEYS, st.none() | st.integers(0, 9).map(lambda number: b"%d" % number), max_size=80), max_size=8
)


class Disk:
    """What the pieces were written to."""

    def __init__(self) -> None:
        self.records: Records = {}
        self.reads = 0

    def read(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.records.get(key)

    def write(self, piece: dict[bytes, bytes | None]) -> None:
        for key, record in piece.items():
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record


def state(count: int) -> Records:
    return {b"key %d" % number: b"value" for number in range(count)}


def written(count: int) -> tuple[Disk, Tree]:
    """A tree of so many records, all of it on disk, none in memory."""
    disk = Disk()
    tree = Tree.build(state(count).items(), disk.read)
    disk.write(tree.take_piece(ALL))
    return disk, Tree(disk.read, tree.root)


@settings(max_examples=60)
@given(BLOCKS, st.sampled_from([0, 1, 3]), st.booleans())
def test_a_tree_that_comes_and_goes_by_pieces_is_the_tree_in_memory(
    blocks: list[dict[bytes, bytes | None]], nodes: int, reopens: bool
) -> None:
    disk, plain, records = Disk(), Tree(), Records()
    tree = Tree(disk.read)
    for block in blocks:
        tree.apply(block)
        plain.apply(block)
        for key, value in block.items():
            records.pop(key, None)
            if value is not None:
                records[key] = value
        disk.write(tree.take_piece(nodes))
        if reopens:
            disk.write(tree.take_piece(ALL))
            tree = Tree(disk.read, tree.root)
        assert (tree.root, tree.count) == (plain.root, plain.count) == (Tree.build(records.items()).root, len(records))
    for key in (b"key 1", b"key 299", b"nobody"):
        assert tree.prove(key) == plain.prove(key)


def test_opening_reads_one_node_and_a_change_only_those_on_its_way() -> None:
    disk, tree = written(3_000)
    assert (tree.count, disk.reads) == (3_000, 1)
    tree.apply({b"key 77": b"other"})
    assert disk.reads < 5


def test_only_what_a_block_changed_is_written_after_it() -> None:
    _, tree = written(3_000)
    tree.apply({b"key 77": b"other"})
    piece = tree.take_piece(ALL)
    assert 1 < len(piece) < 5
    assert tree.take_piece(ALL) == {}


def test_a_piece_keeps_to_its_size_and_the_rest_waits_its_turn() -> None:
    disk = Disk()
    tree = Tree.build(state(5_000).items(), disk.read)
    while piece := tree.take_piece(20):
        assert len(piece) <= 20
        disk.write(piece)
    assert Tree(disk.read, tree.root).count == 5_000


def test_pages_on_disk_are_forgotten_and_those_that_wait_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "PAGES_MAX", 50)
    disk = Disk()
    tree = Tree.build(state(4_000).items(), disk.read)
    plain = Tree.build(state(4_000).items())
    while True:
        piece = tree.take_piece(30)
        disk.write(piece)
        changes = {b"key %d" % (len(disk.records) * 7 % 4_000): b"%d" % len(disk.records)}
        tree.apply(changes)
        plain.apply(changes)
        assert tree.root == plain.root
        if len(piece) < 5:
            break
    disk.write(tree.take_piece(0))
    reads = disk.reads
    tree.apply({b"key %d" % number: b"x" for number in range(500)})
    plain.apply({b"key %d" % number: b"x" for number in range(500)})
    assert disk.reads > reads
    assert (tree.root, tree.count) == (plain.root, plain.count)


def test_pages_that_cannot_go_yet_are_not_looked_for_with_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "PAGES_MAX", 50)
    walks = 0
    forget = Tree._forget

    def counted(tree: Tree, node: object, path: bytes, depth: int) -> int:
        nonlocal walks
        walks += depth == 0
        return forget(tree, node, path, depth)

    monkeypatch.setattr(Tree, "_forget", counted)
    disk = Disk()
    tree = Tree.build(state(4_000).items(), disk.read)
    pieces = tree.waiting_count // 2
    assert pieces > 100
    for _ in range(pieces):
        disk.write(tree.take_piece(1))
    assert 0 < walks <= pieces // 50 + 1


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_lost_or_changed_node_is_our_own_error_and_never_an_empty_place(depth: int) -> None:
    for damage in (None, b"\x00" + bytes(64), b"\x01" + bytes(512 + 128), b""):
        disk, tree = written(3_000)
        lost = min(key for key in disk.records if key[1] == depth)
        if damage is None:
            del disk.records[lost]
        else:
            disk.records[lost] = damage
        with pytest.raises(Broken, match="repair"):
            tree.apply({b"key %d" % number: b"x" for number in range(3_000)})


def test_a_fork_of_a_tree_on_disk_changes_alone_until_the_tree_takes_it_over() -> None:
    disk, tree = written(3_000)
    changes: dict[bytes, bytes | None] = {b"key %d" % number: None for number in range(0, 3_000, 3)}
    root = tree.root
    fork = tree.fork(changes)
    fork.apply(changes)
    dropped = fork.take_piece(ALL)
    assert dropped
    assert (tree.root, tree.count) == (root, 3_000)
    other = tree.fork(changes)
    other.apply(changes)
    piece = other.take_piece(ALL)
    tree.become(other)
    disk.write(piece)
    assert Tree(disk.read, tree.root).count == tree.count == 2_000
