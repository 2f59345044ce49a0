"""One real node process that misbehaves on purpose: a liar, or a node on a disk that fails. Development networks only.

    python -m sim.process --home DIR --byzantine equivocate
    python -m sim.process --home DIR --crash-at 17 --crash-how torn

Everything else about it is `node.app`: the same code, files, ports and peers.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from concento.errors import ConcentoError, Rejected
from node.app import complain, run_node
from node.config import load_genesis, read_config
from node.replica.core import Replica
from node.runner import Core
from node.signer import read_key
from sim.audit import AuditedCore
from sim.byzantine import Liar
from sim.faultydisk import CRASH_HOWS, FAIL_HOWS, PLACE_KINDS, Places, faulty_disk
from sim.liars import LIE_RATE, LyingCore, mode_named, mode_names


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.process", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--byzantine", choices=sorted(mode_names()), help="lie like this")
    parser.add_argument("--rate", type=float, default=LIE_RATE, help="how many of its messages are lies, of 1")
    parser.add_argument("--crash-at", type=int, metavar="N", help="die at the Nth write or sync")
    parser.add_argument("--crash-how", choices=CRASH_HOWS, default="before")
    parser.add_argument("--fail-at", type=int, metavar="N", help="the Nth write or sync gives an error")
    parser.add_argument("--fail-how", choices=FAIL_HOWS, default="io")
    parser.add_argument("--at-kind", choices=PLACE_KINDS, help="count only the writes or syncs of this kind")
    parser.add_argument("--trace", type=Path, help="note every write and sync in this file")
    parser.add_argument("--audit", type=Path, help="note every signature that leaves in this file")
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen)
    except ConcentoError as error:
        return complain(error, chosen.home)


def _run(chosen: argparse.Namespace) -> int:
    config = read_config(chosen.home)
    genesis = load_genesis(config)
    if not genesis.dev:
        raise Rejected("testnet.not_dev", chain_id=genesis.chain_id)
    key = read_key(config.key_path)
    places = Places(chosen.crash_at or chosen.fail_at, chosen.crash_how, chosen.at_kind, chosen.trace)
    if chosen.crash_at is None:
        places.how = chosen.fail_how

    def core_factory(replica: Replica) -> Core:
        core: Core = replica
        if chosen.byzantine is not None:
            seed = int.from_bytes(os.urandom(4), "big")
            mode = mode_named(chosen.byzantine) or chosen.byzantine
            core = LyingCore(replica, Liar(seed, mode, chosen.rate, key, genesis.network))
        if chosen.audit is not None:
            core = AuditedCore(core, key.public, chosen.audit)
        return core

    return run_node(config, core_factory, disk_factory=faulty_disk(places, config.files_path))


if __name__ == "__main__":
    sys.exit(main())
