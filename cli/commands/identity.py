"""`concento identity`: who is who. An issuer admits parties; roles permit to register, sell, serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.text import identity as text
from cli.text.tx import written

if TYPE_CHECKING:
    from concento.messages.identity import PartyKind, PayoutMode, Role

ROLES = ("creator", "developer", "gateway", "operator", "arbiter")
"""What an issuer can give; issuers themselves stand in genesis."""

_KINDS = ("person", "organisation", "group", "service")


_HOUR_MS = 3_600_000


@click.group(cls=Noun)
def identity() -> None:
    """Parties and their roles."""


@identity.command()
@click.argument("who")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="Repeat for several.")
@click.option("--name", help="The party's public name [WHO, where it is a name].")
@click.option("--kind", type=click.Choice(_KINDS), help="What the party is [person].")
@with_context
def admit(context: Context, who: str, roles: tuple[Role, ...], name: str | None, kind: PartyKind | None) -> int:
    """Admit WHO as a party with a ROLE, or add roles to one. --from must be an issuer."""
    from concento.messages.identity import Admit

    account = context.account(who)
    party = _party(context, context.who(who))
    shown = name or (party["name"] if party else who.removeprefix("@"))
    if shown.startswith(("conc1", "tconc1")):
        raise click.UsageError("A party needs a name: say --name NAME.")
    sort: PartyKind = kind or (party["kind"] if party else "person")
    action = Admit(account, shown, sort, tuple(sorted(set(roles))))
    document = context.session.send([action])
    sentence = f"{shown} is admitted as {', '.join(sorted(set(roles)))}."
    return context.finish(document, lambda done: written(done, sentence, f"concento identity show {shown}"))


@identity.command()
@click.argument("who")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="Repeat for several.")
@with_context
def revoke(context: Context, who: str, roles: tuple[Role, ...]) -> int:
    """Take a ROLE back from WHO; account and money stay. --from must be an issuer."""
    from concento.messages.identity import RevokeRoles

    account = context.account(who)
    taken = ", ".join(sorted(set(roles)))
    context.printer.confirm(f"Take {taken} from {who}?")
    document = context.session.send([RevokeRoles(account, tuple(sorted(set(roles))))])
    return context.finish(
        document, lambda done: written(done, f"{who} is no longer {taken}.", f"concento identity show {who}")
    )


@identity.command()
@click.argument("who")
@with_context
def show(context: Context, who: str) -> None:
    """Who WHO is: name, kind, roles, keys, payout."""
    with context.suggesting(who):
        document = context.client.call("identity_get", who=context.who(who))
    context.printer.result(document, text.show)


@identity.command("list")
@click.option("--role", type=click.Choice((*ROLES, "issuer")), help="Only parties with this role.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_parties(context: Context, role: str | None, cursor: str | None, limit: int | None) -> None:
    """All parties."""
    context.printer.result(context.client.call("identity_list", role=role, cursor=cursor, limit=limit), text.listed)


@identity.command()
@click.argument("mode", type=click.Choice(("now", "min", "every")))
@click.option("--amount", metavar="BEAT", help="With min: what must have gathered.")
@click.option("--hours", type=click.FloatRange(min=1 / 60), help="With every: how often.")
@with_context
def payout(context: Context, mode: PayoutMode, amount: str | None, hours: float | None) -> int:
    """How income reaches --from: in its block (now), from an amount on (min), or once every so often (every)."""
    from concento.messages.identity import SetPayoutPolicy
    from concento.units import parse_beat

    if (mode == "min") != bool(amount) or (mode == "every") != bool(hours):
        raise click.UsageError("Say: now; or min --amount BEAT; or every --hours N.")
    period_ms = round(hours * _HOUR_MS) if hours else 0
    action = SetPayoutPolicy(mode, parse_beat(amount) if amount else 0, period_ms)
    document = context.session.send([action])
    match mode:
        case "min":
            when = f"from {amount} BEAT on"
        case "every":
            when = f"every {hours:g} hours"
        case _:
            when = "in the block that earns it"
    sentence = f"Income reaches {context.sender} {when}."
    return context.finish(document, lambda done: written(done, sentence, f"concento identity show {context.sender}"))


@identity.command()
@click.argument("label", metavar="placeholder:LABEL")
@click.argument("who")
@with_context
def bind(context: Context, label: str, who: str) -> int:
    """Say that WHO stands behind a holder who was not on board: what is due to it is his. --from must be an issuer.

    Splits name such a holder as placeholder:LABEL, for example placeholder:isni-0000000121707484.
    """
    from concento.accounts import is_placeholder
    from concento.messages.identity import BindPlaceholder

    holder = context.account(label)
    if not is_placeholder(holder):
        raise click.UsageError(f"{label} is no placeholder: write placeholder:LABEL.")
    document = context.session.send([BindPlaceholder(holder, context.account(who))])
    sentence = f"{label} is {who}: what was due to it is paid to him."
    return context.finish(document, lambda done: written(done, sentence, f"concento earnings {who}"))


def _party(context: Context, who: str) -> dict[str, Any] | None:
    """The party behind an address or name, or None."""
    from concento.client.rpc import find

    return find(lambda text: context.client.call("identity_get", who=text), who)
