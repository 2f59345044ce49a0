"""`concento wallet`: keys on this machine, balances and payments on the network."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.text import wallet as text
from cli.text.forms import beat
from cli.text.tx import written


@click.group(cls=Noun)
def wallet() -> None:
    """Keys on this machine, balances and payments on the network.

    A key lives in an encrypted file below HOME/wallet. On a development network its accounts need no key file.
    """


@wallet.command()
@click.argument("name")
@with_context
def new(context: Context, name: str) -> None:
    """Make a key named NAME and show the 24 words that restore it, once."""
    from concento.client.wallet import entry_document

    _check_free(context, name)
    entry, phrase = context.wallet.new(name, context.new_password(name))
    document = {**entry_document(entry, context.dev_guess), "phrase": phrase}
    context.printer.result(document, text.created)


@wallet.command("import")
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--account", type=click.IntRange(0, 2**31 - 1), default=0, help="Account index of the words' path.")
@click.option("--index", type=click.IntRange(0, 2**31 - 1), default=0, help="Key index of the words' path.")
@click.option(
    "--address", "acts_for", metavar="ADDRESS", help="The account that has taken this key with: wallet rotate."
)
@with_context
def import_key(context: Context, name: str, file: Path | None, account: int, index: int, acts_for: str | None) -> None:
    """Bring a key in as NAME: from the exported FILE, or without one from its words, read from stdin or asked for."""
    from concento.accounts import parse_address
    from concento.client.wallet import check_phrase, entry_document

    _check_free(context, name)
    if file is not None and acts_for is not None:
        raise click.UsageError("A key file says itself for which account it signs: --address goes with words.")
    whose = None if acts_for is None else parse_address(acts_for, context.dev_guess)
    if file is not None:
        entry = context.wallet.adopt(name, file, context.password)
    else:
        phrase = check_phrase(_read_words())
        entry = context.wallet.restore(name, phrase, context.new_password(name), account, index, whose)
    context.printer.result(entry_document(entry, context.dev_guess), text.created)


@wallet.command()
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the file here instead of to stdout."
)
@with_context
def export(context: Context, name: str, out: Path | None) -> None:
    """Print the encrypted key file of NAME. It stays encrypted under its password."""
    content = context.wallet.export(name.removeprefix("@"))
    if out is None:
        context.printer.raw(content)
        return
    from concento.client import keyfile

    keyfile.write(out, content)
    context.printer.result({"name": name, "file": str(out)}, lambda document: [f"{name}'s key file is in {out}."])


@wallet.command()
@click.argument("successor", metavar="NEW")
@with_context
def rotate(context: Context, successor: str) -> int:
    """Let the key NEW act for the account of --from in place of its own. The address and the money stay.

    The old key signs for nothing any more; its file is kept. Run again, it goes on where it ended.

    \b
    concento wallet new alice-2026
    concento wallet rotate alice-2026 --from my-alice
    """
    from concento.accounts import Policy
    from concento.errors import Rejected
    from concento.messages.identity import RotateKeys

    name, successor = context.sender.removeprefix("@"), successor.removeprefix("@")
    entry = context.wallet.find(name, context.dev)
    if entry is not None and entry.kind == "dev":
        raise Rejected("wallet.rotate_development", name=name)
    if name == successor:
        raise click.UsageError(f"{name} has this key already. Make another one with: concento wallet new NAME")
    key = context.wallet.key_of(successor, context.password)
    policy = Policy(1, (key,))
    session = context.session
    before = context.client.account(session.address)["policy"]
    document: dict[str, Any] = {"tx": None, "status": "final"}
    if before != {"threshold": policy.threshold, "keys": [key.hex()]}:
        document = session.send([RotateKeys(policy)])
    if document["status"] != "final":
        context.printer.note("Once it is final, run the same command again: until then the wallet keeps the old key.")
        return context.finish(document, functools.partial(written, sentence=""))
    kept = context.wallet.replace(name, successor)
    document = {**document, "name": name, "address": session.address, "key": key.hex(), "kept": str(kept)}
    return context.finish(document, text.rotated)


@wallet.command("list")
@with_context
def list_names(context: Context) -> None:
    """All names: keys, development accounts, contacts."""
    from concento.client.wallet import entry_document

    items = [entry_document(entry, context.dev_guess) for entry in context.wallet.entries(context.dev_guess)]
    for error in context.wallet.spoilt():
        context.printer.note(f"{error.message} ({error.kind}). Next: {error.hint}")
    context.printer.result({"items": items, "next": None, "height": None}, text.listed)


@wallet.command()
@click.argument("name")
@with_context
def show(context: Context, name: str) -> None:
    """The address of NAME and where its key is."""
    from concento.client.wallet import entry_document
    from concento.errors import Rejected

    entry = context.wallet.find(name.removeprefix("@"), context.dev_guess)
    if entry is None:
        raise Rejected("wallet.key_not_found", name=name)
    context.printer.result(entry_document(entry, context.dev_guess), text.entry)


@wallet.command()
@click.argument("name")
@click.argument("address")
@with_context
def contact(context: Context, name: str, address: str) -> None:
    """Remember ADDRESS as NAME in the address book."""
    from concento.client.wallet import entry_document

    _check_not_development(context, name)
    entry = context.wallet.add_contact(name, address, context.dev_guess)
    context.printer.result(entry_document(entry, context.dev_guess), text.entry)


@wallet.command()
@click.argument("who", required=False)
@click.option(
    "--verify", is_flag=True, help="Believe no node: prove the balance with this home's genesis. Exit 0 or 8."
)
@with_context
def balance(context: Context, who: str | None, verify: bool) -> None:
    """What WHO has (default: --from): an address, the beginning of one, or a name."""
    named = who or context.sender
    with context.suggesting(named):
        document = context.client.account(context.who(named))
    if verify:
        document = _proved_balance(context, document)
    context.printer.result(document, functools.partial(text.balance, book=context.book))


@wallet.command()
@click.argument("to")
@click.argument("amount")
@click.option("--memo", default="", help="A remark that everybody can read.")
@with_context
def send(context: Context, to: str, amount: str, memo: str) -> int:
    """Pay TO an AMOUNT of BEAT: concento wallet send bob 12.50 --from alice"""
    from concento.messages.tokens import Transfer
    from concento.units import parse_beat

    amount_ubeat = parse_beat(amount)
    session = context.session
    document = session.send([Transfer(context.account(to), amount_ubeat)], memo=memo)
    sentence = f"{session.signer.name} pays {to} {beat(amount_ubeat)}."
    return context.finish(document, functools.partial(_sent, sentence=sentence, to=to))


@wallet.command()
@click.argument("who", required=False)
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def history(context: Context, who: str | None, cursor: str | None, limit: int | None) -> None:
    """Everything that moved on the account of WHO (default: --from), with its cause."""
    named = who or context.sender
    with context.suggesting(named):
        document = context.client.history(context.who(named), cursor, limit)
    context.printer.result(document, lambda found: text.history(found, context.book))


def _sent(document: dict[str, Any], sentence: str, to: str) -> Any:
    return written(document, sentence, f"concento wallet balance {to}")


def _check_free(context: Context, name: str) -> None:
    """Refuses a bad or taken name before anybody types a password."""
    context.wallet.check_new(name)
    _check_not_development(context, name)


def _check_not_development(context: Context, name: str) -> None:
    """A key or contact of the name of a development account would stand in its place wherever it is named."""
    from concento.development import ACCOUNTS
    from concento.errors import Rejected

    if name in ACCOUNTS and context.dev_or_unknown:
        raise Rejected("wallet.name_development", name=name)


def _read_words() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.read()
    return str(click.prompt("The words, in order", err=True))


def _proved_balance(context: Context, document: dict[str, Any]) -> dict[str, Any]:
    """The account with the balance that its proof shows, whatever the node said of it."""
    import base64

    from cli.proving import verify_document
    from concento.errors import Rejected
    from concento.light import account_value

    genesis = context.genesis(None)
    key = f"account/{document['address']}"
    proof = context.client.proof(key)
    verdict = verify_document(proof, genesis, context.home)
    if verdict["key"] != key:
        raise Rejected("proof.invalid", reason=f"it is about {verdict['key']}")
    value = None if verdict["value"] is None else base64.b64decode(verdict["value"])
    proved = {name: verdict[name] for name in ("height", "signers", "validators")}
    balance_ubeat = str(account_value(value).balance_ubeat)
    return {**document, "balance_ubeat": balance_ubeat, "height": verdict["height"], "proved": proved}
