"""What is done to a node while it does not run: make one, mend its store, or begin again from its peers.

Nothing here ever writes a signing guard for a key that may have been used: `init` makes guard and network (or key)
together, `repair` and `resync` leave the guard alone.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from concento.encoding import encode
from concento.errors import Broken, Rejected
from concento.genesis import Genesis, genesis_json
from concento.keys import SEED_BYTES
from node.comet.home import forget_blocks
from node.config import NodeConfig, check_config, load_genesis, write_config
from node.lock import lock_home
from node.replica.files import GUARD_FILE, DiskFiles
from node.replica.guardfile import create_guard
from node.replica.replay import replay
from node.replica.retention import Retention, prune, remove_unused
from node.replica.segments import MARKS_KEY, Marks, end_of
from node.signer import NodeKey, read_key, write_key, write_private
from node.snapshots import SnapshotShelf
from state.store.kept import find_header
from state.store.kv import BLOCK, key_number, number_key
from state.store.leveldb import LevelDb
from state.store.leveldb import repair as repair_files
from state.store.opening import CommitRecord, close_store, is_empty, open_store

Advance: TypeAlias = Callable[[int], None]
Progress: TypeAlias = Callable[[int], AbstractContextManager[Advance]]
"""Shows how far one is among so many blocks."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What `repair` found in the end: the height that the store is whole at, and the state's root there."""

    height: int
    app_hash: bytes


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune_blocks` left: the oldest height kept, how many blocks went, and how many bytes of their bodies."""

    oldest_height: int
    blocks: int
    segment_bytes: int


@dataclass(frozen=True, slots=True)
class KeptSnapshot:
    """A snapshot in a node's folder."""

    height: int
    size: int


def new_node(config: NodeConfig, genesis: Genesis) -> NodeKey:
    """Makes a node with a key of its own: key, settings, genesis, empty store and fresh guard. Raises Rejected."""
    check_config(config)
    if config.key_path.exists() or config.store_path.exists() or config.files_path.exists():
        raise Rejected("node.home_exists", path=str(config.home))
    config.home.mkdir(parents=True, exist_ok=True)
    write_key(config.key_path, secrets.token_bytes(SEED_BYTES))
    if not config.genesis_path.exists():
        write_private(config.genesis_path, genesis_json(genesis).encode())
    write_config(config)
    init(config, genesis)
    return read_key(config.key_path)


def init(config: NodeConfig, genesis: Genesis) -> None:
    """Makes store and guard for a key that has never signed on this chain: a new key, or a whole new network.

    Raises Rejected where either is there already.
    """
    key = read_key(config.key_path)
    config.files_path.mkdir(parents=True, exist_ok=True)
    files = DiskFiles(config.files_path)
    try:
        create_guard(files, key.public, genesis.hash)
    finally:
        files.close()
    LevelDb.create(config.store_path).close()


def repair(config: NodeConfig, progress: Progress = lambda _blocks: nullcontext(lambda _done: None)) -> Mended:
    """Mends a store that does not open: has its files read again, and executes every block that is whole anew.

    What LevelDB saves may have a flipped bit in it, and the app hash vouches for the state alone: not for blocks,
    results and histories. So nothing is taken over but blocks that their commits prove; the rest is made of them, from
    genesis, in a new store, and the damaged one is put aside. A store that comes back lower than it was is fine: the
    node takes the blocks above from its peers, and the guard remembers what it has signed. Raises Rejected where the
    first blocks are not there; then only `resync` helps.
    """
    genesis = load_genesis(config)
    key = read_key(config.key_path)
    if config.engine == "comet":
        raise Rejected(
            "store.lost", path=str(config.store_path), reason="CometBFT has its blocks, and gives them again"
        )
    with lock_home(config.home):
        repair_files(config.store_path)
        kv = LevelDb.open(config.store_path)
        try:
            if is_empty(kv):
                raise Rejected("store.lost", path=str(config.store_path), reason="nothing is left in it")
            with progress(_height(kv)) as advance:
                commit = _replayed(config, genesis, key, kv, advance)
        finally:
            kv.close()
        _put_aside(config.store_path)
        _mended_path(config).rename(config.store_path)
    return Mended(commit.height, commit.app_hash)


def _height(source: LevelDb) -> int:
    """Where the blocks end, as far as that can be read; 0 otherwise. Good enough to say how long it takes."""
    try:
        key, _ = next(source.scan(BLOCK, reverse=True), (BLOCK + number_key(0), b""))
        return key_number(key[1:9])
    except (Broken, Rejected):
        return 0


def _replayed(config: NodeConfig, genesis: Genesis, key: NodeKey, source: LevelDb, advance: Advance) -> CommitRecord:
    """A new store beside the damaged one, made of its blocks up to the last that is whole."""
    path = _mended_path(config)
    shutil.rmtree(path, ignore_errors=True)
    files, target = DiskFiles(config.files_path), LevelDb.create(path)
    try:
        # A block that does not fit was damaged where no checksum tells: those below it are as good as they were.
        with suppress(Rejected):
            replay(genesis, source, files, key, target, advance=advance)
        target.write({MARKS_KEY: encode(Marks(end_of(files), ()))})
        store = open_store(target, genesis.network)
        close_store(store)
    finally:
        target.close()
        files.close()
    if store.commit.height == 0 and next(source.scan(BLOCK), None) is not None:
        raise Rejected("store.lost", path=str(config.store_path), reason="its first blocks are not there")
    return store.commit


def _mended_path(config: NodeConfig) -> Path:
    return config.store_path.with_suffix(".mended")


def _put_aside(store: Path) -> None:
    """Keeps what was damaged, once: somebody may want to know how."""
    aside = store.with_suffix(".damaged")
    shutil.rmtree(aside, ignore_errors=True)
    store.rename(aside)


def prune_blocks(config: NodeConfig, span_ms: int) -> Pruned:
    """Drops all blocks older than the span, as far as others do not need them; the node must not run."""
    genesis = load_genesis(config)
    with lock_home(config.home):
        files, kv = DiskFiles(config.files_path), LevelDb.open(config.store_path)
        try:
            store = open_store(kv, genesis.network)
            first = store.commit.oldest_height
            reach_ms = Retention(span_ms).reach_ms(genesis.params.consensus) or 0
            floor = SnapshotShelf(config.snapshots_path, config.snapshots_kept).oldest()
            tip = find_header(kv, store.commit.height)
            while tip is not None:
                changes, store.commit = prune(kv, store.commit, tip.time_ms, reach_ms, floor)
                if not changes:
                    break
                kv.write(changes)
            oldest = store.commit.oldest_height
            close_store(store)
            return Pruned(oldest, oldest - first, remove_unused(kv, files, oldest))
        finally:
            kv.close()
            files.close()


def snapshots(config: NodeConfig) -> list[KeptSnapshot]:
    """The whole snapshots in the node's folder, the oldest first; the node may run."""
    shelf = SnapshotShelf(config.snapshots_path, config.snapshots_kept, is_owner=False)
    return [KeptSnapshot(height, shelf.size(height)) for height in shelf.heights()]


def resync(config: NodeConfig) -> None:
    """Throws away blocks, state and segments, so that the next start takes them from the peers; keeps key and guard."""
    load_genesis(config)
    read_key(config.key_path)
    with lock_home(config.home):
        shutil.rmtree(config.store_path, ignore_errors=True)
        config.files_path.mkdir(parents=True, exist_ok=True)
        for file in config.files_path.iterdir():
            if file.name != GUARD_FILE:
                file.unlink()
        if config.engine == "comet" and config.sync == "snapshot":
            # Otherwise CometBFT would give its own blocks once more, and ask for no snapshot.
            forget_blocks(config)
        LevelDb.create(config.store_path).close()
