"""The authenticated state: one root hash over all state records, and proofs of single records.

An adaptive paged trie. The path of a record is the nibbles of `sha256(state key)`. A subtree of at most
`PAGE_KEYS_MAX` keys is a *page*, the sorted concatenation of `sha256(key) || sha256(value)`; a larger one is an
*inner node* of 16 child hashes, 32 zero bytes where a child is empty. Both are kept with their tag byte in front,
so that the hash of a node is the SHA-256 of exactly its bytes. The root of an empty tree is 32 zero bytes.

The shape depends on the set of keys alone, never on the order of changes: equal states have equal roots.
The tree never sees the values again once hashed, and never touches the disk: it is rebuilt from the records at start.
`concento.proofs` is the reader of what `prove` gives.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import groupby, pairwise
from typing import Final, TypeAlias

from concento.errors import Broken
from concento.proofs import EMPTY_HASH, INNER_TAG, PAGE_KEYS_MAX, PAGE_TAG

_ENTRY_BYTES: Final = 64
_HASH_BYTES: Final = 32
_FANOUT: Final = 16
_PAGE_BYTES_MAX: Final = 1 + PAGE_KEYS_MAX * _ENTRY_BYTES
"""A page with its tag and the most entries; one byte more must split."""
_INNER_EMPTY: Final = INNER_TAG + EMPTY_HASH * _FANOUT

# (key hash, value hash), or None for the value hash of a key that goes.
_Change: TypeAlias = tuple[bytes, bytes | None]


class _Inner:
    """A subtree of more than `PAGE_KEYS_MAX` keys."""

    __slots__ = ("body", "children", "count")

    def __init__(self) -> None:
        self.body = bytearray(_INNER_EMPTY)
        self.children: list[_Node] = [None] * _FANOUT
        self.count = 0


# A page is its bytes. An empty subtree is None, never an empty page.
_Node: TypeAlias = _Inner | bytes | None


class Tree:
    """The tree of one state, changed once a block."""

    __slots__ = ("_top", "root")

    def __init__(self) -> None:
        self._top: _Node = None
        self.root: bytes = EMPTY_HASH

    @classmethod
    def build(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Tree:
        """The tree of these (state key, value) pairs, in any order; a key given twice is `Broken`."""
        entries = [sha256(key).digest() + sha256(value).digest() for key, value in pairs]
        entries.sort()
        tree = cls()
        tree._top = _build(entries, 0, len(entries), 0)
        tree.root = _hash(tree._top)
        return tree

    @property
    def count(self) -> int:
        """How many keys the tree holds."""
        return _count(self._top)

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set each state key to its value, or remove it (None); a key that is not there may be removed."""
        if not changes:
            return
        hashed: list[_Change] = [
            (sha256(key).digest(), None if value is None else sha256(value).digest()) for key, value in changes.items()
        ]
        # Key hashes differ, so that two value hashes (or None) are never compared.
        hashed.sort()
        self._top = _changed(self._top, hashed, 0, len(hashed), 0)
        self.root = _hash(self._top)

    def fork(self, state_keys: Iterable[bytes]) -> Tree:
        """A tree of the same state that may be changed at these keys, and at no others, while this one stays as it is.

        Only the nodes on the way to the keys are copied; both trees share the rest.
        """
        tree = Tree()
        tree.root = self.root
        tree._top = _copied(self._top, sorted(sha256(key).digest() for key in state_keys), 0)
        return tree

    def become(self, fork: Tree) -> None:
        """Take over the state of a fork, which must not be used afterwards."""
        self._top, self.root = fork._top, fork.root

    def prove(self, state_key: bytes) -> list[bytes]:
        """The nodes from the root down to where the key is, or would be; none for an empty tree."""
        key_hash = sha256(state_key).digest()
        nodes: list[bytes] = []
        node, depth = self._top, 0
        while isinstance(node, _Inner):
            nodes.append(bytes(node.body))
            node, depth = node.children[_nibble(key_hash, depth)], depth + 1
        if node is not None:
            nodes.append(node)
        return nodes


def _copied(node: _Node, key_hashes: Sequence[bytes], depth: int) -> _Node:
    """The node with copies of all inner nodes on the way to the sorted key hashes; pages are never changed in place."""
    if not isinstance(node, _Inner) or not key_hashes:
        return node
    copy = _Inner()
    copy.body, copy.children, copy.count = bytearray(node.body), list(node.children), node.count
    for nibble, group in groupby(key_hashes, lambda key_hash: _nibble(key_hash, depth)):
        copy.children[nibble] = _copied(node.children[nibble], list(group), depth + 1)
    return copy


def _nibble(key_hash: bytes, depth: int) -> int:
    byte = key_hash[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def _hash(node: _Node) -> bytes:
    if node is None:
        return EMPTY_HASH
    return sha256(node.body if isinstance(node, _Inner) else node).digest()


def _count(node: _Node) -> int:
    if node is None:
        return 0
    return node.count if isinstance(node, _Inner) else len(node) // _ENTRY_BYTES


def _build(entries: Sequence[bytes], start: int, stop: int, depth: int) -> _Node:
    """The subtree of the sorted `entries[start:stop]`, which share their first `depth` nibbles."""
    if stop - start <= PAGE_KEYS_MAX:
        return _page_of(entries[start:stop])
    if depth == 2 * _HASH_BYTES:
        raise Broken("the tree was given key hash {key_hash} twice", key_hash=entries[start][:_HASH_BYTES])
    inner = _Inner()
    inner.count = stop - start
    at = start
    for nibble in range(_FANOUT):
        end = (
            stop if nibble == _FANOUT - 1 else bisect_left(entries, _bound(entries[start], depth, nibble + 1), at, stop)
        )
        if at < end:
            child = _build(entries, at, end, depth + 1)
            inner.children[nibble] = child
            inner.body[1 + nibble * _HASH_BYTES : 1 + (nibble + 1) * _HASH_BYTES] = _hash(child)
        at = end
    return inner


def _page_of(entries: Sequence[bytes]) -> bytes | None:
    for lower, upper in pairwise(entries):
        if lower[:_HASH_BYTES] == upper[:_HASH_BYTES]:
            raise Broken("the tree was given key hash {key_hash} twice", key_hash=lower[:_HASH_BYTES])
    return PAGE_TAG + b"".join(entries) if entries else None


def _bound(entry: bytes, depth: int, nibble: int) -> bytes:
    """The least key hash that shares `depth` nibbles with the entry and goes on with this nibble."""
    half = depth >> 1
    last = (entry[half] & 0xF0) | nibble if depth & 1 else nibble << 4
    return entry[:half] + bytes((last,))


def _changed(node: _Node, changes: list[_Change], start: int, stop: int, depth: int) -> _Node:
    """The subtree after the sorted `changes[start:stop]`, all of which lie below it."""
    if isinstance(node, _Inner):
        return _changed_inner(node, changes, start, stop, depth)
    page = _edited(node or PAGE_TAG, changes, start, stop)
    if len(page) > _PAGE_BYTES_MAX:
        entries = [page[at : at + _ENTRY_BYTES] for at in range(1, len(page), _ENTRY_BYTES)]
        return _build(entries, 0, len(entries), depth)
    return page if len(page) > 1 else None


def _changed_inner(inner: _Inner, changes: list[_Change], start: int, stop: int, depth: int) -> _Node:
    """The inner node, changed in place, each touched child once; or its page where few keys are left."""
    half, shift = depth >> 1, 0 if depth & 1 else 4
    children, body, count = inner.children, inner.body, inner.count
    while start < stop:
        nibble = changes[start][0][half] >> shift & 15
        end = start + 1
        while end < stop and changes[end][0][half] >> shift & 15 == nibble:
            end += 1
        child = children[nibble]
        count -= _count(child)
        children[nibble] = child = _changed(child, changes, start, end, depth + 1)
        count += _count(child)
        at = 1 + nibble * _HASH_BYTES
        body[at : at + _HASH_BYTES] = _hash(child)
        start = end
    inner.count = count
    return inner if count > PAGE_KEYS_MAX else _merged(inner)


def _merged(inner: _Inner) -> bytes | None:
    """The page of an inner node that became small; its children are pages, in order of their keys."""
    entries = b"".join(child[1:] for child in inner.children if isinstance(child, bytes))
    return PAGE_TAG + entries if entries else None


def _edited(page: bytes, changes: list[_Change], start: int, stop: int) -> bytes:
    """The page with these changes in it; it may come out longer than a page may be, or without entries."""
    for at in range(start, stop):
        key_hash, value_hash = changes[at]
        found = page.find(key_hash, 1)
        # A value that equals some state key has the same hash: only a hit where an entry begins is a key.
        while found > 0 and found & 63 != 1:
            found = page.find(key_hash, found + 1)
        if found > 0:
            if value_hash is None:
                page = page[:found] + page[found + _ENTRY_BYTES :]
            else:
                page = b"".join((page[: found + _HASH_BYTES], value_hash, page[found + _ENTRY_BYTES :]))
        elif value_hash is not None:
            put = _insertion(page, key_hash)
            page = b"".join((page[:put], key_hash, value_hash, page[put:]))
    return page


def _insertion(page: bytes, key_hash: bytes) -> int:
    low, high = 0, len(page) // _ENTRY_BYTES
    while low < high:
        middle = (low + high) // 2
        at = 1 + middle * _ENTRY_BYTES
        if page[at : at + _HASH_BYTES] < key_hash:
            low = middle + 1
        else:
            high = middle
    return 1 + low * _ENTRY_BYTES
