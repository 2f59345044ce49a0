"""`concento receipt`: what was read under a licence, signed by gateway and reader."""

from __future__ import annotations

from pathlib import Path

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.lists import page_of
from cli.text import licences as text
from cli.text.proofs import receipt_verified
from concento.errors import Rejected


@click.group(cls=Noun)
def receipt() -> None:
    """Proofs of access, co-signed and anchored."""


@receipt.command("list")
@click.option("--licence", metavar="LICENCE", help="Only under this licence.")
@click.option("--licensee", metavar="WHO", help="Only reads of WHO [--from, where given].")
@click.option("--gateway", metavar="WHO", help="Only served by WHO.")
@click.option("--asset", metavar="ASSET", help="Only of this asset.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_receipts(
    context: Context,
    licence: str | None,
    licensee: str | None,
    gateway: str | None,
    asset: str | None,
    cursor: str | None,
    limit: int | None,
) -> None:
    """Anchored receipts."""
    reader = licensee or (None if licence or gateway or asset else context.settings.sender)
    wanted = {
        "licence": context.id(licence) if licence else None,
        "licensee": context.who(reader) if reader else None,
        "gateway": context.who(gateway) if gateway else None,
        "asset": context.id(asset) if asset else None,
    }
    document = page_of(
        lambda place, size: context.client.call("receipt_list", **wanted, cursor=place, limit=size), cursor, limit
    )
    context.printer.result(document, text.receipts)


@receipt.command()
@click.argument("identity", metavar="RECEIPT")
@with_context
def show(context: Context, identity: str) -> None:
    """Everything about a RECEIPT."""
    context.printer.result(context.client.receipt(context.id(identity)), text.receipt)


@receipt.command()
@click.argument("identity", metavar="RECEIPT")
@click.option("--genesis", type=click.Path(path_type=Path), help="The network's genesis file [this home's].")
@with_context
def verify(context: Context, identity: str, genesis: Path | None) -> None:
    """Prove with the genesis file alone that a RECEIPT is anchored and signed by both sides. Exit 0 or 8."""
    from cli.proving import verify_document

    trusted = context.genesis(genesis)
    wanted = context.id(identity)
    verdict = verify_document(context.client.proof(f"receipt/{wanted}"), trusted)
    proved = str(verdict["key"]).removeprefix("receipt/")
    if not proved.startswith(wanted):
        raise Rejected("proof.invalid", reason=f"it is of receipt {proved}")
    context.printer.result({**verdict, "receipt": proved}, receipt_verified)
