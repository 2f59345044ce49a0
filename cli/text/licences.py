"""Licences and receipts as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import beat, instant, more, number, permitted, plural, short, size, who, words
from cli.text.tx import written

_UNITS = {"access": ("file", "files"), "second": ("second", "seconds")}


def offered(document: dict[str, Any], title: str, asset: str) -> Iterator[Piece]:
    """A new offer."""
    offer = document["offer"]
    sentence = f'"{title}" is offered: offer {short(offer)}.'
    yield from written(document, sentence, f"concento asset show {short(asset)}")


def bought(
    document: dict[str, Any], asset: dict[str, Any], purpose: str, price_ubeat: int, buyer: str
) -> Iterator[Piece]:
    """A new licence, and what it is good for: files are fetched, a model's service makes outputs."""
    identity, title = short(document["licence"]), asset["title"]
    sentence = f'{buyer} licenses "{title}" for {purpose}: {beat(price_ubeat)}, licence {identity}.'
    use = f"concento fetch {short(asset['id'])} DIR --purpose {purpose} --from {buyer}"
    if asset["kind"] == "model":
        use = f"concento licence outputs {identity} COUNT --from {buyer}"
    yield from written(document, sentence, use)


def show(document: dict[str, Any]) -> Iterator[Piece]:
    """One licence in full."""
    yield f"Licence {document['id']} is {document['state']}."
    receipts = document["receipts"]
    pairs = [
        ("asset", document["asset"]),
        ("licensee", who(document["licensee"], document.get("licensee_name"))),
        ("purposes", words(permitted(document["purposes"]))),
        ("layers", words(document["layers"])),
        ("price", beat(document["price_ubeat"])),
        ("use", _metered(document)),
        ("guarantee left", beat(document["advance_ubeat"])),
        ("deposit", f"{beat(document['deposit_ubeat'])}, {beat(document['deposit_free_ubeat'])} of it free"),
        ("from", instant(document["starts_ms"])),
        ("until", "without end" if document["expires_ms"] is None else instant(document["expires_ms"])),
        ("quota", _quota(document["quota"])),
        ("used", f"{plural(receipts['count'], 'receipt')}, {plural(receipts['units'], 'unit')}"),
    ]
    slots = document["slots"]
    if slots["models"] or slots["outputs"] or slots["outputs_authorised"]:
        made = f"{plural(slots['models'], 'model')}, {plural(slots['outputs'], 'output')}"
        by_service = f"{slots['outputs_by_service']} of {slots['outputs_authorised']} authorised ones by the service"
        pairs.append(("made of it", f"{made}; {by_service}"))
    if document["reported"]:
        reported = document["reported"]
        pairs.append(("reported", f"{beat(reported['gross_ubeat'])} until {instant(reported['until_ms'])}"))
    yield Facts(pairs)
    if receipts["lanes"]:
        yield Table(
            ("GATEWAY", "LANE", "LAST SEQ", "UNITS"),
            [
                (who(lane["gateway"], lane.get("gateway_name")), str(lane["lane"]), _seq(lane), str(lane["units"]))
                for lane in receipts["lanes"]
            ],
            frozenset({"LANE", "LAST SEQ", "UNITS"}),
        )


def _metered(document: dict[str, Any]) -> str:
    """What a thousand units cost, tier by tier."""
    if document["unit_price_ubeat"] is None:
        return "free"
    many = _UNITS.get(document["unit"] or "", ("unit", "units"))[1]
    first = f"{beat(document['unit_price_ubeat'])} for 1,000 {many}"
    return "; ".join([first, *(f"beyond {tier['units']:,} {beat(tier['price_ubeat'])}" for tier in document["tiers"])])


def _seq(lane: dict[str, Any]) -> str:
    return "-" if lane["last_seq"] is None else str(lane["last_seq"])


def _quota(quota: dict[str, Any]) -> str:
    unit = _UNITS.get(quota["unit"] or "", (str(quota["unit"]), str(quota["unit"])))[1]
    if quota["total"] is None:
        return "without limit"
    return f"{quota['left']} of {quota['total']} {unit} left"


def listed(document: dict[str, Any]) -> Iterator[Piece]:
    """Licences, one a line."""
    if not document["items"]:
        yield "No licence. Next: concento asset search --purpose PURPOSE"
        return
    rows = [
        (
            short(item["id"]),
            item.get("title") or short(item["asset"]),
            who(item["licensee"], item.get("licensee_name")),
            words(permitted(item["purposes"])),
            number(item["price_ubeat"]),
            item["state"],
        )
        for item in document["items"]
    ]
    yield Table(("ID", "ASSET", "LICENSEE", "PURPOSES", "PRICE", "STATE"), rows, frozenset({"PRICE"}))
    yield from more(document)


def checked(document: dict[str, Any], purpose: str) -> Iterator[Piece]:
    """Yes or no, and why."""
    if document["allowed"]:
        yield f"Yes: {purpose} is permitted by licence {short(document['licence'])}, at height {document['height']}."
        return
    yield f"No: {purpose} is not permitted ({document['kind']}), at height {document['height']}."
    if document["hint"]:
        yield f"Next: {document['hint']}"


def receipt(document: dict[str, Any]) -> Iterator[Piece]:
    """One receipt in full."""
    batch = document["batch"]
    where = f"anchored in block {batch['height']}" if batch else "not anchored yet"
    yield f"Receipt {document['id']} is {where}."
    signed = [name for name, value in document["signatures"].items() if value]
    pairs = [
        ("licence", document["licence"]),
        ("asset", document["asset"]),
        ("file", f"{short(document['member'])}, {size(document['bytes'])}, {document['cid']}"),
        ("gateway", who(document["gateway"], document.get("gateway_name"))),
        ("licensee", who(document["licensee"], document.get("licensee_name"))),
        ("purpose", document["purpose"]),
        ("position", f"seq {document['seq']}"),
        (
            "cost",
            f"{plural(document['units'], 'unit')} ({document['unit'] or 'free'}), {beat(document['amount_ubeat'])}",
        ),
        ("signed by", words(signed)),
    ]
    if batch:
        pairs.append(("root", f"{batch['root']} (leaf {batch['index']})"))
    yield Facts(pairs)
    yield f"Next: concento receipt verify {short(document['id'])}"


def receipts(document: dict[str, Any]) -> Iterator[Piece]:
    """Receipts, one a line."""
    if not document["items"]:
        yield "No receipt is anchored here."
        return
    rows = [
        (
            short(item["id"]),
            str(item["batch"]["height"]) if item["batch"] else "-",
            str(item["seq"]),
            who(item["gateway"], item.get("gateway_name")),
            item["purpose"],
            size(item["bytes"]),
            str(item["units"]),
            number(item["amount_ubeat"]),
        )
        for item in document["items"]
    ]
    right = frozenset({"BLOCK", "SEQ", "SIZE", "UNITS", "BEAT"})
    yield Table(("ID", "BLOCK", "SEQ", "GATEWAY", "PURPOSE", "SIZE", "UNITS", "BEAT"), rows, right)
    yield from more(document)
