"""Messages about who is who: admission of parties by an issuer, roles, keys, payout."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from msgspec import Meta

from concento.accounts import AccountId, Policy
from concento.encoding import Natural, Record
from concento.limits import NAME_BYTES_MAX
from concento.units import Amount

Role = Literal["creator", "developer", "gateway", "operator", "issuer", "arbiter"]
"""What a party may be admitted as; `issuer` stands in genesis only."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PayoutMode = Literal["now", "min", "every"]
PartyKind = Literal["person", "organisation", "group", "service"]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_BYTES_MAX)]
Roles = Annotated[tuple[Role, ...], Meta(min_length=1, max_length=len(ROLES))]


class Admit(Record, tag="identity.admit"):
    """An issuer admits an account as a party, or adds roles to one; roles sorted and distinct."""

    account: AccountId
    name: Name
    party_kind: PartyKind
    roles: Roles


class RevokeRoles(Record, tag="identity.revoke_roles"):
    """An issuer takes roles back; the account and its money stay."""

    account: AccountId
    roles: Roles


class BindPlaceholder(Record, tag="identity.bind_placeholder"):
    """An issuer says which account stands behind a holder that was not on board: what is due to it moves over."""

    placeholder: AccountId
    account: AccountId


class RotateKeys(Record, tag="identity.rotate_keys"):
    """The sender's account obeys another policy from now on; its address stays."""

    policy: Policy


class SetPayoutPolicy(Record, tag="identity.set_payout_policy"):
    """How income reaches the sender: at once, from an amount on, or once every so often."""

    mode: PayoutMode
    amount_ubeat: Amount
    period_ms: Natural
