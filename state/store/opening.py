"""Opening a store: its records are compared with its commit record, and a difference is refused by name.

A store that was closed in order has its whole tree on disk: it opens at once, whatever its size, and `check_records`
counts its records afterwards, beside the work. After any other end, and for repair, the tree is built again from the
state records and compared, and everything is counted first: LevelDB can open with a part of the records gone and no
error (see `leveldb.py`). Every refusal is `Rejected` with a hint that names the command that mends it; a store is
never opened half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from concento.blocks import block_id
from concento.encoding import Bytes32, Natural, Record, decode, encode
from concento.errors import Broken, Rejected
from concento.hashing import NO_HASH, Network
from state.store.blockstore import PARTS, StoredBlock, block_changes, find_block, included_count
from state.store.kv import (
    BLOCK,
    BLOCK_HEIGHT,
    HISTORY,
    META,
    STATE,
    TRANSACTION,
    TREE,
    KeyValue,
    KeyValueView,
    number_key,
)
from state.store.tree import Tree

STORE_FORMAT: Final = 4
"""Grows when a record of the store changes its form; a store of another format is resynced, not guessed at."""
COMMIT_KEY: Final = META + b"commit"
CLOSED_KEY: Final = META + b"closed"
"""The height at which the store was closed in order. It says nothing once there is a block above."""
WAITING_NODES: Final = 1 << 14
"""Changed tree nodes that wait in memory, some 25 MB. Only what is above is written: a node that waits takes up the
changes of many blocks, and after a crash the tree is built from the records anyway."""
PIECE_NODES: Final = 128
"""Tree nodes written with a block at most, 256 KiB: hides behind what a block under load writes itself. Under long load
on a large state more wait; the rest is written when the store is closed."""
CLOSING_NODES: Final = 4_096
"""Tree nodes of one write when a store is closed."""


class CommitRecord(Record):
    """What the store holds, written in the same batch as it: the state after `height`, and counts to check it by."""

    format: Natural
    network: Network
    height: Natural
    block_id: Bytes32
    app_hash: Bytes32
    state_keys: Natural
    oldest_height: Natural
    transactions: Natural


@dataclass(slots=True)
class OpenStore:
    """A store that was found whole: its records, the tree over its state, and its newest commit record."""

    kv: KeyValue
    tree: Tree
    commit: CommitRecord
    is_counted: bool = True
    """Whether `check_records` has passed."""


def create_store(
    kv: KeyValue, network: Network, state: Mapping[bytes, bytes], history: Mapping[bytes, bytes] | None = None
) -> OpenStore:
    """Writes the genesis state and its history, keyed without the prefix of their space, into an empty store."""
    if next(kv.scan(b""), None) is not None:
        raise Rejected("store.exists", path=kv.name)
    tree = Tree.build(state.items(), kv.get)
    commit = CommitRecord(STORE_FORMAT, network, 0, NO_HASH, tree.root, tree.count, 1, 0)
    batch = {STATE + key: value for key, value in state.items()}
    batch.update((HISTORY + key, value) for key, value in (history or {}).items())
    kv.write({**batch, COMMIT_KEY: encode(commit)})
    return OpenStore(kv, tree, commit)


def open_store(kv: KeyValue, network: Network) -> OpenStore:
    """The store of this network, found whole: where it was not closed in order, every record is looked at."""
    try:
        commit = _find_commit(kv)
        _check_ours(kv, commit, network)
        if is_closed(kv, commit):
            store = OpenStore(kv, Tree(kv.get, commit.app_hash), commit, is_counted=False)
        else:
            store = OpenStore(kv, Tree.build(((key[1:], value) for key, value in kv.scan(STATE)), kv.get), commit)
            check_records(kv, commit, kv.name)
        _check_state(store)
        _check_tip(store)
    except Broken as error:
        raise _corrupt(kv.name, str(error.numbers.get("reason", error))) from None
    return store


def close_store(store: OpenStore) -> None:
    """Writes what is left of the tree, so that the next start need not build it, and says so. Nothing may follow."""
    while piece := store.tree.take_piece(CLOSING_NODES):
        store.kv.write(piece)
    store.kv.write({CLOSED_KEY: number_key(store.commit.height)})


def is_closed(kv: KeyValueView, commit: CommitRecord) -> bool:
    """Whether the store was closed in order and nothing was written since."""
    return kv.get(CLOSED_KEY) == number_key(commit.height)


def is_empty(kv: KeyValueView) -> bool:
    """Whether nothing was ever written: `create_store` is for such a store, `open_store` for any other."""
    return next(kv.scan(b""), None) is None


def committed(view: KeyValueView) -> CommitRecord | None:
    """The commit record as it stands, or None in a store that was never made."""
    raw = view.get(COMMIT_KEY)
    return None if raw is None else decode(CommitRecord, raw, "commit record")


def advance(
    store: OpenStore,
    stored: StoredBlock,
    state: Mapping[bytes, bytes | None],
    history: Mapping[bytes, bytes],
) -> dict[bytes, bytes | None]:
    """Moves tree and commit record on by one block and returns the one batch to write before anything else happens.

    `state` and `history` are keyed without the prefix of their space.
    """
    before = store.commit
    if stored.height != before.height + 1:
        raise Broken("the store is at {found}, not below {height}", found=before.height, height=stored.height)
    store.tree.apply(state)
    store.commit = CommitRecord(
        STORE_FORMAT,
        before.network,
        stored.height,
        block_id(stored.record.block.header),
        store.tree.root,
        store.tree.count,
        before.oldest_height,
        before.transactions + included_count(stored),
    )
    batch = block_changes(stored)
    surplus = store.tree.waiting_count - WAITING_NODES
    if surplus > 0:
        batch.update(store.tree.take_piece(min(surplus, PIECE_NODES)))
    batch.update({STATE + key: value for key, value in state.items()})
    batch.update({HISTORY + key: value for key, value in history.items()})
    batch[COMMIT_KEY] = encode(store.commit)
    return batch


def _find_commit(kv: KeyValue) -> CommitRecord:
    raw = kv.get(COMMIT_KEY)
    if raw is None and is_empty(kv):
        raise Rejected("store.missing", path=kv.name)
    if raw is None:
        raise _corrupt(kv.name, "its commit record is missing")
    try:
        return decode(CommitRecord, raw, "commit record")
    except Rejected as error:
        raise _corrupt(kv.name, str(error)) from None


def _check_ours(kv: KeyValue, commit: CommitRecord, network: Network) -> None:
    if commit.network != network:
        raise Rejected("store.foreign", path=kv.name, found=_named(commit.network), expected=_named(network))
    if commit.format != STORE_FORMAT:
        raise Rejected("store.format", path=kv.name, found=commit.format, expected=STORE_FORMAT)


def _named(network: Network) -> str:
    """The chain as a person tells it apart: two networks may share a name, never a genesis hash."""
    return f"{network.chain_id} ({network.genesis_hash.hex()[:8]})"


def _check_state(store: OpenStore) -> None:
    _check_count(store.kv.name, "state records", store.tree.count, store.commit.state_keys)
    if store.tree.root != store.commit.app_hash:
        raise _corrupt(
            store.kv.name,
            f"its state has root {store.tree.root.hex()}, its commit record says {store.commit.app_hash.hex()}",
        )


def check_records(view: KeyValueView, commit: CommitRecord, name: str) -> None:
    """Counts what a store must hold at this commit: state, all records of each height kept, places of transactions.

    Raises Rejected. `view` is the store at that commit and `name` what to call it.
    """
    heights = commit.height - commit.oldest_height + 1
    _check_count(name, "state records", _count(view, STATE), commit.state_keys)
    _check_count(name, "block records", _count(view, BLOCK), heights * len(PARTS))
    _check_count(name, "block ids", _count(view, BLOCK_HEIGHT), heights)
    _check_count(name, "transactions", _count(view, TRANSACTION), commit.transactions)
    # How many nodes lie there depends on what was written when: only that they can be read.
    _count(view, TREE)


def _check_tip(store: OpenStore) -> None:
    """The newest block is the one committed."""
    kv, commit = store.kv, store.commit
    if commit.height < commit.oldest_height:
        return
    tip = find_block(kv, commit.height)
    if tip is None or block_id(tip.block.header) != commit.block_id:
        raise _corrupt(kv.name, f"the block of height {commit.height} is not the one in its commit record")


def _count(view: KeyValueView, space: bytes) -> int:
    return sum(1 for _ in view.scan(space))


def _check_count(name: str, what: str, found: int, expected: int) -> None:
    if found < expected:
        raise Rejected("store.missing_keys", path=name, what=what, found=found, expected=expected)
    if found > expected:
        raise _corrupt(name, f"it holds {found} {what} where its commit record counts {expected}")


def _corrupt(name: str, reason: str) -> Rejected:
    return Rejected("store.corrupt", path=name, reason=reason)
