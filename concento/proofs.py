"""Proofs that a record is, or is not, in the state: what a reader checks against an app hash.

A proof is the list of the nodes on the path of `sha256(state key)`, from the root down, each with its tag byte, so
that its SHA-256 is its hash. Inner nodes come first (tag 0x01, then 16 child hashes, zeros where a child is empty); the
last may be a page (tag 0x00, then sorted entries `sha256(key) || sha256(value)`). It ends at a page, which
holds the key or not, or at an empty child, which shows that the key is absent. `state/store/tree.py` makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Final

from concento.errors import Rejected
from concento.hashing import HASH_BYTES, NO_HASH

PAGE_KEYS_MAX: Final = 32
"""Larger pages make proofs longer, smaller ones the tree deeper; the cheapest per changed key of 8, 16, 32 and 128."""
PAGE_TAG: Final = b"\x00"
INNER_TAG: Final = b"\x01"
EMPTY_HASH: Final = NO_HASH
"""The hash of an empty subtree and of the empty state; no node hashes to it."""

_ENTRY_BYTES: Final = 2 * HASH_BYTES
_INNER_BYTES: Final = 1 + 16 * HASH_BYTES
_PAGE_BYTES_MAX: Final = 1 + PAGE_KEYS_MAX * _ENTRY_BYTES
_DEPTH_MAX: Final = 2 * HASH_BYTES


def verify_state(root: bytes, state_key: bytes, value: bytes | None, nodes: Sequence[bytes]) -> None:
    """Refuses unless the state with this root holds exactly this value under the key, or nothing (None)."""
    if len(root) != HASH_BYTES:
        raise Rejected("proof.invalid", reason="the root is not a hash")
    key_hash = sha256(state_key).digest()
    value_hash = _proved_value_hash(root, key_hash, nodes)
    if value_hash is None:
        if value is not None:
            raise Rejected("proof.invalid", reason="it shows that the key is absent")
    elif value is None:
        raise Rejected("proof.invalid", reason="it shows that the key has a value")
    elif sha256(value).digest() != value_hash:
        raise Rejected("proof.invalid", reason="it shows another value")


def _proved_value_hash(root: bytes, key_hash: bytes, nodes: Sequence[bytes]) -> bytes | None:
    """The hash of the value that the nodes prove for the key, or None where they prove that there is none."""
    expected, path = root, key_hash.hex()
    for depth, node in enumerate(nodes):
        if expected == EMPTY_HASH or depth > _DEPTH_MAX:
            raise Rejected("proof.invalid", reason="it has too few or too many nodes")
        if sha256(node).digest() != expected:
            raise Rejected("proof.invalid", reason="a node is not the one that its parent names")
        if node[:1] == PAGE_TAG:
            if depth != len(nodes) - 1:
                raise Rejected("proof.invalid", reason="it has too few or too many nodes")
            return _find_in_page(node, key_hash, path[:depth])
        if node[:1] != INNER_TAG or len(node) != _INNER_BYTES or depth == _DEPTH_MAX:
            raise Rejected("proof.invalid", reason="a node is malformed")
        at = 1 + int(path[depth], 16) * HASH_BYTES
        expected = node[at : at + HASH_BYTES]
    if expected != EMPTY_HASH:
        raise Rejected("proof.invalid", reason="it has too few or too many nodes")
    return None


def _find_in_page(page: bytes, key_hash: bytes, path: str) -> bytes | None:
    if not 1 < len(page) <= _PAGE_BYTES_MAX or len(page) % _ENTRY_BYTES != 1:
        raise Rejected("proof.invalid", reason="the page is malformed")
    entries = [page[at : at + _ENTRY_BYTES] for at in range(1, len(page), _ENTRY_BYTES)]
    keys = [entry[:HASH_BYTES] for entry in entries]
    # A page that no correct tree makes: out of order, a key twice, or a key that belongs elsewhere.
    ordered = all(lower < upper for lower, upper in pairwise(keys))
    if not ordered or not all(key.hex().startswith(path) for key in keys):
        raise Rejected("proof.invalid", reason="the page is malformed")
    for entry in entries:
        if entry[:HASH_BYTES] == key_hash:
            return entry[HASH_BYTES:]
    return None
