"""The home of a node that has run and does not run now."""

from __future__ import annotations

from pathlib import Path

from concento.development import development_seed
from concento.devnet import development_genesis
from concento.genesis import genesis_json
from node.config import NodeConfig
from node.maintain import init
from node.replica.files import GUARD_FILE, DiskFiles
from node.signer import write_key
from sim.network import Network
from state.store.leveldb import LevelDb


def with_blocks(home: Path, name: str = "node1") -> tuple[NodeConfig, bytes]:
    """The home of a node alone that has decided some blocks, stopped; and its app hash."""
    genesis = development_genesis(1)
    config = NodeConfig(home=home, name=name)
    config.genesis_path.write_text(genesis_json(genesis), encoding="utf-8")
    write_key(config.key_path, development_seed(name))
    init(config, genesis)
    kv = LevelDb.open(config.store_path)
    network = Network(1, genesis=genesis, new_store=lambda _name: kv)
    network.start()
    for _ in range(6):
        payment = network.transfer("bob", "carol", 1)
        network.submit(name, payment)
        network.run_until(network.is_final(payment))
    network.run(300)
    node = network.nodes[name]
    app_hash = node.core.store.commit.app_hash
    files = DiskFiles(config.files_path)
    for file in node.files.names():
        if file != GUARD_FILE:
            files.append(file, 0, node.files.read(file, 0, 1 << 26))
    files.close()
    kv.close()
    return config, app_hash
