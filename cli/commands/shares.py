"""`concento shares`: who holds what part of an income, and how it changes hands."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.lists import page_of
from cli.text import shares as text
from cli.text.forms import short
from cli.text.tx import written

if TYPE_CHECKING:
    from concento.client.shares import ReceiverKind


@click.group(cls=Noun)
def shares() -> None:
    """Who holds what part of an income: look, hand over, pull forward."""


@shares.command("list")
@click.argument("who", required=False)
@click.option("--of", "source", metavar="ASSET|VAULT", help="Only shares of this asset or vault.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_shares(context: Context, who: str | None, source: str | None, cursor: str | None, limit: int | None) -> None:
    """The shares that WHO [--from] holds, and what waits for him there."""
    whose = who or context.sender
    with context.suggesting(whose):
        wanted = {"who": context.who(whose), "source": context.id(source) if source else None}
        document = page_of(
            lambda place, size: context.client.call("share_list", **wanted, cursor=place, limit=size), cursor, limit
        )
    context.printer.result(document, functools.partial(text.holdings, whose=whose.removeprefix("@")))


@shares.command()
@click.argument("source", metavar="ASSET|VAULT")
@click.option("--to", "receiver", required=True, metavar="WHO", help="Somebody, vault:VAULT or asset:ASSET.")
@click.option("--shares", "count", type=click.IntRange(1), help="How many shares.")
@click.option("--percent", help="Or how much of all shares there are, such as 12.5.")
@click.option("--leg", type=click.IntRange(0), help="Which part of the asset's income [the one that is held].")
@with_context
def transfer(
    context: Context, source: str, receiver: str, count: int | None, percent: str | None, leg: int | None
) -> int:
    """Hand shares of an ASSET or VAULT over. What was earned before stays with whoever held them.

    \b
    concento shares transfer ASSET --to dana --percent 10 --from alice
    concento shares transfer ASSET --to vault:VAULT --shares 300000 --from alice
    """
    from concento.client.shares import transfer_shares

    if (count is None) == (percent is None):
        raise click.UsageError("How much? Say --shares or --percent, one of them.")
    identity = context.id(source)
    kind, to, shown = _receiver(context, receiver)
    wanted = count if count is not None else _shares_of(context, identity, percent or "", leg)
    document = transfer_shares(context.session, identity, kind, to, wanted, leg)
    whose = source if source.startswith("@") else short(identity)
    sentence = f"{wanted:,} shares of {whose} belong to {shown} now."
    hint = f"concento shares list {receiver}" if kind == "account" else f"concento {kind} show {short(to.hex())}"
    return context.finish(document, lambda done: written(done, sentence, hint))


@shares.command()
@click.argument("asset")
@click.option("--leg", type=click.IntRange(0), default=0, show_default=True, help="Which part of its income.")
@click.option("--page", type=click.IntRange(0), default=0, show_default=True, help="The page of the row; see: list.")
@with_context
def claim(context: Context, asset: str, leg: int, page: int) -> int:
    """Pull forward what waits behind an ASSET: its parked income, one page of its holders, one's own waiting money.

    Nobody has to: income arrives by itself.
    """
    from concento.messages.royalties import Claim

    found = context.client.asset(context.id(asset))
    document = context.session.send([Claim(bytes.fromhex(found["id"]), leg, page)])
    sentence = f'What waited behind leg {leg} of "{found["title"]}" is paid.'
    return context.finish(document, lambda done: written(done, sentence, f"concento earnings {context.sender}"))


@shares.command()
@click.argument("asset")
@click.option("--leg", type=click.IntRange(0), default=0, show_default=True, help="Which part of its income.")
@click.option("--rows", type=click.IntRange(1), help="Pay for settling so many rows [all of them].")
@with_context
def sweep(context: Context, asset: str, leg: int, rows: int | None) -> int:
    """Have all holders behind an ASSET settled before enough has gathered for that to happen by itself."""
    from concento.messages.royalties import Sweep

    found = context.client.asset(context.id(asset))
    count = rows or (int(found["members"]["count"]) if found["members"] else max(1, len(found["holders"])))
    document = context.session.send([Sweep(bytes.fromhex(found["id"]), leg, count)])
    sentence = f'The holders behind leg {leg} of "{found["title"]}" are queued to be settled.'
    hint = f"concento asset show {short(found['id'])}"
    return context.finish(document, lambda done: written(done, sentence, hint))


def _receiver(context: Context, text: str) -> tuple[ReceiverKind, bytes, str]:
    """(kind, id, how to call it) of whoever is to get shares."""
    sort, colon, name = text.partition(":")
    match sort if colon else "":
        case "vault":
            found = context.client.vault(context.id(name))
            return "vault", bytes.fromhex(found["id"]), f'vault "{found["title"]}"'
        case "asset":
            asset = context.client.asset(context.id(name))
            return "asset", bytes.fromhex(asset["id"]), f'"{asset["title"]}"'
        case "":
            return "account", context.account(text), text.removeprefix("@")
        case _:
            raise click.UsageError(f"{text} is nobody: name somebody, vault:VAULT or asset:ASSET.")


def _shares_of(context: Context, source: str, percent: str, leg: int | None) -> int:
    """So many percent of all shares of the table that the sender has a row of."""
    from concento.client.shares import holdings
    from concento.errors import Rejected

    whole, _, fraction = percent.strip().removesuffix("%").strip().partition(".")
    digits = whole + fraction.ljust(4, "0")
    if not (whole and digits.isascii() and digits.isdigit()) or len(fraction) > 4 or not 0 < int(digits) <= 1_000_000:
        raise click.UsageError(f"{percent} is not a percentage of shares: above 0, at most 100, at most four decimals.")
    rows: list[dict[str, Any]] = [
        row for row in holdings(context.session, context.session.address, source) if leg in (None, row["leg"])
    ]
    if not rows:
        raise Rejected("shares.none", source=source, account=context.session.address)
    total = int(rows[0]["shares_total"])
    wanted = total * int(digits) // 1_000_000
    if not wanted:
        raise Rejected("shares.short", source=source, shares=total, wanted=percent + " % of them")
    return wanted
