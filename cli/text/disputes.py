"""Disputes as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import beat, instant, more, number, short, who
from cli.text.tx import written

_STATES = {
    "open": "waits for an answer",
    "answered": "waits for the arbiters",
    "upheld": "was upheld",
    "rejected": "was rejected",
    "defaulted": "was lost without an answer",
    "lapsed": "ended without a ruling; everything went back",
}


def show(document: dict[str, Any], book: Mapping[str, str]) -> Iterator[Piece]:
    """One dispute."""
    claimant, respondent = (who(document[side], book=book) for side in ("claimant", "respondent"))
    yield f"{claimant} disputes asset {short(document['asset'])} with {respondent}; it {_STATES[document['state']]}."
    held = beat(document["held_ubeat"])
    if document["held_ubeat_max"] is not None:
        held += f", at most {beat(document['held_ubeat_max'])}"
    pairs = [
        ("reason", document["reason"]),
        ("claims", _claim(document, book)),
        ("bonds", f"{beat(document['bond_ubeat'])} against {beat(document['answer_bond_ubeat'])}"),
        ("held", held),
        ("evidence", document["evidence"]),
    ]
    if document["answer_evidence"]:
        pairs.append(("answer", document["answer_evidence"]))
    pairs.append(("opened", instant(document["opened_ms"])))
    if document["held_ubeat_max"] is not None:
        pairs.append(("deadline", instant(document["deadline_ms"])))
    for vote in document["votes"]:
        pairs.append(("vote", f"{who(vote['arbiter'], book=book)} for ruling {short(vote['ruling'])}"))
    if document["ruling"]:
        pairs.append(("ruling", _ruling(document["ruling"])))
    yield Facts(pairs)


def listed(document: dict[str, Any], book: Mapping[str, str]) -> Iterator[Piece]:
    """Disputes, one a line."""
    rows = [
        (
            short(item["id"]),
            short(item["asset"]),
            item["reason"],
            item["state"],
            who(item["claimant"], book=book),
            who(item["respondent"], book=book),
            number(item["held_ubeat"]),
        )
        for item in document["items"]
    ]
    yield Table(("DISPUTE", "ASSET", "REASON", "STATE", "CLAIMANT", "RESPONDENT", "HELD BEAT"), rows)
    yield from more(document)


def ruled(document: dict[str, Any], found: dict[str, Any]) -> Iterator[Piece]:
    """What a vote did."""
    events = {event["kind"]: event for event in document.get("events", ())}
    ended, vote = events.get("dispute.ended"), events.get("dispute.voted")
    sentence = "You ruled."
    if ended is not None:
        sentence = f"The panel agrees: the claim is {ended['state']}."
    elif vote is not None:
        sentence = f"You ruled; {vote['agreed']} of {vote['needed']} arbiters agree."
    yield from written(document, sentence, f"concento dispute show {short(found['id'])}")


def _claim(document: dict[str, Any], book: Mapping[str, str]) -> str:
    if document["holder"]:
        return f"{document['shares']} shares of {who(document['holder'], book=book)} behind leg {document['leg']}"
    return f"{document['bps'] / 100:g} % of what leg {document['leg']} gets"


def _ruling(ruling: dict[str, Any]) -> str:
    if not ruling["upheld"]:
        return "dismissed"
    parts = [f"{ruling['escrow_bps'] / 100:g} % of what is held, and {ruling['shares']} shares, to the claimant"]
    if ruling["splits"]:
        parts.append("another split")
    if ruling["parent"]:
        parts.append(f"{ruling['parent_bps'] / 100:g} % to the parent {short(ruling['parent'])}")
    if ruling["original"]:
        parts.append(f"a copy of {short(ruling['original'])}")
    if ruling["delist"]:
        parts.append("no new licences")
    return "; ".join(parts)
