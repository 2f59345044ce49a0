"""Who is who: accounts and the keys that act for them, admitted parties and their roles, where income goes.

An account comes into being when money first reaches it or its keys are replaced; until then its name alone says which
keys act for it. Issuers stand in genesis and admit everybody else. Rules: docs/protocol/identity.md.
"""

from __future__ import annotations

from functools import lru_cache

from concento.accounts import AccountId, Policy, account_id, check_policy, is_placeholder, meets
from concento.encoding import Natural, Record
from concento.errors import Rejected
from concento.messages.identity import (
    Admit,
    BindPlaceholder,
    Name,
    PartyKind,
    RevokeRoles,
    Role,
    Roles,
    RotateKeys,
    SetPayoutPolicy,
)
from concento.texts import check_text
from concento.trails import NO_TRAIL, Trail
from concento.units import Amount
from state.calls import Call, Event
from state.view import Kind, View

PERIOD_MS_MIN = 60_000
"""The shortest payout period: a minute of block time, so that a timer never fires in every block."""

PERIOD_MS_MAX = 366 * 86_400_000
"""The longest: a year. What waits longer is forgotten by people."""

ACCOUNTS_CACHED = 1 << 16
"""Names remembered of recent signers, 20 MB at most: the same people pay again and again."""


class Account(Record):
    """Money, and the policy that replaced the first one; None while the account's name is the hash of its policy.

    The head of `trail` commits to every movement of the balance so far, in order: see `tokens.next_head`.
    """

    balance_ubeat: Amount
    policy: Policy | None
    trail: Trail = NO_TRAIL


class Party(Record):
    """An admitted account: `issuer` admitted it first, at `height` (0 is genesis). Roles are sorted; all may go."""

    name: Name
    kind: PartyKind
    roles: tuple[Role, ...]
    issuer: AccountId
    height: Natural


class Payout(Record):
    """How income reaches an account; `amount_ubeat` counts under "min", `period_ms` under "every"."""

    mode: str
    amount_ubeat: Amount
    period_ms: Natural


class Binding(Record):
    """The account that stands behind a holder who was not on board."""

    account: AccountId


class NameOwner(Record):
    """The party that has a name."""

    account: AccountId


ACCOUNTS = Kind(b"account/", Account)
PARTIES = Kind(b"party/", Party)
PARTY_NAMES = Kind(b"party-name/", NameOwner)
PAYOUTS = Kind(b"payout/", Payout)
BINDINGS = Kind(b"binding/", Binding)

PAYOUT_NOW = Payout("now", 0, 0)

MOVEMENTS = "movement"
"""The topic of what moved an account's balance in this block; its record follows at the end of the block."""


# Reading


def party(view: View, account: bytes) -> Party | None:
    """The admitted party of an account, or None."""
    return view.find(PARTIES, account)


def has_role(view: View, account: bytes, role: str) -> bool:
    found = view.find(PARTIES, account)
    return found is not None and role in found.roles


def require_role(view: View, account: bytes, role: str) -> None:
    """Raises Rejected("identity.role_required") unless the account was admitted with this role."""
    if not has_role(view, account, role):
        raise Rejected("identity.role_required", account=account, role=role)


def require_party(view: View, account: bytes) -> None:
    """Raises Rejected("identity.party_required") unless an issuer admitted the account and left it a role."""
    found = view.find(PARTIES, account)
    if found is None or not found.roles:
        raise Rejected("identity.party_required", account=account)


def on_board(holder: bytes) -> bool:
    """Whether income may reach the holder: it is an account and not a placeholder."""
    return not is_placeholder(holder)


def require_on_board(account: bytes) -> None:
    """Raises Rejected("identity.placeholder") where nobody can ever hold the account's keys."""
    if is_placeholder(account):
        raise Rejected("identity.placeholder", account=account)


def bound_account(view: View, holder: bytes) -> bytes:
    """The account behind a placeholder, or the holder itself."""
    binding = view.find(BINDINGS, holder)
    return holder if binding is None else binding.account


def payout_of(view: View, account: bytes) -> Payout:
    """How income reaches the account: at once, unless it said otherwise."""
    return view.find(PAYOUTS, account) or PAYOUT_NOW


def exists(view: View, account: bytes) -> bool:
    """Whether money has reached the account, or its keys were replaced."""
    return view.find(ACCOUNTS, account) is not None or view.newest_note(MOVEMENTS, account) is not None


def key_policy(view: View, account: bytes) -> Policy | None:
    """The policy that replaced the first one, or None where the account's name is still the hash of its policy."""
    found = view.find(ACCOUNTS, account)
    return None if found is None else found.policy


def has_authority(view: View, account: bytes, signers: tuple[bytes, ...]) -> bool:
    """Whether exactly these keys (sorted) may act for the account now.

    An account that never replaced its keys is named by the hash of its policy. The chain learns that policy from the
    signers themselves: one key, or n of n; an account that wants fewer than all of its keys rotates to that policy.
    """
    policy = key_policy(view, account)
    if policy is not None:
        return meets(policy, signers)
    return bool(signers) and _account_of_all(signers) == account


@lru_cache(maxsize=ACCOUNTS_CACHED)
def _account_of_all(signers: tuple[bytes, ...]) -> bytes:
    return account_id(Policy(len(signers), signers))


# Admission


def check_admit(view: View, call: Call, message: Admit) -> None:
    require_role(view, call.sender, "issuer")
    require_on_board(message.account)
    _check_roles(message.roles)
    check_text("name", message.name)
    if "issuer" in message.roles:
        raise Rejected("identity.issuer_in_genesis_only")
    found = view.find(PARTIES, message.account)
    if found is not None and (found.name, found.kind) != (message.name, message.party_kind):
        raise Rejected("identity.name_differs", name=found.name, given=message.name)
    owner = view.find(PARTY_NAMES, message.name.encode())
    if owner is not None and owner.account != message.account:
        raise Rejected("identity.name_taken", name=message.name)


def apply_admit(view: View, call: Call, message: Admit) -> list[Event]:
    found = view.find(PARTIES, message.account)
    if found is None:
        admit(view, message.account, Party(message.name, message.party_kind, message.roles, call.sender, call.height))
    else:
        roles = tuple(role for role in sorted({*found.roles, *message.roles}))
        view.put(PARTIES, message.account, _with_roles(found, roles))
    return [
        Event(
            "identity.admitted",
            {"account": message.account, "name": message.name, "roles": message.roles, "issuer": call.sender},
        )
    ]


def admit(view: View, account: bytes, record: Party) -> None:
    """Writes a new party; genesis uses it too."""
    view.put(PARTIES, account, record)
    view.put(PARTY_NAMES, record.name.encode(), NameOwner(account))


def weigh_admit(_message: Admit) -> int:
    return 2


def check_revoke_roles(view: View, call: Call, message: RevokeRoles) -> None:
    require_role(view, call.sender, "issuer")
    _check_roles(message.roles)
    if "issuer" in message.roles:
        raise Rejected("identity.issuer_in_genesis_only")
    for role in message.roles:
        require_role(view, message.account, role)


def apply_revoke_roles(view: View, call: Call, message: RevokeRoles) -> list[Event]:
    found = view.get(PARTIES, message.account)
    left = tuple(role for role in found.roles if role not in message.roles)
    view.put(PARTIES, message.account, _with_roles(found, left))
    return [
        Event("identity.roles_revoked", {"account": message.account, "roles": message.roles, "issuer": call.sender})
    ]


def check_bind_placeholder(view: View, call: Call, message: BindPlaceholder) -> None:
    """The account must be known to the chain, for a binding cannot be mended."""
    require_role(view, call.sender, "issuer")
    require_on_board(message.account)
    if not is_placeholder(message.placeholder) or view.find(BINDINGS, message.placeholder) is not None:
        raise Rejected("identity.not_a_placeholder", account=message.placeholder)
    if not (exists(view, message.account) or view.find(PARTIES, message.account)):
        raise Rejected("identity.account_unknown", account=message.account)


def apply_bind_placeholder(view: View, _call: Call, message: BindPlaceholder) -> list[Event]:
    view.put(BINDINGS, message.placeholder, Binding(message.account))
    return [
        Event("identity.placeholder_bound", {"placeholder": message.placeholder, "account": message.account}),
    ]


# What an account decides for itself


def check_rotate_keys(_view: View, _call: Call, message: RotateKeys) -> None:
    check_policy(message.policy)


def apply_rotate_keys(view: View, call: Call, message: RotateKeys) -> list[Event]:
    found = view.find(ACCOUNTS, call.sender) or Account(0, None)
    view.put(ACCOUNTS, call.sender, Account(found.balance_ubeat, message.policy, found.trail))
    return [
        Event(
            "identity.keys_rotated",
            {"account": call.sender, "threshold": message.policy.threshold, "keys": message.policy.keys},
        )
    ]


def check_set_payout_policy(_view: View, _call: Call, message: SetPayoutPolicy) -> None:
    amount_fits = (message.amount_ubeat > 0) == (message.mode == "min")
    every = message.mode == "every"
    period_fits = PERIOD_MS_MIN <= message.period_ms <= PERIOD_MS_MAX if every else message.period_ms == 0
    if not amount_fits or not period_fits:
        raise Rejected(
            "identity.payout_invalid",
            mode=message.mode,
            amount_ubeat=message.amount_ubeat,
            period_ms=message.period_ms,
            period_ms_min=PERIOD_MS_MIN,
            period_ms_max=PERIOD_MS_MAX,
        )


def apply_set_payout_policy(view: View, call: Call, message: SetPayoutPolicy) -> list[Event]:
    policy = Payout(message.mode, message.amount_ubeat, message.period_ms)
    if policy == PAYOUT_NOW:
        view.delete(PAYOUTS, call.sender)
    else:
        view.put(PAYOUTS, call.sender, policy)
    return [
        Event(
            "identity.payout_set",
            {
                "account": call.sender,
                "mode": message.mode,
                "amount_ubeat": message.amount_ubeat,
                "period_ms": message.period_ms,
            },
        )
    ]


def weigh_income_change(_message: BindPlaceholder | SetPayoutPolicy) -> int:
    """The record, and the payout of what waits: a balance, a timer, the income itself."""
    return 4


def weigh_one(_message: Record) -> int:
    """One record written."""
    return 1


def _check_roles(roles: Roles) -> None:
    if list(roles) != sorted(set(roles)):
        raise Rejected("identity.roles_invalid")


def _with_roles(found: Party, roles: tuple[Role, ...]) -> Party:
    return Party(found.name, found.kind, roles, found.issuer, found.height)
