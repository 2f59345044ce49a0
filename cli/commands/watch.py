"""`concento watch`: what happens, as it becomes final."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import click

from cli import labels
from cli.commands.explain import IDS
from cli.context import Context, with_context
from cli.grammar import Verb
from cli.nearest import suggestion
from concento.accounts import address
from concento.client import RpcError
from concento.errors import Rejected, Unavailable

_RETRY_S: Final = 1.0
_HEX: Final = frozenset("0123456789abcdef")
_ID_DIGITS: Final = 64
_ID_DIGITS_MIN: Final = 8


@click.command(cls=Verb)
@click.argument("topics", nargs=-1, metavar="[TOPIC]...")
@click.option("--since", metavar="CURSOR", help="Begin behind this place (HEIGHT or HEIGHT.INDEX) [now].")
@click.option("--count", type=click.IntRange(1), help="End after this many events [never].")
@with_context
def watch(context: Context, topics: Sequence[str], since: str | None, count: int | None) -> None:
    """Follow events, one line each; goes on after a lost connection without a gap.

    TOPIC is a part of the ledger (block, tokens, asset, dataset, licence, receipts, lineage, royalties ...), an event
    kind, an id, an address, a name, or tag:WORD. Without one: everything.
    """
    names = ",".join(_topic(context, topic) for topic in topics)
    cursor, seen = since, 0
    connected = False
    while True:
        try:
            for event in context.client.events(names, cursor):
                connected = True
                if event.get("lagged"):
                    context.printer.note(f"Too slow: events were left out; they begin behind {event['resume_from']}.")
                    continue
                cursor = event["cursor"]
                context.printer.item(event, _line)
                seen += 1
                if seen == count:
                    return
        except Unavailable as error:
            if not connected and cursor is None:
                raise
            context.printer.note(f"{error.message}; trying again.")
        time.sleep(_RETRY_S)


def _topic(context: Context, text: str) -> str:
    """The topic as events carry it: names as addresses, ids in full. Raises a usage error where it is none."""
    from state.events import EVENT_KINDS, EVENT_TOPICS

    if text in EVENT_TOPICS or text in EVENT_KINDS:
        return text
    if text.startswith("tag:") and len(text) > len("tag:"):
        return text.removeprefix("tag:").lower()
    name = text.removeprefix("@")
    if set(name) <= _HEX and len(name) >= _ID_DIGITS_MIN:
        return _whole_id(context, name)
    if text.startswith("@") and name in labels.known(context.home):
        return labels.resolve(context.home, text)
    try:
        return address(context.account(name), context.dev)
    except (Rejected, RpcError) as error:
        if not error.kind.startswith(("account", "identity", "party", "address")):
            raise
    meant = suggestion(name, sorted(EVENT_TOPICS | EVENT_KINDS))
    topics = ", ".join(sorted(EVENT_TOPICS))
    raise click.UsageError(f"Nothing that can be watched is called {text}.{meant} Topics: {topics}.")


def _whole_id(context: Context, text: str) -> str:
    """The id that begins so; events are compared with the whole of it."""
    if len(text) == _ID_DIGITS:
        return text
    for _, method, parameter in IDS:
        try:
            found = context.client.call(method, **{parameter: text})
        except RpcError as error:
            if not error.not_found:
                raise
            continue
        return str(found["tx" if method == "tx_get" else "id"])
    raise Rejected("explain.unknown", text=text, suggestion="")


def _line(event: dict[str, Any]) -> str:
    return f"{event['height']:>8}  {event['text'] or event['event']['kind']}"
