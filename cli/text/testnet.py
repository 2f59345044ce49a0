"""How a local network is shown: the same document as a table, as sentences, or as one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import NOTHING, number, short


def described(document: dict[str, Any]) -> Iterable[Piece]:
    """Nodes, gateway and accounts."""
    yield nodes(document)
    yield Facts(
        [
            ("chain", f"{document['chain_id']} ({short(document['genesis_hash'])})"),
            ("gateway", f"{document['gateway']['url']} ({document['gateway']['state']})"),
            ("home", document["home"]),
        ]
    )
    yield Table(
        ("account", "role", "BEAT", "address"),
        [
            (name, entry["role"] or NOTHING, number(entry["balance_ubeat"]), entry["address"])
            for name, entry in document["accounts"].items()
        ],
        frozenset({"BEAT"}),
    )


def nodes(document: dict[str, Any]) -> Table:
    """One row a node."""
    return Table(
        ("node", "state", "height", "round", "peers", "pool", "finality", "app hash", "rpc"),
        [
            (
                node["name"] + (" *" if node["proposing"] else ""),
                node["state"],
                _text(node["height"]),
                _text(node["round"]),
                _text(node["peers"]),
                _text(node["pool"]),
                NOTHING if node["finality_p50_ms"] is None else f"{node['finality_p50_ms']} ms",
                short(node["app_hash"]),
                node["rpc"],
            )
            for node in document["nodes"]
        ],
        frozenset({"height", "round", "peers", "pool", "finality"}),
    )


def line(document: dict[str, Any]) -> str:
    """The network in one line, for logs."""
    up = [node for node in document["nodes"] if node["height"] is not None]
    heights = sorted({node["height"] for node in up})
    height = f"{heights[0]}..{heights[-1]}" if len(heights) > 1 else str(heights[0]) if heights else NOTHING
    pool = sum(node["pool"] or 0 for node in up)
    proposer = next((node["name"] for node in document["nodes"] if node["proposing"]), NOTHING)
    return (
        f"height {height} · {len(up)} of {len(document['nodes'])} nodes up · pool {pool} · proposer {proposer} · "
        f"gateway {document['gateway']['state']}"
    )


def _text(value: Any) -> str:
    return NOTHING if value is None else str(value)
