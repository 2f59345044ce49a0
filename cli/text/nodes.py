"""Nodes as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import instant, plural, short, size


def status(document: dict[str, Any], url: str) -> Iterator[Piece]:
    """Where a node stands."""
    ready = "is ready" if document["ready"] else "is catching up" if document["syncing"] else "is not ready"
    age_s = document["tip_age_ms"] / 1000
    yield f"{document['name']} ({document['role']}) {ready}: height {document['height']}, {age_s:.1f} s ago."
    kind = "development, " if document["dev"] else ""
    network = f"{document['chain_id']} ({kind}genesis {short(document['genesis_hash'])})"
    yield Facts(
        [
            ("network", network),
            ("block", document["block_id"]),
            ("app hash", document["app_hash"]),
            ("time", instant(document["time_ms"])),
            ("round", f"{document['round']}, {document['step']}; proposer {document['proposer']}"),
            ("peers", str(_count(document["peers"]))),
            ("pool", _pool(document["pool"])),
            ("oldest block", str(document["oldest_height"])),
            ("version", f"{document['version']}, protocol {document['protocol']}"),
        ]
    )
    if not document["ready"]:
        yield f"Why: curl -s '{url}/readyz?verbose'"


def _count(value: Any) -> Any:
    return len(value) if isinstance(value, list) else value


def _pool(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return plural(int(value), "transaction")


def peers(document: Any) -> Iterator[Piece]:
    """The nodes that a node knows."""
    items = document["items"] if isinstance(document, dict) else document
    if not items:
        yield "No peer is known."
        return
    rows = [
        (
            str(peer["name"]),
            "connected" if peer["connected"] else "not connected",
            str(peer.get("direction") or "-"),
            str(peer.get("height") if peer.get("height") is not None else "-"),
            str(peer.get("address") or "-"),
            size(int(peer.get("queued_bytes") or 0)),
        )
        for peer in items
    ]
    yield Table(("NAME", "STATE", "DIRECTION", "HEIGHT", "ADDRESS", "QUEUED"), rows, frozenset({"HEIGHT", "QUEUED"}))


def made(document: dict[str, Any]) -> Iterator[Piece]:
    """A new node's home."""
    yield f"{document['name']} has a home in {document['home']}, as {document['role']} of {document['chain_id']}."
    yield Facts([("public key", document["key"]), ("genesis", document["genesis_hash"])])
    yield "Give the public key to the other operators: they must let it connect."
    yield "Next: concento node run"


def repaired(document: dict[str, Any]) -> Iterator[Piece]:
    """A store that is whole again."""
    yield f"The store in {document['home']} is whole at height {document['height']}."
    yield "It was made again from its blocks; the damaged one lies beside it, in store.damaged."
    yield Facts([("app hash", document["app_hash"])])
    yield "Next: concento node run"


def snapshots(document: dict[str, Any]) -> Iterator[Piece]:
    """What a node keeps for those that join."""
    if not document["items"]:
        yield f"There is none yet; one is taken every {document['every']} of block time while the node runs."
        return
    rows = [(str(item["height"]), size(item["bytes"])) for item in document["items"]]
    yield Table(("HEIGHT", "SIZE"), rows, frozenset({"HEIGHT", "SIZE"}))
    yield "A node joins from one with: concento node run --sync snapshot"


def pruned(document: dict[str, Any]) -> Iterator[Piece]:
    """What is left of the blocks."""
    freed = size(document["segment_bytes"])
    yield f"{plural(document['blocks'], 'block')} dropped; the oldest kept is {document['oldest_height']}."
    yield f"{freed} of bodies freed; what others still need stays: evidence, replay, snapshots."


def emptied(document: dict[str, Any]) -> Iterator[Piece]:
    """A store that begins again."""
    yield f"Blocks and state in {document['home']} are gone; key and guard are kept."
    yield "Next: concento node run, which takes them from the peers"


def doctor(document: dict[str, Any]) -> Iterator[Piece]:
    """What was checked, and what to do."""
    for check in document["checks"]:
        yield f"{'[+]' if check['ok'] else '[!]'} {check['name']}: {check['text']}"
        if not check["ok"] and check["hint"]:
            yield f"    Next: {check['hint']}"
    bad = sum(not check["ok"] for check in document["checks"])
    yield "All is well." if not bad else f"{plural(bad, 'check')} of {len(document['checks'])} failed."


def simulated(document: dict[str, Any]) -> Iterator[Piece]:
    """How a run of the simulator ended, in the words of `make sim`."""
    seed = document["seed"]
    if document["ok"]:
        yield f"seed {seed} ok heights {document['heights']} trace {document['trace']}"
        return
    yield f"seed {seed} FAILS at {document['virtual_ms']} ms: {document['violation']}"
    yield f"Next: make sim SEED={seed}, which shows the least faults that make it fail"


def bench(document: dict[str, Any]) -> Iterator[Piece]:
    """How fast a network was."""
    idle = document["idle_finality_ms"]
    yield f"{document['tx_s']:,} transfers per second became final."
    yield Facts(
        [
            ("transfers", f"{document['transactions']:,} in {plural(document['blocks'], 'block')}"),
            ("took", f"{document['seconds']} s"),
            ("one alone", f"{idle['p50']} ms median, {idle['p99']} ms p99"),
        ]
    )
    yield "Everything that runs on the same machine takes part of it: make bench says how much of the limit this is."
