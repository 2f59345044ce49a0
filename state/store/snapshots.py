"""The state after one height as files that a stranger can check: made from a view of the store, verified one by one.

The values lie in 256 chunks by the first byte of `sha256(state key)`, whatever form the tree has on disk. A chunk is
checked alone: the hash of its subtree is named by the nodes at the top of the tree, whose root is the app hash of the
next header, which validators signed. What decides about later blocks and is not in the state travels beside it: the
ids that may not come back (bound by the state), the headers that evidence is judged by (each names its parent), the
turns of the proposers (hashed in the header), and the handovers that lead from genesis to the header.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Final, NoReturn

from msgspec import Meta

from concento.blocks import Block, Header, block_id, commit_root, content_root, evidence_root
from concento.encoding import Natural, Record, decode, encode
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.light import HANDOVERS_MAX, Handover, verify_header
from concento.limits import MIB
from concento.proofs import EMPTY_HASH, INNER_TAG, PAGE_KEYS_MAX, PAGE_TAG
from concento.validators import Validator
from concento.votes import Commit
from state.replay import REMEMBERED, SPAN_KEY, SPANS, ids_hash, number_key
from state.store.kept import IdsOf
from state.view import View

SNAPSHOT_FORMAT: Final = 1
CHUNKS: Final = 256
IDS: Final = 256
"""The number of the file of ids, behind the chunks."""
HEADERS: Final = 257
"""The number of the file of headers."""
FILES: Final = 258
FILE_BYTES_MAX: Final = 512 * MIB
"""The largest file taken from a peer, held in memory until it is checked: a state of a thousand million records."""
PIECE_BYTES: Final = MIB
"""What one message carries of a file."""

_ENTRY_BYTES: Final = 64
_FANOUT: Final = 16
_TOP_NODES_MAX: Final = 17

Pair = tuple[bytes, bytes]
"""A state key and its value."""


class HandoverRecord(Record):
    """A change of the validator set, as `concento.light.Handover`."""

    header: Header
    commit: Commit
    members: tuple[Validator, ...]


class Manifest(Record):
    """What a snapshot of the state after `height` holds, and why that is true.

    `header` and `commit` are of height + 1, which names the state; `block` and `block_commit` are of `height`. `top`
    are the root of the tree and, where it is an inner node, its children in order; `sizes` are those of the files.
    """

    format: Natural
    height: Natural
    header: Header
    commit: Commit
    block: Block
    block_commit: Commit
    turns: bytes
    handovers: Annotated[tuple[HandoverRecord, ...], Meta(max_length=HANDOVERS_MAX)]
    top: Annotated[tuple[bytes, ...], Meta(max_length=_TOP_NODES_MAX)]
    sizes: Annotated[tuple[Natural, ...], Meta(min_length=FILES, max_length=FILES)]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a chunk must be: its subtree hash, or its very entries where a page above the chunks holds them."""

    subtree_hash: bytes
    entries: bytes | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What the nodes above a chunk need of it; `entries` only where there are few."""

    count: int
    subtree_hash: bytes
    entries: bytes


# Chunks


def chunk_of(state_key: bytes) -> int:
    """The chunk that a record belongs to."""
    return sha256(state_key).digest()[0]


def encode_chunk(pairs: Iterable[Pair]) -> bytes:
    """The file of a chunk; its records come in the order of their key hashes."""
    return encode(tuple(sorted(pairs, key=lambda pair: sha256(pair[0]).digest())))


def summary(pairs: Iterable[Pair]) -> Summary:
    """What the tree above has to know of the records of one chunk."""
    entries = _entries(pairs)
    few = b"".join(entries) if len(entries) <= PAGE_KEYS_MAX else b""
    return Summary(len(entries), _hash(_subtree(entries, 2)), few)


def top_nodes(chunks: Sequence[Summary]) -> tuple[bytes, ...]:
    """The root of the tree over all chunks and, where it is an inner node, its children that are there, in order."""
    groups = [chunks[start : start + _FANOUT] for start in range(0, CHUNKS, _FANOUT)]
    total = sum(chunk.count for chunk in chunks)
    if total == 0:
        return ()
    if total <= PAGE_KEYS_MAX:
        return (PAGE_TAG + b"".join(chunk.entries for chunk in chunks),)
    children = [_group_node(group) for group in groups]
    return INNER_TAG + b"".join(map(_hash, children)), *(child for child in children if child)


def check_chunk(number: int, data: bytes, expected: Expected) -> tuple[Pair, ...]:
    """The records in the file of a chunk. Raises Rejected unless they are exactly those of the state."""
    pairs = decode(tuple[Pair, ...], data, "snapshot chunk")
    entries = _entries(pairs)
    if any(entry[0] != number for entry in entries) or len({entry[:32] for entry in entries}) != len(entries):
        _refuse(f"chunk {number} holds what is not its own")
    if expected.entries is not None:
        is_good = b"".join(entries) == expected.entries
    else:
        is_good = _hash(_subtree(entries, 2)) == expected.subtree_hash
    if not is_good:
        _refuse(f"chunk {number} is not that of the state")
    return pairs


def _entries(pairs: Iterable[Pair]) -> list[bytes]:
    return sorted(sha256(key).digest() + sha256(value).digest() for key, value in pairs)


def _group_node(group: Sequence[Summary]) -> bytes:
    """The node above sixteen chunks; nothing where they are empty."""
    count = sum(chunk.count for chunk in group)
    if count > PAGE_KEYS_MAX:
        return INNER_TAG + b"".join(chunk.subtree_hash for chunk in group)
    return PAGE_TAG + b"".join(chunk.entries for chunk in group) if count else b""


def _subtree(entries: Sequence[bytes], depth: int) -> bytes:
    """The node over these sorted entries, which share their first `depth` nibbles: the rule of the tree, once more."""
    if len(entries) <= PAGE_KEYS_MAX:
        return PAGE_TAG + b"".join(entries) if entries else b""
    groups: list[list[bytes]] = [[] for _ in range(_FANOUT)]
    for entry in entries:
        byte = entry[depth >> 1]
        groups[byte & 15 if depth & 1 else byte >> 4].append(entry)
    return INNER_TAG + b"".join(_hash(_subtree(group, depth + 1)) for group in groups)


def _hash(node: bytes) -> bytes:
    return sha256(node).digest() if node else EMPTY_HASH


# The manifest


def check_manifest(genesis: Genesis, manifest: Manifest) -> list[Expected]:
    """What each chunk must be. Raises Rejected unless all of it follows from genesis; `turns` are not checked here."""
    header, block = manifest.header, manifest.block
    if manifest.format != SNAPSHOT_FORMAT:
        _refuse("it is of a format that this program does not know")
    if not manifest.height == block.header.height == header.height - 1 or manifest.height < 1:
        _refuse("its heights do not belong together")
    if max(manifest.sizes) > FILE_BYTES_MAX:
        _refuse("a file of it is too large")
    steps = [Handover(step.header, step.commit, step.members) for step in manifest.handovers]
    verify_header(genesis, header, manifest.commit, steps)
    commit = manifest.block_commit
    if block_id(block.header) != header.parent_id or commit_root(commit) != header.last_commit_root:
        _refuse("its block is not the parent of its header")
    parts = content_root(block.batches), commit_root(block.last_commit), evidence_root(block.evidence)
    if parts != (block.header.content_root, block.header.last_commit_root, block.header.evidence_root):
        _refuse("its block is not whole")
    return expected_chunks(header.app_hash, manifest.top)


def expected_chunks(app_hash: bytes, top: Sequence[bytes]) -> list[Expected]:
    """What each chunk must be, from the nodes at the top of the tree. Raises Rejected where they are not under it."""
    nodes = list(top)
    root = _taken(nodes, app_hash)
    if root[:1] != INNER_TAG:
        found = [_of_page(root, number) for number in range(CHUNKS)]
    else:
        found = []
        for high, child_hash in enumerate(_children(root)):
            child = _taken(nodes, child_hash)
            if child[:1] == INNER_TAG:
                found += [Expected(subtree_hash, None) for subtree_hash in _children(child)]
            else:
                found += [_of_page(child, high * _FANOUT + low) for low in range(_FANOUT)]
    if nodes:
        _refuse("it has nodes that belong nowhere")
    return found


def _taken(nodes: list[bytes], expected: bytes) -> bytes:
    """The next node, which must have this hash; nothing for an empty subtree."""
    if expected == EMPTY_HASH:
        return b""
    if not nodes or sha256(nodes[0]).digest() != expected:
        _refuse("a node at its top is not the one that the state names")
    return nodes.pop(0)


def _children(inner: bytes) -> list[bytes]:
    return [inner[start : start + 32] for start in range(1, 1 + _FANOUT * 32, 32)]


def _of_page(page: bytes, number: int) -> Expected:
    entries = [page[at : at + _ENTRY_BYTES] for at in range(1, len(page), _ENTRY_BYTES)]
    return Expected(EMPTY_HASH, b"".join(entry for entry in entries if entry[0] == number))


# Beside the state


def remembered_heights(view: View) -> Iterator[tuple[int, bytes]]:
    """The heights whose ids the state still binds, and the hash over the ids of each."""
    span = view.find(SPANS, SPAN_KEY)
    for number in range(span.first, span.next) if span else ():
        record = view.get(REMEMBERED, number_key(number))
        yield record.height, record.ids_hash


def check_ids(view: View, data: bytes) -> tuple[IdsOf, ...]:
    """The ids in their file. Raises Rejected unless they are exactly those that this state binds."""
    found = decode(tuple[IdsOf, ...], data, "snapshot ids")
    if [(entry.height, ids_hash(entry.ids)) for entry in found] != list(remembered_heights(view)):
        _refuse("its ids are not those that the state binds")
    return found


def check_headers(newest: Header, data: bytes, age_ms: int) -> tuple[Header, ...]:
    """The headers in their file, from the newest down. Raises Rejected unless they are all that evidence may need."""
    found = decode(tuple[Header, ...], data, "snapshot headers")
    if not found or found[0] != newest:
        _refuse("its headers do not begin with the newest")
    for header, parent in pairwise(found):
        if (block_id(parent), parent.height) != (header.parent_id, header.height - 1):
            _refuse("a header is not the parent of the one above it")
    if found[-1].height > 1 and newest.time_ms - found[-1].time_ms <= age_ms:
        _refuse("its headers end too soon")
    return found


def _refuse(reason: str) -> NoReturn:
    raise Rejected("snapshot.invalid", reason=reason)
