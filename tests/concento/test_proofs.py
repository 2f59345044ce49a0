"""State proofs: whoever forges one, or leaves part of one away, is refused."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.errors import Rejected
from concento.proofs import EMPTY_HASH, verify_state


def entry(key: bytes, value: bytes) -> bytes:
    return sha256(key).digest() + sha256(value).digest()


def page(*entries: bytes) -> bytes:
    return b"\x00" + b"".join(entries)


def inner(children: dict[int, bytes]) -> bytes:
    return b"\x01" + b"".join(children.get(nibble, EMPTY_HASH) for nibble in range(16))


def root_of(node: bytes) -> bytes:
    return sha256(node).digest()


def nibble_of(key: bytes) -> int:
    return sha256(key).digest()[0] >> 4


KEY, VALUE = b"account/alice", b"40"
LEAF = page(entry(KEY, VALUE))
TOP = inner({nibble_of(KEY): root_of(LEAF), nibble_of(KEY) ^ 1: bytes(31) + b"x"})
ROOT = root_of(TOP)
EMPTY_CHILD_KEY = next(
    key for index in range(100) if nibble_of(key := b"other%d" % index) not in (nibble_of(KEY), nibble_of(KEY) ^ 1)
)
# Another key of the same page's subtree, and one that is not.
SIBLING = next(key for index in range(1000) if nibble_of(key := b"near%d" % index) == nibble_of(KEY))


def test_a_present_value_is_accepted() -> None:
    verify_state(ROOT, KEY, VALUE, [TOP, LEAF])
    verify_state(root_of(LEAF), KEY, VALUE, [LEAF])


def test_absence_in_a_page_and_under_an_empty_child_is_accepted() -> None:
    verify_state(ROOT, SIBLING, None, [TOP, LEAF])
    verify_state(ROOT, EMPTY_CHILD_KEY, None, [TOP])


def test_everything_is_absent_from_the_empty_state() -> None:
    verify_state(EMPTY_HASH, KEY, None, [])
    with pytest.raises(Rejected):
        verify_state(EMPTY_HASH, KEY, VALUE, [])
    with pytest.raises(Rejected):
        verify_state(EMPTY_HASH, KEY, None, [LEAF])


@pytest.mark.parametrize(
    ("key", "value", "nodes", "reason"),
    [
        (KEY, b"41", [TOP, LEAF], "another value"),
        (KEY, None, [TOP, LEAF], "has a value"),
        (SIBLING, VALUE, [TOP, LEAF], "absent"),
        (EMPTY_CHILD_KEY, VALUE, [TOP], "absent"),
        (KEY, None, [TOP], "too few or too many"),
        (KEY, VALUE, [], "too few or too many"),
        (KEY, None, [], "too few or too many"),
        (KEY, VALUE, [LEAF], "its parent names"),
        (KEY, VALUE, [LEAF, TOP], "its parent names"),
        (KEY, VALUE, [TOP, LEAF, LEAF], "too few or too many"),
        (KEY, VALUE, [TOP, TOP, LEAF], "its parent names"),
        (EMPTY_CHILD_KEY, None, [TOP, LEAF], "too few or too many"),
        (KEY, VALUE, [TOP, page(entry(KEY, VALUE), entry(b"zz", b""))], "its parent names"),
        (KEY, None, [b"", LEAF], "its parent names"),
    ],
)
def test_a_wrong_claim_or_path_is_refused(key: bytes, value: bytes | None, nodes: list[bytes], reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as caught:
        verify_state(ROOT, key, value, nodes)
    assert caught.value.kind == "proof.invalid"


@pytest.mark.parametrize(
    "node",
    [
        b"",
        b"\x00",
        b"\x01",
        b"\x02" + bytes(64),
        TOP[:-1],
        TOP + b"\x00",
        LEAF[:-1],
        LEAF + b"\x00",
        page(entry(KEY, VALUE), entry(KEY, VALUE)),
        page(*sorted((entry(b"%d" % index, b"") for index in range(5)), reverse=True)),
        page(*sorted(entry(b"%d" % index, b"") for index in range(33))),
    ],
)
def test_a_node_that_no_correct_tree_makes_is_refused_even_where_its_hash_fits(node: bytes) -> None:
    for value in (None, VALUE):
        with pytest.raises(Rejected):
            verify_state(root_of(node), KEY, value, [node])


def test_a_page_with_keys_of_another_subtree_is_refused() -> None:
    """Otherwise a page could be moved to where a key belongs, to show the key absent."""
    stray = page(entry(EMPTY_CHILD_KEY, b""))
    top = inner({nibble_of(KEY): root_of(stray)})
    with pytest.raises(Rejected, match="malformed"):
        verify_state(root_of(top), KEY, None, [top, stray])


@pytest.mark.parametrize("root", [b"", bytes(31), ROOT + b"\x00"])
def test_a_root_that_is_not_a_hash_is_refused(root: bytes) -> None:
    with pytest.raises(Rejected):
        verify_state(root, KEY, None, [])


@given(st.integers(0, 1), st.data())
def test_a_flipped_bit_anywhere_is_refused(which: int, data: st.DataObject) -> None:
    nodes = [bytearray(TOP), bytearray(LEAF)]
    at = data.draw(st.integers(0, len(nodes[which]) - 1))
    nodes[which][at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Rejected):
        verify_state(ROOT, KEY, VALUE, [bytes(node) for node in nodes])


@given(st.lists(st.binary(max_size=600), max_size=5), st.one_of(st.none(), st.binary(max_size=5)))
def test_any_bytes_are_refused_with_the_one_error(nodes: list[bytes], value: bytes | None) -> None:
    with pytest.raises(Rejected):
        verify_state(ROOT, KEY, value, nodes)
