"""SHA-256 with a domain tag per kind of object, and the bytes that signatures cover."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from concento.encoding import Bytes32, Record

HASH_BYTES = 32
NO_HASH = bytes(HASH_BYTES)
"""The parent of block 1, the app hash before genesis, the root of the empty tree."""


class Network(Record):
    """Which chain a signature is meant for: the name for people, the genesis hash for certainty."""

    chain_id: str
    genesis_hash: Bytes32


def tagged_hash(tag: str, *parts: bytes) -> bytes:
    """SHA-256 over a length-delimited domain tag and the parts in order; parts must have fixed lengths but the last."""
    return sha256(_domain(tag) + b"".join(parts)).digest()


@lru_cache(maxsize=1_000)
def _domain(tag: str) -> bytes:
    """The tag and its length; there are a few dozen of them."""
    name = tag.encode("ascii")
    return bytes((len(name),)) + name


def signing_bytes(network: Network, tag: str, payload: bytes) -> bytes:
    """What a key signs: domain tag, chain id (both length-delimited), genesis hash, then the payload."""
    return _signing_domain(tag, network.chain_id, network.genesis_hash) + payload


@lru_cache(maxsize=1_000)
def _signing_domain(tag: str, chain_id: str, genesis_hash: bytes) -> bytes:
    name = b"concento/" + tag.encode("ascii")
    chain = chain_id.encode("utf-8")
    return bytes((len(name),)) + name + bytes((len(chain),)) + chain + genesis_hash
