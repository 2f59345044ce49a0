"""Keys, balances and history as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import NO_NAMES, beat, moment, more, number, short, who, words

_KINDS = {"key": "key file", "dev": "development account", "contact": "contact, no key"}


def created(document: dict[str, Any]) -> Iterator[Piece]:
    """A new key and its words, this one time."""
    yield f"{document['name']} has the address {document['address']}."
    yield f"Its key is encrypted in {document['file']}."
    phrase = document.get("phrase")
    if phrase:
        yield ""
        yield "Write these 24 words down on paper, in order. They restore the key without file and password,"
        yield "for whoever has them; they are not kept and not shown again."
        yield ""
        parts = phrase.split()
        for start in range(0, len(parts), 6):
            yield (
                "  "
                + "  ".join(f"{start + i + 1:2d} {word:<9}" for i, word in enumerate(parts[start : start + 6])).rstrip()
            )
        yield ""
    yield f"Next: concento wallet send {document['name']} 100 --from WHO_PAYS"


def rotated(document: dict[str, Any]) -> Iterator[Piece]:
    """An account that obeys another key."""
    name, key = document["name"], short(document["key"])
    yield f"{name} signs with the key {key} now; the address stays {document['address']}."
    yield f"The old key signs for nothing any more; its file is {document['kept']}."
    yield f"Next: concento wallet balance {name}"


def listed(document: dict[str, Any]) -> Iterator[Piece]:
    """All names of the wallet."""
    if not document["items"]:
        yield "The wallet is empty. Next: concento wallet new NAME"
        return
    yield Table(
        ("NAME", "ADDRESS", "KIND"),
        [(item["name"], item["address"], _KINDS[item["kind"]]) for item in document["items"]],
    )


def entry(document: dict[str, Any]) -> Iterator[Piece]:
    """One name of the wallet."""
    yield f"{document['name']} is {document['address']} ({_KINDS[document['kind']]})."
    if document["file"]:
        yield Facts([("file", document["file"])])


def balance(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """What an account has, and who it is."""
    name = document["name"] or book.get(document["address"])
    yield f"{name + ' has' if name else 'Balance:'} {beat(document['balance_ubeat'])} at height {document['height']}."
    party, policy = document["party"], document["policy"]
    pairs = [("address", document["address"])]
    if party:
        pairs.append(("party", f"{party['kind']}; roles: {words(party['roles'])}"))
    if int(document["escrow_ubeat"]):
        pairs.append(("in escrow", beat(document["escrow_ubeat"])))
    if document["accrued_ubeat"] is not None and int(document["accrued_ubeat"]):
        pairs.append(("earned, not paid yet", beat(document["accrued_ubeat"])))
    if policy and len(policy["keys"]) > 1:
        pairs.append(("keys", f"{policy['threshold']} of {len(policy['keys'])} must sign"))
    proved = document.get("proved")
    if proved:
        pairs.append(("proved", f"by {proved['signers']} of {proved['validators']} validators, with the genesis alone"))
    yield Facts(pairs)


def history(document: dict[str, Any], book: Mapping[str, str]) -> Iterator[Piece]:
    """Every movement of an account, newest first."""
    if not document["items"]:
        yield "Nothing has moved on this account."
        return
    yield Table(
        ("BLOCK", "TIME (UTC)", "CAUSE", "COUNTERPARTY", "AMOUNT", "BALANCE", "TRANSACTION"),
        [
            (
                str(item["height"]),
                moment(item["time_ms"]),
                item["cause"],
                who(item["counterparty"], item.get("counterparty_name"), book),
                number(item["amount_ubeat"]),
                number(item["balance_ubeat"]),
                short(item["tx"]),
            )
            for item in document["items"]
        ],
        frozenset({"BLOCK", "AMOUNT", "BALANCE"}),
    )
    yield from more(document)
