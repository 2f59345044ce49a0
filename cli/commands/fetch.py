"""`concento fetch`: the files of a licensed asset into a folder, each checked against its CID and receipted."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from cli.context import Context, with_context
from cli.gateways import about, gateway_url
from cli.grammar import Verb
from cli.parsing import parse_purpose
from cli.text.fetching import fetched
from cli.text.forms import permitted
from concento.errors import Rejected


@click.command(cls=Verb)
@click.argument("asset")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--purpose", help="What for [the one purpose of the licence].")
@click.option("--gateway", "url", metavar="URL", help="Read from this gateway [CONCENTO_GATEWAY, the local one].")
@with_context
def fetch(context: Context, asset: str, folder: Path, purpose: str | None, url: str | None) -> None:
    """Fetch the files of ASSET into DIR under a licence of --from. What is there already is not fetched again."""
    from concento.client.fetch import fetch as read_all

    found = context.client.asset(context.id(asset))
    if found["kind"] == "model":
        raise click.UsageError(
            f'"{found["title"]}" is a model: its weights are not kept by a gateway, only their hash.'
        )
    session = context.waiting_session
    wanted = parse_purpose(purpose or _only_purpose(context, found["id"], session.address, found))
    place = gateway_url(context, url)
    gateway = about(place)
    total = _count(found)
    with context.printer.progress("Fetching", total, "files") as advance:
        document = read_all(session, place, gateway["address"], found["id"], folder, wanted, lambda *_: advance(1))
    context.printer.result(document, functools.partial(fetched, title=found["title"]))


def _count(asset: dict[str, Any]) -> int:
    return int(asset["members"]["recordings"]) if asset["members"] else len(asset["parts"])


def _only_purpose(context: Context, asset: str, licensee: str, found: dict[str, Any]) -> str:
    """The purpose of the licence that is held. Raises Rejected licence.required, or a usage error."""
    page = context.client.call("licence_list", licensee=licensee, asset=asset)
    purposes = sorted(
        {name for item in page["items"] if item["state"] == "active" for name in permitted(item["purposes"])}
    )
    if not purposes:
        offered = sorted({name for offer in found["offers"] for name in permitted(offer["purposes"])})
        error = Rejected("licence.required", asset=asset, purpose=" or ".join(offered) or "any use")
        error.hint = context.client.check_licence(asset, licensee, offered[0] if offered else "analysis")["hint"]
        raise error
    if len(purposes) > 1:
        raise click.UsageError(f"What for? Say --purpose: {', '.join(purposes)}.")
    return purposes[0]
