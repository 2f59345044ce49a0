"""`concento identity`: who is who. An issuer admits parties; roles permit to register, sell, serve."""

from __future__ import annotations

from typing import Any

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.text import identity as text
from cli.text.tx import written

ROLES = ("creator", "developer", "gateway", "operator", "arbiter")
"""What an issuer can give; issuers themselves stand in genesis."""

_KINDS = ("person", "organisation", "group", "service")


@click.group(cls=Noun)
def identity() -> None:
    """Parties and their roles."""


@identity.command()
@click.argument("who")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="Repeat for several.")
@click.option("--name", help="The party's public name [WHO, where it is a name].")
@click.option("--kind", type=click.Choice(_KINDS), help="What the party is [person].")
@with_context
def admit(context: Context, who: str, roles: tuple[str, ...], name: str | None, kind: str | None) -> int:
    """Admit WHO as a party with a ROLE, or add roles to one. --from must be an issuer."""
    from concento.messages.identity import Admit

    account = context.account(who)
    party = _party(context, context.who(who))
    shown = name or (party["name"] if party else who.removeprefix("@"))
    if shown.startswith(("conc1", "tconc1")):
        raise click.UsageError("A party needs a name: say --name NAME.")
    sort: Any = kind or (party["kind"] if party else "person")
    action = Admit(account, shown, sort, tuple(sorted(set(roles))))  # type: ignore[arg-type]
    document = context.session.send([action])
    sentence = f"{shown} is admitted as {', '.join(sorted(set(roles)))}."
    return context.finish(document, lambda done: written(done, sentence, f"concento identity show {shown}"))


@identity.command()
@click.argument("who")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="Repeat for several.")
@with_context
def revoke(context: Context, who: str, roles: tuple[str, ...]) -> int:
    """Take a ROLE back from WHO; account and money stay. --from must be an issuer."""
    from concento.messages.identity import RevokeRoles

    account = context.account(who)
    taken = ", ".join(sorted(set(roles)))
    context.printer.confirm(f"Take {taken} from {who}?")
    document = context.session.send([RevokeRoles(account, tuple(sorted(set(roles))))])  # type: ignore[arg-type]
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


def _party(context: Context, who: str) -> dict[str, Any] | None:
    """The party behind an address or name, or None."""
    from concento.client import RpcError

    try:
        document: dict[str, Any] = context.client.call("identity_get", who=who)
    except RpcError as error:
        if error.not_found:
            return None
        raise
    return document
