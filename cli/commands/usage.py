"""`concento usage`: datasets that go by use, and the money that waits for it to be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.lists import page_of
from cli.text import shares as text
from cli.uploads import finish, telling


@click.group(cls=Noun)
def usage() -> None:
    """Money of datasets that go by use: see what waits, post who was used."""


@usage.command("list")
@click.option("--asset", metavar="DATASET", help="Only of this dataset.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_pots(context: Context, asset: str | None, cursor: str | None, limit: int | None) -> None:
    """Batches whose money waits for the use that their readers have signed."""
    dataset = context.id(asset) if asset else None
    document = page_of(
        lambda place, size: context.client.call("usage_listPots", asset=dataset, cursor=place, limit=size),
        cursor,
        limit,
    )
    context.printer.result(document, text.pots)


@usage.command()
@click.argument("pot", type=click.IntRange(1))
@with_context
def show(context: Context, pot: int) -> None:
    """What waits in a POT, and the rows that the receipts of its batch give."""
    from concento.client import RpcError

    document: dict[str, Any] = context.client.pot(pot)
    try:
        rows = context.client.usage_rows(pot)["rows"]
    except RpcError as error:
        if error.kind != "usage.rows_not_found":
            raise
        rows = None
    context.printer.result({**document, "rows": rows}, lambda found: text.show_pot(found, context.book))


@usage.command()
@click.argument("pot", type=click.IntRange(1))
@click.option(
    "--rows",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV with the columns member and units, where the chain does not know the receipts.",
)
@with_context
def post(context: Context, pot: int, file: Path | None) -> int:
    """Post the usage that a POT waits for: its members are paid at once. Anybody may; a gateway does it by itself."""
    from concento.client.rows import read_numbers
    from concento.client.usage import post_usage
    from concento.messages.receipts import UsageRow

    asset = context.client.pot(pot)["asset"]
    rows = None if file is None else [UsageRow(*row) for row in read_numbers(file, ("member", "units"))]
    with telling(context, "Posting", len(rows or ()), "rows") as tell:
        upload = post_usage(context.waiting_session, pot, rows, tell)
    document = {"pot": pot, "asset": asset, "rows": upload.count, "rows_before": upload.before}
    return finish(context, upload, lambda: document, text.posted)
