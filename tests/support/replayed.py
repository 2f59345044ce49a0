"""Run as a script: replays the store of a node that does not run, and prints the app hash of every height."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from concento.genesis import parse_genesis
from node.replica.files import DiskFiles
from node.replica.replay import replay
from node.signer import read_key
from state.store.blockstore import find_block
from state.store.kv import MemoryKeyValue
from state.store.leveldb import LevelDb


def app_hashes(home: Path) -> list[str]:
    """What the blocks of a node's store lead to, executed again from genesis alone."""
    genesis = parse_genesis((home.parent / "genesis.json").read_bytes())
    source, files = LevelDb.open(home / "store"), DiskFiles(home / "replica")
    target = MemoryKeyValue()
    try:
        chain = replay(genesis, source, files, read_key(home / "node.key"), target)
    finally:
        files.close()
        source.close()
    found = []
    for height in range(1, chain.height):
        record = find_block(target, height)
        found.append("" if record is None else record.block.header.app_hash.hex())
    return [*found, chain.store.commit.app_hash.hex()]


if __name__ == "__main__":
    print(json.dumps(app_hashes(Path(sys.argv[1]))))
