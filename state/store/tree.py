"""The authenticated state: one root hash over all state records, and proofs of single records.

An adaptive paged trie. The path of a record is the nibbles of `sha256(state key)`. A subtree of at most
`PAGE_KEYS_MAX` keys is a *page*, the sorted concatenation of `sha256(key) || sha256(value)`; a larger one is an
*inner node* of 16 child hashes, 32 zero bytes where a child is empty. Both are kept with their tag byte in front,
so that the hash of a node is the SHA-256 of exactly its bytes. The root of an empty tree is 32 zero bytes.

The shape depends on the set of keys alone, never on the order of changes: equal states have equal roots.
The tree never sees the values again once hashed. Nodes lie on disk under their paths: they are read when a change or a
proof needs them, checked against the hash above them, and written lazily, a small piece with each block
(`take_piece`). What is on disk is the tree of no one moment until all of it is written: `state/store/opening.py`.
`concento.proofs` is the reader of what `prove` gives.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from itertools import groupby, islice, pairwise
from typing import Final, TypeAlias

from concento.errors import Broken, Damaged
from concento.proofs import EMPTY_HASH, INNER_TAG, PAGE_KEYS_MAX, PAGE_TAG
from state.store.kv import TREE

PAGES_MAX: Final = 1 << 17
"""Pages kept in memory, beside those that wait to be written: some 200 MB, all of two million records."""

_ENTRY_BYTES: Final = 64
_HASH_BYTES: Final = 32
_FANOUT: Final = 16
_COUNT_BYTES: Final = 8
_PAGE_BYTES_MAX: Final = 1 + PAGE_KEYS_MAX * _ENTRY_BYTES
"""A page with its tag and the most entries; one byte more must split."""
_INNER_EMPTY: Final = INNER_TAG + EMPTY_HASH * _FANOUT
_DEPTHS: Final = tuple(TREE + bytes((depth,)) for depth in range(2 * _HASH_BYTES + 1))
_HALVES: Final = tuple(bytes((nibble << 4,)) for nibble in range(_FANOUT))

# (key hash, value hash), or None for the value hash of a key that goes.
_Change: TypeAlias = tuple[bytes, bytes | None]

Read: TypeAlias = Callable[[bytes], bytes | None]
"""The record of a node on disk, by its key there."""


class _Away(Enum):
    """A subtree that is on disk and not in memory."""

    AWAY = 0


_AWAY: Final = _Away.AWAY


class _Inner:
    """A subtree of more than `PAGE_KEYS_MAX` keys. `counts` are the keys below each child."""

    __slots__ = ("body", "children", "count", "counts")

    def __init__(self) -> None:
        self.body = bytearray(_INNER_EMPTY)
        self.children: list[_Node | _Away] = [None] * _FANOUT
        self.counts = [0] * _FANOUT
        self.count = 0


# A page is its bytes. An empty subtree is None, never an empty page.
_Node: TypeAlias = _Inner | bytes | None


class Tree:
    """The tree of one state, changed once a block."""

    __slots__ = ("_dirty", "_pages", "_read", "_top", "root")

    def __init__(self, read: Read = lambda _key: None, root: bytes = EMPTY_HASH) -> None:
        """The tree with this root, all of it on disk; without a root, an empty one."""
        self._read = read
        self._top: _Node | _Away = None if root == EMPTY_HASH else _AWAY
        self._dirty: dict[bytes, None] = {}
        self._pages = 0
        self.root: bytes = root

    @classmethod
    def build(cls, pairs: Iterable[tuple[bytes, bytes]], read: Read = lambda _key: None) -> Tree:
        """The tree of these (state key, value) pairs, in any order; none of it is on disk. A key twice is `Broken`."""
        entries = [sha256(key).digest() + sha256(value).digest() for key, value in pairs]
        entries.sort()
        tree = cls(read)
        tree._top = tree._build(entries, 0, len(entries), 0)
        tree.root = _hash(tree._top)
        return tree

    @property
    def count(self) -> int:
        """How many keys the tree holds."""
        return _count(self._at_top())

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set each state key to its value, or remove it (None); a key that is not there may be removed."""
        if not changes:
            return
        hashed: list[_Change] = [
            (sha256(key).digest(), None if value is None else sha256(value).digest()) for key, value in changes.items()
        ]
        # Key hashes differ, so that two value hashes (or None) are never compared.
        hashed.sort()
        self._dirty[_DEPTHS[0]] = None
        self._top = self._changed(self._at_top(), hashed, 0, len(hashed), 0)
        self.root = _hash(self._top)

    def fork(self, state_keys: Iterable[bytes]) -> Tree:
        """A tree of the same state that may be changed at these keys, and at no others, while this one stays as it is.

        Only the nodes on the way to the keys are copied; both trees share the rest.
        """
        tree = Tree(self._read, self.root)
        tree._top = _copied(self._at_top(), sorted(sha256(key).digest() for key in state_keys), 0)
        tree._dirty, tree._pages = self._dirty.copy(), self._pages
        return tree

    def become(self, fork: Tree) -> None:
        """Take over the state of a fork, which must not be used afterwards."""
        self._top, self.root, self._dirty, self._pages = fork._top, fork.root, fork._dirty, fork._pages

    def prove(self, state_key: bytes) -> list[bytes]:
        """The nodes from the root down to where the key is, or would be; none for an empty tree."""
        key_hash = sha256(state_key).digest()
        nodes: list[bytes] = []
        node, depth = self._at_top(), 0
        while isinstance(node, _Inner):
            nodes.append(bytes(node.body))
            child = node.children[_nibble(key_hash, depth)]
            node = self._loaded(node, key_hash, depth) if isinstance(child, _Away) else child
            depth += 1
        if node is not None:
            nodes.append(node)
        return nodes

    # On disk

    @property
    def waiting_count(self) -> int:
        """Nodes that changed since they were written last."""
        return len(self._dirty)

    def take_piece(self, count_max: int) -> dict[bytes, bytes | None]:
        """Records to write: so many of the nodes that wait, the longest waiting first.

        Once none waits, and all pieces are written, the whole tree is on disk.
        """
        piece: dict[bytes, bytes | None] = {}
        for key in islice(self._dirty, count_max):
            node = self._find(key)
            piece[key] = None if node is None else _record(node)
        for key in piece:
            del self._dirty[key]
        # Those that wait cannot go: after a tree was built all do, and a walk as long as the state would find none.
        if self._pages - len(self._dirty) > PAGES_MAX:
            self._pages = self._forget(self._top, b"", 0)
        return piece

    def _at_top(self) -> _Node:
        if isinstance(self._top, _Away):
            self._top = self._decoded(_DEPTHS[0], self.root)
        return self._top

    def _loaded(self, inner: _Inner, key_hash: bytes, depth: int) -> _Node:
        """The child of this inner node that lies on disk, on the way to the key hash."""
        at = 1 + _nibble(key_hash, depth) * _HASH_BYTES
        return self._decoded(_node_key(key_hash, depth + 1), bytes(inner.body[at : at + _HASH_BYTES]))

    def _decoded(self, key: bytes, node_hash: bytes) -> _Node:
        record = self._read(key)
        if record is None:
            raise _damaged(key, "is missing")
        if record[:1] == PAGE_TAG:
            self._pages += 1
            if sha256(record).digest() != node_hash:
                raise _damaged(key, "has another hash")
            return record
        inner = _Inner()
        inner.body = bytearray(record[: len(_INNER_EMPTY)])
        counts = record[len(_INNER_EMPTY) :]
        if len(counts) != _FANOUT * _COUNT_BYTES or sha256(inner.body).digest() != node_hash:
            raise _damaged(key, "has another hash")
        for nibble in range(_FANOUT):
            count = int.from_bytes(counts[nibble * _COUNT_BYTES : (nibble + 1) * _COUNT_BYTES], "big")
            inner.counts[nibble] = count
            inner.children[nibble] = _AWAY if count else None
        inner.count = sum(inner.counts)
        return inner

    def _find(self, key: bytes) -> _Node:
        """The node with this key on disk as it is now: what is dirty is in memory, or gone."""
        node: _Node | _Away = self._top
        path = key[2:]
        for depth in range(key[1]):
            if not isinstance(node, _Inner):
                return None
            node = node.children[_nibble(path, depth)]
        return None if isinstance(node, _Away) else node

    def _forget(self, node: _Node | _Away, path: bytes, depth: int) -> int:
        """Drops every page below that is on disk as it is; how many stay."""
        if not isinstance(node, _Inner):
            return 0
        kept = 0
        for nibble, child in enumerate(node.children):
            below = path[:-1] + bytes((path[-1] | nibble,)) if depth & 1 else path + _HALVES[nibble]
            if isinstance(child, bytes):
                if _DEPTHS[depth + 1] + below in self._dirty:
                    kept += 1
                else:
                    node.children[nibble] = _AWAY
            else:
                kept += self._forget(child, below, depth + 1)
        return kept

    # Changing

    def _changed(self, node: _Node, changes: list[_Change], start: int, stop: int, depth: int) -> _Node:
        """The subtree after the sorted `changes[start:stop]`, all of which lie below it; it is dirty already."""
        if isinstance(node, _Inner):
            return self._changed_inner(node, changes, start, stop, depth)
        page = _edited(node or PAGE_TAG, changes, start, stop)
        if len(page) > _PAGE_BYTES_MAX:
            entries = [page[at : at + _ENTRY_BYTES] for at in range(1, len(page), _ENTRY_BYTES)]
            return self._build(entries, 0, len(entries), depth)
        self._pages += node is None
        return page if len(page) > 1 else None

    def _changed_inner(self, inner: _Inner, changes: list[_Change], start: int, stop: int, depth: int) -> _Node:
        """The inner node, changed in place, each touched child once; or its page where few keys are left."""
        half, shift = depth >> 1, 0 if depth & 1 else 4
        children, counts, body, dirty = inner.children, inner.counts, inner.body, self._dirty
        below = _DEPTHS[depth + 1] + changes[start][0][:half]
        while start < stop:
            key_hash = changes[start][0]
            nibble = key_hash[half] >> shift & 15
            end = start + 1
            while end < stop and changes[end][0][half] >> shift & 15 == nibble:
                end += 1
            dirty[below + (_HALVES[nibble] if shift else key_hash[half : half + 1])] = None
            child = children[nibble]
            if child is _AWAY:
                child = self._loaded(inner, key_hash, depth)
            child = children[nibble] = self._changed(child, changes, start, end, depth + 1)
            count = _count(child)
            inner.count += count - counts[nibble]
            counts[nibble] = count
            at = 1 + nibble * _HASH_BYTES
            body[at : at + _HASH_BYTES] = _hash(child)
            start = end
        return inner if inner.count > PAGE_KEYS_MAX else self._merged(inner, changes[stop - 1][0], depth)

    def _merged(self, inner: _Inner, key_hash: bytes, depth: int) -> bytes | None:
        """The page of an inner node that became small; its children are pages, in order of their keys."""
        pages: list[bytes] = []
        for nibble, child in enumerate(inner.children):
            path = _child_hash(key_hash, depth, nibble)
            node = self._loaded(inner, path, depth) if isinstance(child, _Away) else child
            if isinstance(node, bytes):
                pages.append(node[1:])
                self._dirty[_node_key(path, depth + 1)] = None
        return PAGE_TAG + b"".join(pages) if pages else None

    def _build(self, entries: Sequence[bytes], start: int, stop: int, depth: int) -> _Node:
        """The subtree of the sorted `entries[start:stop]`, which share their first `depth` nibbles."""
        if start < stop:
            self._dirty[_node_key(entries[start], depth)] = None
        if stop - start <= PAGE_KEYS_MAX:
            self._pages += 1
            return _page_of(entries[start:stop])
        if depth == 2 * _HASH_BYTES:
            raise _twice(entries[start])
        inner = _Inner()
        inner.count = stop - start
        at = start
        for nibble in range(_FANOUT):
            end = stop
            if nibble < _FANOUT - 1:
                end = bisect_left(entries, _child_hash(entries[start], depth, nibble + 1), at, stop)
            if at < end:
                child = self._build(entries, at, end, depth + 1)
                inner.children[nibble] = child
                inner.counts[nibble] = end - at
                inner.body[1 + nibble * _HASH_BYTES : 1 + (nibble + 1) * _HASH_BYTES] = _hash(child)
            at = end
        return inner


def _copied(node: _Node, key_hashes: Sequence[bytes], depth: int) -> _Node:
    """The node with copies of all inner nodes on the way to the sorted key hashes; pages are never changed in place."""
    if not isinstance(node, _Inner) or not key_hashes:
        return node
    copy = _Inner()
    copy.body, copy.children, copy.count = bytearray(node.body), list(node.children), node.count
    copy.counts = list(node.counts)
    for nibble, group in groupby(key_hashes, lambda key_hash: _nibble(key_hash, depth)):
        child = node.children[nibble]
        if not isinstance(child, _Away):
            copy.children[nibble] = _copied(child, list(group), depth + 1)
    return copy


def _nibble(key_hash: bytes, depth: int) -> int:
    byte = key_hash[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def _node_key(key_hash: bytes, depth: int) -> bytes:
    """Where the node lies on disk that is so deep on the way to the key hash: by depth, then by path."""
    half = depth >> 1
    if depth & 1:
        return _DEPTHS[depth] + key_hash[:half] + _HALVES[key_hash[half] >> 4]
    return _DEPTHS[depth] + key_hash[:half]


def _child_hash(key_hash: bytes, depth: int, nibble: int) -> bytes:
    """The beginning of all key hashes that share `depth` nibbles with this one and go on with this nibble."""
    half = depth >> 1
    last = (key_hash[half] & 0xF0) | nibble if depth & 1 else nibble << 4
    return key_hash[:half] + bytes((last,))


def _record(node: _Inner | bytes) -> bytes:
    """A node as it lies on disk: its bytes, and what an inner node counts."""
    if isinstance(node, bytes):
        return node
    return bytes(node.body) + b"".join([count.to_bytes(_COUNT_BYTES, "big") for count in node.counts])


def _hash(node: _Node) -> bytes:
    if type(node) is bytes:
        return sha256(node).digest()
    return sha256(node.body).digest() if isinstance(node, _Inner) else EMPTY_HASH


def _count(node: _Node) -> int:
    if type(node) is bytes:
        return len(node) // _ENTRY_BYTES
    return node.count if isinstance(node, _Inner) else 0


def _page_of(entries: Sequence[bytes]) -> bytes | None:
    for lower, upper in pairwise(entries):
        if lower[:_HASH_BYTES] == upper[:_HASH_BYTES]:
            raise _twice(lower)
    return PAGE_TAG + b"".join(entries) if entries else None


def _edited(page: bytes, changes: list[_Change], start: int, stop: int) -> bytes:
    """The page with these changes in it; it may come out longer than a page may be, or without entries."""
    for key_hash, value_hash in changes[start:stop]:
        found = page.find(key_hash, 1)
        # A value that equals some state key has the same hash: only a hit where an entry begins is a key.
        while found > 0 and found & 63 != 1:
            found = page.find(key_hash, found + 1)
        if found > 0:
            if value_hash is None:
                page = page[:found] + page[found + _ENTRY_BYTES :]
            else:
                page = page[: found + _HASH_BYTES] + value_hash + page[found + _ENTRY_BYTES :]
        elif value_hash is not None:
            put = _insertion(page, key_hash)
            page = page[:put] + key_hash + value_hash + page[put:]
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


def _twice(entry: bytes) -> Broken:
    return Broken("the tree was given key hash {key_hash} twice", key_hash=entry[:_HASH_BYTES])


def _damaged(key: bytes, what: str) -> Damaged:
    return Damaged(f"node {key[1:].hex()} of the state tree {what}", "concento node repair")
