"""Vaults, shares and usage as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import NO_NAMES, beat, instant, moment, more, number, plural, short, who
from cli.text.uploads import grown


def part(shares: str, total: str) -> str:
    """Shares as a percentage of all."""
    whole = int(total)
    if not whole:
        return "-"
    millionths = int(shares) * 100_000_000 // whole
    return f"{millionths // 1_000_000}.{millionths % 1_000_000 // 100:04d} %"


# Vaults


def filled(document: dict[str, Any]) -> Iterator[Piece]:
    """A vault after rows were added."""
    return grown(
        document, "vault", "rows", "shares_total", "concento shares transfer ASSET --to vault:{name} --percent PERCENT"
    )


def show_vault(vault: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """One vault."""
    yield f'Vault "{vault["title"]}" is {vault["state"]}, with {plural(vault["rows"], "row")}.'
    yield Facts(
        [
            ("vault", vault["id"]),
            ("opened by", f"{who(vault['owner'], vault['owner_name'], book)} in block {vault['opened_height']}"),
            ("shares", vault["shares_total"]),
            ("received", beat(vault["credited_ubeat"])),
            ("paid out", beat(vault["paid_ubeat"])),
            ("on its way", beat(vault["waiting_ubeat"])),
        ]
    )
    name = short(vault["id"])
    yield f"Next: concento vault {'rows' if vault['state'] == 'sealed' else 'add'} {name}" + (
        " FILE" if vault["state"] == "open" else f", concento vault statement {name}"
    )


def vaults(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """A page of vaults."""
    if not document["items"]:
        yield "There are no vaults. Next: concento vault open FILE --title TITLE"
        return
    rows = [
        (
            short(item["id"]),
            item["title"],
            who(item["owner"], item["owner_name"], book),
            item["state"],
            f"{item['rows']:,}",
            number(item["credited_ubeat"]),
        )
        for item in document["items"]
    ]
    yield Table(("VAULT", "TITLE", "BY", "STATE", "ROWS", "RECEIVED"), rows, frozenset({"ROWS", "RECEIVED"}))
    yield from more(document)


def vault_rows(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """A page of a vault's rows."""
    if not document["items"]:
        yield "There are no rows here."
        return
    rows = [(str(item["row"]), who(item["holder"], item["name"], book), item["shares"]) for item in document["items"]]
    yield Table(("ROW", "HOLDER", "SHARES"), rows, frozenset({"ROW", "SHARES"}))
    yield from more(document)


def vault_statement(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """What a vault has received."""
    period = f"blocks {document['from_height']} to {document['to_height']}"
    yield f'Vault "{document["title"]}", {period}: {plural(len(document["lines"]), "line")} on this page.'
    if document["lines"]:
        rows = [
            (
                str(line["credited_height"]),
                moment(line["time_ms"]),
                line["cause"],
                who(line["payer"], None, book),
                line["title"] or "-",
                number(line["gross_ubeat"]),
                number(line["amount_ubeat"]),
            )
            for line in document["lines"]
        ]
        header = ("BLOCK", "TIME (UTC)", "CAUSE", "PAYER", "THROUGH", "GROSS", "RECEIVED")
        yield Table(header, rows, frozenset({"BLOCK", "GROSS", "RECEIVED"}))
    credited, paid = beat(document["credited_ubeat"]), beat(document["paid_ubeat"])
    yield f"In all {credited} received, {paid} paid out, {beat(document['waiting_ubeat'])} on its way to the rows."
    yield from more(document)


# Shares


def holdings(document: dict[str, Any], whose: str) -> Iterator[Piece]:
    """What an account holds."""
    if not document["items"]:
        yield f"{whose} holds no shares here."
        yield from more(document)
        return
    rows = [
        (
            short(item["source"]),
            item["kind"],
            item["title"],
            str(item["leg"]),
            item["shares"],
            part(item["shares"], item["shares_total"]),
            number(item["waiting_ubeat"]),
        )
        for item in document["items"]
    ]
    header = ("OF", "KIND", "TITLE", "LEG", "SHARES", "PART", "WAITING")
    yield Table(header, rows, frozenset({"LEG", "SHARES", "PART", "WAITING"}))
    yield from more(document)


# Usage


def pots(document: dict[str, Any]) -> Iterator[Piece]:
    """Money that waits for usage."""
    if not document["items"]:
        yield "No money waits for usage."
        return
    rows = [
        (
            str(item["pot"]),
            item["title"] or short(item["asset"]),
            item["state"],
            number(item["amount_ubeat"]),
            number(item["paid_ubeat"]),
            f"{item['units_posted']} of {item['units']}",
            moment(item["deadline_ms"]),
        )
        for item in document["items"]
    ]
    header = ("POT", "DATASET", "STATE", "AMOUNT", "PAID", "UNITS", "UNTIL (UTC)")
    yield Table(header, rows, frozenset({"POT", "AMOUNT", "PAID"}))
    yield from more(document)
    yield "Next: concento usage post POT"


def show_pot(pot: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """One pot and the rows that are known."""
    states = {"filling": "its money is on its way", "open": "it waits for usage", "closed": "its time is over"}
    yield f"Pot {pot['pot']} of dataset {pot['title'] or short(pot['asset'])}: {states[pot['state']]}."
    batch = pot["batch"]
    pairs = [
        ("dataset", pot["asset"]),
        ("amount", beat(pot["amount_ubeat"])),
        ("paid", f"{beat(pot['paid_ubeat'])} for {pot['units_posted']} of {pot['units']} units"),
        ("until", f"{instant(pot['deadline_ms'])}, then the rest goes by weight"),
    ]
    if batch is not None:
        receipts = f"{plural(batch['count'], 'receipt')} from {batch['first']}"
        pairs.append(("batch", f"{receipts}, licence {short(batch['licence'])}, block {batch['height']}"))
        pairs.append(("gateway", who(batch["gateway"], None, book)))
    yield Facts(pairs)
    if pot["rows"] is None:
        yield "Its rows cannot be told from the chain: ask the reader or the gateway for them."
        return
    rows = [(str(row["member"]), str(row["units"])) for row in pot["rows"]]
    yield Table(("MEMBER", "UNITS"), rows, frozenset({"MEMBER", "UNITS"}))
    yield f"Next: concento usage post {pot['pot']}"


def posted(document: dict[str, Any]) -> Iterator[Piece]:
    """Usage that is posted now."""
    if not document["transactions"]:
        yield f"The usage of pot {document['pot']} was posted before; nothing was to be done."
        return
    sent = plural(document["rows"] - document["rows_before"], "row")
    fee = beat(document["fee_ubeat"])
    yield f"The usage of pot {document['pot']} is posted: {sent}, and its members are paid; fees {fee}."
    yield f"Next: concento asset show {short(document['asset'])}"
