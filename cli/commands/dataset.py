"""`concento dataset`: what is registered already, gathered in lists of any length."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import labels
from cli.commands.asset import splits_of
from cli.context import Context, with_context
from cli.grammar import Noun
from cli.parsing import parse_bps
from cli.text import datasets as text
from cli.text.forms import short
from cli.text.tx import written
from cli.uploads import finish, reading, telling

if TYPE_CHECKING:
    from concento.client.uploads import Upload

WEIGHTS = ("equal", "seconds", "bytes", "usage")


@click.group(cls=Noun)
def dataset() -> None:
    """Gather what is registered already, in lists of any length."""


@dataset.command("open")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--title", required=True, help="Title of the dataset.")
@click.option(
    "--weight", type=click.Choice(WEIGHTS), default="equal", show_default=True, help="What a member earns by."
)
@click.option("--curator", metavar="WHO=PERCENT,...", help="Who has the curator's part.")
@click.option("--curator-part", metavar="PERCENT", help="How much of the income that is.")
@click.option("--previous", metavar="DATASET", help="The version before, of one's own.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; repeat.")
@click.option("--keep-open", is_flag=True, help="Do not seal it: more members will follow.")
@click.option("--name", help="Remember the dataset on this machine as @NAME.")
@with_context
def open_dataset(context: Context, /, file: Path, keep_open: bool, name: str | None, **given: Any) -> int:
    """Make a dataset of the assets in FILE and seal it. Run again, it goes on where it ended.

    FILE is CSV with the column asset, JSON Lines with this key, or an id or CID a line. With --weight usage the metered
    money goes to whose files were read.

    \b
    concento dataset open tracks.csv --title "Harbour Tapes" --curator erin=100 --curator-part 10 --from alice
    """
    from concento.client.members import make_dataset
    from concento.messages.assets import Description, RegisterDataset

    if bool(given["curator"]) != bool(given["curator_part"]):
        raise click.UsageError("A --curator has a part: say --curator and --curator-part, or neither.")
    part_bps = parse_bps(given["curator_part"]) if given["curator_part"] else 0
    previous = context.client.asset(context.id(given["previous"]))["id"] if given["previous"] else ""
    message = RegisterDataset(
        Description(given["title"], tuple(sorted(set(given["tags"]))), "music", "", 0),
        given["weight"],
        10_000 - part_bps,
        splits_of(context, given["curator"]) if given["curator"] else (),
        bytes.fromhex(previous),
    )
    members = _members(context, file)
    with telling(context, "Adding members", len(members), "members") as tell:
        upload = make_dataset(context.waiting_session, message, members, not keep_open, tell)
    if name:
        labels.remember(context.home, name, upload.id)
    return _finish(context, upload)


@dataset.command()
@click.argument("identity", metavar="DATASET")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seal", is_flag=True, help="Seal it when all members are there.")
@with_context
def add(context: Context, identity: str, file: Path, seal: bool) -> int:
    """Add the assets in FILE that a DATASET does not have yet. FILE holds all of its members, those there too."""
    from concento.client.members import add_members

    members = _members(context, file)
    with telling(context, "Adding members", len(members), "members") as tell:
        upload = add_members(context.waiting_session, context.id(identity), members, seal, tell)
    return _finish(context, upload)


@dataset.command()
@click.argument("identity", metavar="DATASET")
@with_context
def seal(context: Context, identity: str) -> int:
    """Complete a DATASET: its members, weights and terms are fixed, and it may be sold."""
    from concento.messages.assets import SealDataset

    found = context.client.asset(context.id(identity))
    document = context.session.send([SealDataset(bytes.fromhex(found["id"]))])
    sentence = f'"{found["title"]}" is sealed.'
    hint = f"concento licence offer {short(found['id'])} --allow PURPOSE --price BEAT"
    return context.finish(document, lambda done: written(done, sentence, hint))


@dataset.command()
@click.argument("identity", metavar="DATASET")
@click.option("--deep", is_flag=True, help="Open the datasets inside it.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def members(context: Context, identity: str, deep: bool, cursor: str | None, limit: int | None) -> None:
    """The members of a DATASET with their weights and files."""
    document = context.client.members(context.id(identity), cursor, limit, deep)
    context.printer.result(document, text.members)


def _members(context: Context, file: Path) -> list[bytes]:
    from concento.client.rows import count_lines, read_assets

    found: list[bytes] = reading(
        context, count_lines(file), lambda advance: read_assets(file, lambda one: _asset(context, one), advance)
    )
    return found


def _asset(context: Context, text: str) -> bytes:
    """A whole id is taken as it is; CIDs, names and beginnings of ids are asked of the node."""
    from concento.client.rpc import find
    from concento.errors import Rejected

    if len(text) == 64 and all(digit in "0123456789abcdef" for digit in text):
        return bytes.fromhex(text)
    found = find(context.client.asset, context.id(text))
    if found is None:
        raise Rejected("asset.not_found", text=text)
    return bytes.fromhex(found["id"])


def _finish(context: Context, upload: Upload) -> int:
    def describe() -> dict[str, Any]:
        found = context.client.asset(upload.id)
        return {
            "dataset": found["id"],
            "title": found["title"],
            "state": found["state"],
            "members": found["members"]["count"],
            "members_before": upload.before,
            "weight_rule": found["members"]["weight_rule"],
        }

    return finish(context, upload, describe, text.gathered)
