"""`concento gov`: validators decide who validates, who observes, and when the protocol switches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from cli.context import Context, with_context
from cli.grammar import Noun
from cli.text import governance as text
from cli.text.forms import short
from cli.text.tx import written

if TYPE_CHECKING:
    from concento.messages.governance import Change

_STATES: Final = ("open", "accepted", "failed", "expired")
_KEY: Final = re.compile("[0-9a-f]{64}")
_HOUR_MS: Final = 3_600_000
_DAYS_DEFAULT: Final = 7

_DAYS = click.option(
    "--days",
    type=click.FloatRange(0.001, 90),
    default=_DAYS_DEFAULT,
    show_default=True,
    help="How long it can be approved.",
)


@click.group(cls=Noun)
def gov() -> None:
    """Propose and approve changes to who runs the network. Act --from the account of a validator's rewards."""


@gov.group(cls=Noun)
def propose() -> None:
    """Propose a change; the proposer approves it with that."""


@propose.group(cls=Noun)
def validator() -> None:
    """Who votes on blocks: at least `validators_min` nodes, each an observer first."""


@propose.group(cls=Noun)
def observer() -> None:
    """Who may connect and follow without a vote."""


@validator.command("add")
@click.argument("node")
@_DAYS
@with_context
def add_validator(context: Context, node: str, days: float) -> int:
    """Make the observer NODE (name or key) a validator."""
    from concento.messages.governance import AddValidator

    return _propose(context, AddValidator(_observer_key(context, node)), days)


@validator.command("remove")
@click.argument("node")
@_DAYS
@with_context
def remove_validator(context: Context, node: str, days: float) -> int:
    """Take the vote of the validator NODE (name or key); it may no longer connect."""
    from concento.messages.governance import RemoveValidator

    return _propose(context, RemoveValidator(_validator_key(context, node)), days)


@validator.command("replace")
@click.argument("node")
@click.argument("successor")
@_DAYS
@with_context
def replace_key(context: Context, node: str, successor: str, days: float) -> int:
    """Let the validator NODE go on with the key of the observer SUCCESSOR; its name and its rewards stay."""
    from concento.messages.governance import ReplaceKey

    return _propose(context, ReplaceKey(_validator_key(context, node), _observer_key(context, successor)), days)


@observer.command("add")
@click.argument("key")
@click.option("--name", required=True, help="What the node is called; it keeps this name as a validator.")
@click.option("--account", metavar="WHO", help="Who speaks for it, and gets its rewards [the proposer].")
@_DAYS
@with_context
def add_observer(context: Context, key: str, name: str, account: str | None, days: float) -> int:
    """Let the node with this KEY connect and follow; `concento node init` has told the key of a new node."""
    from concento.messages.governance import AdmitObserver

    speaker = context.account(account) if account else context.signer().account
    return _propose(context, AdmitObserver(_key(key), name, speaker), days)


@observer.command("remove")
@click.argument("node")
@_DAYS
@with_context
def remove_observer(context: Context, node: str, days: float) -> int:
    """Let the observer NODE (name or key) connect no longer."""
    from concento.messages.governance import RemoveObserver

    return _propose(context, RemoveObserver(_observer_key(context, node)), days)


@propose.command("upgrade")
@click.argument("protocol", type=click.IntRange(1))
@click.argument("height", type=click.IntRange(1))
@_DAYS
@with_context
def upgrade(context: Context, protocol: int, height: int, days: float) -> int:
    """Switch to PROTOCOL at HEIGHT: a node whose release does not speak it stops there."""
    from concento.messages.governance import Upgrade

    return _propose(context, Upgrade(protocol, height), days)


@propose.command("cancel-upgrade")
@click.argument("protocol", type=click.IntRange(1))
@_DAYS
@with_context
def cancel_upgrade(context: Context, protocol: int, days: float) -> int:
    """Take back the switch to PROTOCOL that lies ahead."""
    from concento.messages.governance import CancelUpgrade

    return _propose(context, CancelUpgrade(protocol), days)


@gov.command()
@click.argument("identity", metavar="PROPOSAL")
@with_context
def approve(context: Context, identity: str) -> int:
    """Be for a PROPOSAL. With more than two thirds of the validators it takes effect."""
    from concento.messages.governance import Approve

    found = context.client.proposal(context.id(identity))
    document = context.session.send([Approve(bytes.fromhex(found["id"]))])
    after = context.client.proposal(found["id"]) if document["status"] == "final" else found
    return context.finish({**document, "proposal": after}, lambda done: text.approved(done, _nodes(context)))


@gov.command()
@click.argument("identity", metavar="PROPOSAL")
@with_context
def show(context: Context, identity: str) -> None:
    """A PROPOSAL: what it changes, and who is for it."""
    document = context.client.proposal(context.id(identity))
    context.printer.result(document, lambda found: text.show(found, context.book, _nodes(context)))


@gov.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only in this state.")
@click.option("--cursor", help="Where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 200), help="Entries of a page [50].")
@with_context
def list_proposals(context: Context, state: str | None, cursor: str | None, limit: int | None) -> None:
    """Proposals."""
    document = context.client.call("gov_listProposals", state=state, cursor=cursor, limit=limit)
    context.printer.result(document, lambda found: text.listed(found, context.book, _nodes(context)))


@gov.command()
@with_context
def validators(context: Context) -> None:
    """Who votes on the next block, and with which account each speaks here."""
    context.printer.result(context.client.validators(), lambda found: text.validators(found, context.book))


@gov.command()
@with_context
def observers(context: Context) -> None:
    """Who may connect without a vote."""
    context.printer.result(context.client.observers(), lambda found: text.observers(found, context.book))


@gov.command()
@with_context
def upgrades(context: Context) -> None:
    """The protocol in force, and when it switches."""
    context.printer.result(context.client.protocol(), text.upgrades)


def _propose(context: Context, change: Change, days: float) -> int:
    from concento.messages.governance import Propose

    # A proposal ends in block time, which the newest block tells.
    now_ms = int(context.client.status()["time_ms"])
    document = context.session.send([Propose(change, now_ms + int(days * 24 * _HOUR_MS))])
    made = next((entry["id"] for entry in document["created"] if entry["kind"] == "proposal"), None)
    document = {**document, "proposal": made}
    hint = f"concento gov approve {short(made)}" if made else None
    return context.finish(document, lambda done: written(done, f"Proposal {made} is open.", hint))


def _nodes(context: Context) -> dict[str, str]:
    """Key -> name of everybody who validates or observes now."""
    client = context.client
    return {node["key"]: node["name"] for node in client.validators()["items"] + client.observers()["items"]}


def _key(named: str) -> bytes:
    if _KEY.fullmatch(named) is None:
        raise click.UsageError(f"{named} is not the key of a node: 64 lower-case hex digits.")
    return bytes.fromhex(named)


def _observer_key(context: Context, named: str) -> bytes:
    return _key_of(named, context.client.observers()["items"], "observer")


def _validator_key(context: Context, named: str) -> bytes:
    return _key_of(named, context.client.validators()["items"], "validator")


def _key_of(named: str, nodes: list[dict[str, Any]], what: str) -> bytes:
    """The key of a node of this name, or the key that was typed in full."""
    found = next((node["key"] for node in nodes if node["name"] == named), None)
    if found is None and _KEY.fullmatch(named) is None:
        names = ", ".join(str(node["name"]) for node in nodes) or "none"
        raise click.UsageError(f"No {what} is called {named}; there is: {names}. A key has 64 lower-case hex digits.")
    return bytes.fromhex(found or named)
