"""Parties as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import beat, more, words


def show(document: dict[str, Any]) -> Iterator[Piece]:
    """One party."""
    roles = f"with the roles {words(document['roles'])}" if document["roles"] else "without a role"
    yield f"{document['name']} is a {document['kind']} {roles}."
    pairs = [("address", document["address"])]
    policy, payout = document.get("policy"), document.get("payout")
    if policy:
        pairs.append(("keys", f"{policy['threshold']} of {len(policy['keys'])} must sign"))
        pairs.extend(("", key) for key in policy["keys"])
    if payout:
        pairs.append(("is paid", _payout(payout)))
    yield Facts(pairs)


def _payout(payout: dict[str, Any]) -> str:
    match payout["mode"]:
        case "now":
            return "at once, in the block that earns"
        case "min":
            return f"from {beat(payout['amount_ubeat'])} on"
        case _:
            return f"every {int(payout['period_ms']) / 3_600_000:g} hours"


def listed(document: dict[str, Any]) -> Iterator[Piece]:
    """Parties, one a line."""
    rows = [(item["name"], item["kind"], words(item["roles"]), item["address"]) for item in document["items"]]
    yield Table(("NAME", "KIND", "ROLES", "ADDRESS"), rows)
    yield from more(document)
