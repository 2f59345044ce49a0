"""`concento licence renew`, `report`, `deposit`, `withdraw`: what a licence costs after its purchase."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from cli.commands.licence import licence
from cli.commitments import commitment
from cli.context import Context, with_context
from cli.text.forms import beat, day, instant, short
from cli.text.tx import written
from concento.errors import Rejected


@licence.command()
@click.argument("identity", metavar="LICENCE")
@click.option("--max-price", required=True, metavar="BEAT", help="Pay at most this much for the period.")
@with_context
def renew(context: Context, identity: str, max_price: str) -> int:
    """Buy another period of a subscription before the running one ends: time, quota and guarantee are added."""
    from concento.client.rights import renew_licence, renewal_ubeat
    from concento.units import format_beat, parse_beat

    limit_ubeat = parse_beat(max_price)
    found = context.client.licence(context.id(identity))
    price_ubeat = renewal_ubeat(context.client.offer(found["offer"]))
    if price_ubeat is None:
        raise Rejected("licence.no_subscription", licence=found["id"])
    if price_ubeat > limit_ubeat:
        prices = {"price": format_beat(price_ubeat), "price_max": format_beat(limit_ubeat)}
        error = Rejected("licence.price_above_max", asset=found["asset"], purpose=found["purpose"], **prices)
        error.hint = f"concento licence renew {short(found['id'])} --max-price {format_beat(price_ubeat)}"
        raise error
    document = renew_licence(context.session, bytes.fromhex(found["id"]), limit_ubeat)
    expires = next((event["expires_ms"] for event in document["events"] if event["kind"] == "licence.renewed"), None)
    sentence = f"Licence {short(found['id'])} is renewed for {beat(price_ubeat)}, until {day(expires)}."
    hint = f"concento licence show {short(found['id'])}"
    return context.finish({**document, "licence": found["id"]}, lambda done: written(done, sentence, hint))


@licence.command()
@click.argument("identity", metavar="LICENCE|ASSET")
@click.option("--gross", required=True, metavar="BEAT", help="What was earned in the period.")
@click.option("--since", metavar="DATE", help="The period begins [where the last report ended].")
@click.option("--until", metavar="DATE", help="It ends [now].")
@click.option("--evidence", metavar="FILE|CID", help="A document, of which only the hash is published.")
@with_context
def report(
    context: Context, identity: str, gross: str, since: str | None, until: str | None, evidence: str | None
) -> int:
    """Report revenue made elsewhere: under a LICENCE its share is paid, of an ASSET of one's own all of it.

    DATE is a day such as 2026-11-21, or a time such as 2026-11-21T06:30 (UTC).
    """
    from concento.client.rights import report_revenue
    from concento.units import parse_beat

    gross_ubeat = parse_beat(gross)
    licence_document, asset = _subject(context, identity)
    subject = licence_document or asset
    now_ms = int(context.client.status()["time_ms"])
    from_ms = _moment(since) if since else _last_reported(subject)
    until_ms = _moment(until) if until else now_ms
    proof = commitment(evidence) if evidence else b""
    target = b"" if licence_document else bytes.fromhex(asset["id"])
    document = report_revenue(context.session, gross_ubeat, from_ms, until_ms, licence_document, target, proof)
    paid = next((event["paid_ubeat"] for event in document["events"] if event["kind"] == "revenue.reported"), None)
    period = f"{instant(from_ms)} to {instant(until_ms)}"
    sentence = f"{beat(gross_ubeat)} are reported for {period}; {beat(paid)} of it is paid."
    noun = "licence" if licence_document else "asset"
    hint = f"concento {noun} show {short(subject['id'])}"
    return context.finish(document, lambda done: written(done, sentence, hint))


@licence.command()
@click.argument("identity", metavar="LICENCE")
@click.argument("amount", metavar="BEAT")
@with_context
def deposit(context: Context, identity: str, amount: str) -> int:
    """Add to the deposit of a LICENCE, from which use and outputs are paid."""
    from concento.client.rights import top_up
    from concento.units import parse_beat

    amount_ubeat = parse_beat(amount)
    found = context.client.licence(context.id(identity))
    document = top_up(context.session, bytes.fromhex(found["id"]), amount_ubeat)
    sentence = f"{beat(amount_ubeat)} are added to the deposit of licence {short(found['id'])}."
    hint = f"concento licence show {short(found['id'])}"
    return context.finish(document, lambda done: written(done, sentence, hint))


@licence.command()
@click.argument("identity", metavar="LICENCE")
@click.argument("amount", metavar="[BEAT]", required=False)
@with_context
def withdraw(context: Context, identity: str, amount: str | None) -> int:
    """Take back of the deposit of a LICENCE what no open lane has locked [all of that]."""
    from concento.client.rights import withdraw as take_back
    from concento.units import parse_beat

    found = context.client.licence(context.id(identity))
    free = int(found["deposit_free_ubeat"])
    amount_ubeat = parse_beat(amount) if amount else free
    if amount is None and not free:
        raise Rejected("licence.deposit_none_free", licence=found["id"], deposit=beat(found["deposit_ubeat"]))
    document = take_back(context.session, bytes.fromhex(found["id"]), amount_ubeat)
    sentence = f"{beat(amount_ubeat)} of the deposit of licence {short(found['id'])} are yours again."
    return context.finish(document, lambda done: written(done, sentence, f"concento wallet balance {context.sender}"))


def _subject(context: Context, identity: str) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """(the licence, or None; the asset) that was named."""
    from concento.client import RpcError

    wanted = context.id(identity)
    try:
        found: dict[str, Any] = context.client.licence(wanted)
    except RpcError as error:
        if not error.not_found and error.kind != "id.malformed":
            raise
        return None, context.client.asset(wanted)
    return found, {}


def _last_reported(subject: dict[str, Any]) -> int:
    """Periods follow each other; the first begins with the licence, or with the asset's registration."""
    if subject["reported"] is not None:
        return int(subject["reported"]["until_ms"])
    return int(subject["starts_ms"] if "starts_ms" in subject else subject["registered"]["time_ms"])


def _moment(text: str) -> int:
    """Unix milliseconds of a day or time in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text} is no date such as 2026-11-21 or 2026-11-21T06:30.") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
