"""`concento gateway`: serve licensed files from a folder."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from pathlib import Path
from typing import Any

import click

from cli import exits
from cli.context import Context, with_context
from cli.gateways import gateway_url, look
from cli.grammar import Noun
from concento.errors import Rejected


@click.group(cls=Noun)
def gateway() -> None:
    """Serve licensed files: every byte checked against its CID, every file receipted."""


@gateway.command()
@click.option("--listen", default="127.0.0.1:26640", show_default=True, help="Where readers are answered.")
@with_context
def run(context: Context, listen: str) -> int:
    """Serve the files in HOME/gateway/content in the foreground; --from is the gateway's account."""
    from gateway.app import run as serve
    from node.logs import open_log

    _check_listen(listen)
    home = _folder(context)
    signer = context.signer()
    (home / "content").mkdir(parents=True, exist_ok=True)
    has_file = (home / "logs").is_dir() and not sys.stderr.isatty()
    open_log("gateway", "info", "auto", home / "logs" / "gateway.log" if has_file else None)
    logging.getLogger("gateway").setLevel(logging.INFO)
    return asyncio.run(serve(home, listen, list(context.client.urls), signer))


@gateway.command()
@click.option("--gateway", "url", metavar="URL", help="The gateway [the one of the local network].")
@with_context
def status(context: Context, url: str | None) -> int:
    """Whether a gateway answers and is ready: exit 0, 3 or 8."""
    target = gateway_url(context, url)
    document = look(target)
    context.printer.result(document, _status)
    return exits.OK if document["ready"] else exits.REFUSED


def _status(document: dict[str, Any]) -> list[str]:
    return [
        f"The gateway at {document['url']} {'is ready' if document['ready'] else 'is not ready'}.",
        document["text"],
    ]


def _folder(context: Context) -> Path:
    """A home that is itself a gateway's, or HOME/gateway."""
    return context.home if (context.home / "content").is_dir() else context.home / "gateway"


def _check_listen(listen: str) -> None:
    from node.config import parse_address
    from node.ports import check_port_free

    with contextlib.suppress(LookupError):
        address = parse_address(listen, "--listen")
        if not 0 < address.port < 65_536:
            raise Rejected("node.config_invalid", field="--listen", reason=f"{listen} has no usable port")
        check_port_free(address.host, address.port)
