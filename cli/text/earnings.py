"""Statements as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import beat, day, number, plural, short


def statement(document: dict[str, Any], who: str) -> Iterator[Piece]:
    """Opening, every payment, closing."""
    lines = document["lines"]
    yield f"Statement of {who}, blocks {document['from_height']} to {document['to_height']}."
    if lines:
        yield Table(
            ("BLOCK", "DAY", "CAUSE", "TITLE", "LAYER", "GROSS", "SHARE", "AMOUNT", "TRANSACTION"),
            [
                (
                    str(line["paid_height"]),
                    day(line["time_ms"]),
                    _cause(line),
                    line["title"] or short(line["asset"]),
                    line["layer"] or "-",
                    number(line["gross_ubeat"]),
                    _share(line),
                    number(line["amount_ubeat"]),
                    short(line["cause_tx"]),
                )
                for line in lines
            ],
            frozenset({"BLOCK", "GROSS", "SHARE", "AMOUNT"}),
        )
    amounts = [document[f"{name}_ubeat"] for name in ("opening", "earned", "other", "closing")]
    width = max(len(number(amount)) for amount in amounts)
    opening, earned, other, closing = (number(amount).rjust(width) for amount in amounts)
    pairs = [
        ("opening", f"{opening} BEAT"),
        ("earned", f"{earned} BEAT in {plural(len(lines), 'line')}"),
        ("other", f"{other} BEAT (fees, payments: concento wallet history {who})"),
        ("closing", f"{closing} BEAT"),
    ]
    accrued = document["accrued_ubeat"]
    if accrued is not None and int(accrued):
        pairs.append(("not paid yet", f"{number(accrued).rjust(width)} BEAT"))
    yield Facts(pairs)


def _cause(line: dict[str, Any]) -> str:
    """What nobody but the payer vouches for is told as that, however far away it was paid."""
    told: str = line["cause"]
    return f"{told} (declared)" if line["source"] == "declared" != told else told


def _share(line: dict[str, Any]) -> str:
    total = int(line["shares_total"] or 0)
    return f"{int(line['shares']) * 100 / total:.4g} %" if total else "-"


def verified(document: dict[str, Any]) -> Iterator[Piece]:
    """A statement that was recomputed."""
    period = f"blocks {document['from_height']} to {document['to_height']}"
    yield f"The statement of {document['address']}, {period}, is right: {beat(document['earned_ubeat'])} earned."
    signed = document["signers"]
    by = f"signed by at least {signed} of {document['validators']} validators"
    recomputed = f"{plural(document['lines'], 'line')} recomputed"
    if document["blocks"]:
        rows, blocks = plural(document["rows"], "row"), plural(document["blocks"], "block")
        yield f"{recomputed} from {rows} of {blocks}, each {by}."
    else:
        yield f"{recomputed}; they sum to the income that the account's record commits to, {by}."
    unproved = document["unproved"]
    yield f"Nothing proves the {'column' if len(unproved) == 1 else 'columns'} {', '.join(unproved)}."
