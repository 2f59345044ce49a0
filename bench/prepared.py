"""A state with very many accounts, written once and copied to every node, as if they stood in genesis.

Genesis takes sixty thousand balances and no more, and to pay a million accounts takes longer than to measure what they
cost. The money is the treasury's, so that the supply is that of genesis.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from concento.development import development_account
from concento.genesis import Genesis, GenesisBalance
from node.comet.home import comet_home, find_binary
from node.config import read_config
from node.replica.files import DiskFiles
from node.replica.guardfile import create_guard
from node.signer import read_key
from state.store.leveldb import LevelDb
from state.store.opening import close_store, create_store
from state.transition import write_genesis
from state.view import View

AMOUNT_UBEAT: Final = 1
PAYER: Final = "treasury"


def write_store(path: Path, genesis: Genesis, accounts: Sequence[bytes]) -> None:
    """The store of a node of this network before block 1, closed in order, in which these accounts have money too."""
    treasury = development_account(PAYER)
    given_ubeat = AMOUNT_UBEAT * len(accounts)
    balances = [
        replace(entry, amount_ubeat=entry.amount_ubeat - given_ubeat) if entry.account == treasury else entry
        for entry in genesis.balances
    ]
    balances += [GenesisBalance(account, AMOUNT_UBEAT) for account in accounts]
    filled = Genesis(replace(genesis.record, balances=tuple(sorted(balances, key=lambda entry: entry.account))))
    view = View(lambda _key: None)
    write_genesis(view, filled)
    state = {key: value for key, value in view.changes().items() if value is not None}
    kv = LevelDb.create(path)
    try:
        close_store(create_store(kv, genesis.network, state, view.history()))
    finally:
        kv.close()


def put_in(home: Path, store: Path, genesis: Genesis) -> None:
    """Has a node that is down begin with this store: whatever it decided and signed before is gone."""
    config = read_config(home)
    for path in (config.store_path, config.files_path):
        shutil.rmtree(path)
    shutil.copytree(store, config.store_path)
    config.files_path.mkdir()
    if config.engine == "comet":
        subprocess.run(
            [find_binary(config), "unsafe-reset-all", "--home", str(comet_home(config))],
            check=True,
            capture_output=True,
        )
    files = DiskFiles(config.files_path)
    try:
        create_guard(files, read_key(config.key_path).public, genesis.hash)
    finally:
        files.close()
