"""`concento dispute`: claim a part of an income, answer a claim, rule as an arbiter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.text import disputes as text
from cli.text.forms import short
from cli.text.tx import written

if TYPE_CHECKING:
    from concento.messages.disputes import Reason

REASONS: Final = (
    "ownership",
    "duplicate",
    "improper-licence",
    "missing-parent",
    "false-receipt",
    "quality",
    "payment",
)
_STATES: Final = ("pending", "open", "answered", "upheld", "rejected", "defaulted", "lapsed")
_EVIDENCE_HELP: Final = "A file, of which only the CID is published, or a CID."


@click.group(cls=Noun)
def dispute() -> None:
    """Claim a part of an income, answer, rule. Only what is claimed waits."""


@dispute.command("open")
@click.argument("asset")
@click.option("--reason", required=True, type=click.Choice(REASONS), help="What is wrong.")
@click.option(
    "--leg", type=click.IntRange(0), default=0, show_default=True, help="Which part of its income; see asset show."
)
@click.option("--part", metavar="PERCENT", help="Claim this much of what the leg gets.")
@click.option("--holder", metavar="WHO", help="Claim shares of WHO instead.")
@click.option("--shares", type=click.IntRange(1), help="How many shares of the holder.")
@click.option("--page", type=click.IntRange(0), default=0, help="The page of the holder's row [0].")
@click.option("--vault", is_flag=True, help="ASSET is a vault; of one only shares of a holder can be claimed.")
@click.option(
    "--bond", required=True, metavar="BEAT", help="What one loses if the claim fails; ten times it may be held."
)
@click.option("--evidence", required=True, metavar="FILE|CID", help=_EVIDENCE_HELP)
@with_context
def open_dispute(
    context: Context,
    asset: str,
    reason: Reason,
    leg: int,
    part: str | None,
    holder: str | None,
    shares: int | None,
    page: int,
    vault: bool,
    bond: str,
    evidence: str,
) -> int:
    """Dispute an ASSET: concento dispute open ASSET --reason ownership --part 50 --bond 10 --evidence contract.pdf"""
    from concento.messages.disputes import OpenDispute
    from concento.units import parse_beat

    if bool(part) == bool(holder) or bool(shares) != bool(holder):
        raise click.UsageError("Claim either --part of a leg, or --shares of a --holder.")
    if vault and not holder:
        raise click.UsageError("Of a vault, claim --shares of a --holder.")
    found = context.client.vault(context.id(asset)) if vault else context.client.asset(context.id(asset))
    action = OpenDispute(
        asset=bytes.fromhex(found["id"]),
        reason=reason,
        leg=leg,
        bps=_bps(part) if part else 0,
        holder=context.account(holder) if holder else b"",
        page=page,
        shares=shares or 0,
        bond_ubeat=parse_beat(bond),
        evidence=_evidence(evidence),
    )
    document = context.session.send([action])
    made = next((entry["id"] for entry in document["created"] if entry["kind"] == "dispute"), None)
    document = {**document, "dispute": made}
    hint = f"concento dispute show {short(made)}" if made else None
    return context.finish(document, lambda done: written(done, f"Dispute {made} is open.", hint))


@dispute.command()
@click.argument("identity", metavar="DISPUTE")
@click.option("--concede", is_flag=True, help="Give in: the other side gets what it wants, and the bond.")
@click.option("--evidence", metavar="FILE|CID", help=_EVIDENCE_HELP)
@with_context
def answer(context: Context, identity: str, concede: bool, evidence: str | None) -> int:
    """Stand up to a DISPUTE with a bond as large as the claimant's, or concede it."""
    from concento.messages.disputes import AnswerDispute

    found = _get(context, identity)
    if concede:
        context.printer.confirm(f"Concede dispute {short(found['id'])}?")
    action = AnswerDispute(bytes.fromhex(found["id"]), concede, _evidence(evidence) if evidence else b"")
    document = context.session.send([action])
    sentence = "You conceded." if concede else "You answered; now the arbiters have the word."
    return context.finish(document, lambda done: written(done, sentence, _next(found)))


@dispute.command("raise")
@click.argument("identity", metavar="DISPUTE")
@click.argument("amount", metavar="BEAT")
@with_context
def raise_bond(context: Context, identity: str, amount: str) -> int:
    """Add BEAT to one's bond in a DISPUTE, so that ten times as much more may be held."""
    from concento.messages.disputes import RaiseBond
    from concento.units import parse_beat

    found = _get(context, identity)
    document = context.session.send([RaiseBond(bytes.fromhex(found["id"]), parse_beat(amount))])
    return context.finish(document, lambda done: written(done, "The bond is raised.", _next(found)))


@dispute.command()
@click.argument("identity", metavar="DISPUTE")
@click.option("--uphold/--dismiss", "upheld", default=None, required=True, help="Whether the claim is right.")
@click.option("--award", default="0", metavar="PERCENT", help="Of the money held, to the claimant; the rest goes back.")
@click.option("--shares", type=click.IntRange(0), default=0, help="Of the shares held, to the claimant.")
@click.option("--split", metavar="WHO=PERCENT,...", help="The split of the disputed leg from now on.")
@click.option("--parent", metavar="ASSET", help="A parent that was not named.")
@click.option("--rate", metavar="PERCENT", help="What the parent gets of the income.")
@click.option("--duplicate-of", "original", metavar="ASSET", help="The asset is a copy of this one; ends new licences.")
@click.option("--delist", is_flag=True, help="End new licences.")
@click.option("--slash", default="0", metavar="PERCENT", help="Burnt of the loser's bond; the winner gets the rest.")
@with_context
def rule(
    context: Context,
    identity: str,
    upheld: bool,
    award: str,
    shares: int,
    split: str | None,
    parent: str | None,
    rate: str | None,
    original: str | None,
    delist: bool,
    slash: str,
) -> int:
    """Rule in a DISPUTE as an arbiter. It is executed when enough arbiters have sent the very same ruling."""
    from cli.commands.asset import splits_of
    from concento.messages.disputes import RuleDispute, Ruling

    if bool(parent) != bool(rate):
        raise click.UsageError("A --parent needs a --rate, and a --rate a --parent.")
    found = _get(context, identity)
    ruling = Ruling(
        upheld=upheld,
        escrow_bps=_bps(award),
        shares=shares,
        splits=splits_of(context, split) if split else (),
        parent=_asset(context, parent),
        parent_bps=_bps(rate) if rate else 0,
        original=_asset(context, original),
        delist=delist,
        slash_bps=_bps(slash),
    )
    document = context.session.send([RuleDispute(bytes.fromhex(found["id"]), ruling)])
    return context.finish(document, lambda done: text.ruled(done, found))


@dispute.command()
@click.argument("identity", metavar="DISPUTE")
@with_context
def show(context: Context, identity: str) -> None:
    """Everything about a DISPUTE: claim, bonds, what is held, votes, ruling."""
    context.printer.result(_get(context, identity), lambda found: text.show(found, context.book))


@dispute.command("list")
@click.option("--asset", metavar="ASSET", help="Only disputes of ASSET.")
@click.option("--state", type=click.Choice(_STATES), help="Only in this state; pending is open or answered.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_disputes(
    context: Context, asset: str | None, state: str | None, cursor: str | None, limit: int | None
) -> None:
    """Disputes, of an asset or all of them."""
    document = context.client.call(
        "dispute_list", asset=context.id(asset) if asset else None, state=state, cursor=cursor, limit=limit
    )
    context.printer.result(document, lambda found: text.listed(found, context.book))


def _get(context: Context, identity: str) -> dict[str, Any]:
    document: dict[str, Any] = context.client.call("dispute_get", id=context.id(identity))
    return document


def _next(found: dict[str, Any]) -> str:
    return f"concento dispute show {short(found['id'])}"


def _asset(context: Context, asset: str | None) -> bytes:
    return bytes.fromhex(context.client.asset(context.id(asset))["id"]) if asset else b""


def _evidence(named: str) -> bytes:
    """The SHA-256 of a document: of a file, or in a CID."""
    from hashlib import sha256

    from cli.files import read_bytes
    from concento.cids import parse_cid

    return parse_cid(named) if named.startswith("bafkrei") else sha256(read_bytes(Path(named))).digest()


def _bps(percent: str) -> int:
    """Basis points from a percentage with at most two decimals."""
    whole, _, fraction = percent.removesuffix("%").partition(".")
    digits = whole + fraction.ljust(2, "0")
    if not (digits.isascii() and digits.isdigit()) or len(fraction) > 2 or int(digits) > 10_000:
        raise click.UsageError(f"{percent} is not a percentage with at most two decimals.")
    return int(digits)
