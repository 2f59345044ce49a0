"""A statement as a flat file in the manner of DDEX Digital Sales Reports: records by tab, one a line, typed by name.

DSR-like and no more: record types and their order are those of a DSR flat file, the cells are what the ledger knows.
docs/protocol/statements.md lists them. Amounts are in BEAT with six decimals.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

from concento.units import format_beat

VERSION: Final = "concento-dsr-1"

_LINE_BREAKS: Final = str.maketrans({"\t": " ", "\n": " ", "\r": " "})


def flat_file(statement: dict[str, Any], chain_id: str) -> str:
    """HEAD, one SY for the period, then AS or MW for each asset and layer with its SU lines, FOOT."""
    records = [_head(statement, chain_id), _summary(statement)]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in statement["lines"]:
        groups.setdefault((line["asset"] or "", line["layer"]), []).append(line)
    for number, ((asset, layer), lines) in enumerate(groups.items(), 1):
        block = f"B{number}"
        records.append(_resource(block, asset, layer, lines))
        records += [_sale(block, f"{block}.{index}", line) for index, line in enumerate(lines, 1)]
    records.append(["FOOT", str(len(records) + 1), str(len(groups)), str(len(statement["lines"]))])
    return "".join("\t".join(_cell(value) for value in record) + "\n" for record in records)


def _head(statement: dict[str, Any], chain_id: str) -> Sequence[str]:
    """Version, sender (the chain), recipient, first and last height."""
    period = [str(statement["from_height"]), str(statement["to_height"])]
    return ["HEAD", VERSION, chain_id, statement["address"], statement["who"], *period, "BEAT"]


def _summary(statement: dict[str, Any]) -> Sequence[str]:
    """Opening, earned, other, closing."""
    return ["SY", *(_beat(statement[f"{name}_ubeat"]) for name in ("opening", "earned", "other", "closing"))]


def _resource(block: str, asset: str, layer: str, lines: Sequence[dict[str, Any]]) -> Sequence[str]:
    """A musical work is MW, everything else that earns is AS: id, title, layer, what it paid in the period."""
    total = sum(int(line["amount_ubeat"]) for line in lines)
    return ["MW" if layer == "work" else "AS", block, asset, lines[0]["title"] or "", layer, _beat(total)]


def _sale(block: str, number: str, line: dict[str, Any]) -> Sequence[str]:
    """One line: when and why, who paid, by which share of what, and what came of it."""
    time = datetime.datetime.fromtimestamp(line["time_ms"] / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    where = [str(line["height"]), str(line["index"]), str(line["paid_height"])]
    amounts = [_beat(line[f"{name}_ubeat"]) for name in ("gross", "fee", "upstream", "keep", "amount")]
    share = [line["shares"], line["shares_total"], line["rate"]]
    source = [line["cause"], line["source"], line["cause_tx"] or "", line["payer"] or "", "/".join(line["path"])]
    return ["SU", block, number, time, *where, *source, *share, *amounts]


def _beat(amount_ubeat: str | int) -> str:
    return format_beat(int(amount_ubeat))


def _cell(text: str) -> str:
    """A title is a stranger's text: it must not begin another cell or record."""
    return text.translate(_LINE_BREAKS)
