"""The state tree against its definition, whatever the history, and its proofs against their checker."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concento.errors import Broken
from concento.proofs import verify_state
from state.store.tree import Tree

# Few distinct keys so that histories meet the same key again; enough of them for two levels of inner nodes.
KEYS = [b"k%d" % index for index in range(900)]
changes = st.dictionaries(st.sampled_from(KEYS), st.one_of(st.none(), st.binary(max_size=4)), max_size=400)


def defined_root(records: dict[bytes, bytes]) -> bytes:
    """The root by its definition, written to be read and not to be fast."""
    entries = sorted((sha256(key).digest(), sha256(value).digest()) for key, value in records.items())

    def subtree(path: str) -> bytes:
        inside = [key + value for key, value in entries if key.hex().startswith(path)]
        if not inside:
            return bytes(32)
        if len(inside) <= 32:
            return sha256(b"\x00" + b"".join(inside)).digest()
        return sha256(b"\x01" + b"".join(subtree(path + nibble) for nibble in "0123456789abcdef")).digest()

    return subtree("")


def numbered(count: int) -> dict[bytes, bytes]:
    return {b"n%d" % index: b"v%d" % index for index in range(count)}


def test_empty_tree_has_the_zero_root() -> None:
    assert Tree().root == bytes(32)
    assert Tree.build([]).root == bytes(32)
    assert Tree().prove(b"any") == []


def test_root_is_a_fixed_vector() -> None:
    """The root of one hundred given records: a change of the format must be a decision."""
    tree = Tree.build(numbered(100).items())
    assert tree.root.hex() == "510c9d4d22371b9042a5be019e83fa93138d00f497ff571d35f0b40cafab4c95"


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 34, 100, 700])
def test_root_is_the_defined_root(count: int) -> None:
    records = numbered(count)
    tree = Tree.build(records.items())
    assert tree.root == defined_root(records)
    assert tree.count == count


@settings(max_examples=30)
@given(st.lists(changes, max_size=6))
def test_any_history_gives_the_root_of_its_last_state(history: list[dict[bytes, bytes | None]]) -> None:
    tree, records = Tree(), dict[bytes, bytes]()
    for block in history:
        tree.apply(block)
        for key, value in block.items():
            if value is None:
                records.pop(key, None)
            else:
                records[key] = value
    assert tree.root == defined_root(records)
    assert tree.count == len(records)
    assert tree.root == Tree.build(records.items()).root


def test_growing_and_shrinking_by_one_key_passes_through_equal_roots() -> None:
    """Every split is undone by a merge: the way down meets the roots of the way up."""
    tree, roots = Tree(), [bytes(32)]
    records = numbered(300)
    for key, value in records.items():
        tree.apply({key: value})
        roots.append(tree.root)
    for key in reversed(records):
        assert tree.root == roots.pop()
        tree.apply({key: None})
    assert tree.root == bytes(32)
    assert tree.count == 0


def test_a_whole_state_can_go_in_one_block() -> None:
    records = numbered(2_000)
    tree = Tree.build(records.items())
    tree.apply(dict.fromkeys(records))
    assert (tree.root, tree.count, tree.prove(b"n1")) == (bytes(32), 0, [])


def test_a_change_that_changes_nothing_keeps_the_root() -> None:
    records = numbered(500)
    tree = Tree.build(records.items())
    before = tree.root
    tree.apply({})
    tree.apply({b"n7": b"v7", b"never there": None})
    assert tree.root == before


def test_a_value_equal_to_a_state_key_is_not_taken_for_the_key() -> None:
    """The value's hash then stands in a page where only the hash of a key may be looked for."""
    tree = Tree.build([(b"holder", b"key")])
    tree.apply({b"key": None})
    assert tree.root == defined_root({b"holder": b"key"})
    tree.apply({b"key": b"value"})
    assert tree.root == defined_root({b"holder": b"key", b"key": b"value"})
    tree.apply({b"key": None})
    assert tree.root == defined_root({b"holder": b"key"})


def test_the_same_key_twice_is_our_own_error() -> None:
    with pytest.raises(Broken):
        Tree.build([(b"a", b"1"), (b"a", b"2")])
    with pytest.raises(Broken):
        Tree.build([(b"a", b"%d" % value) for value in range(40)])


@settings(max_examples=25)
@given(st.sampled_from([1, 32, 33, 600]), st.data())
def test_presence_and_absence_are_proved(count: int, data: st.DataObject) -> None:
    records = numbered(count)
    tree = Tree.build(records.items())
    key = b"n%d" % data.draw(st.integers(0, 2 * count))
    verify_state(tree.root, key, records.get(key), tree.prove(key))


def test_absence_under_an_empty_child_is_proved_without_a_page() -> None:
    def first_nibble(key: bytes) -> int:
        return sha256(key).digest()[0] >> 4

    records = {key: value for key, value in numbered(100).items() if first_nibble(key) != 7}
    tree = Tree.build(records.items())
    absent = next(key for key in numbered(100) if first_nibble(key) == 7)
    assert len(tree.prove(absent)) == 1
    verify_state(tree.root, absent, None, tree.prove(absent))


def test_proofs_hold_after_changes() -> None:
    records = numbered(500)
    tree = Tree.build(records.items())
    tree.apply({b"n3": None, b"n4": b"new", b"added": b"x"})
    verify_state(tree.root, b"n3", None, tree.prove(b"n3"))
    verify_state(tree.root, b"n4", b"new", tree.prove(b"n4"))
    verify_state(tree.root, b"added", b"x", tree.prove(b"added"))


def test_a_proof_already_given_is_not_changed_by_later_blocks() -> None:
    tree = Tree.build(numbered(500).items())
    root, nodes = tree.root, tree.prove(b"n3")
    tree.apply({b"n3": b"other"})
    verify_state(root, b"n3", b"v3", nodes)


@settings(max_examples=60)
@given(
    st.integers(0, 400), st.dictionaries(st.integers(0, 450), st.one_of(st.none(), st.binary(max_size=8)), max_size=60)
)
def test_a_fork_changes_alone_until_the_tree_takes_it_over(count: int, edits: dict[int, bytes | None]) -> None:
    records = numbered(count)
    tree = Tree.build(records.items())
    root, paths = tree.root, {key: tree.prove(key) for key in records}
    changes = {b"n%d" % number: value for number, value in edits.items()}
    fork = tree.fork(changes)
    fork.apply(changes)
    after = {key: value for key, value in {**records, **changes}.items() if value is not None}
    assert (tree.root, {key: tree.prove(key) for key in records}) == (root, paths)
    assert fork.root == Tree.build(after.items()).root
    tree.become(fork)
    assert (tree.root, tree.count) == (Tree.build(after.items()).root, len(after))
