"""Transactions as text: what happened, where and how fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import NO_NAMES, beat, instant, short, words

_STATUS = {
    "pending": "waiting for a block",
    "shared": "held by more than two thirds of the validators, waiting for a block",
    "final": "final",
    "failed": "included without effect; its fee is kept",
    "skipped": "skipped: it had no effect and cost nothing",
    "expired": "expired before a block took it",
    "unknown": "unknown: it may have been pruned",
}


def written(document: dict[str, Any], sentence: str, hint: str | None = None) -> Iterator[Piece]:
    """What a write did, how long it took and what comes next."""
    if document["status"] == "final":
        yield sentence
        yield finality(document)
    else:
        yield f"Handed in, {_STATUS[document['status']]}. Transaction {document['tx']}."
        hint = f"concento tx wait {short(document['tx'])}"
    if hint:
        yield f"Next: {hint}"


def finality(document: dict[str, Any]) -> str:
    """Block, time and fee in a sentence."""
    took = document.get("finality_ms")
    after = f", final in {took} ms" if took is not None else ""
    known = " It was in the chain already." if document.get("known") and took is None else ""
    fee, tx = beat(document["fee_ubeat"]), short(document["tx"])
    return f"Block {document['height']}{after}; fee {fee}; transaction {tx}.{known}"


def unsuccessful(document: dict[str, Any]) -> Iterator[str]:
    """Where a transaction ended that had no effect."""
    where = f" in block {document['height']}" if document.get("height") is not None else ""
    yield f"Transaction {short(document['tx'])} was {document['status']}{where}."
    if document["status"] == "failed":
        yield f"Its fee of {beat(document['fee_ubeat'])} is kept."


def show(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """One transaction in full."""
    yield f"Transaction {document['tx']} is {_STATUS.get(document['status'], document['status'])}."
    pairs = [
        ("sender", _sender(document["sender"], book)),
        ("fee", beat(document["fee_ubeat"])),
        ("valid until", instant(document["valid_until_ms"])),
    ]
    if document["height"] is not None:
        pairs.insert(
            0, ("block", f"{document['height']} (position {document['index']}, {instant(document['time_ms'])})")
        )
    if document.get("memo"):
        pairs.append(("memo", document["memo"]))
    if document["error"]:
        pairs.append(("error", f"{document['error']['message']} ({document['error']['kind']})"))
    yield Facts(pairs)
    if document["actions"]:
        yield "Asked for:"
        yield from (f"  {_action(action)}" for action in document["actions"])
    if document["events"]:
        yield "Happened:"
        yield from (f"  {event_line(event)}" for event in document["events"])
    if document["created"]:
        yield Table(("CREATED", "ID"), [(entry["kind"], entry["id"]) for entry in document["created"]])


def _sender(address: str | None, book: Mapping[str, str]) -> str:
    name = book.get(address or "")
    return str(address) if name is None else f"{name}, {address}"


def event_line(event: dict[str, Any]) -> str:
    """An event as a sentence where the node wrote one, else as kind and fields."""
    text = event.get("text")
    return str(text) if text else _action(event)


def _action(action: dict[str, Any]) -> str:
    fields = [
        f"{name}={_value(value)}"
        for name, value in action.items()
        if name not in ("kind", "text") and value is not None
    ]
    return " ".join([str(action["kind"]), *fields])


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if len(value) <= 24 else value[:12] + "…"
    if isinstance(value, dict):
        return "{" + words([f"{name}: {_value(inner)}" for name, inner in value.items()]) + "}"
    if isinstance(value, list):
        return f"[{len(value)}]" if len(value) > 4 else "[" + ", ".join(_value(inner) for inner in value) + "]"
    return str(value)


def fees(documents: Iterable[dict[str, Any]]) -> int:
    """The fees of several transactions together."""
    return sum(int(document["fee_ubeat"] or 0) for document in documents)


def asked_for(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[str]:
    """Everything that a signature would agree to, in full."""
    yield f"On {document['chain_id']}, {_sender(document['sender'], book)} asks for:"
    yield from (f"  {_in_full(action, book)}" for action in document["actions"])
    if document["memo"]:
        yield f"  with the memo: {document['memo']}"
    yield f"Fee at most {beat(document['max_fee_ubeat'])}; valid until {instant(document['valid_until_ms'])}."


def decoded(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """A transaction that a file or a text holds, and who has signed it."""
    yield from asked_for(document, book)
    yield f"Transaction {document['tx']}."
    yield "Signed by " + words(document["signers"]) + "." if document["signers"] else "Nobody has signed it."


def built(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """A file that somebody can sign now."""
    yield from decoded(document, book)
    yield f"Next: concento tx sign {document['file']}"


def signed(document: dict[str, Any], name: str) -> Iterator[Piece]:
    """A signature was added."""
    count = len(document["signers"])
    yield f"{document['file']} is signed by {name}; {count} signature{'' if count == 1 else 's'} in it now."
    yield f"Next: concento tx send {document['file']}"


def _in_full(action: Mapping[str, Any], book: Mapping[str, str]) -> str:
    fields = [f"{name}={_every(value, book)}" for name, value in action.items() if name != "kind" and value is not None]
    return " ".join([str(action["kind"]), *fields])


def _every(value: Any, book: Mapping[str, str]) -> str:
    """A value with nothing left out: a signature counts for all of it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_every(inner, book)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_every(inner, book) for inner in value) + "]"
    return f"{book[value]} ({value})" if isinstance(value, str) and value in book else str(value)
