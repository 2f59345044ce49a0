"""`concento proof`: answers that need no trust in the node that gives them."""

from __future__ import annotations

from pathlib import Path

import click

from cli.context import Context, with_context
from cli.files import read_json, write_json
from cli.grammar import Noun
from cli.text import proofs as text


@click.group(cls=Noun)
def proof() -> None:
    """Proofs of records, checked with the genesis file alone."""


@proof.command()
@click.argument("key")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the proof to FILE.")
@with_context
def get(context: Context, key: str, out: Path | None) -> None:
    """The proof of a KEY: account/WHO, party/WHO, asset/ID, offer/ID, licence/ID or receipt/ID."""
    document = context.client.proof(_full_key(context, key))
    if out is None:
        context.printer.result(document, text.got)
        return
    write_json(out, document)
    context.printer.result(document, lambda found: text.written(found, out))


@proof.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--genesis", type=click.Path(path_type=Path), help="The network's genesis file [this home's].")
@with_context
def verify(context: Context, file: Path, genesis: Path | None) -> None:
    """Check a proof; asks no node and believes none. Exit 0 or 8."""
    from cli.proving import verify_document

    document = read_json(file, "proof")
    context.printer.result(verify_document(document, context.genesis(genesis), context.home), text.verified)


def _full_key(context: Context, key: str) -> str:
    """KIND/NAME with what the name means here."""
    kind, slash, name = key.partition("/")
    if not slash:
        return key
    if kind in ("account", "party"):
        address = context.who(name)
        if not address.startswith(("conc1", "tconc1")) or len(address) < 60:
            address = context.client.account(address)["address"]
        return f"{kind}/{address}"
    if name.startswith("@"):
        return f"{kind}/{context.id(name)}"
    return key
