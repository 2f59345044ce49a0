"""`concento licence`: the right to use music for a purpose."""

from __future__ import annotations

import functools
from typing import Any

import click

from cli import exits
from cli.context import Context, with_context
from cli.grammar import Noun
from cli.lists import page_of
from cli.parsing import DAY_MS, parse_pricing, parse_purpose, parse_terms, parse_upstream
from cli.text import licences as text
from cli.text.forms import short
from cli.text.tx import written
from concento.errors import Rejected


@click.group(cls=Noun)
def licence() -> None:
    """The right to use music for a purpose: offer, buy, check, revoke."""


@licence.command()
@click.argument("asset")
@click.option("--allow", multiple=True, metavar="PURPOSE", help="A use that the licence permits; repeat.")
@click.option("--deny", multiple=True, metavar="PURPOSE", help="A use that it forbids, as all that are not named.")
@click.option("--constrained", multiple=True, metavar="PURPOSE", help="A use that it permits within the terms' limits.")
@click.option("--price", metavar="BEAT", help="Price of a licence, once; 0 is free.")
@click.option("--per-access", metavar="BEAT", help="Price of each file that is fetched.")
@click.option("--per-second", metavar="BEAT", help="Price of each second of audio that is fetched.")
@click.option("--tier", "tiers", multiple=True, metavar="UNITS=BEAT", help="Beyond UNITS one costs BEAT; repeat.")
@click.option("--per-output", metavar="BEAT", help="Price of each output of a model that a licensee registers.")
@click.option("--per-period", metavar="BEAT", help="Price of a period of --duration-days, instead of --price.")
@click.option("--guarantee", metavar="BEAT", help="Advance on what use, outputs and shares cost.")
@click.option("--share", metavar="PERCENT", help="Part of the revenue that a licensee reports.")
@click.option("--derived", metavar="PERCENT", help="What is made from it owes this of all that it earns.")
@click.option("--floor", metavar="PERCENT", help="Everything ever made from it owes this of its own sales.")
@click.option("--ceiling", metavar="BEAT", help="No one of these owes more than this in all.")
@click.option("--duration-days", type=click.IntRange(1, 3650), help="How long a licence lasts [without end].")
@click.option("--expires-in-days", type=click.IntRange(1, 3650), help="How long the offer stands [without end].")
@click.option("--supply", type=click.IntRange(1), help="How many licences are sold [any number].")
@click.option("--layer", "layers", multiple=True, type=click.Choice(["work", "recording"]), help="Rights layer [both].")
@with_context
def offer(context: Context, /, asset: str, expires_in_days: int | None, supply: int | None, **given: Any) -> int:
    """Offer an ASSET of one's own under terms and at a price.

    Purposes: search-index analysis recognition train-generative train-other fine-tune retrieval-input
    inference-service derive-remix sync-display redistribute research-only
    """
    from concento.messages.licences import CreateOffer
    from concento.terms import LAYERS

    terms = parse_terms(given["allow"], given["deny"], given["constrained"], given["duration_days"])
    names = ("price", "per_access", "per_second", "per_output", "per_period", "guarantee", "share", "tiers")
    pricing = parse_pricing(**{name: given[name] for name in names})
    if not pricing:
        raise click.UsageError("An offer needs a price: --price, --per-access or --per-second; --price 0 is free.")
    upstream = parse_upstream(given["derived"], given["floor"], given["ceiling"])
    found = context.client.asset(context.id(asset))
    expires_ms = _after_days(context, expires_in_days)
    layers = tuple(layer for layer in LAYERS if not given["layers"] or layer in given["layers"])
    action = CreateOffer(bytes.fromhex(found["id"]), terms, layers, pricing, expires_ms, supply, upstream)
    document = context.session.send([action])
    document = {**document, "offer": _created(document, "offer")}
    return context.finish(document, functools.partial(text.offered, title=found["title"], asset=found["id"]))


@licence.command()
@click.argument("asset")
@click.option("--purpose", required=True, help="What it is for; must be permitted by the offer.")
@click.option("--max-price", required=True, metavar="BEAT", help="Pay at most this much, once.")
@click.option("--offer", "wanted", metavar="OFFER", help="This offer [the cheapest that permits the purpose].")
@click.option("--deposit", default="0", metavar="BEAT", help="Set aside for metered use; what is left comes back.")
@with_context
def buy(context: Context, asset: str, purpose: str, max_price: str, wanted: str | None, deposit: str) -> int:
    """Buy a licence for an ASSET: concento licence buy ASSET --purpose train-generative --max-price 40 --from bob"""
    from concento.messages.licences import BuyLicence
    from concento.units import format_beat, parse_beat

    known = parse_purpose(purpose)
    limit_ubeat, deposit_ubeat = parse_beat(max_price), parse_beat(deposit)
    found = context.client.asset(context.id(asset))
    chosen = _choose(found, purpose, context.id(wanted) if wanted else None)
    price_ubeat = _price_once(chosen)
    if price_ubeat > limit_ubeat:
        prices = {"price": format_beat(price_ubeat), "price_max": format_beat(limit_ubeat)}
        raise Rejected("licence.price_above_max", asset=found["id"], purpose=purpose, **prices)
    offer_id, terms = bytes.fromhex(chosen["id"]), bytes.fromhex(chosen["terms_hash"])
    action = BuyLicence(offer_id, terms, limit_ubeat, known, deposit_ubeat)
    document = context.session.send([action])
    document = {**document, "licence": _created(document, "licence")}
    render = functools.partial(text.bought, asset=found, purpose=purpose, price_ubeat=price_ubeat, buyer=context.sender)
    return context.finish(document, render)


@licence.command()
@click.argument("identity", metavar="LICENCE")
@with_context
def show(context: Context, identity: str) -> None:
    """Everything about a LICENCE: purposes, quota, receipts."""
    context.printer.result(context.client.licence(context.id(identity)), text.show)


@licence.command("list")
@click.option("--licensee", metavar="WHO", help="Only licences of WHO [--from, where given].")
@click.option("--asset", metavar="ASSET", help="Only licences for ASSET.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_licences(
    context: Context, licensee: str | None, asset: str | None, cursor: str | None, limit: int | None
) -> None:
    """Licences by holder or asset."""
    chosen = licensee or (None if asset else context.settings.sender)
    wanted = {
        "licensee": context.who(chosen) if chosen else None,
        "asset": context.id(asset) if asset else None,
    }
    document = page_of(
        lambda place, size: context.client.call("licence_list", **wanted, cursor=place, limit=size), cursor, limit
    )
    context.printer.result(document, text.listed)


@licence.command()
@click.argument("asset")
@click.option("--purpose", required=True, help="What it would be for.")
@click.option("--licensee", metavar="WHO", help="Who would use it [--from].")
@with_context
def check(context: Context, asset: str, purpose: str, licensee: str | None) -> int:
    """Whether somebody may use an ASSET for a purpose now: exit 0 or 8."""
    parse_purpose(purpose)
    document = context.client.check_licence(context.id(asset), context.who(licensee or context.sender), purpose)
    context.printer.result(document, functools.partial(text.checked, purpose=purpose))
    return exits.OK if document["allowed"] else exits.REFUSED


@licence.command()
@click.argument("identity", metavar="LICENCE")
@click.option("--cause", required=True, help="Why; everybody can read it.")
@with_context
def revoke(context: Context, identity: str, cause: str) -> int:
    """End a LICENCE that one has granted, for a cause. What is left of its deposit goes back."""
    from concento.messages.licences import RevokeLicence

    found = context.client.licence(context.id(identity))
    context.printer.confirm(f"Revoke licence {short(found['id'])} of {found['licensee']}?")
    document = context.session.send([RevokeLicence(bytes.fromhex(found["id"]), cause)])
    hint = f"concento licence show {short(found['id'])}"
    return context.finish(document, lambda done: written(done, f"Licence {short(found['id'])} is revoked.", hint))


@licence.command()
@click.argument("identity", metavar="OFFER")
@with_context
def close(context: Context, identity: str) -> int:
    """End an OFFER of one's own: nobody buys under it any more; licences bought stay valid."""
    from concento.messages.licences import CloseOffer

    found = context.client.offer(context.id(identity))
    document = context.session.send([CloseOffer(bytes.fromhex(found["id"]))])
    sentence = f"Offer {short(found['id'])} is closed after {found['sold']} sales."
    return context.finish(
        document, lambda done: written(done, sentence, f"concento asset show {short(found['asset'])}")
    )


@licence.command()
@click.argument("identity", metavar="LICENCE")
@click.argument("most", type=click.IntRange(0), metavar="COUNT")
@with_context
def outputs(context: Context, identity: str, most: int) -> int:
    """Let the service of a licensed model register COUNT outputs in all under a LICENCE; 0 stops it.

    Each costs the licence's price per output, from its deposit, and belongs to the licensee.
    """
    from concento.messages.lineage import AuthoriseOutputs

    found = context.client.licence(context.id(identity))
    document = context.session.send([AuthoriseOutputs(bytes.fromhex(found["id"]), most)])
    sentence = f"The service may register {most} outputs in all under licence {short(found['id'])}."
    return context.finish(document, lambda done: written(done, sentence, f"concento licence show {short(found['id'])}"))


def _choose(asset: dict[str, Any], purpose: str, wanted: str | None) -> dict[str, Any]:
    """The offer that was named, or the cheapest that permits the purpose. Raises Rejected."""
    offers = [offer for offer in asset["offers"] if wanted is None or offer["id"].startswith(wanted)]
    if wanted is not None and not offers:
        raise Rejected("offer.not_found", text=wanted)
    fitting = [offer for offer in offers if offer["purposes"].get(purpose, "deny") != "deny"]
    if not offers:
        raise Rejected("licence.no_offer", title=asset["title"], purpose=purpose)
    if not fitting:
        raise Rejected("licence.wrong_purpose", asset=asset["id"], purpose=purpose)
    return min(fitting, key=lambda offer: (_price_once(offer), offer["id"]))


def _price_once(offer: dict[str, Any]) -> int:
    return sum(int(line["price_ubeat"] or 0) for line in offer["pricing"] if line["model"] == "one-off")


def _created(document: dict[str, Any], kind: str) -> str | None:
    """The id of what a transaction made; None while it is not final."""
    return next((entry["id"] for entry in document["created"] if entry["kind"] == kind), None)


def _after_days(context: Context, days: int | None) -> int | None:
    """Block time is the clock of every duration."""
    return None if days is None else int(context.client.status()["time_ms"]) + days * DAY_MS
