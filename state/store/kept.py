"""What stays of heights whose blocks are not kept: where the validators changed, and what a snapshot brought along.

A node that prunes, or that began with a snapshot, must judge later blocks as every other node does, and must lead a
light client from genesis. So it keeps, for ever, header and commit of each handover; and from its snapshot the block
it stands on, the headers that evidence is judged by, and the ids that may not come back.
"""

from __future__ import annotations

from typing import Final, TypeVar

from concento.blocks import Block, Header, block_id
from concento.encoding import Bytes32, Natural, Record, decode, encode
from concento.errors import Broken, Damaged, Rejected
from concento.votes import Commit
from state.replay import is_remembered
from state.store.blockstore import (
    PARTS,
    SKIPPED,
    Place,
    find_block,
    find_block_header,
    find_skip,
    find_transaction,
)
from state.store.kv import BLOCK, BLOCK_HEIGHT, REPLICA, STATE, TRANSACTION, KeyValueView, number_key
from state.validators import SETS, height_key
from state.view import View

_HEADERS: Final = REPLICA + b"header/"
_COMMITS: Final = REPLICA + b"commit/"
_IDS: Final = REPLICA + b"ids/"
_BASE: Final = REPLICA + b"base"


R = TypeVar("R", bound=Record)


class IdsOf(Record):
    """The ids that one height brought into the chain, in order."""

    height: Natural
    ids: tuple[Bytes32, ...]


class Base(Record):
    """What a node that began with a snapshot stands on: its newest block then, and the root of that block's results."""

    block: Block
    commit: Commit
    results_root: Bytes32


# Reading


def find_header(view: KeyValueView, height: int) -> Header | None:
    """The header of a decided height, as far as it is kept with its block or without."""
    header = find_block_header(view, height)
    if header is not None:
        return header
    raw = view.get(_HEADERS + number_key(height))
    return None if raw is None else _read(Header, raw)


def find_signed(view: KeyValueView, height: int) -> tuple[Header, Commit] | None:
    """Header and commit of a decided height; kept for ever where the validators changed."""
    record = find_block(view, height)
    if record is not None:
        return record.block.header, record.commit
    header, commit = view.get(_HEADERS + number_key(height)), view.get(_COMMITS + number_key(height))
    return None if header is None or commit is None else (_read(Header, header), _read(Commit, commit))


def find_ids(view: KeyValueView, height: int) -> tuple[bytes, ...] | None:
    """The ids that a height brought into the chain, in order."""
    record = find_block(view, height)
    if record is not None:
        here = [(identity, find_transaction(view, identity)) for identity in record.transactions]
        places = {Place(height, index) for index in range(len(record.transactions))}
        return tuple(dict.fromkeys(identity for identity, place in here if place in places))
    raw = view.get(_IDS + number_key(height))
    return None if raw is None else _read(IdsOf, raw).ids


def find_base(view: KeyValueView) -> Base | None:
    raw = view.get(_BASE)
    return None if raw is None else _read(Base, raw)


def is_handover(view: KeyValueView, height: int) -> bool:
    """Whether the next height has other validators: then this height stays for light clients."""
    return view.get(STATE + SETS.prefix + height_key(height + 1)) is not None


# Writing


def header_changes(header: Header, commit: Commit | None = None) -> dict[bytes, bytes | None]:
    """Keeps a header without its block, with its commit where somebody must be able to check it."""
    at = number_key(header.height)
    changes: dict[bytes, bytes | None] = {_HEADERS + at: encode(header)}
    if commit is not None:
        changes[_COMMITS + at] = encode(commit)
    return changes


def ids_changes(entry: IdsOf) -> dict[bytes, bytes | None]:
    """Keeps the ids of a height without its block; each is found as included there."""
    at = number_key(entry.height)
    changes: dict[bytes, bytes | None] = {_IDS + at: encode(entry)}
    changes.update((TRANSACTION + identity, at + number_key(index)) for index, identity in enumerate(entry.ids))
    return changes


def base_changes(base: Base) -> dict[bytes, bytes | None]:
    return {_BASE: encode(base)}


def prune_changes(view: KeyValueView, height: int) -> tuple[dict[bytes, bytes | None], int]:
    """The writes that drop the block of a height with results, events and places, and how many transactions go."""
    record = find_block(view, height)
    if record is None:
        raise Broken("block {height} was to be pruned and is not there", height=height)
    header = record.block.header
    at = BLOCK + number_key(height)
    changes: dict[bytes, bytes | None] = dict.fromkeys(at + part for part in PARTS)
    changes[BLOCK_HEIGHT + block_id(header)] = None
    included = []
    for identity in dict.fromkeys(record.transactions):
        # One that was skipped here may have been included, or skipped again, elsewhere.
        if (place := find_transaction(view, identity)) is not None and place.height == height:
            changes[TRANSACTION + identity] = None
            included.append(identity)
        if (place := find_skip(view, identity)) is not None and place.height == height:
            changes[SKIPPED + identity] = None
    if is_handover(view, height):
        changes.update(header_changes(header, record.commit))
    if included and is_remembered(View(lambda key: view.get(STATE + key)), height):
        # Only blocks with transactions forget: a chain that fell silent binds the ids of its last ones for ever.
        changes[_IDS + number_key(height)] = encode(IdsOf(height, tuple(included)))
    return changes, len(included)


def _read(kind: type[R], raw: bytes) -> R:
    try:
        return decode(kind, raw, "kept record")
    except Rejected as error:
        raise Damaged(str(error), "concento node repair") from None
