"""`concento tx`: what became of a transaction; and one that is built, signed and handed in on different machines."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import exits
from cli.context import Context, with_context
from cli.grammar import Noun, Verb
from cli.text import tx as text
from concento.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from cli.drafts import Draft, Drafted
    from concento.messages import Action
    from concento.transactions import Body

_WAIT_S = 60.0
"""Without --timeout: longer than a transaction stays valid by default."""

_REQUEST_MS = 20_000


_WRITERS: Final = (
    "wallet", "identity", "asset", "dataset", "model", "licence", "shares", "vault", "usage", "dispute", "gov",
)  # fmt: skip
"""The nouns with commands that write to the chain."""

_CLOCKS_S: Final = 10
"""Less than the longest time that the chain allows: clocks may differ."""

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group(cls=Noun)
def tx() -> None:
    """Transactions: by their id, or the beginning of one; and in a FILE, to sign them on a machine without a node."""


@tx.command()
@click.argument("identity", metavar="ID")
@with_context
def show(context: Context, identity: str) -> None:
    """What a transaction asked for and what happened."""
    context.printer.result(
        context.client.transaction(context.id(identity)), functools.partial(text.show, book=context.book)
    )


@tx.command()
@click.argument("identity", metavar="ID")
@with_context
def wait(context: Context, identity: str) -> int:
    """Wait until the fate of a transaction is known; exit 7 where it is not in time."""
    identity = context.id(identity)
    limit_s = _WAIT_S if context.settings.timeout_s is None else context.settings.timeout_s
    deadline = time.monotonic() + limit_s
    while True:
        left_ms = int((deadline - time.monotonic()) * 1000)
        document = context.client.transaction(identity, wait_ms=max(1, min(left_ms, _REQUEST_MS)))
        if document["status"] not in ("pending", "shared"):
            break
        if time.monotonic() >= deadline:
            raise Unavailable("tx.outcome_unknown", tx=identity)
    context.printer.result(document, functools.partial(text.show, book=context.book))
    return exits.exit_of_tx(document)


class _Build(Verb):
    """Options behind FILE are the COMMAND's; where --action stands in place of one, they are this command's own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_interspersed_args = False
        rest = super().parse_args(ctx, list(args))
        if ctx.params["source"] is not None:
            ctx.allow_interspersed_args = True
            ctx.params.clear()
            rest = super().parse_args(ctx, list(args))
        return rest


@tx.command(cls=_Build)
@_file
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--action", "source", type=click.Path(path_type=Path), help="A JSON file: one action, or a list of them.")
@click.option("--memo", default="", help="With --action: a remark that everybody can read.")
@click.option(
    "--valid", "valid_s", type=click.FloatRange(min=1), metavar="S", help="Valid for so long [what the chain allows]."
)
@with_context
def build(
    context: Context, file: Path, command: tuple[str, ...], source: Path | None, memo: str, valid_s: float | None
) -> None:
    """Write what a COMMAND would sign into a FILE, unsigned: concento tx build pay.json wallet send bob 5 --from alice

    Or actions as JSON: concento tx build --action claim.json pay.json. Then: tx sign, on any machine, and tx send.
    """
    from cli.drafts import Drafted, make_draft, write_draft
    from concento.client.session import Session

    if command and command[0].startswith("-"):
        raise click.UsageError(f"{command[0]} stands before FILE: what follows it is the COMMAND.")
    if bool(command) == bool(source):
        raise click.UsageError("Say either a COMMAND that writes, or --action FILE.")
    context.settings.drafts = True
    drafted = _drafted(context, command) if source is None else Drafted(_actions(context, source), None, memo)
    window_s = context.client.call("chain_getParams")["consensus"]["replay_window_ms"] / 1_000
    if valid_s is not None and valid_s > window_s:
        raise click.UsageError(f"The chain takes nothing that is valid for more than {window_s:g} seconds.")
    session = Session(context.client, context.signer(), int((valid_s or max(1, window_s - _CLOCKS_S)) * 1_000))
    policy = context.client.account(session.address)["policy"]
    draft = make_draft(session, drafted, context.dev, policy["threshold"] if policy else 1)
    if file.exists():
        context.printer.confirm(f"Overwrite {file}?")
    write_draft(file, draft)
    context.printer.result(_draft_document(file, draft), functools.partial(text.built, book=context.book))


@tx.command("sign")
@_file
@with_context
def sign_file(context: Context, file: Path) -> None:
    """Show what the transaction in FILE asks for, and sign it as --from [whose it is]. No node is asked."""
    from cli.drafts import read_draft, write_draft
    from cli.naming import names_of

    draft = read_draft(file)
    book = names_of(context.home, draft.dev)
    for line in text.asked_for(_draft_document(file, draft), book):
        context.printer.note(line)
    signer = context.signer(context.settings.sender or _owner(context, draft), draft.dev)
    if signer.account != draft.body.sender:
        context.printer.note(f"{signer.name} is not its sender: this counts if the sender's policy has the key.")
    context.printer.confirm(f"Sign this as {signer.name}?")
    draft = draft.signed_by(signer.seeds)
    draft.transaction()
    write_draft(file, draft)
    context.printer.result(_draft_document(file, draft), functools.partial(text.signed, name=signer.name))


@tx.command("send")
@_file
@with_context
def send_file(context: Context, file: Path) -> int:
    """Hand in the signed transaction in FILE, and wait until it is final."""
    from cli.drafts import read_draft
    from cli.session import WritingSession
    from concento.client import Signer

    draft = read_draft(file)
    if not draft.signatures:
        raise Rejected("tx.unsigned", path=str(file))
    transaction = draft.transaction()
    sender = Signer("", draft.body.sender, ())
    session = WritingSession(context.client, sender, context.settings.wait, context.settings.timeout_s)
    session.judge(context.client.simulate(transaction.raw))
    document = session.hand_in(transaction)
    return context.finish(
        document, functools.partial(text.written, sentence=f"The transaction in {file} has its effect.")
    )


@tx.command("decode")
@click.argument("source", metavar="FILE|HEX")
@with_context
def show_bytes(context: Context, source: str) -> None:
    """What is in a transaction FILE, or in the HEX of one, signed or not. No node is asked."""
    from cli.drafts import body_in, read_draft
    from cli.files import read_json
    from cli.naming import names_of

    path = Path(source)
    try:
        raw = bytes.fromhex(source.removeprefix("0x"))
    except ValueError:
        draft = read_draft(path)
        document, dev = _draft_document(path, draft), draft.dev
    else:
        genesis = context.find_genesis()
        dev = genesis is None or bool(read_json(genesis, "genesis").get("dev"))
        document = _document(*body_in(raw), dev)
    context.printer.result(document, functools.partial(text.decoded, book=names_of(context.home, dev)))


def _drafted(context: Context, command: tuple[str, ...]) -> Drafted:
    """What a command would have signed."""
    from cli.drafts import Drafted

    if command[0] not in _WRITERS:
        raise click.UsageError(f"concento {command[0]} writes nothing to the chain; these do: {', '.join(_WRITERS)}.")
    root = click.get_current_context().find_root().command
    try:
        root.main(list(command), prog_name="concento", standalone_mode=False, obj=context.settings)
    except Drafted as drafted:
        return drafted
    raise click.UsageError(f"concento {' '.join(command[:2])} writes nothing to the chain.")


def _actions(context: Context, source: Path) -> tuple[Action, ...]:
    from cli.files import read_json
    from concento.client.actions import action_of

    found = read_json(source, "action")
    return tuple(action_of(action, context.account) for action in (found if isinstance(found, list) else [found]))


def _owner(context: Context, draft: Draft) -> str | None:
    """The name of the key here that acts for the sender."""
    entries = context.wallet.entries(draft.dev)
    return next(
        (entry.name for entry in entries if entry.account == draft.body.sender and entry.kind != "contact"), None
    )


def _draft_document(file: Path, draft: Draft) -> dict[str, Any]:
    return {"file": str(file), **_document(draft.body, tuple(sorted(draft.signatures)), draft.dev)}


def _document(body: Body, signers: tuple[bytes, ...], dev: bool) -> dict[str, Any]:
    from concento.accounts import address
    from concento.encoding import encode
    from concento.transactions import transaction_id
    from state.queries_tx import action_json

    return {
        "tx": transaction_id(encode(body)).hex(),
        "chain_id": body.chain_id,
        "sender": address(body.sender, dev),
        "valid_until_ms": body.valid_until_ms,
        "max_fee_ubeat": str(body.max_fee_ubeat),
        "memo": body.memo,
        "actions": [action_json(action, dev) for action in body.actions],
        "signers": [key.hex() for key in signers],
    }
