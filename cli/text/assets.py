"""Assets and offers as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import NO_NAMES, beat, day, instant, length, more, number, percent, plural, short, size, who, words
from cli.text.tx import finality

_PRICES = {
    "one-off": "once",
    "subscription": "per period",
    "guarantee": "in advance",
    "per-access": "per file",
    "per-second": "per second of audio",
    "per-output": "per output",
}

_LEGS = {"own": "its own holders", "members": "its members"}
_ID = re.compile("[0-9a-f]{64}")


def added(document: dict[str, Any], title: str, name: str | None) -> Iterator[Piece]:
    """A folder that is registered now."""
    recordings = document["recordings"]
    known = sum(entry["state"] == "known" for entry in recordings)
    total_ms = sum(entry["duration_ms"] for entry in recordings)
    some = f", {known} of them known already" if known else ""
    last = document["txs"][-1] if document["txs"] else None
    if last is not None and last["status"] == "final":
        yield f'"{title}" is registered: {plural(len(recordings), "recording")}{some}, {length(total_ms)} of music.'
        yield finality(last)
    else:
        yield f'"{title}" was registered before, in full; nothing was to be done.'
    yield _recordings(recordings)
    pairs = [("dataset", document["dataset"]), ("offer", document["offer"] or "none")]
    pairs.append(("fees", f"{beat(document['fee_ubeat'])} in {plural(len(document['txs']), 'transaction')}"))
    yield Facts(pairs)
    if document["skipped"]:
        yield f"{plural(len(document['skipped']), 'file')} could not be taken."
    yield f"Next: concento asset show {'@' + name if name else short(document['dataset'])}"


def planned(document: dict[str, Any], title: str) -> Iterator[Piece]:
    """What registering would do."""
    new = sum(entry["state"] == "registered" for entry in document["recordings"])
    yield f'"{title}" would be registered: {plural(new, "new recording")} of {len(document["recordings"])}.'
    yield _recordings(document["recordings"])
    count = document["transactions"]
    which = "" if count == 1 else " for the first of them"
    yield Facts([("fee", f"{beat(document['fee_ubeat'])}{which}, {plural(count, 'transaction')}")])
    yield "Nothing was sent. Next: the same command without --dry-run"


def _recordings(recordings: list[dict[str, Any]]) -> Table:
    rows = [
        (
            entry["title"],
            length(entry["duration_ms"]),
            f"{entry['sample_rate_hz']} Hz",
            str(entry["channels"]),
            size(entry["bytes"]),
            entry["media_type"].removeprefix("audio/"),
            entry["state"],
            short(entry["id"]),
        )
        for entry in recordings
    ]
    right = frozenset({"LENGTH", "RATE", "CH", "SIZE"})
    return Table(("TITLE", "LENGTH", "RATE", "CH", "SIZE", "FORMAT", "STATE", "ID"), rows, right)


def show(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """One asset in full."""
    yield f'"{document["title"]}" is a {document["kind"]} of {who(document["owner"], document.get("owner_name"))}.'
    registered, facts = document["registered"], document["facts"]
    pairs = [
        ("id", document["id"]),
        ("state", document["state"]),
        ("registered", f"block {registered['height']}, {instant(registered['time_ms'])}"),
        ("tags", words(document["tags"])),
    ]
    if facts:
        heard = f"{length(facts['duration_ms'])}, {facts['sample_rate_hz']} Hz, {plural(facts['channels'], 'channel')}"
        pairs.append(("audio", heard))
    if document["work"]:
        pairs.append(("work", document["work"]))
    if document["members"]:
        pairs.append(("members", str(document["members"]["count"])))
    pairs.extend((name.upper(), value) for name, value in document["identifiers"].items() if value)
    yield Facts(pairs)
    if document["parts"]:
        rows = [(part["path"], size(part["bytes"]), part["media_type"], part["cid"]) for part in document["parts"]]
        yield Table(("FILE", "SIZE", "TYPE", "CID"), rows, frozenset({"SIZE"}))
    yield from _origin(document)
    yield from _rights(document, book)
    if document["offers"]:
        yield from offers(document["offers"])
        yield f"Next: concento licence buy {short(document['id'])} --purpose PURPOSE --max-price BEAT --from WHO"


def _origin(document: dict[str, Any]) -> Iterator[Piece]:
    if document["parents"]:
        owed = [f"{short(link['asset'])} (owes it {percent(link['rel_bps'])})" for link in document["parents"]]
        yield f"Made from {', '.join(owed)}. See: concento asset lineage {short(document['id'])}"


def _rights(document: dict[str, Any], book: Mapping[str, str]) -> Iterator[Piece]:
    legs = document["legs"]
    if len(legs) > 1:
        parts = [f"{percent(leg['bps'])} {_LEGS.get(leg['target']) or 'asset ' + short(leg['target'])}" for leg in legs]
        yield "Income goes to: " + ", ".join(parts) + "."
    if document["holders"]:
        total = int(document["shares_total"] or 0)
        rows = [
            (
                _holder(entry, book),
                f"{int(entry['shares']) * 100 / total:.4f} %" if total else "-",
            )
            for entry in document["holders"]
        ]
        yield Table(("HOLDER", "SHARE"), rows, frozenset({"SHARE"}))


def _holder(entry: dict[str, Any], book: Mapping[str, str]) -> str:
    """An account, or an asset that has a part of this one's income: by its title, with the id to ask for it."""
    name = who(entry["holder"], entry.get("name"), book)
    return f"{name} ({short(entry['holder'])})" if _ID.fullmatch(entry["holder"]) and entry.get("name") else name


def offers(items: list[dict[str, Any]]) -> Iterator[Piece]:
    """Offers with price and permitted uses."""
    rows = [
        (short(offer["id"]), prices(offer["pricing"]), _permitted(offer["purposes"]), day(offer["expires_ms"]))
        for offer in items
    ]
    yield Table(("OFFER", "PRICE", "PERMITS", "UNTIL"), rows)


def prices(pricing: list[dict[str, Any]]) -> str:
    """Every price of an offer; metered ones are kept per 1,000 units."""
    written = []
    for line in pricing:
        amount_ubeat = int(line["price_ubeat"] or 0)
        if line["model"] == "free":
            written.append("free")
            continue
        if line["model"] == "revenue-share":
            written.append(f"{percent(line['bps'])} of revenue")
            continue
        unit_ubeat = amount_ubeat // 1_000 if line["model"] in ("per-access", "per-second") else amount_ubeat
        tiers = ", less or more by volume" if line.get("tiers") else ""
        written.append(f"{beat(unit_ubeat)} {_PRICES[line['model']]}{tiers}")
    return " + ".join(written)


def _permitted(purposes: dict[str, str]) -> str:
    return words(
        [name + ("*" if value == "constrained" else "") for name, value in purposes.items() if value != "deny"]
    )


def lineage(document: dict[str, Any]) -> Iterator[Piece]:
    """The links above or below an asset, and who takes a part of every sale."""
    below = document["direction"] == "descendants"
    if not document["items"]:
        yield "Nothing was made from it yet." if below else "It was made from nothing else on this chain."
        return
    yield Table(
        ("GEN", "ASSET", "KIND", "TITLE", "OWNER", "OF CHILD", "OWED", "OF ALL SALES", "AT MOST"),
        [
            (
                str(item["depth"]),
                short(item["asset"]),
                item["kind"],
                item["title"],
                who(item["owner"], item["owner_name"]) if item["owner"] else "-",
                short(item["child"]),
                percent(item["rel_bps"]),
                percent(item["abs_bps"]) if item["abs_bps"] else "-",
                beat(item["ceiling_ubeat"]) if item["ceiling_ubeat"] else "-",
            )
            for item in document["items"]
        ],
        frozenset({"GEN", "OWED", "OF ALL SALES", "AT MOST"}),
    )
    if not below and document["claims"]:
        taken = ", ".join(f"{short(claim['asset'])} {percent(claim['bps'])}" for claim in document["claims"])
        yield f"Of every sale of this asset first: {taken}."
    if not document["complete"]:
        yield "There are more links than one walk follows; ask for an asset further on."
    yield from more(document)


def listed(document: dict[str, Any]) -> Iterator[Piece]:
    """Assets of somebody."""
    if not document["items"]:
        yield "No asset is registered here. Next: concento asset add FOLDER --title T --split WHO=100 --allow PURPOSE"
        return
    rows = [
        (short(item["id"]), item["kind"], item["title"], who(item["owner"], item.get("owner_name")), item["state"])
        for item in document["items"]
    ]
    yield Table(("ID", "KIND", "TITLE", "OWNER", "STATE"), rows)
    yield from more(document)


def found(document: dict[str, Any], purpose: str | None) -> Iterator[Piece]:
    """What a search has found."""
    items = document["items"]
    if not items:
        yield "Nothing fits. Ask for less: fewer conditions, a higher --max-price."
        return
    yield Table(
        ("ID", "KIND", "TITLE", "OWNER", "MEMBERS", "LENGTH", "PRICE", "TAGS"),
        [
            (
                short(item["id"]),
                item["kind"],
                item["title"],
                who(item["owner"], item["owner_name"]),
                str(item["members"] or "-"),
                length(item["duration_ms"]),
                number(item["price_ubeat"]),
                words(item["tags"]),
            )
            for item in items
        ],
        frozenset({"MEMBERS", "LENGTH", "PRICE"}),
    )
    if not document["complete"]:
        yield "The search looked at a part of the catalogue only; narrow it down to see the rest."
    yield from more(document)
    offered = next((item for item in items if item["price_ubeat"] is not None), None)
    if offered is None:
        yield "None of these has an offer of its own; they are licensed through a dataset that holds them."
        return
    example = f"concento licence buy {short(offered['id'])} --purpose {purpose or 'PURPOSE'}"
    yield f"Next: {example} --max-price {number(offered['price_ubeat'])} --from WHO"
