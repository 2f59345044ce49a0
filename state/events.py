"""Events as bytes, as JSON, and as one English sentence.

The bytes are hashed into results, so they keep ids raw and names out; JSON and sentence are for people and made when
somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

import msgpack

from concento.accounts import address
from concento.cids import cid
from concento.encoding import encode
from concento.errors import Broken
from concento.units import format_beat, format_instant, format_percent
from state.calls import Event, Value

NameOf: TypeAlias = Callable[[bytes], str | None]
"""The name of an account's party, or None."""

ACCOUNT_FIELDS: Final = frozenset(
    {
        "account",
        "arbiter",
        "claimant",
        "from",
        "gateway",
        "holder",
        "holders",
        "issuer",
        "licensee",
        "owner",
        "party",
        "payee",
        "payer",
        "placeholder",
        "respondent",
        "seller",
        "sender",
        "service",
        "to",
    }
)
"""Fields whose bytes are accounts; any other bytes are ids, hashes or keys, but for `content`, which has a CID."""

_INSTANTS: Final = frozenset({"deadline_ms", "expires_ms", "from_ms", "until_ms"})
"""Fields that are a time of day; other milliseconds are a length."""

_SENTENCES: Final[dict[str, str]] = {
    "tokens.transferred": "{from} paid {to} {amount_ubeat}",
    "identity.admitted": "{issuer} admitted {name} as {roles}",
    "identity.roles_revoked": "{issuer} took {roles} from {account}",
    "identity.placeholder_bound": "{placeholder} turned out to be {account}",
    "identity.keys_rotated": "{account} now obeys {threshold} of its new keys",
    "identity.payout_set": "{account} is paid in mode {mode}",
    "asset.registered": "{owner} registered the {asset_kind} {title} as asset {asset}",
    "asset.updated": "{owner} described {title} anew (version {version})",
    "asset.retired": "{owner} retired {title}",
    "dataset.opened": "{owner} began the dataset {title} as asset {asset}",
    "dataset.members_added": "{added} members joined dataset {asset}, {members} in all",
    "dataset.sealed": "{owner} sealed the dataset {title} with {members} members",
    "offer.created": "{owner} offers {title} for {price_ubeat}, as offer {offer}",
    "offer.closed": "{owner} closed offer {offer}",
    "licence.bought": "{licensee} bought a licence for {title} for {price_ubeat}, to use it for {purpose}",
    "licence.topped_up": "{licensee} added {amount_ubeat} to the deposit of licence {licence}",
    "licence.withdrawn": "{licensee} took {amount_ubeat} back from the deposit of licence {licence}",
    "licence.revoked": "{owner} revoked licence {licence} of {licensee}: {cause}",
    "licence.refunded": "{licensee} got {amount_ubeat} back, what was left of the deposit of licence {licence}",
    "access.opened": "{licensee} opened lane {lane} at {gateway} for {units} units of licence {licence}",
    "access.closing": "{licensee} ends lane {lane} at {gateway}; it may be anchored until {until_ms}",
    "access.closed": "lane {lane} of {licensee} at {gateway} is closed after {size} receipts",
    "receipts.anchored": "{gateway} anchored {receipts} receipts of {licensee} for {amount_ubeat}, under root {root}",
    "licence.renewed": "{licensee} paid {price_ubeat} for another period of licence {licence}",
    "lineage.linked": "asset {asset} was made from {parents} and owes them {rel_bps}",
    "lineage.outputs_authorised": "{licensee} lets {service} register {outputs} outputs under licence {licence}, "
    "{used} of them are registered",
    "lineage.amendment_proposed": "{sender} says that asset {asset} was made from {parent} and owes it {rel_bps}",
    "lineage.amendment_withdrawn": "{sender} no longer says that asset {asset} was made from {parent}",
    "lineage.amended": "asset {asset} was made from {parent} and owes it {rel_bps} from block {from_height}",
    "revenue.reported": "{payer} reported {gross_ubeat} made with asset {asset} and paid {paid_ubeat}",
    "usage.opened": "the use of {units} units of {asset} is paid from pot {pot} until {deadline_ms}",
    "usage.posted": "{units} units in {rows} rows were posted for pot {pot}: {amount_ubeat} for their members",
    "royalties.accrued": "{payer} paid {gross_ubeat} to asset {asset}, {fee_ubeat} of it as market fee",
    "royalties.claimed": "page {page} behind leg {leg} of asset {asset} was settled for {settled_ubeat}",
    "royalties.sweep_queued": "the {rows} rows behind leg {leg} of asset {asset} are queued to be settled",
    "royalties.shares_moved": "{from} moved {shares} of {shares_total} shares behind leg {leg} of {asset} to {to}",
    "royalties.shares_placed": "{from} moved {shares} of {shares_total} shares behind leg {leg} of {asset} "
    "to {kind_of} {receiver}",
    "royalties.vault_opened": "{owner} opened the vault {title} as {vault}",
    "royalties.vault_filled": "{added} rows joined vault {vault}, {rows} in all",
    "royalties.vault_sealed": "{owner} sealed the vault {title} with {rows} rows",
    "royalties.paid": "{party} was paid {amount_ubeat} of royalties",
    "royalties.paid_more": "{accounts} more accounts were paid {amount_ubeat} of royalties",
    "dispute.opened": "{claimant} disputes asset {asset} with {respondent} ({reason}) as {dispute}, "
    "with a bond of {bond_ubeat}",
    "dispute.answered": "{respondent} answers {claimant} in dispute {dispute}",
    "dispute.bond_raised": "{claimant} raised the bond of dispute {dispute} to {bond_ubeat}",
    "dispute.voted": "{arbiter} ruled in dispute {dispute}: {agreed} of {needed} agree",
    "dispute.ended": "dispute {dispute} between {claimant} and {respondent} is {state}: {awarded_ubeat} to the "
    "claimant, {returned_ubeat} back",
    "dispute.asset_changed": "dispute {dispute} changed asset {asset}",
    "rewards.made": "{amount_ubeat} was made for the use of {assets} assets in epoch {epoch}",
    "fees.distributed": "{validators} validators earned {share_ubeat} each from {collected_ubeat} of fees, "
    "{burnt_ubeat} was burnt",
    "governance.proposed": "{sender} proposes {change} as {proposal}, until {expires_ms}",
    "governance.approved": "{sender} approves {change} ({proposal}): {approvals} of the {needed} voices that it needs",
    "governance.accepted": "{change} is decided ({proposal})",
    "governance.failed": "{change} was approved but cannot be done any more ({proposal}): {reason}",
    "observers.admitted": "the node {observer} may observe; {account} speaks for it",
    "observers.removed": "the node {observer} may no longer observe",
    "protocol.scheduled": "protocol {protocol} begins at height {at_height}",
    "protocol.cancelled": "protocol {protocol} does not begin after all",
    "validators.added": "{validator} validates from height {from_height} on",
    "validators.left": "{validator} leaves the validators at height {from_height}",
    "validators.key_replaced": "{validator} validates with key {new_key} from height {from_height} on",
    "validators.banned": "the key {key}, which has left, signed twice at height {height} and never validates again",
    "validators.removed": "{validator} signed twice at height {height} and leaves the validators at {from_height}",
    "validators.suspended": "{validator} signed twice at height {height} and earns no fees until {until_ms}",
}
"""Kind -> sentence over the event's fields, rendered for people."""


EVENT_KINDS: Final = frozenset({"block.committed", *_SENTENCES})
"""Everything that a chain can tell."""

EVENT_TOPICS: Final = frozenset(kind.partition(".")[0] for kind in EVENT_KINDS)


def encode_events(events: Sequence[Event]) -> bytes:
    """The events of one transaction, or of one finalisation, as they stand in the results."""
    return encode(events)


def decode_events(data: bytes) -> list[Event]:
    """The events in stored bytes, which are our own: anything else is Broken."""
    try:
        return [Event(kind, fields) for kind, fields in msgpack.unpackb(data, raw=False, use_list=False)]
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise Broken("stored events cannot be read: {reason}", reason=str(error)) from error


NO_EVENTS: Final = encode_events(())
"""Of a transaction that failed or was skipped."""


def event_json(event: Event, dev: bool) -> dict[str, Any]:
    """The event as clients see it: `kind` and its fields."""
    return {"kind": event.kind, **{name: _json(name, value, dev) for name, value in event.fields.items()}}


def event_text(event: Event, dev: bool, name_of: NameOf) -> str:
    """The event as one sentence, such as "alice paid carol 5.000000 BEAT"."""
    shown = {name: _shown(name, value, dev, name_of) for name, value in event.fields.items()}
    sentence = _SENTENCES.get(event.kind)
    if sentence is None:
        return " ".join([event.kind, *(f"{name} {text}" for name, text in shown.items())])
    return sentence.format_map(shown)


def _json(name: str, value: Value, dev: bool) -> Any:
    match value:
        case tuple():
            return [_json(name, item, dev) for item in value]
        case bytes():
            return _bytes_json(name, value, dev)
        case bool() | str() | None:
            return value
        case int():
            return str(value) if name.endswith("_ubeat") or name.startswith("shares") else value


def _bytes_json(name: str, value: bytes, dev: bool) -> str | None:
    if not value:
        return None
    if name in ACCOUNT_FIELDS and len(value) == 32:
        return address(value, dev)
    return cid(value) if name == "content" else value.hex()


def _shown(name: str, value: Value, dev: bool, name_of: NameOf) -> str:
    match value:
        case tuple():
            return ", ".join(_shown(name, item, dev, name_of) for item in value)
        case bytes() if name in ACCOUNT_FIELDS and len(value) == 32:
            return name_of(value) or address(value, dev)[:14]
        case bytes():
            return value.hex()[:12]
        case int() if name.endswith("_ubeat"):
            return f"{format_beat(value)} BEAT"
        case int() if name.endswith("_bps"):
            return format_percent(value)
        case int() if name in _INSTANTS:
            return format_instant(value)
        case _:
            return str(cast(object, value))
