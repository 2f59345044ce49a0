"""What is done to a node while it does not run: make one, mend its store, or begin again from its peers.

Nothing here ever writes a signing guard for a key that may have been used: `init` makes guard and network (or key)
together, `repair` and `resync` leave the guard alone.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass

from concento.errors import Rejected
from concento.genesis import Genesis, genesis_json
from concento.keys import SEED_BYTES
from node.config import NodeConfig, check_config, load_genesis, write_config
from node.lock import lock_home
from node.replica.files import GUARD_FILE, DiskFiles
from node.replica.guardfile import create_guard
from node.signer import NodeKey, read_key, write_key, write_private
from state.store.leveldb import LevelDb
from state.store.leveldb import repair as repair_files
from state.store.opening import close_store, distrust, is_empty, open_store


@dataclass(frozen=True, slots=True)
class Mended:
    """What `repair` found in the end: the height that the store is whole at, and the state's root there."""

    height: int
    app_hash: bytes


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


def repair(config: NodeConfig) -> Mended:
    """Mends a store that does not open: has its files read again and compares every record with the commit record.

    Raises Rejected where it is still not whole; then only `resync` helps. A store that comes back lower than it was is
    fine: the node takes the blocks above from its peers, and the guard remembers what it has signed.
    """
    genesis = load_genesis(config)
    with lock_home(config.home):
        repair_files(config.store_path)
        kv = LevelDb.open(config.store_path)
        try:
            if is_empty(kv):
                raise Rejected("store.lost", path=str(config.store_path), reason="nothing is left in it")
            distrust(kv)
            store = open_store(kv, genesis.network)
            close_store(store)
            commit = store.commit
        finally:
            kv.close()
    return Mended(commit.height, commit.app_hash)


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
        LevelDb.create(config.store_path).close()
