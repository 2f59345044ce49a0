"""`concento model`: models with their training manifests, and the tracks that their services make."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import exits, labels
from cli.commands.asset import publish_at, splits_of
from cli.commitments import commitment
from cli.context import Context, with_context
from cli.grammar import Noun
from cli.parsing import parse_terms, parse_upstream
from cli.rights import right_id
from cli.text import lineage as text

if TYPE_CHECKING:
    from concento.client.lineage import Made
    from concento.messages.lineage import Training

PURPOSES: Final = ("train-generative", "train-other", "fine-tune")


@click.group(cls=Noun)
def model() -> None:
    """Models: what they learnt from, and what their services make."""


@model.command()
@click.option("--title", required=True, help="What the model is called.")
@click.option("--weights", required=True, metavar="FILE|HASH", help="Its weights, of which only the hash is published.")
@click.option("--service", required=True, metavar="WHO", help="Whose key will register its outputs.")
@click.option("--trained-on", multiple=True, metavar="ASSET[=LICENCE]", help="What it learnt from; repeat.")
@click.option("--purpose", type=click.Choice(PURPOSES), default=PURPOSES[0], show_default=True, help="How it learnt.")
@click.option("--manifest", type=click.Path(path_type=Path, dir_okay=False), help="Instead: a file that says it all.")
@click.option("--split", required=True, metavar="WHO=PERCENT,...", help="Who owns it: bob=100")
@click.option("--allow", multiple=True, metavar="PURPOSE", help="A use that its licences may permit; repeat.")
@click.option("--deny", multiple=True, metavar="PURPOSE", help="A use that they forbid, as all that are not named.")
@click.option("--constrained", multiple=True, metavar="PURPOSE", help="A use within the terms' limits.")
@click.option("--output-rate", metavar="PERCENT", help="What its owner's own outputs owe it of all that they earn.")
@click.option("--output-ceiling", metavar="BEAT", help="None of them owes more than this in all.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; repeat.")
@click.option("--name", help="Remember the model on this machine as @NAME.")
@with_context
def register(context: Context, /, manifest: Path | None, name: str | None, **given: Any) -> int:
    """Register a model version with its training manifest. Refused without licences for all that it learnt from.

    A licence that is not named is looked for among one's own. The manifest is CSV with the columns asset, licence and
    purpose, or JSON Lines with these keys; an empty licence is looked for.

    \b
    concento model register --title "Harbour Model" --weights model.safetensors --service carol \\
        --trained-on DATASET --split bob=100 --allow inference-service --from bob
    """
    from concento.client.lineage import NO_RATE, register_model

    if bool(manifest) == bool(given["trained_on"]):
        raise click.UsageError("What did it learn from? Say --trained-on ASSET, or --manifest FILE, one of them.")
    terms = parse_terms(given["allow"], given["deny"], given["constrained"], None)
    rate = parse_upstream(given["output_rate"], None, given["output_ceiling"]) or NO_RATE
    lines = _from_file(context, manifest) if manifest else _from_options(context, given)
    made = register_model(
        context.session,
        _description(given["title"], given["tags"], "model"),
        lines,
        splits_of(context, given["split"]),
        terms,
        commitment(given["weights"]),
        context.account(given["service"]),
        rate,
    )
    return _finish(context, made, name, functools.partial(text.model_made, title=given["title"], lines=len(lines)))


@model.command()
@click.argument("model_id", metavar="MODEL")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--licence", metavar="LICENCE", help="Whose output it is: the licensee's [the model's owner's].")
@click.option("--parameters", required=True, metavar="FILE|HASH", help="Prompt, seed and settings: only their hash.")
@click.option("--split", metavar="WHO=PERCENT,...", help="Who owns it, where there is no --licence.")
@click.option("--title", help="Its title [what the file says].")
@click.option("--allow", multiple=True, metavar="PURPOSE", help="A use that its licences may permit; repeat.")
@click.option("--deny", multiple=True, metavar="PURPOSE", help="A use that they forbid, as all that are not named.")
@click.option("--constrained", multiple=True, metavar="PURPOSE", help="A use within the terms' limits.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; repeat.")
@click.option("--content", type=click.Path(path_type=Path, file_okay=False), help="Content folder of a gateway.")
@click.option("--name", help="Remember the track on this machine as @NAME.")
@with_context
def output(context: Context, /, model_id: str, file: Path, content: Path | None, name: str | None, **given: Any) -> int:
    """Register the audio FILE that a MODEL has made. --from must be the model's service."""
    from concento.client.audio import read_audio
    from concento.client.lineage import register_output

    if bool(given["licence"]) == bool(given["split"]):
        raise click.UsageError("Whose is it? Say --licence (it is the licensee's), or --split, one of them.")
    terms = parse_terms(given["allow"], given["deny"], given["constrained"], None)
    found = context.client.asset(context.id(model_id))
    licence = context.client.licence(context.id(given["licence"]))["id"] if given["licence"] else ""
    audio = read_audio(file, file.name)
    title = given["title"] or audio.title
    made = register_output(
        context.session,
        _description(title, given["tags"], "audio"),
        bytes.fromhex(found["id"]),
        bytes.fromhex(licence),
        commitment(given["parameters"]),
        audio,
        terms,
        splits_of(context, given["split"]) if given["split"] else (),
    )
    if made.tx["status"] == "final":
        publish_at(context, [audio], content)
    return _finish(context, made, name, functools.partial(text.output_made, title=title, model=found["title"]))


@model.command()
@click.argument("identity", metavar="MODEL")
@with_context
def show(context: Context, identity: str) -> int:
    """A MODEL with its manifest, its service and what its outputs owe."""
    from concento.errors import Rejected

    document = context.client.asset(context.id(identity))
    if document["model"] is None:
        raise Rejected("lineage.not_a_model", asset=document["id"], asset_kind=document["kind"])
    context.printer.result(document, lambda found: text.show_model(found, context.book))
    return exits.OK


def _from_options(context: Context, given: dict[str, Any]) -> list[Training]:
    rows = []
    for entry in given["trained_on"]:
        asset, _, licence = entry.partition("=")
        rows.append((asset, licence, given["purpose"]))
    return _training(context, rows)


def _from_file(context: Context, file: Path) -> list[Training]:
    from concento.client.rows import read_texts
    from concento.errors import Rejected

    rows = []
    for line, (asset, licence, purpose) in read_texts(file, ("asset", "licence", "purpose")):
        if purpose not in PURPOSES:
            reason = f"{purpose!r} is no way to learn; one of {', '.join(PURPOSES)}"
            raise Rejected("rows.invalid", path=str(file), line=line, reason=reason)
        rows.append((asset, licence, purpose))
    return _training(context, rows)


def _training(context: Context, rows: Sequence[tuple[str, str, Any]]) -> list[Training]:
    """The lines of a manifest; licences that are not named are looked for."""
    from concento.client.lineage import find_right
    from concento.messages.lineage import Training

    lines = []
    for asset, licence, purpose in rows:
        found = context.client.asset(context.id(asset))["id"]
        named = bytes.fromhex(right_id(context, licence)) if licence else find_right(context.session, found, purpose)
        lines.append(Training(bytes.fromhex(found), named, purpose))
    return lines


def _description(title: str, tags: Sequence[str], data_type: str) -> Any:
    from concento.messages.assets import Description

    return Description(title, tuple(sorted(set(tags))), data_type, "", 0)


def _finish(context: Context, made: Made, name: str | None, render: Any) -> int:
    if made.tx["status"] == "final" and name:
        labels.remember(context.home, name, made.asset.hex())
    return context.finish({**made.tx, "asset": made.asset.hex()}, render)
