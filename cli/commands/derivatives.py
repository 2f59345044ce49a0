"""`concento asset derive`, `amend`, `amendments`: what was made from others, and parents that were found later."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from cli import labels
from cli.commands.asset import asset, publish_at, splits_of
from cli.context import Context, with_context
from cli.lists import page_of
from cli.parsing import parse_bps, parse_terms
from cli.rights import right_id
from cli.text import lineage as text


@asset.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--parent", "parents", multiple=True, required=True, metavar="ASSET[=LICENCE]", help="Made from; repeat.")
@click.option("--split", required=True, metavar="WHO=PERCENT,...", help="Who owns it: fay=100")
@click.option("--title", help="Its title [what the file says].")
@click.option("--isrc", default="", help="Its ISRC.")
@click.option("--allow", multiple=True, metavar="PURPOSE", help="A use that its licences may permit; repeat.")
@click.option("--deny", multiple=True, metavar="PURPOSE", help="A use that they forbid, as all that are not named.")
@click.option("--constrained", multiple=True, metavar="PURPOSE", help="A use within the terms' limits.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; repeat.")
@click.option("--content", type=click.Path(path_type=Path, file_okay=False), help="Content folder of a gateway.")
@click.option("--name", help="Remember it on this machine as @NAME.")
@with_context
def derive(
    context: Context, /, file: Path, parents: tuple[str, ...], content: Path | None, name: str | None, **given: Any
) -> int:
    """Register the audio FILE as made from other assets: a remix. What it owes them stands in the licences.

    A licence that is not named is looked for among one's own.

    \b
    concento asset derive mix.flac --parent TRACK --parent SONG=LICENCE --split fay=100 --allow sync-display --from fay
    """
    from concento.client.audio import read_audio
    from concento.client.lineage import find_right, register_remix
    from concento.identifiers import check_isrc
    from concento.messages.assets import Description
    from concento.messages.lineage import Parent

    isrc = given["isrc"].replace("-", "").upper()
    check_isrc(isrc)
    terms = parse_terms(given["allow"], given["deny"], given["constrained"], None)
    splits = splits_of(context, given["split"])
    rights = []
    for entry in parents:
        parent, _, licence = entry.partition("=")
        found = context.client.asset(context.id(parent))["id"]
        right = (
            bytes.fromhex(right_id(context, licence)) if licence else find_right(context.session, found, "derive-remix")
        )
        rights.append(Parent(bytes.fromhex(found), right))
    audio = read_audio(file, file.name)
    title = given["title"] or audio.title
    description = Description(title, tuple(sorted(set(given["tags"]))), "audio", "", 0)
    made = register_remix(context.session, description, rights, splits, terms, audio, isrc)
    if made.tx["status"] == "final":
        publish_at(context, [audio], content)
        if name:
            labels.remember(context.home, name, made.asset.hex())
    document = {**made.tx, "asset": made.asset.hex()}
    return context.finish(document, functools.partial(text.derived, title=title, parents=len(rights)))


@asset.command()
@click.argument("child")
@click.option("--parent", required=True, metavar="ASSET", help="What it was made from, as was found later.")
@click.option("--rate", metavar="PERCENT", help="What CHILD owes it of all that it earns from now on.")
@click.option("--ceiling", metavar="BEAT", help="It owes no more than this in all.")
@click.option("--withdraw", is_flag=True, help="Take a proposal back, or decline it.")
@with_context
def amend(context: Context, child: str, parent: str, rate: str | None, ceiling: str | None, withdraw: bool) -> int:
    """Say that CHILD was made from a parent. It counts when the owners of both have said the same within 30 days."""
    from concento.client.lineage import amend as say
    from concento.units import parse_beat

    if bool(rate) == withdraw or (withdraw and ceiling):
        raise click.UsageError("What does it owe? Say --rate PERCENT, or --withdraw, one of them.")
    below = context.client.asset(context.id(child))
    above = context.client.asset(context.id(parent))
    rel_bps = parse_bps(rate) if rate else 0
    if rate and not rel_bps:
        raise click.UsageError("A rate of 0 is --withdraw.")
    ceiling_ubeat = parse_beat(ceiling) if ceiling else None
    document = say(context.session, bytes.fromhex(below["id"]), bytes.fromhex(above["id"]), rel_bps, ceiling_ubeat)
    return context.finish(document, functools.partial(text.amended, child=below, parent=above, rate=rate))


@asset.command()
@click.argument("identity", metavar="[ASSET]", required=False)
@click.option("--owner", metavar="WHO", help="Only what concerns assets of WHO [--from, where given].")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def amendments(
    context: Context, identity: str | None, owner: str | None, cursor: str | None, limit: int | None
) -> None:
    """Parents that one owner has proposed and the other has not agreed to."""
    chosen = owner or (None if identity else context.settings.sender)
    wanted = {
        "asset": context.id(identity) if identity else None,
        "owner": context.who(chosen) if chosen else None,
    }
    document = page_of(
        lambda place, size: context.client.call("asset_listAmendments", **wanted, cursor=place, limit=size),
        cursor,
        limit,
    )
    context.printer.result(document, lambda found: text.amendments(found, context.book))
