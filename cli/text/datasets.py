"""Datasets and their members as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import beat, length, more, plural, short, size


def gathered(document: dict[str, Any]) -> Iterator[Piece]:
    """A dataset after members were added."""
    before = document["members_before"]
    again = f", {before:,} of them before" if before else ""
    yield f'"{document["title"]}" has {document["members"]:,} members{again}; it is {document["state"]}.'
    yield Facts(
        [
            ("dataset", document["dataset"]),
            ("weight", document["weight_rule"]),
            ("fees", f"{beat(document['fee_ubeat'])} in {plural(document['transactions'], 'transaction')}"),
        ]
    )
    name = short(document["dataset"])
    if document["state"] == "open":
        yield f"Next: concento dataset add {name} FILE, or concento dataset seal {name}"
    else:
        yield f"Next: concento licence offer {name} --allow PURPOSE --price BEAT"


def members(document: dict[str, Any]) -> Iterator[Piece]:
    """A page of members."""
    if not document["items"]:
        yield "There are no members here."
        return
    rows = [
        (
            str(item["place"]) if item["place"] == item["index"] else f"{item['place']}.{item['index']}",
            short(item["asset"]),
            item["kind"],
            item["title"],
            item["weight"],
            length(item["duration_ms"]),
            size(sum(part["bytes"] for part in item["parts"])),
        )
        for item in document["items"]
    ]
    header = ("PLACE", "ASSET", "KIND", "TITLE", "WEIGHT", "LENGTH", "SIZE")
    yield Table(header, rows, frozenset({"PLACE", "WEIGHT", "LENGTH", "SIZE"}))
    yield from more(document)
