"""Governance in the ledger: who may speak, what is decided when, and every rule about keys and sizes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from concento.accounts import placeholder_id
from concento.development import development_seed
from concento.devnet import development_genesis
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.keys import public_key
from concento.limits import OBSERVERS_MAX, PROPOSAL_MS_MAX, PROPOSALS_OPEN_MAX
from concento.messages.governance import (
    AddValidator,
    AdmitObserver,
    Approve,
    CancelUpgrade,
    Change,
    Propose,
    RemoveObserver,
    RemoveValidator,
    ReplaceKey,
    Upgrade,
)
from concento.messages.tokens import Transfer
from concento.transactions import object_id
from concento.validators import ValidatorSet
from state.modules.governance import DUE, PROPOSALS, WEIGHT, Proposal
from state.modules.governance_changes import observers_of, protocol_at, switches_of
from state.transition import apply_block
from state.validators import newest_set
from support.ledger import BEAT, Ledger, account_of, key_of, seed_of

DAY_MS = 24 * 3_600_000


class Consortium(Ledger):
    """A ledger whose validators have the keys of `nodes` and some money."""

    def __init__(self, count: int = 4, genesis: Genesis | None = None) -> None:
        super().__init__(genesis or development_genesis(count))
        self.nodes = [f"node{number}" for number in range(1, count + 1)]
        for name in self.nodes:
            self.run("treasury", Transfer(account_of(name), 10 * BEAT))

    def propose(self, sender: str, change: Change, hours: int = 24) -> bytes:
        """A proposal; its id."""
        transaction = self.tx(sender, Propose(change, self.time_ms + hours * 3_600_000))
        outcome = self.block(transaction)
        assert outcome.results[0].status == "ok", outcome.results[0].kind
        return object_id("proposal", account_of(sender), transaction.body.nonce, 0)

    def approve(self, proposal: bytes, *senders: str) -> list[str]:
        """Approvals in one block; the kinds of what happened at its end."""
        outcome = self.block(*(self.tx(sender, Approve(proposal)) for sender in senders))
        assert [result.kind for result in outcome.results if result.status != "ok"] == []
        return [event.kind for event in outcome.closing]

    def decide(self, change: Change) -> list[str]:
        """Proposed and approved by as many as it takes."""
        names = [name for name in self.nodes if key_of(name) in newest_set(self.view())]
        proposal = self.propose(names[0], change)
        if newest_set(self.view()).quorum == 1:
            return [event.kind for event in self.outcomes[-1].closing]
        return self.approve(proposal, *names[1 : newest_set(self.view()).quorum])

    def admit(self, name: str) -> None:
        kinds = self.decide(AdmitObserver(key_of(name), name, account_of(name)))
        assert "observers.admitted" in kinds

    def join(self, name: str) -> None:
        """A new node becomes an observer, then a validator."""
        self.run("treasury", Transfer(account_of(name), 10 * BEAT))
        self.admit(name)
        assert "validators.added" in self.decide(AddValidator(key_of(name)))
        self.nodes.append(name)

    def record(self, proposal: bytes) -> Proposal:
        return self.view().get(PROPOSALS, proposal)

    def refused(self, sender: str, change: Change) -> str:
        return self.refusal(sender, Propose(change, self.time_ms + DAY_MS))


@pytest.fixture
def consortium() -> Consortium:
    return Consortium()


def node_seed(name: str) -> bytes:
    return development_seed(name) if name.startswith("node") and int(name[4:]) <= 16 else seed_of(name)


def test_more_than_two_thirds_decide_and_exactly_two_thirds_do_not() -> None:
    six = Consortium(6)
    proposal = six.propose("node1", AdmitObserver(key_of("zoe"), "zoe", account_of("zoe")))
    assert six.approve(proposal, "node2", "node3", "node4") == ["fees.distributed"]
    assert (six.record(proposal).state, observers_of(six.view())) == ("open", ())
    assert six.approve(proposal, "node5") == ["governance.accepted", "observers.admitted", "fees.distributed"]
    assert six.record(proposal).state == "accepted"
    assert six.record(proposal).decided_height == six.height
    assert [observer.name for observer in observers_of(six.view())] == ["zoe"]


def test_an_observer_becomes_a_validator_two_heights_later(consortium: Consortium) -> None:
    consortium.admit("zoe")
    assert consortium.decide(AddValidator(key_of("zoe")))[:2] == ["governance.accepted", "validators.added"]
    decided = consortium.height
    consortium.block()
    assert key_of("zoe") not in consortium.validators[decided + 1]
    assert key_of("zoe") in consortium.validators[decided + 2]
    member = next(entry for entry in consortium.validators[decided + 2].members if entry.key == key_of("zoe"))
    assert (member.name, member.rewards_to) == ("zoe", account_of("zoe"))
    assert observers_of(consortium.view()) == ()


def test_a_new_validator_earns_and_speaks(consortium: Consortium) -> None:
    consortium.join("zoe")
    consortium.block()
    before = consortium.balance("zoe")
    consortium.run("bob", Transfer(account_of("carol"), 1))
    assert consortium.balance("zoe") > before
    proposal = consortium.propose("zoe", RemoveValidator(key_of("node1")))
    assert consortium.record(proposal).approvals == (account_of("zoe"),)


def test_who_speaks_for_no_validator_is_refused(consortium: Consortium) -> None:
    proposal = consortium.propose("node1", AdmitObserver(key_of("zoe"), "zoe", account_of("zoe")))
    assert consortium.refused("alice", AdmitObserver(key_of("yan"), "yan", account_of("yan"))) == (
        "governance.not_a_validator"
    )
    assert consortium.refusal("alice", Approve(proposal)) == "governance.not_a_validator"


def test_a_removed_validator_no_longer_speaks_and_its_approval_no_longer_counts() -> None:
    five = Consortium(5)
    proposal = five.propose("node5", AdmitObserver(key_of("zoe"), "zoe", account_of("zoe")))
    five.approve(proposal, "node4")
    assert "validators.left" in five.decide(RemoveValidator(key_of("node5")))
    assert five.refusal("node5", Approve(proposal)) == "governance.not_a_validator"
    # Two of four are for it now, and of those who have left nobody.
    assert five.approve(proposal, "node3") == ["fees.distributed"]
    assert "observers.admitted" in five.approve(proposal, "node2")


def test_a_smaller_set_lets_a_proposal_pass_that_had_too_few(consortium: Consortium) -> None:
    consortium.join("zoe")
    assert newest_set(consortium.view()).quorum == 4
    proposal = consortium.propose("node1", AdmitObserver(key_of("yan"), "yan", account_of("yan")))
    consortium.approve(proposal, "node2", "node3")
    removal = consortium.propose("node1", RemoveValidator(key_of("zoe")))
    kinds = consortium.approve(removal, "node2", "node3", "node4")
    assert kinds == [
        "governance.accepted",
        "validators.left",
        "governance.accepted",
        "observers.admitted",
        "fees.distributed",
    ]


def test_a_removal_by_evidence_lets_a_proposal_pass_that_had_too_few(consortium: Consortium) -> None:
    consortium.join("zoe")
    proposal = consortium.propose("node1", AdmitObserver(key_of("yan"), "yan", account_of("yan")))
    consortium.approve(proposal, "node2", "node3")
    outcome = consortium.block(evidence=((key_of("zoe"), 1),))
    assert [event.kind for event in outcome.closing] == [
        "validators.removed",
        "governance.accepted",
        "observers.admitted",
    ]


def test_an_account_with_two_validators_has_two_voices() -> None:
    base = development_genesis()
    members = base.record.validators
    shared = tuple(replace(entry, rewards_to=members[0].rewards_to) for entry in members[:3])
    genesis = Genesis(replace(base.record, validators=(*shared, members[3])))
    ledger = Consortium(4, genesis)
    assert [event.kind for event in ledger.outcomes[-1].closing] == ["fees.distributed"]
    ledger.propose("node1", AdmitObserver(key_of("zoe"), "zoe", account_of("zoe")))
    assert [observer.name for observer in observers_of(ledger.view())] == ["zoe"]


def test_a_proposal_ends_in_block_time_inclusive(consortium: Consortium) -> None:
    change = AdmitObserver(key_of("zoe"), "zoe", account_of("zoe"))
    proposal = consortium.propose("node1", change, hours=1)
    ends_ms = consortium.record(proposal).expires_ms
    at_end = consortium.block(consortium.tx("node2", Approve(proposal), valid_ms=2 * 3_600_000), time_ms=ends_ms)
    assert at_end.results[0].status == "skipped"  # valid for longer than the replay window
    late = consortium.block(time_ms=ends_ms)
    assert late.changes == {}
    assert consortium.block(consortium.tx("node2", Approve(proposal)), time_ms=ends_ms + 1).results[0].kind == (
        "governance.not_open"
    )
    # The same may be proposed again once the first has ended.
    assert consortium.propose("node2", change) != proposal


def test_a_proposal_must_end_within_its_window(consortium: Consortium) -> None:
    change = AdmitObserver(key_of("zoe"), "zoe", account_of("zoe"))
    now_ms = consortium.time_ms + 1_000
    assert consortium.refusal("node1", Propose(change, now_ms)) == "governance.expiry"
    now_ms = consortium.time_ms + 1_000
    assert consortium.refusal("node1", Propose(change, now_ms + PROPOSAL_MS_MAX + 1)) == "governance.expiry"
    now_ms = consortium.time_ms + 1_000
    consortium.run("node1", Propose(change, now_ms + PROPOSAL_MS_MAX))


def test_nobody_approves_twice_or_what_is_over(consortium: Consortium) -> None:
    proposal = consortium.propose("node1", AdmitObserver(key_of("zoe"), "zoe", account_of("zoe")))
    assert consortium.refusal("node1", Approve(proposal)) == "governance.approved_already"
    consortium.approve(proposal, "node2", "node3")
    assert consortium.refusal("node4", Approve(proposal)) == "governance.not_open"
    assert consortium.refusal("node4", Approve(bytes(32))) == "governance.not_found"


def test_the_same_change_is_not_open_twice_and_nobody_opens_too_many(consortium: Consortium) -> None:
    def admit(number: int) -> AdmitObserver:
        return AdmitObserver(key_of(f"n{number}"), f"n{number}", account_of("zoe"))

    for number in range(PROPOSALS_OPEN_MAX):
        consortium.propose("node1", admit(number))
    assert consortium.refused("node1", admit(99)) == "governance.too_many"
    assert consortium.refused("node2", admit(0)) == "governance.proposed_already"
    consortium.propose("node2", admit(99))


def test_a_set_never_goes_below_its_minimum_by_votes(consortium: Consortium) -> None:
    assert consortium.refused("node1", RemoveValidator(key_of("node2"))) == "governance.too_few"


def test_what_came_between_lets_a_decided_change_fail_alone() -> None:
    five = Consortium(5)
    first = five.propose("node1", RemoveValidator(key_of("node4")))
    second = five.propose("node2", RemoveValidator(key_of("node5")))
    five.approve(first, "node2", "node3", "node5")
    # Four are left: the second removal would go below the minimum.
    kinds = five.approve(second, "node1", "node3")
    assert kinds == ["governance.failed", "fees.distributed"]
    assert (five.record(second).state, five.record(second).reason) == ("failed", "governance.too_few")
    assert len(newest_set(five.view())) == 4


# Keys


def test_a_candidate_must_be_an_observer_first(consortium: Consortium) -> None:
    assert consortium.refused("node1", AddValidator(key_of("zoe"))) == "governance.not_an_observer"
    assert consortium.refused("node1", ReplaceKey(key_of("node1"), key_of("zoe"))) == "governance.not_an_observer"
    assert consortium.refused("node1", RemoveObserver(key_of("zoe"))) == "governance.not_an_observer"
    assert consortium.refused("node1", RemoveValidator(key_of("zoe"))) == "governance.not_in_the_set"
    assert consortium.refused("node1", ReplaceKey(key_of("zoe"), key_of("node1"))) == "governance.not_in_the_set"


@pytest.mark.parametrize(
    "key",
    [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xff" * 32],
    ids=["order 4", "identity", "order 2", "not canonical"],
)
def test_keys_of_small_order_or_bad_form_are_refused(consortium: Consortium, key: bytes) -> None:
    assert consortium.refused("node1", AdmitObserver(key, "zoe", account_of("zoe"))) == "key.invalid"


def test_keys_and_names_are_used_once(consortium: Consortium) -> None:
    consortium.admit("zoe")
    for key, name, kind in (
        (key_of("node1"), "yan", "governance.key_in_use"),
        (key_of("zoe"), "yan", "governance.key_in_use"),
        (key_of("yan"), "zoe", "governance.name_in_use"),
        (key_of("yan"), "node1", "governance.name_in_use"),
        (key_of("yan"), "two  words", "text.invalid"),
    ):
        assert consortium.refused("node1", AdmitObserver(key, name, account_of("yan"))) == kind
    assert consortium.refused("node1", AdmitObserver(key_of("yan"), "yan", placeholder_id(b"yan"))) == (
        "governance.account_nobodys"
    )


def test_a_replaced_key_goes_and_the_validator_stays(consortium: Consortium) -> None:
    consortium.admit("zoe")
    before = next(member for member in newest_set(consortium.view()).members if member.name == "node2")
    consortium.decide(ReplaceKey(key_of("node2"), key_of("zoe")))
    members = newest_set(consortium.view())
    assert len(members) == 4
    assert key_of("node2") not in members
    after = next(member for member in members.members if member.key == key_of("zoe"))
    assert (after.name, after.rewards_to) == (before.name, before.rewards_to)
    # Its account still speaks.
    consortium.propose("node2", AdmitObserver(key_of("yan"), "yan", account_of("yan")))


def test_a_key_that_left_comes_back_only_when_no_evidence_is_heard_any_more(consortium: Consortium) -> None:
    consortium.join("zoe")
    consortium.decide(RemoveValidator(key_of("zoe")))
    left_ms = consortium.time_ms
    consortium.admit("zoe")
    assert consortium.refused("node1", AddValidator(key_of("zoe"))) == "governance.key_recent"
    window_ms = consortium.params.consensus.evidence_age_ms
    consortium.block(time_ms=left_ms + window_ms - 1_000)
    assert consortium.refused("node1", AddValidator(key_of("zoe"))) == "governance.key_recent"
    assert "validators.added" in consortium.decide(AddValidator(key_of("zoe")))


def test_a_key_that_signed_twice_never_comes_back(consortium: Consortium) -> None:
    consortium.join("zoe")
    consortium.block(evidence=((key_of("zoe"), 1),))
    consortium.admit("zoe")
    consortium.block(time_ms=consortium.time_ms + 400 * DAY_MS)
    assert consortium.refused("node1", AddValidator(key_of("zoe"))) == "governance.key_spent"
    assert consortium.refused("node1", ReplaceKey(key_of("node1"), key_of("zoe"))) == "governance.key_spent"


def test_a_key_that_left_before_it_was_found_out_never_comes_back() -> None:
    five = Consortium(5)
    five.decide(RemoveValidator(key_of("node5")))
    accused = five.block(evidence=((key_of("node5"), 1), (key_of("node5"), 2)))
    assert [event.kind for event in accused.closing] == ["validators.banned"]
    assert five.block(evidence=((key_of("node5"), 1),)).changes == {}
    five.admit("node5")
    five.block(time_ms=five.time_ms + 400 * DAY_MS)
    assert five.refused("node1", AddValidator(key_of("node5"))) == "governance.key_spent"


def test_evidence_and_a_vote_in_one_block_remove_once() -> None:
    six = Consortium(6)
    proposal = six.propose("node1", RemoveValidator(key_of("node6")))
    six.approve(proposal, "node2", "node3", "node4")
    outcome = six.block(six.tx("node5", Approve(proposal)), evidence=((key_of("node6"), 1),))
    assert [event.kind for event in outcome.closing][:2] == ["validators.removed", "governance.failed"]
    assert len(outcome.validators) == 5


def test_a_removed_observer_may_come_back(consortium: Consortium) -> None:
    consortium.admit("zoe")
    assert "observers.removed" in consortium.decide(RemoveObserver(key_of("zoe")))
    consortium.admit("zoe")
    consortium.decide(AddValidator(key_of("zoe")))
    assert key_of("zoe") in newest_set(consortium.view())


def test_observers_have_a_limit(consortium: Consortium) -> None:
    for number in range(OBSERVERS_MAX):
        consortium.admit(f"o{number}")
    assert consortium.refused("node1", AdmitObserver(key_of("zoe"), "zoe", account_of("zoe"))) == (
        "governance.observers_full"
    )


# Upgrades


def protocol(consortium: Consortium, height: int) -> int:
    return protocol_at(switches_of(consortium.view()), height)


def test_an_upgrade_switches_the_protocol_at_its_height(consortium: Consortium) -> None:
    at = consortium.height + 50
    assert consortium.decide(Upgrade(2, at))[:2] == ["governance.accepted", "protocol.scheduled"]
    assert (protocol(consortium, at - 1), protocol(consortium, at), protocol(consortium, at + 1)) == (1, 2, 2)


def test_an_upgrade_leaves_time_and_goes_up(consortium: Consortium) -> None:
    assert consortium.refused("node1", Upgrade(1, 1_000)) == "governance.protocol_old"
    assert consortium.refused("node1", Upgrade(2, consortium.height + 3)) == "governance.height_near"
    assert consortium.refused("node1", CancelUpgrade(2)) == "governance.no_upgrade"


def test_an_upgrade_that_is_approved_too_late_fails(consortium: Consortium) -> None:
    proposal = consortium.propose("node1", Upgrade(2, consortium.height + 5))
    for _ in range(4):
        consortium.block()
    assert consortium.approve(proposal, "node2", "node3")[0] == "governance.failed"
    assert switches_of(consortium.view()) == ()


def test_an_upgrade_is_moved_or_taken_back_while_nobody_acts_on_it(consortium: Consortium) -> None:
    consortium.decide(Upgrade(2, 1_000))
    consortium.decide(Upgrade(2, 2_000))
    assert [(entry.height, entry.protocol) for entry in switches_of(consortium.view())] == [(2_000, 2)]
    assert "protocol.cancelled" in consortium.decide(CancelUpgrade(2))
    assert switches_of(consortium.view()) == ()
    at = consortium.height + 6
    consortium.decide(Upgrade(2, at))
    while consortium.height < at:
        consortium.block()
    assert consortium.refused("node1", CancelUpgrade(2)) == "governance.no_upgrade"
    consortium.decide(Upgrade(3, at + 100))
    assert [entry.protocol for entry in switches_of(consortium.view())] == [2, 3]


# The block


def test_a_block_without_proposals_writes_nothing(consortium: Consortium) -> None:
    consortium.propose("node1", AdmitObserver(key_of("zoe"), "zoe", account_of("zoe")))
    assert consortium.block().changes == {}
    assert consortium.view().find(DUE, b"") is None


def test_a_failed_transaction_leaves_no_proposal_behind(consortium: Consortium) -> None:
    change = AdmitObserver(key_of("zoe"), "zoe", account_of("zoe"))
    propose = Propose(change, consortium.time_ms + DAY_MS)
    assert consortium.refusal("node1", propose, Transfer(account_of("carol"), 10**15)) != ""
    consortium.propose("node2", change)


def test_a_decision_weighs_what_it_declares() -> None:
    """The deciding approval of the largest change writes fewer records than its weight."""
    five = Consortium(5)
    proposal = five.propose("node1", RemoveValidator(key_of("node5")))
    five.approve(proposal, "node2", "node3")
    context = five.context((five.tx("node4", Approve(proposal)),))
    outcome = apply_block(five.view(), context)
    assert len(outcome.changes) <= WEIGHT
    assert isinstance(outcome.validators, ValidatorSet)


def test_the_key_of_a_development_node_is_the_one_of_its_name() -> None:
    with pytest.raises(Rejected):
        Genesis(replace(development_genesis().record, validators=()))
    assert public_key(node_seed("node5")) == development_genesis(5).record.validators[4].key
