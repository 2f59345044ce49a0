"""`concento asset`: music on the chain. The audio itself stays with its owner and the gateways that he chooses."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import exits, labels
from cli.context import Context, with_context
from cli.grammar import Noun
from cli.lists import page_of
from cli.parsing import parse_layers, parse_pricing, parse_terms
from cli.text import assets as text
from cli.text.forms import plural, short
from cli.text.tx import fees, written

if TYPE_CHECKING:
    from concento.client.audio import AudioFile
    from concento.client.datasets import Album, Skipped
    from concento.messages.assets import Split


KINDS = ("work", "recording", "dataset", "model", "output", "remix")


@click.group(cls=Noun)
def asset() -> None:
    """Works, recordings and datasets: register, show, find."""


@asset.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--title", required=True, help="Title of the dataset.")
@click.option("--split", required=True, metavar="WHO=PERCENT,...", help="Who owns the recordings: alice=70,bea=30")
@click.option("--work-split", metavar="WHO=PERCENT,...", help="Who owns the works [as --split].")
@click.option("--layers", default="work=50,recording=50", show_default=True, help="What each rights layer earns.")
@click.option("--allow", multiple=True, metavar="PURPOSE", help="A use that the licence permits; repeat.")
@click.option("--deny", multiple=True, metavar="PURPOSE", help="A use that it forbids, as all that are not named.")
@click.option("--constrained", multiple=True, metavar="PURPOSE", help="A use that it permits within the terms' limits.")
@click.option("--price", metavar="BEAT", help="Price of a licence, once.")
@click.option("--per-access", metavar="BEAT", help="Price of each file that is fetched.")
@click.option("--per-second", metavar="BEAT", help="Price of each second of audio that is fetched.")
@click.option("--duration-days", type=click.IntRange(1, 3650), help="How long a licence lasts [without end].")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; repeat.")
@click.option("--name", help="Remember the dataset on this machine as @NAME.")
@click.option("--content", type=click.Path(path_type=Path, file_okay=False), help="Content folder of a gateway.")
@click.option("--dry-run", is_flag=True, help="Show what would be registered, and the fee.")
@with_context
def add(context: Context, /, folder: Path, dry_run: bool, name: str | None, content: Path | None, **given: Any) -> int:
    """Register the audio files in FOLDER as recordings of new works, put them into a dataset and offer it.

    Every file is decoded in full first. A run that was broken off is simply run again.

    \b
    concento asset add ./album --title "Night Bus" --split alice=70,bea=30 \\
        --allow train-generative --price 40 --per-access 0.05 --tag lofi --from alice
    """
    from concento.client.datasets import estimate, register

    album = _album(context, given)
    tracks, skipped = _scan(context, folder)
    if dry_run:
        document = _document(estimate(context.waiting_session, album, tracks), skipped)
        context.printer.result(document, functools.partial(text.planned, title=album.title))
        return exits.OK
    outcome = register(context.waiting_session, album, tracks, lambda done, total: _tell(context, done, total))
    if not outcome.txs or outcome.txs[-1]["status"] == "final":
        publish_at(context, tracks, content)
        if name:
            labels.remember(context.home, name, outcome.dataset)
    registered = {"dataset": outcome.dataset, "offer": outcome.offer, "recordings": outcome.recordings}
    document = _document({**registered, "txs": outcome.txs, "fee_ubeat": str(fees(outcome.txs))}, skipped)
    return _finish_add(context, document, album, name)


@asset.command()
@click.argument("identity", metavar="ASSET")
@with_context
def show(context: Context, identity: str) -> None:
    """Everything about an ASSET: parts, rights, holders, offers."""
    document = context.client.asset(context.id(identity))
    context.printer.result(document, lambda found: text.show(found, context.book))


@asset.command()
@click.argument("identity", metavar="ASSET")
@click.option("--descendants", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option("--depth", type=click.IntRange(1, 256), help="Generations [all].")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def lineage(
    context: Context, identity: str, descendants: bool, depth: int | None, cursor: str | None, limit: int | None
) -> None:
    """What an ASSET was made from, and what it owes for it."""
    direction = "descendants" if descendants else "ancestors"
    asset_id = context.id(identity)
    document = context.client.call(
        "asset_getLineage", id=asset_id, direction=direction, depth=depth, cursor=cursor, limit=limit
    )
    context.printer.result(document, text.lineage)


@asset.command("list")
@click.option("--owner", metavar="WHO", help="Only what WHO has registered [--from, where given].")
@click.option("--kind", type=click.Choice(KINDS), help="Only one kind.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_assets(context: Context, owner: str | None, kind: str | None, cursor: str | None, limit: int | None) -> None:
    """Assets by owner and kind."""
    chosen = owner or context.settings.sender
    whose = context.who(chosen) if chosen else None
    document = page_of(
        lambda place, size: context.client.call("asset_list", owner=whose, kind=kind, cursor=place, limit=size),
        cursor,
        limit,
    )
    context.printer.result(document, text.listed)


@asset.command()
@click.option("--tag", help="Carries this tag.")
@click.option("--purpose", help="Has an offer that permits this use.")
@click.option("--owner", metavar="WHO", help="Belongs to WHO.")
@click.option("--isrc", help="Recording with this ISRC.")
@click.option("--iswc", help="Work with this ISWC.")
@click.option("--max-price", metavar="BEAT", help="Has an offer that costs at most this much, once.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def search(
    context: Context,
    tag: str | None,
    purpose: str | None,
    owner: str | None,
    isrc: str | None,
    iswc: str | None,
    max_price: str | None,
    cursor: str | None,
    limit: int | None,
) -> None:
    """Find music that can be licensed."""
    from cli.parsing import parse_purpose
    from concento.identifiers import check_isrc, check_iswc, plain
    from concento.units import parse_beat

    if purpose:
        parse_purpose(purpose)
    recording, composition = plain(isrc or ""), plain(iswc or "")
    check_isrc(recording)
    check_iswc(composition)
    wanted = {
        "tag": tag,
        "purpose": purpose,
        "owner": context.who(owner) if owner else None,
        "isrc": recording or None,
        "iswc": composition or None,
        "max_price_ubeat": str(parse_beat(max_price)) if max_price else None,
    }
    document = page_of(
        lambda place, size: context.client.call("asset_search", **wanted, cursor=place, limit=size), cursor, limit
    )
    context.printer.result(document, functools.partial(text.found, purpose=purpose))


@asset.command()
@click.argument("identity", metavar="ASSET")
@click.option("--title", help="Another title.")
@click.option("--tag", "tags", multiple=True, help="The words to find it by from now on; repeat.")
@click.option("--language", help="The language of its words, such as en or de-AT.")
@with_context
def update(context: Context, identity: str, title: str | None, tags: tuple[str, ...], language: str | None) -> int:
    """Correct what people search an ASSET of one's own by; rights and content stay."""
    from concento.messages.assets import Description, UpdateMetadata

    if title is None and not tags and language is None:
        raise click.UsageError("What is to change? Say --title, --tag or --language.")
    found = context.client.asset(context.id(identity))
    description = Description(
        found["title"] if title is None else title,
        tuple(sorted(set(tags))) if tags else tuple(found["tags"]),
        found["data_type"],
        (found["language"] or "") if language is None else language,
        int(found["created_ms"]),
    )
    action = UpdateMetadata(bytes.fromhex(found["id"]), int(found["version"]) + 1, description)
    document = context.session.send([action])
    sentence = f'"{description.title}" is described anew.'
    return context.finish(document, lambda done: written(done, sentence, f"concento asset show {short(found['id'])}"))


@asset.command()
@click.argument("identity", metavar="ASSET")
@with_context
def retire(context: Context, identity: str) -> int:
    """End new licences and memberships of an ASSET of one's own; what was sold stays valid, income is still paid."""
    from concento.messages.assets import RetireAsset

    found = context.client.asset(context.id(identity))
    context.printer.confirm(f'Retire "{found["title"]}" for good?')
    document = context.session.send([RetireAsset(bytes.fromhex(found["id"]))])
    sentence = f'"{found["title"]}" is retired.'
    return context.finish(document, lambda done: written(done, sentence, f"concento asset show {short(found['id'])}"))


def _tell(context: Context, done: int, total: int) -> None:
    if total > 1:
        context.printer.note(f"{done} of {total} transactions are final.")


def _album(context: Context, given: dict[str, Any]) -> Album:
    from concento.client.datasets import Album

    terms = parse_terms(given["allow"], given["deny"], given["constrained"], given["duration_days"])
    pricing = parse_pricing(given["price"], given["per_access"], given["per_second"])
    work_bps = parse_layers(given["layers"])
    splits = splits_of(context, given["split"])
    work_splits = splits_of(context, given["work_split"]) if given["work_split"] else splits
    return Album(given["title"], splits, work_splits, work_bps, terms, pricing, tuple(given["tags"]))


def splits_of(context: Context, text: str) -> tuple[Split, ...]:
    """Splits from "alice=70,bea=30"."""
    from concento.client.datasets import parse_splits
    from concento.errors import Rejected

    shares = []
    for row in text.split(","):
        who, equals, percent = row.strip().rpartition("=")
        if not equals or not who:
            raise Rejected("split.malformed", text=row.strip())
        shares.append((context.account(who), percent.removesuffix("%").strip()))
    return parse_splits(shares)


def publish_at(context: Context, tracks: Sequence[AudioFile], content: Path | None) -> None:
    """Copies files into the content folder that was named, or into that of this home's gateway."""
    from concento.client.datasets import publish

    place = content or _content_folder(context)
    if place is not None:
        publish(tracks, place)
        context.printer.detail(f"The gateway's copies are in {place}.")


def _scan(context: Context, folder: Path) -> tuple[list[AudioFile], list[Skipped]]:
    from concento.client.datasets import folder_bytes, scan

    total = folder_bytes(folder) if folder.is_dir() else 0
    with context.printer.progress("Reading audio", total) as advance:
        tracks, skipped = scan(folder, advance)
    for file in skipped:
        context.printer.note(f"Skipped {file.path}: {file.message} ({file.kind})")
    return tracks, skipped


def _document(found: dict[str, Any], skipped: Sequence[Skipped]) -> dict[str, Any]:
    """The fields in the order of the documentation."""
    failed = [{"path": file.path, "kind": file.kind, "message": file.message} for file in skipped]
    return {
        "dataset": found["dataset"],
        "offer": found["offer"],
        "recordings": found["recordings"],
        "skipped": failed,
        "txs": found.get("txs", []),
        "fee_ubeat": str(found["fee_ubeat"]),
        **({"transactions": found["transactions"]} if "transactions" in found else {}),
    }


def _content_folder(context: Context) -> Path | None:
    """The content folder of this home's gateway, where there is one."""
    places = (context.home / "testnet" / "gateway" / "content", context.home / "gateway" / "content")
    return next((place for place in places if place.parent.is_dir()), None)


def _finish_add(context: Context, document: dict[str, Any], album: Album, name: str | None) -> int:
    last = document["txs"][-1] if document["txs"] else None
    render = functools.partial(text.added, title=album.title, name=name)
    if last is None or last["status"] == "final":
        context.printer.result(document, render)
        return exits.OK
    if context.settings.json:
        context.printer.result(document, render)
        return _partial_exit(document)
    from cli.session import failure_of

    final = sum(tx["status"] == "final" for tx in document["txs"])
    context.printer.note(f"{plural(final, 'transaction')} became final, then one was {last['status']}. Run it again.")
    context.printer.failure(failure_of(last))
    return _partial_exit(document)


def _partial_exit(document: dict[str, Any]) -> int:
    """5 only where nothing was registered; what was begun can be completed by the same command."""
    begun = any(tx["status"] == "final" for tx in document["txs"])
    return exits.OK if begun else exits.exit_of_tx(document["txs"][-1])
