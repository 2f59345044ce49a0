"""Accounts, keys, parties, roles."""

from __future__ import annotations

import pytest

from concento.accounts import Policy, account_id, placeholder_id
from concento.errors import Rejected
from concento.messages.identity import Admit, BindPlaceholder, RevokeRoles, RotateKeys, SetPayoutPolicy
from concento.messages.tokens import Transfer
from state.modules import identity
from support.ledger import BEAT, Ledger, account_of, key_of

ALICE, CAROL = account_of("alice"), account_of("carol")
ZOE = account_of("zoe")
GHOST = placeholder_id(b"a drummer of 1971")


def policy(threshold: int, *names: str) -> Policy:
    return Policy(threshold, tuple(sorted(key_of(name) for name in names)))


# Parties


def test_genesis_admits_its_parties() -> None:
    view = Ledger().view()
    assert identity.has_role(view, ALICE, "creator")
    assert identity.has_role(view, account_of("issuer"), "issuer")
    assert not identity.has_role(view, ALICE, "issuer")
    assert identity.party(view, ZOE) is None


def test_an_issuer_admits_a_party() -> None:
    ledger = Ledger()
    events = ledger.run("issuer", Admit(ZOE, "zoe", "person", ("creator", "developer")))
    assert events[0].kind == "identity.admitted"
    party = identity.party(ledger.view(), ZOE)
    assert party is not None
    assert (party.name, party.roles, party.issuer) == ("zoe", ("creator", "developer"), account_of("issuer"))
    identity.require_role(ledger.view(), ZOE, "creator")


def test_only_an_issuer_admits() -> None:
    assert Ledger().refusal("alice", Admit(ZOE, "zoe", "person", ("creator",))) == "identity.role_required"


def test_admitting_again_adds_roles() -> None:
    ledger = Ledger()
    ledger.run("issuer", Admit(ALICE, "alice", "person", ("developer",)))
    party = identity.party(ledger.view(), ALICE)
    assert party is not None
    assert party.roles == ("creator", "developer")


def test_admitting_again_under_another_name_is_refused() -> None:
    assert Ledger().refusal("issuer", Admit(ALICE, "alicia", "person", ("developer",))) == "identity.name_differs"


def test_a_name_belongs_to_one_party() -> None:
    assert Ledger().refusal("issuer", Admit(ZOE, "alice", "person", ("creator",))) == "identity.name_taken"


@pytest.mark.parametrize("name", ["al\u200bice", "A\u0308ther", "bell\x07", " alice", "\u202eecila"])
def test_a_name_that_looks_like_another_is_refused(name: str) -> None:
    """Case 59."""
    assert Ledger().refusal("issuer", Admit(ZOE, name, "person", ("creator",))) == "text.invalid"


def test_nobody_becomes_an_issuer_after_genesis() -> None:
    assert Ledger().refusal("issuer", Admit(ZOE, "zoe", "person", ("issuer",))) == "identity.issuer_in_genesis_only"
    message = RevokeRoles(account_of("issuer"), ("issuer",))
    assert Ledger().refusal("issuer", message) == "identity.issuer_in_genesis_only"


def test_roles_are_sorted_and_distinct() -> None:
    unsorted, twice = ("developer", "creator"), ("creator", "creator")
    assert Ledger().refusal("issuer", Admit(ZOE, "zoe", "person", unsorted)) == "identity.roles_invalid"
    assert Ledger().refusal("issuer", Admit(ZOE, "zoe", "person", twice)) == "identity.roles_invalid"


def test_a_revoked_role_is_gone_and_the_money_stays() -> None:
    ledger = Ledger()
    before = ledger.balance("alice")
    ledger.run("issuer", RevokeRoles(ALICE, ("creator",)))
    assert not identity.has_role(ledger.view(), ALICE, "creator")
    assert ledger.balance("alice") == before
    with pytest.raises(Rejected) as refused:
        identity.require_party(ledger.view(), ALICE)
    assert refused.value.kind == "identity.party_required"


def test_a_role_that_is_not_held_cannot_be_revoked() -> None:
    assert Ledger().refusal("issuer", RevokeRoles(ALICE, ("gateway",))) == "identity.role_required"
    assert Ledger().refusal("alice", RevokeRoles(CAROL, ("operator",))) == "identity.role_required"


def test_a_party_without_an_account_may_be_required() -> None:
    identity.require_party(Ledger().view(), ALICE)
    with pytest.raises(Rejected) as refused:
        identity.require_party(Ledger().view(), ZOE)
    assert refused.value.kind == "identity.party_required"


# Placeholders


def test_an_issuer_says_who_stands_behind_a_placeholder() -> None:
    ledger = Ledger()
    assert identity.on_board(ZOE)
    assert not identity.on_board(GHOST)
    assert identity.bound_account(ledger.view(), GHOST) == GHOST
    ledger.run("issuer", BindPlaceholder(GHOST, ALICE))
    assert identity.bound_account(ledger.view(), GHOST) == ALICE


@pytest.mark.parametrize(
    ("sender", "message", "kind"),
    [
        ("alice", BindPlaceholder(GHOST, ALICE), "identity.role_required"),
        ("issuer", BindPlaceholder(CAROL, ALICE), "identity.not_a_placeholder"),
        ("issuer", BindPlaceholder(GHOST, ZOE), "identity.account_unknown"),
        ("issuer", BindPlaceholder(GHOST, GHOST), "identity.placeholder"),
    ],
)
def test_bindings_that_would_take_somebody_elses_income_are_refused(
    sender: str, message: BindPlaceholder, kind: str
) -> None:
    assert Ledger().refusal(sender, message) == kind


def test_a_placeholder_is_bound_once() -> None:
    ledger = Ledger()
    ledger.run("issuer", BindPlaceholder(GHOST, ALICE))
    assert ledger.refusal("issuer", BindPlaceholder(GHOST, CAROL)) == "identity.not_a_placeholder"


def test_nobody_pays_or_admits_a_placeholder() -> None:
    """Else one ubeat from a stranger would make it look like an account."""
    assert Ledger().refusal("carol", Transfer(GHOST, 1)) == "identity.placeholder"
    assert Ledger().refusal("issuer", Admit(GHOST, "ghost", "person", ("creator",))) == "identity.placeholder"


# Keys


def test_keys_rotate_from_one_to_two_of_three_and_the_address_stays() -> None:
    ledger = Ledger()
    ledger.run("alice", RotateKeys(policy(2, "k1", "k2", "k3")))
    pay = Transfer(CAROL, BEAT)
    assert ledger.refusal("alice", pay) == "tx.authority"
    assert ledger.refusal("alice", pay, keys=["k1"]) == "tx.authority"
    assert ledger.refusal("alice", pay, keys=["k1", "k2", "k3"]) == "tx.authority"
    assert ledger.refusal("alice", pay, keys=["k1", "alice"]) == "tx.authority"
    before = ledger.balance("carol")
    ledger.run("alice", pay, keys=["k1", "k3"])
    ledger.run("alice", pay, keys=["k2", "k3"])
    assert ledger.balance("carol") == before + 2 * BEAT


def test_keys_rotate_back() -> None:
    ledger = Ledger()
    ledger.run("alice", RotateKeys(policy(2, "k1", "k2")))
    ledger.run("alice", RotateKeys(policy(1, "alice")), keys=["k1", "k2"])
    ledger.run("alice", Transfer(CAROL, 1))


def test_an_old_key_means_nothing_within_the_same_block() -> None:
    ledger = Ledger()
    outcome = ledger.block(
        ledger.tx("alice", RotateKeys(policy(1, "k1"))),
        ledger.tx("alice", Transfer(CAROL, 1)),
        ledger.tx("alice", Transfer(CAROL, 1), keys=["k1"]),
    )
    assert [(result.status, result.kind) for result in outcome.results] == [
        ("ok", ""),
        ("skipped", "tx.authority"),
        ("ok", ""),
    ]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (Policy(3, tuple(sorted((key_of("k1"), key_of("k2"))))), "policy.invalid"),
        (Policy(1, tuple(sorted((key_of("k1"), key_of("k2")), reverse=True))), "policy.invalid"),
        (Policy(1, (key_of("k1"), key_of("k1"))), "policy.invalid"),
        (Policy(1, (bytes(32),)), "key.invalid"),
    ],
)
def test_a_policy_that_cannot_be_met_is_refused(wrong: Policy, kind: str) -> None:
    assert Ledger().refusal("alice", RotateKeys(wrong)) == kind


def test_another_persons_key_has_no_authority() -> None:
    """Case 49."""
    assert Ledger().refusal("alice", Transfer(CAROL, 1), keys=["carol"]) == "tx.authority"
    assert Ledger().refusal("alice", Transfer(CAROL, 1), keys=["alice", "carol"]) == "tx.authority"


def test_an_account_of_all_its_keys_needs_no_rotation() -> None:
    view = Ledger().view()
    both = policy(2, "k1", "k2")
    assert identity.has_authority(view, account_id(both), both.keys)
    assert not identity.has_authority(view, account_id(both), both.keys[:1])
    assert not identity.has_authority(view, account_id(both), ())


# Payout


@pytest.mark.parametrize(
    ("mode", "amount", "period"),
    [("now", 0, 0), ("min", 5 * BEAT, 0), ("every", 0, identity.PERIOD_MS_MIN), ("every", 0, identity.PERIOD_MS_MAX)],
)
def test_a_payout_policy_is_kept_until_the_next_one(mode: str, amount: int, period: int) -> None:
    ledger = Ledger()
    ledger.run("alice", SetPayoutPolicy("min", 1, 0))
    ledger.run("alice", SetPayoutPolicy(mode, amount, period))  # type: ignore[arg-type]
    assert identity.payout_of(ledger.view(), ALICE) == identity.Payout(mode, amount, period)


@pytest.mark.parametrize(
    ("mode", "amount", "period"),
    [
        ("now", 1, 0),
        ("now", 0, 60_000),
        ("min", 0, 0),
        ("min", 1, 1),
        ("every", 1, 60_000),
        ("every", 0, 59_999),
        ("every", 0, identity.PERIOD_MS_MAX + 1),
    ],
)
def test_a_payout_policy_that_makes_no_sense_is_refused(mode: str, amount: int, period: int) -> None:
    message = SetPayoutPolicy(mode, amount, period)  # type: ignore[arg-type]
    assert Ledger().refusal("alice", message) == "identity.payout_invalid"
