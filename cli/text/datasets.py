"""Datasets and their members as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.printer import Piece, Table
from cli.text.forms import length, more, short, size
from cli.text.uploads import grown


def gathered(document: dict[str, Any]) -> Iterator[Piece]:
    """A dataset after members were added."""
    return grown(
        document, "dataset", "members", "weight_rule", "concento licence offer {name} --allow PURPOSE --price BEAT"
    )


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
