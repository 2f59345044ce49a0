"""`concento watch`: what happens, as it becomes final."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import click

from cli.context import Context, with_context
from cli.grammar import Verb
from concento.errors import Unavailable

_RETRY_S: Final = 1.0


@click.command(cls=Verb)
@click.argument("topics", nargs=-1, metavar="[TOPIC]...")
@click.option("--since", metavar="CURSOR", help="Begin behind this place (HEIGHT or HEIGHT.INDEX) [now].")
@click.option("--count", type=click.IntRange(1), help="End after this many events [never].")
@with_context
def watch(context: Context, topics: Sequence[str], since: str | None, count: int | None) -> None:
    """Follow events, one line each; goes on after a lost connection without a gap.

    TOPIC is a module (tokens, assets, licences, receipts, royalties, identity, blocks), an event kind, an id, an
    address or a name. Without one: everything.
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


def _topic(context: Context, topic: str) -> str:
    """Names of the wallet become addresses; everything else the node knows."""
    return context.who(topic) if topic.startswith("@") else topic


def _line(event: dict[str, Any]) -> str:
    return f"{event['height']:>8}  {event['text'] or event['event']['kind']}"
