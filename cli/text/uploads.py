"""Long lists as text: what a dataset or a vault holds after entries were added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.printer import Facts, Piece
from cli.text.forms import beat, plural, short


def grown(document: dict[str, Any], noun: str, unit: str, fact: str, after_seal: str) -> Iterator[Piece]:
    """`noun` now has so many of `unit`; `fact` is shown beside it, `after_seal` is what a sealed list is good for."""
    before = document[f"{unit}_before"]
    again = f", {before:,} of them before" if before else ""
    yield f'{noun.capitalize()} "{document["title"]}" has {document[unit]:,} {unit}{again}; it is {document["state"]}.'
    yield Facts(
        [
            (noun, document[noun]),
            (fact.partition("_")[0], document[fact]),
            ("fees", f"{beat(document['fee_ubeat'])} in {plural(document['transactions'], 'transaction')}"),
        ]
    )
    name = short(document[noun])
    if document["state"] == "open":
        yield f"Next: concento {noun} add {name} FILE, or concento {noun} seal {name}"
    else:
        yield f"Next: {after_seal.format(name=name)}"
