"""`concento tx`: what became of a transaction."""

from __future__ import annotations

import functools
import time

import click

from cli import exits
from cli.context import Context, with_context
from cli.grammar import Noun
from cli.text import tx as text
from concento.errors import Unavailable

_WAIT_S = 60.0
"""Without --timeout: longer than a transaction stays valid by default."""

_REQUEST_MS = 20_000


@click.group(cls=Noun)
def tx() -> None:
    """Transactions by their id, or the beginning of one."""


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
