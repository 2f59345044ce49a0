"""Proofs as text."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.printer import Facts, Piece
from cli.text.forms import beat, plural, short


def got(document: dict[str, Any]) -> Iterator[Piece]:
    """A proof that was not written to a file."""
    yield from _about(document)
    yield f"Next: concento proof get {document['key']} --out FILE"


def written(document: dict[str, Any], out: Path) -> Iterator[Piece]:
    """A proof in a file."""
    yield from _about(document)
    yield f"The proof is in {out}. Next: concento proof verify {out} --genesis genesis.json"


def _about(document: dict[str, Any]) -> Iterator[Piece]:
    found = "has a record" if document["value"] is not None else "has no record"
    yield f"{document['key']} {found} at height {document['height']}."
    nodes, handovers = plural(len(document["nodes"]), "node"), plural(len(document["handovers"]), "handover")
    yield Facts([("network", document["chain_id"]), ("proof", f"{nodes}, one header with its commit, {handovers}")])


def verified(document: dict[str, Any]) -> Iterator[Piece]:
    """A proof that holds."""
    yield f"The proof holds at height {document['height']}: {_signed(document)}."
    if document["key"].startswith("receipt/"):
        yield f"The {document['key'].replace('/', ' ')} is anchored and signed by gateway and licensee."
        return
    if document["value"] is None:
        yield f"There is no record {document['key']}."
        return
    yield f"The record {document['key']} is {_value(document)}."


def receipt_verified(document: dict[str, Any]) -> Iterator[Piece]:
    """A receipt that is in its batch."""
    yield f"Receipt {short(document['receipt'])} is anchored and signed by gateway and licensee."
    yield f"The state says so at height {document['height']}: {_signed(document)}."


def _signed(document: dict[str, Any]) -> str:
    return f"{document['signers']} of {document['validators']} validators have signed"


def _value(document: dict[str, Any]) -> str:
    """What the record says, as far as it is simple: of an account its balance."""
    value = base64.b64decode(document["value"])
    if document["key"].startswith("account/"):
        from concento.light import account_value

        return f"a balance of {beat(account_value(value).balance_ubeat)}"
    return f"{len(value)} bytes: {value.hex() if len(value) <= 48 else value[:48].hex() + '…'}"
