"""`concento earnings`: statements that add up to the last ubeat, and can be checked by anybody."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Final

import click

from cli.context import Context, with_context
from cli.files import read_json, write_json
from cli.grammar import Noun, Verb
from cli.text import earnings as text

_COLUMNS: Final = (
    "paid_height",
    "height",
    "index",
    "time_ms",
    "cause",
    "source",
    "cause_tx",
    "payer",
    "asset",
    "title",
    "layer",
    "path",
    "shares",
    "shares_total",
    "gross_ubeat",
    "fee_ubeat",
    "upstream_ubeat",
    "keep_ubeat",
    "amount_ubeat",
    "rate",
)


class _Earnings(Noun):
    """`earnings WHO` is `earnings show WHO`: what is no verb is somebody."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        command = self.get_command(ctx, name)
        if command is None:
            return "show", self.get_command(ctx, "show"), args
        return name, command, args[1:]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        wants_help = bool(args) and args[0] in ("-h", "--help")
        names_verb = any(word in self.commands for word in args)
        return super().parse_args(ctx, args if names_verb or wants_help else ["show", *args])


@click.group(cls=_Earnings)
def earnings() -> None:
    """Who was paid how much, when and why.

    \b
    concento earnings alice        WHO's statement (default: --from)
    concento earnings verify FILE  recompute one that was written with --out
    """


@earnings.command(cls=Verb)
@click.argument("who", required=False)
@click.option("--from-height", type=click.IntRange(0), help="First block of the period [the first].")
@click.option("--to-height", type=click.IntRange(0), help="Last block of the period [the newest].")
@click.option("--csv", "as_csv", is_flag=True, help="The lines as CSV.")
@click.option("--dsr", "as_dsr", is_flag=True, help="A flat file in the manner of a DDEX sales report (DSR-like).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write statement and proofs to FILE.")
@with_context
def show(
    context: Context,
    who: str | None,
    from_height: int | None,
    to_height: int | None,
    as_csv: bool,
    as_dsr: bool,
    out: Path | None,
) -> None:
    """The statement of WHO: opening, every payment, closing."""
    from cli.statement_reading import read_statement

    if as_csv + as_dsr + context.settings.json > 1:
        raise click.UsageError("--csv, --dsr and --json exclude each other.")
    named = who or context.sender
    with context.suggesting(named):
        document = read_statement(context.client, context.who(named), from_height, to_height)
    if out is not None:
        from cli.statement import evidence

        proved = evidence(context.client, document)
        write_json(out, proved)
        document["to_height"] = proved["statement"]["to_height"]
        context.printer.note(f"The statement and its proofs are in {out}. Next: concento earnings verify {out}")
    if as_csv:
        context.printer.raw(_csv(document))
        return
    if as_dsr:
        from cli.dsr import flat_file

        context.printer.raw(flat_file(document, context.client.status()["chain_id"]))
        return
    context.printer.result(document, lambda found: text.statement(found, named))


@earnings.command(cls=Verb)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--genesis", type=click.Path(path_type=Path), help="The network's genesis file [this home's].")
@with_context
def verify(context: Context, file: Path, genesis: Path | None) -> None:
    """Recompute a statement from its rows, paths, headers and commits; asks no node. Exit 0 or 8."""
    from cli.statement import verify as recompute

    document = read_json(file, "statement")
    context.printer.result(recompute(document, context.genesis(genesis)), text.verified)


def _csv(document: dict[str, Any]) -> str:
    """One row a line; an amount is a whole number of ubeat, a path its assets joined by spaces."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in document["lines"]:
        writer.writerow([" ".join(line[name]) if name == "path" else _cell(line[name]) for name in _COLUMNS])
    return sink.getvalue()


def _cell(value: Any) -> Any:
    """A title may begin with a character that a spreadsheet takes for a formula: an apostrophe keeps it a text."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return "'" + value
    return "" if value is None else value
