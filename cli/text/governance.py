"""Governance as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import instant, more, short, who
from cli.text.tx import written


def show(document: dict[str, Any], book: Mapping[str, str], nodes: Mapping[str, str]) -> Iterator[Piece]:
    """One proposal."""
    yield f"{what(document['change'], nodes)}: {_standing(document)}."
    pairs = [
        ("proposal", document["id"]),
        ("by", who(document["proposer"], book=book)),
        ("proposed", f"{instant(document['proposed_ms'])}, block {document['proposed_height']}"),
        ("ends", instant(document["expires_ms"])),
    ]
    if document["decided_height"] is not None:
        pairs.append(("decided", f"block {document['decided_height']}"))
    if document["reason"]:
        pairs.append(("failed for", document["reason"]))
    yield Facts(pairs)
    rows = [
        (voice["name"], "for it" if voice["approves"] else "", who(voice["account"], book=book))
        for voice in document["voices"]
    ]
    yield Table(("VALIDATOR", "VOICE", "ACCOUNT"), rows)


def listed(document: dict[str, Any], book: Mapping[str, str], nodes: Mapping[str, str]) -> Iterator[Piece]:
    """Proposals, one a line."""
    rows = [
        (
            short(item["id"]),
            what(item["change"], nodes),
            item["state"],
            f"{item['approvals']} of {item['needed']}",
            who(item["proposer"], book=book),
            instant(item["expires_ms"]),
        )
        for item in document["items"]
    ]
    if not rows:
        yield "No proposals. Next: concento gov propose --help"
        return
    yield Table(("PROPOSAL", "CHANGE", "STATE", "FOR IT", "BY", "ENDS"), rows)
    yield from more(document)


def approved(document: dict[str, Any], nodes: Mapping[str, str]) -> Iterator[Piece]:
    """What an approval did."""
    proposal = document["proposal"]
    sentence = f"You are for it: {what(proposal['change'], nodes)}; {_standing(proposal)}."
    yield from written(document, sentence, f"concento gov show {short(proposal['id'])}")


def validators(document: dict[str, Any], book: Mapping[str, str]) -> Iterator[Piece]:
    """The set of the next block."""
    count = len(document["items"])
    yield f"{count} validators decide block {document['height']}; {document['quorum']} must sign."
    yield _nodes(document["items"], "rewards_to", book)


def observers(document: dict[str, Any], book: Mapping[str, str]) -> Iterator[Piece]:
    """The nodes without a vote."""
    if not document["items"]:
        yield "No observers. Next: concento gov propose observer add KEY --name NAME"
        return
    yield _nodes(document["items"], "account", book)


def upgrades(document: dict[str, Any]) -> Iterator[Piece]:
    """Protocol versions."""
    yield f"Protocol {document['protocol']} is in force."
    if not document["switches"]:
        yield "No switch lies ahead."
        return
    yield Table(
        ("PROTOCOL", "FROM HEIGHT"), [(str(entry["protocol"]), str(entry["height"])) for entry in document["switches"]]
    )


def what(change: dict[str, Any], nodes: Mapping[str, str]) -> str:
    """A change in words; `nodes`: key -> name, of those that the network has now."""
    match change:
        case {"kind": "observer.add", "name": name, "key": key}:
            return f"let {name} ({short(key)}) observe"
        case {"kind": "observer.remove", "key": key}:
            return f"let {_node(key, nodes)} observe no longer"
        case {"kind": "validator.add", "key": key}:
            return f"make {_node(key, nodes)} a validator"
        case {"kind": "validator.remove", "key": key}:
            return f"remove the validator {_node(key, nodes)}"
        case {"kind": "validator.replace", "key": key, "new_key": new_key}:
            return f"replace the validator key {_node(key, nodes)} by {_node(new_key, nodes)}"
        case {"kind": "protocol.upgrade", "protocol": protocol, "height": height}:
            return f"switch to protocol {protocol} at height {height}"
        case {"kind": "protocol.cancel", "protocol": protocol}:
            return f"do not switch to protocol {protocol}"
        case _:
            return str(change["kind"])


def _node(key: str, nodes: Mapping[str, str]) -> str:
    return nodes.get(key) or short(key)


def _standing(document: dict[str, Any]) -> str:
    if document["state"] == "open":
        return f"open, {document['approvals']} of the {document['needed']} validators that it needs are for it"
    return str(document["state"])


def _nodes(items: list[dict[str, Any]], account: str, book: Mapping[str, str]) -> Table:
    rows = [(node["name"], node["key"], who(node[account], book=book)) for node in items]
    return Table(("NODE", "KEY", "ACCOUNT"), rows)
