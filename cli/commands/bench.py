"""`concento bench`: how fast the network at --url makes transfers final."""

from __future__ import annotations

from typing import Any

import click

from cli.context import Context, with_context
from cli.grammar import Verb
from cli.text.nodes import bench as text

_ROUNDS = 20


@click.command(cls=Verb)
@click.option("--transactions", type=click.IntRange(1, 200_000), default=10_000, show_default=True)
@click.option("--accounts", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Who are paid.")
@with_context
def bench(context: Context, transactions: int, accounts: int) -> None:
    """Load the nodes at --url with transfers, signed beforehand, and count in blocks what became final.

    One transfer after the other first, to see how long one takes. --from, else treasury, loses 20,000
    BEAT to accounts whose keys everybody knows: this is for networks that are there to be tried out.
    """
    from bench.load import idle_finality_ms, percentile, sustain
    from bench.mixes import MIXES, fund
    from bench.targets import target

    urls = [url.strip().rstrip("/") for url in context.settings.url.split(",")]
    client = context.client
    fund(client, context.signer(context.settings.sender or "treasury"))
    sign_more = MIXES["transfers"].prepare(client, accounts)
    idle_ms = idle_finality_ms(target("C", urls[0]), sign_more(_ROUNDS))
    found = sustain("C", urls, sign_more(transactions))
    document: dict[str, Any] = {
        "tx_s": round(found.rate),
        "transactions": found.transactions,
        "blocks": found.blocks,
        "seconds": round(found.seconds, 2),
        "idle_finality_ms": {"p50": round(percentile(idle_ms, 0.5), 1), "p99": round(percentile(idle_ms, 0.99), 1)},
    }
    context.printer.result(document, text)
