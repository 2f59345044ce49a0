"""`concento simulate`: one run of four replicas under faults and liars, always the same for its seed."""

from __future__ import annotations

from typing import Any

import click

from cli import exits
from cli.context import Context, with_context
from cli.grammar import Verb
from cli.text.nodes import simulated


@click.command(cls=Verb)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Which run.")
@with_context
def simulate(context: Context, seed: int) -> int:
    """Run four replicas under made-up faults and liars, and check them after every event: exit 0, or 8 where one fails.

    The same seed is the same run, on every machine. No network and no home are touched.
    """
    from sim.judge import judge

    result = judge(seed)
    document: dict[str, Any] = {
        "seed": seed,
        "ok": result.violation is None,
        "heights": result.heights,
        "trace": result.trace,
        "violation": result.violation,
        "virtual_ms": result.virtual_ms,
    }
    context.printer.result(document, simulated)
    return exits.OK if result.violation is None else exits.REFUSED
