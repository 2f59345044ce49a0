"""`concento vault`: wide ownership of a part of an income, in lists of any length."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import labels
from cli.context import Context, with_context
from cli.grammar import Noun
from cli.lists import page_of
from cli.text import shares as text
from cli.text.forms import short
from cli.text.tx import written
from cli.uploads import finish, reading, telling

if TYPE_CHECKING:
    from concento.client.rows import Holders
    from concento.client.uploads import Upload


@click.group(cls=Noun)
def vault() -> None:
    """Wide ownership: lists of holders of any length, which shares are moved to."""


@vault.command("open")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--title", required=True, help="What it is called.")
@click.option("--keep-open", is_flag=True, help="Do not seal it: more rows will follow.")
@click.option("--name", help="Remember the vault on this machine as @NAME.")
@with_context
def open_vault(context: Context, file: Path | None, title: str, keep_open: bool, name: str | None) -> int:
    """Open a vault with the holders in FILE and seal it, or an empty one. Run again, it goes on where it ended.

    FILE is CSV with the columns holder and shares, or JSON Lines with these keys. A million rows are a thousand
    transactions.

    \b
    concento vault open fans.csv --title "Friends of Night Bus" --from alice
    """
    from concento.client.vaults import make_vault
    from concento.client.vaults import open_vault as open_empty

    if file is None:
        document = open_empty(context.waiting_session, title)
        made = next((entry["id"] for entry in document["created"] if entry["kind"] == "vault"), None)
        if made and name:
            labels.remember(context.home, name, made)
        hint = f"concento vault add {short(made)} FILE" if made else None
        document = {**document, "vault": made}
        return context.finish(document, lambda done: written(done, f'Vault "{title}" is open: {made}.', hint))
    holders = _holders(context, file)
    with telling(context, "Adding rows", len(holders), "rows") as tell:
        upload = make_vault(context.waiting_session, title, holders, not keep_open, tell)
    if name:
        labels.remember(context.home, name, upload.id)
    return _finish(context, upload)


@vault.command()
@click.argument("identity", metavar="VAULT")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seal", is_flag=True, help="Seal it when all rows are there.")
@with_context
def add(context: Context, identity: str, file: Path, seal: bool) -> int:
    """Add the holders in FILE that a VAULT does not have yet. FILE holds all of its rows, those that are there too."""
    from concento.client.vaults import fill_vault

    holders = _holders(context, file)
    with telling(context, "Adding rows", len(holders), "rows") as tell:
        upload = fill_vault(context.waiting_session, context.id(identity), holders, seal, tell)
    return _finish(context, upload)


@vault.command()
@click.argument("identity", metavar="VAULT")
@with_context
def seal(context: Context, identity: str) -> int:
    """Complete a VAULT: no more rows, and shares may be moved to it."""
    from concento.client.vaults import seal_vault

    found = context.client.vault(context.id(identity))
    document = seal_vault(context.session, found["id"])
    sentence = f'Vault "{found["title"]}" is sealed with {found["rows"]:,} rows.'
    hint = f"concento shares transfer ASSET --to vault:{short(found['id'])} --percent PERCENT"
    return context.finish(document, lambda done: written(done, sentence, hint))


@vault.command()
@click.argument("identity", metavar="VAULT")
@with_context
def show(context: Context, identity: str) -> None:
    """Everything about a VAULT: rows, shares, what it has received and paid out."""
    document = context.client.vault(context.id(identity))
    context.printer.result(document, lambda found: text.show_vault(found, context.book))


@vault.command("list")
@click.option("--owner", metavar="WHO", help="Only vaults that WHO has opened.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_vaults(context: Context, owner: str | None, cursor: str | None, limit: int | None) -> None:
    """Vaults, of whoever opened them or all of them."""
    whose = context.who(owner) if owner else None
    document = page_of(
        lambda place, size: context.client.call("vault_list", owner=whose, cursor=place, limit=size), cursor, limit
    )
    context.printer.result(document, lambda found: text.vaults(found, context.book))


@vault.command()
@click.argument("identity", metavar="VAULT")
@click.option("--from-row", type=click.IntRange(0), help="Begin with this row [0].")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def rows(context: Context, identity: str, from_row: int | None, cursor: str | None, limit: int | None) -> None:
    """Who holds how many shares of a VAULT."""
    document = context.client.vault_rows(context.id(identity), from_row, cursor, limit)
    context.printer.result(document, lambda found: text.vault_rows(found, context.book))


@vault.command()
@click.argument("identity", metavar="VAULT")
@click.option("--from-height", type=click.IntRange(0), help="The first block [0].")
@click.option("--to-height", type=click.IntRange(0), help="The last block [the newest].")
@click.option("--cursor", help="Where the page before ended.")
@with_context
def statement(
    context: Context, identity: str, from_height: int | None, to_height: int | None, cursor: str | None
) -> None:
    """What a VAULT has received, payment by payment; a holder's own part stands in: concento earnings WHO."""
    document = context.client.vault_statement(context.id(identity), from_height, to_height, cursor)
    context.printer.result(document, functools.partial(text.vault_statement, book=context.book))


def _holders(context: Context, file: Path) -> Holders:
    from concento.client.rows import count_lines, read_holders

    found: Holders = reading(
        context, count_lines(file), lambda advance: read_holders(file, context.account_or_id, advance)
    )
    return found


def _finish(context: Context, upload: Upload) -> int:
    def describe() -> dict[str, Any]:
        found = context.client.vault(upload.id)
        return {
            "vault": found["id"],
            "title": found["title"],
            "state": found["state"],
            "rows": found["rows"],
            "rows_before": upload.before,
            "shares_total": found["shares_total"],
        }

    return finish(context, upload, describe, text.filled)
