"""How a local network is shown: the same document as a table, as sentences, or as one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cli.faults import Faults
from cli.printer import Facts, Piece, Table
from cli.text.forms import NOTHING, number, short


def described(document: dict[str, Any]) -> Iterable[Piece]:
    """Nodes, gateway and accounts."""
    yield nodes(document)
    yield from warnings(document)
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
        ("node", "state", "height", "last block", "round", "peers", "cut from", "pool", "finality", "app hash", "rpc"),
        [
            (
                node["name"] + (" *" if node["proposing"] else ""),
                node["state"] if node["byzantine"] is None else f"{node['state']}, {node['byzantine']}",
                _text(node["height"]),
                NOTHING if node["tip_age_ms"] is None else seconds(node["tip_age_ms"]),
                _text(node["round"]),
                _text(node["peers"]),
                " ".join(cut_from(document, node["name"])) or NOTHING,
                _text(node["pool"]),
                NOTHING if node["finality_p50_ms"] is None else f"{node['finality_p50_ms']} ms",
                short(node["app_hash"]),
                node["rpc"],
            )
            for node in document["nodes"]
        ],
        frozenset({"height", "last block", "round", "peers", "pool", "finality"}),
    )


def line(document: dict[str, Any]) -> str:
    """The network in one line, for logs."""
    up = [node for node in document["nodes"] if node["height"] is not None]
    heights = sorted({node["height"] for node in up})
    height = f"{heights[0]}..{heights[-1]}" if len(heights) > 1 else str(heights[0]) if heights else NOTHING
    pool = sum(node["pool"] or 0 for node in up)
    proposer = next((node["name"] for node in document["nodes"] if node["proposing"]), NOTHING)
    ages = [node["tip_age_ms"] for node in up if node["tip_age_ms"] is not None]
    last = f"last block {seconds(min(ages))} ago · " if ages else ""
    return " · ".join(
        (
            f"height {height} · {last}{len(up)} of {len(document['nodes'])} nodes up · pool {pool} · "
            f"proposer {proposer} · gateway {document['gateway']['state']}",
            *warnings(document),
        )
    )


def lines(names: Sequence[str], faults: Faults) -> dict[str, Any]:
    """The lines of the network as they were asked for."""
    return {"parts": [list(part) for part in faults.parts or (names,)], "delays_ms": faults.delays_ms}


def parted(document: dict[str, Any]) -> Iterable[Piece]:
    """Who hears whom, and how late."""
    if len(document["parts"]) > 1:
        split = " | ".join(" ".join(part) for part in document["parts"])
        yield f"The network is cut: {split}. Next: concento testnet watch, concento testnet heal"
    else:
        yield "All nodes hear each other."
    for name, delay_ms in document["delays_ms"].items():
        yield f"Every message from and to {name} is {delay_ms} ms late."


def warnings(document: dict[str, Any]) -> list[str]:
    """What keeps the network from deciding, or lately did, in sentences; nothing where all is well."""
    found = []
    if len(document["parts"]) > 1:
        found.append("split: " + " | ".join(" ".join(part) for part in document["parts"]))
    elif document["cuts"]:
        found.append("cut: " + ", ".join(f"{one} from {other}" for one, other in document["cuts"]))
    quorum = document["quorum"]
    if not quorum["met"]:
        found.append(
            f"NO QUORUM: {quorum['reached']} of {quorum['validators']} validators reach each other, "
            f"{quorum['needed']} must sign"
        )
    if (recovery := document.get("recovery")) is not None:
        found.append(_recovery(recovery))
    return found


def cut_from(document: dict[str, Any], name: str) -> list[str]:
    """The living nodes that this living one has no connection to."""
    return [other for pair in document["cuts"] if name in pair for other in pair if other != name]


def seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 60_000 else f"{milliseconds // 60_000} min"


def _recovery(recovery: dict[str, Any]) -> str:
    if not recovery["back"]:
        return f"no block can be decided for {recovery['lost_s']} s"
    told = f"quorum is back after {recovery['lost_s']} s"
    return told if recovery["block_s"] is None else f"{told}, a block came {recovery['block_s']} s later"


def _text(value: Any) -> str:
    return NOTHING if value is None else str(value)


def added(document: dict[str, Any]) -> Iterable[Piece]:
    """A node that joined."""
    yield (
        f"{document['name']} is one of {document['validators']} validators now, {document['quorum']} must sign; "
        f"its first block is {document['first_block']}. It took {seconds(document['took_ms'])}."
    )
    yield f"Next: concento testnet status, concento node status --url {document['rpc']}"


def removed(document: dict[str, Any]) -> Iterable[Piece]:
    """A node that left."""
    yield f"{document['name']} has left; {document['validators']} validators remain, {document['quorum']} must sign."
