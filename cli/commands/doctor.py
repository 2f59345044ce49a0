"""`concento doctor`: what could be wrong with this machine and its node, and the command that mends it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from cli import exits
from cli.context import Context, with_context
from cli.grammar import Verb
from cli.text.forms import beat, plural
from cli.text.nodes import doctor as text
from concento.errors import ConcentoError, Rejected, Unavailable

_DISK_FREE_BYTES_MIN: Final = 1_000_000_000
_SKEW_MS_MAX: Final = 5_000
"""As far ahead as a block may be of a validator's clock."""
_TIP_AGE_MS_MAX: Final = 15_000
"""Three heartbeats of the default network."""

Check = dict[str, Any]


@click.command(cls=Verb)
@with_context
def doctor(context: Context) -> int:
    """Check versions, folders, keys, disk, ports, clock and the node; exit 8 where something is wrong."""
    checks = [*_machine(), *_home(context), *_keys(context), *_node(context)]
    document = {"ok": all(check["ok"] for check in checks), "checks": checks}
    context.printer.result(document, text)
    return exits.OK if document["ok"] else exits.REFUSED


def _check(name: str, ok: bool, found: str, hint: str | None = None) -> Check:
    return {"name": name, "ok": ok, "text": found, "hint": None if ok else hint}


def _machine() -> Iterator[Check]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield _check("python", fits, f"CPython {version}", "make setup PYTHON=/path/to/python3.12")
    yield _check(
        "assertions", not sys.flags.optimize, "on" if not sys.flags.optimize else "python runs with -O", "without -O"
    )


def _home(context: Context) -> Iterator[Check]:
    home = context.home
    place = next((path for path in (home, *home.absolute().parents) if path.exists()), Path("/"))
    yield _check("home", os.access(place, os.W_OK), f"{home}", f"make {place} writable, or choose another with --home")
    free = shutil.disk_usage(place).free
    yield _check(
        "disk", free >= _DISK_FREE_BYTES_MIN, f"{free / 1e9:.1f} GB free", "free some space, or choose another --home"
    )
    secret = [home / "wallet", *(home / "wallet").glob("*.json"), *home.glob("**/node.key")]
    open_paths = [
        path for path in secret if path.exists() and path.stat().st_mode & 0o077 and path.name != "contacts.json"
    ]
    found = "only their owner can read them" if not open_paths else f"others can read {open_paths[0]}"
    yield _check("modes", not open_paths, found, "chmod go= " + " ".join(str(path) for path in open_paths))


def _keys(context: Context) -> Iterator[Check]:
    from concento.client import keyfile

    names = context.wallet.key_names()
    for name in names:
        try:
            keyfile.read(context.wallet.folder / f"{name}.json")
        except Rejected as error:
            yield _check(f"key {name}", False, error.message, error.hint)
    yield _check("keys", True, plural(len(names), "key file"))


def _node(context: Context) -> Iterator[Check]:
    try:
        status = context.client.status()
    except Unavailable as error:
        yield _check("node", False, error.message, error.hint)
        yield from _port(context)
        return
    except ConcentoError as error:
        yield _check("node", False, error.message, error.hint)
        return
    known = f"{status['name']} at height {status['height']}, version {status['version']}"
    yield _check("node", bool(status["ready"]), known, "see: concento node status; wait while it catches up")
    age_ms = int(status["tip_age_ms"])
    yield _check(
        "newest block",
        age_ms <= _TIP_AGE_MS_MAX,
        f"{age_ms / 1000:.1f} s old",
        "more than a third is silent: concento testnet status",
    )
    skew_ms = int(status["time_ms"]) - time.time_ns() // 1_000_000
    ahead = f"block time is {skew_ms} ms ahead" if skew_ms > 0 else "not behind the network's"
    yield _check(
        "clock", skew_ms <= _SKEW_MS_MAX, ahead, "set this machine's clock, for example: timedatectl set-ntp true"
    )
    yield from _genesis(context, str(status["genesis_hash"]))
    yield from _peers(context)
    yield from _money(context)


def _genesis(context: Context, expected: str) -> Iterator[Check]:
    """Whether this home is of the network that the node at --url is part of."""
    from concento.genesis import parse_genesis

    path = context.find_genesis()
    if path is None:
        return
    try:
        found = parse_genesis(path.read_bytes()).hash.hex()
    except Rejected as error:
        yield _check("genesis", False, error.message, error.hint)
        return
    same = found == expected
    yield _check(
        "genesis", same, f"{path}{'' if same else ' is of another network than the node'}", "check --home and --url"
    )


def _peers(context: Context) -> Iterator[Check]:
    document = context.client.peers()
    peers = document["items"] if isinstance(document, dict) else document
    away = [str(peer["name"]) for peer in peers if not peer["connected"]]
    found = f"{len(peers) - len(away)} of {len(peers)} connected" + (f"; not: {', '.join(away)}" if away else "")
    yield _check("peers", not away, found, "see whether they run: concento testnet status")


def _money(context: Context) -> Iterator[Check]:
    """The books of the whole network: what was minted is somewhere."""
    supply = context.client.call("chain_getSupply")
    minted = int(supply["minted_ubeat"])
    found = sum(int(supply[f"{place}_ubeat"]) for place in ("balances", "escrow", "pools", "burnt"))
    told = f"{beat(minted)} minted, {beat(found)} found in balances, escrow, pools and burnt"
    yield _check("money", minted == found, told, "stop this node and keep its folder: this must never happen")


def _port(context: Context) -> Iterator[Check]:
    """Who else holds the port at which no node answers."""
    from node.ports import find_holder

    parts = urlsplit(context.client.url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") or parts.port is None:
        return
    holder = find_holder(parts.port)
    if holder is not None:
        found = f"{parts.port} is held by process {holder.pid}: {holder.command}"
        yield _check(
            "port", False, found, f"stop it, or choose another port: concento testnet up --base-port {parts.port + 100}"
        )
