"""Merkle trees over lists, as in RFC 6962: roots, inclusion paths and consistency proofs.

A leaf hashes with a 0x00 byte in front and a node with 0x01; a list splits at the largest power of two below its
size; the root of the empty list is the hash of the empty string. The `verify_*` functions follow RFC 9162 sections
2.1.3.2 and 2.1.4.2 and raise `Rejected("proof.invalid")`; they return nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from concento.errors import Rejected

_HASH_BYTES: Final = 32


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root of the list."""
    return _subtree_root([sha256(b"\x00" + leaf).digest() for leaf in leaves])


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The sibling hashes from the leaf at this index up to the root."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"index {index} in a list of {len(leaves)}")
    return _path(_levels(leaves), index)


def inclusion_paths(leaves: Sequence[bytes], first: int = 0) -> list[list[bytes]]:
    """The paths of all leaves from `first` on: each hash is computed once."""
    levels = _levels(leaves)
    return [_path(levels, index) for index in range(first, len(leaves))]


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The hashes showing that the first `old_size` leaves are a prefix of the list; 1 <= old_size <= len(leaves)."""
    if not 1 <= old_size <= len(leaves):
        raise IndexError(f"old size {old_size} of a list of {len(leaves)}")
    return _subproof([_leaf_hash(leaf) for leaf in leaves], old_size, known=True)


def verify_inclusion(root: bytes, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> None:
    """Refuses unless the leaf is at this index of the list of this size with this root."""
    verify_inclusion_of_hash(root, _leaf_hash(leaf), index, size, path)


def verify_inclusion_of_hash(root: bytes, leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> None:
    """The same of a leaf of which only the hash is known."""
    if not 0 <= index < size:
        raise Rejected("proof.invalid", reason="the index is outside the list")
    if len(leaf_hash) != _HASH_BYTES:
        raise Rejected("proof.invalid", reason="the leaf is not named by a hash")
    computed, last = leaf_hash, size - 1
    for sibling in path:
        if last == 0 or len(sibling) != _HASH_BYTES:
            raise Rejected("proof.invalid", reason="the path has a wrong length")
        if index & 1 or index == last:
            computed = _node_hash(sibling, computed)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            computed = _node_hash(computed, sibling)
        index, last = index >> 1, last >> 1
    if last != 0:
        raise Rejected("proof.invalid", reason="the path has a wrong length")
    if computed != root:
        raise Rejected("proof.invalid", reason="it leads to another root")


def verify_consistency(old_root: bytes, old_size: int, new_root: bytes, new_size: int, proof: Sequence[bytes]) -> None:
    """Refuses unless the list of the old root is a prefix of the list of the new root."""
    if not 1 <= old_size <= new_size:
        raise Rejected("proof.invalid", reason="the old list is not shorter")
    if any(len(item) != _HASH_BYTES for item in proof):
        raise Rejected("proof.invalid", reason="the path has a wrong length")
    if old_size == new_size:
        if proof:
            raise Rejected("proof.invalid", reason="the path has a wrong length")
        if old_root != new_root:
            raise Rejected("proof.invalid", reason="it leads to another root")
        return
    # Where the old size is a power of two its root is itself a node of the new tree, and is not repeated.
    items = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not proof:
        raise Rejected("proof.invalid", reason="the path has a wrong length")
    old_last, new_last = old_size - 1, new_size - 1
    while old_last & 1:
        old_last, new_last = old_last >> 1, new_last >> 1
    old_computed = new_computed = items[0]
    for item in items[1:]:
        if new_last == 0:
            raise Rejected("proof.invalid", reason="the path has a wrong length")
        if old_last & 1 or old_last == new_last:
            old_computed, new_computed = _node_hash(item, old_computed), _node_hash(item, new_computed)
            while not old_last & 1 and old_last:
                old_last, new_last = old_last >> 1, new_last >> 1
        else:
            new_computed = _node_hash(new_computed, item)
        old_last, new_last = old_last >> 1, new_last >> 1
    if new_last != 0:
        raise Rejected("proof.invalid", reason="the path has a wrong length")
    if old_computed != old_root or new_computed != new_root:
        raise Rejected("proof.invalid", reason="it leads to another root")


def range_proof(leaves: Sequence[bytes], start: int, count: int) -> list[bytes]:
    """The roots of the largest subtrees outside of [start, start + count), left to right; count >= 1."""
    if not 0 <= start < start + count <= len(leaves):
        raise IndexError(f"range {start} + {count} in a list of {len(leaves)}")
    hashes = [_leaf_hash(leaf) for leaf in leaves]
    proof: list[bytes] = []

    def walk(low: int, high: int) -> None:
        if high <= start or low >= start + count:
            proof.append(_subtree_root(hashes[low:high]))
        elif high - low > 1:
            split = low + _split_of(high - low)
            walk(low, split)
            walk(split, high)

    walk(0, len(leaves))
    return proof


def range_root(rows: Sequence[bytes], start: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root of the list of this size that has these leaves from `start` on. Refuses a proof of another form."""
    stop = start + len(rows)
    if not rows or not 0 <= start < stop <= size:
        raise Rejected("proof.invalid", reason="the range is outside the list")
    if any(len(item) != _HASH_BYTES for item in proof):
        raise Rejected("proof.invalid", reason="the path has a wrong length")
    rest = iter(proof)

    def walk(low: int, high: int) -> bytes:
        if high <= start or low >= stop:
            found = next(rest, None)
            if found is None:
                raise Rejected("proof.invalid", reason="the path has a wrong length")
            return found
        if high - low == 1:
            return _leaf_hash(rows[low - start])
        split = low + _split_of(high - low)
        left = walk(low, split)
        return _node_hash(left, walk(split, high))

    root = walk(0, size)
    if next(rest, None) is not None:
        raise Rejected("proof.invalid", reason="the path has a wrong length")
    return root


def old_peaks(old_root: bytes, old_size: int, new_size: int, proof: Sequence[bytes]) -> tuple[bytes, ...]:
    """The peaks of the old list, which every consistency proof of it contains; only for a proof that verifies."""
    if old_size & (old_size - 1) == 0:
        return (old_root,)
    if not proof:
        raise Rejected("proof.invalid", reason="it is of a list that has not grown")
    peaks = [proof[0]]
    old_last, new_last = old_size - 1, new_size - 1
    while old_last & 1:
        old_last, new_last = old_last >> 1, new_last >> 1
    for item in proof[1:]:
        if old_last & 1 or old_last == new_last:
            peaks.append(item)
            while not old_last & 1 and old_last:
                old_last, new_last = old_last >> 1, new_last >> 1
        old_last, new_last = old_last >> 1, new_last >> 1
    return tuple(reversed(peaks))


def path_behind(peaks: Sequence[bytes], first: int, leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The path of a leaf where the peaks of the first `first` leaves are known and all later leaves."""
    size = first + len(leaves)
    if not first <= index < size or len(peaks) != first.bit_count():
        raise IndexError(f"index {index} behind {first} in a list of {size}")
    known = dict(zip(_peak_places(first), peaks, strict=True))
    hashes = [_leaf_hash(leaf) for leaf in leaves]

    def root(low: int, high: int) -> bytes:
        # What is old in whole beside a newer leaf is complete, and its parent is not: it is a peak.
        if high <= first:
            return known[low]
        if low >= first:
            return _subtree_root(hashes[low - first : high - first])
        split = low + _split_of(high - low)
        return _node_hash(root(low, split), root(split, high))

    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        split = low + _split_of(high - low)
        if index < split:
            path.append(root(split, high))
            high = split
        else:
            path.append(root(low, split))
            low = split
    return path[::-1]


def _peak_places(size: int) -> list[int]:
    """Where the peaks of a list begin, largest first."""
    places, start = [], 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            places.append(start)
            start += 1 << bit
    return places


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The hashes of the leaves, of their parents and so on, below the root."""
    levels = [[_leaf_hash(leaf) for leaf in leaves]]
    while len(levels[-1]) > 2:
        levels.append(_parents(levels[-1]))
    return levels


def _path(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    # The odd one at the end of a level goes up as it is: it has no sibling there.
    siblings = ((level, index >> depth ^ 1) for depth, level in enumerate(levels))
    return [level[sibling] for level, sibling in siblings if sibling < len(level)]


def _leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split_of(size: int) -> int:
    """The largest power of two below a size of at least two."""
    return 1 << (size - 1).bit_length() - 1


def _parents(level: Sequence[bytes]) -> list[bytes]:
    """The level above. Pairing neighbours and passing an odd last one up is the split at powers of two."""
    above = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above


def _subtree_root(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return sha256(b"").digest()
    while len(hashes) > 1:
        hashes = _parents(hashes)
    return hashes[0]


def _subproof(hashes: Sequence[bytes], old_size: int, known: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2; `known` while the subtree is the whole old tree."""
    if old_size == len(hashes):
        return [] if known else [_subtree_root(hashes)]
    split = _split_of(len(hashes))
    if old_size <= split:
        return [*_subproof(hashes[:split], old_size, known), _subtree_root(hashes[split:])]
    return [*_subproof(hashes[split:], old_size - split, known=False), _subtree_root(hashes[:split])]


class Frontier:
    """A list that only grows: its root after each append costs the logarithm of its length."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """`peaks` are the roots of complete subtrees, largest first: one per bit of `size` that is set."""
        if len(peaks) != size.bit_count():
            raise ValueError(f"{len(peaks)} peaks for a list of {size}")
        self.size = size
        self._peaks = list(peaks)

    def append(self, leaf: bytes) -> None:
        node = _leaf_hash(leaf)
        size = self.size
        while size & 1:
            node = _node_hash(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """What to keep of the list in order to go on with it later."""
        return tuple(self._peaks)

    @property
    def root(self) -> bytes:
        if not self._peaks:
            return merkle_root([])
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = _node_hash(peak, root)
        return root
