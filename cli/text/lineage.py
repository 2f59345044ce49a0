"""Models, outputs, remixes and late parents as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cli.printer import Facts, Piece, Table
from cli.text.forms import NO_NAMES, day, more, number, percent, plural, short, who
from cli.text.tx import written


def model_made(document: dict[str, Any], title: str, lines: int) -> Iterator[Piece]:
    """A model that is registered now."""
    asset = document["asset"]
    sentence = f'The model "{title}" is registered, trained on {plural(lines, "asset")}: {asset}.'
    hint = f"concento licence offer {short(asset)} --allow inference-service --price BEAT --derived PERCENT"
    yield from written(document, sentence, hint)


def output_made(document: dict[str, Any], title: str, model: str) -> Iterator[Piece]:
    """A track of a model that is registered now."""
    sentence = f'"{title}", made by "{model}", is registered: {document["asset"]}.'
    yield from written(document, sentence, f"concento asset lineage {short(document['asset'])}")


def derived(document: dict[str, Any], title: str, parents: int) -> Iterator[Piece]:
    """A remix that is registered now."""
    sentence = f'"{title}", made from {plural(parents, "asset")}, is registered: {document["asset"]}.'
    yield from written(document, sentence, f"concento asset lineage {short(document['asset'])}")


def show_model(asset: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """One model."""
    model = asset["model"]
    rate = model["outputs"]
    owed = percent(rate["rel_bps"]) if rate["rel_bps"] else "nothing"
    yield f'Model "{asset["title"]}" of {who(asset["owner"], asset["owner_name"], book)}.'
    yield Facts(
        [
            ("model", asset["id"]),
            ("weights", model["weights"]),
            ("service", who(model["service"], None, book)),
            ("owner's outputs owe it", owed),
        ]
    )
    yield "Learnt from:"
    rows = [(short(line["asset"]), line["purpose"], short(line["right"])) for line in model["manifest"]]
    yield Table(("ASSET", "HOW", "LICENCE"), rows)
    yield f"Next: concento asset lineage {short(asset['id'])} --descendants"


def amended(
    document: dict[str, Any], child: dict[str, Any], parent: dict[str, Any], rate: str | None
) -> Iterator[Piece]:
    """One owner's word, and what it has brought about."""
    pair = f'"{child["title"]}" was made from "{parent["title"]}"'
    kinds = {event["kind"] for event in document["events"]}
    command = f"concento asset amend {short(child['id'])} --parent {short(parent['id'])} --rate {rate}"
    if "lineage.amended" in kinds:
        yield from written(document, f"{pair}, both say, and owes it {rate} % from the next block.", None)
    elif rate is None:
        yield from written(document, f"Nobody says any more that {pair}.", None)
    else:
        mine = document["sender"] == child["owner"]
        other = parent if mine else child
        name = other["owner_name"] or "OWNER"
        yield from written(
            document, f"You say that {pair}. It counts when {name} says the same.", f"{command} --from {name}"
        )


def amendments(document: dict[str, Any], book: Mapping[str, str] = NO_NAMES) -> Iterator[Piece]:
    """A page of proposals."""
    if not document["items"]:
        yield "Nobody waits for anybody's word here."
        yield from more(document)
        return
    rows = [
        (
            short(item["child"]),
            item["child_title"] or "-",
            short(item["parent"]),
            item["parent_title"] or "-",
            percent(item["rel_bps"]),
            number(item["ceiling_ubeat"]),
            who(item["proposed_by"], item["proposed_by_name"], book),
            who(item["waits_for"], None, book),
            day(item["until_ms"]) if item["state"] == "open" else "over",
        )
        for item in document["items"]
    ]
    header = ("CHILD", "TITLE", "PARENT", "TITLE", "RATE", "CEILING", "SAYS", "WAITS FOR", "UNTIL")
    yield Table(header, rows, frozenset({"RATE", "CEILING"}))
    yield from more(document)
    yield "Next: concento asset amend CHILD --parent PARENT --rate PERCENT, by whom it waits for"
