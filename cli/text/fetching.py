"""Fetched files as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.printer import Piece, Table
from cli.text.forms import beat, plural, short, size


def fetched(document: dict[str, Any], title: str) -> Iterator[Piece]:
    """What was read, what it cost, where it is anchored."""
    files = document["files"]
    if not files:
        yield f'Every file of "{title}" is in {document["dir"]} already; nothing was fetched or paid.'
        return
    what = f"{plural(len(files), 'file')}, {size(document['bytes'])}"
    yield f'"{title}" is in {document["dir"]}: {what}; every byte matches its CID.'
    rows = [(entry["path"], size(entry["bytes"]), str(entry["seq"]), short(entry["receipt"])) for entry in files]
    yield Table(("FILE", "SIZE", "SEQ", "RECEIPT"), rows, frozenset({"SIZE", "SEQ"}))
    anchored = document["anchored"]
    where = f"anchored by {', '.join(short(tx) for tx in anchored)}" if anchored else "not anchored yet"
    yield f"{plural(document['units'], 'unit')}, {beat(document['cost_ubeat'])}; the receipts are {where}."
    yield f"Next: concento receipt show {short(files[0]['receipt'])}"
