"""Validator sets in state, and what signing twice costs."""

from __future__ import annotations

from concento.devnet import development_genesis
from concento.encoding import encode
from concento.messages.tokens import Transfer
from state.modules import tokens
from state.validators import SETS, SUSPENSION_MS, SetRecord, height_key, newest_set
from support.ledger import Ledger, account_of

PAY = Transfer(account_of("carol"), 1)


def rewards(ledger: Ledger) -> list[int]:
    view = ledger.view()
    return [tokens.balance(view, member.rewards_to) for member in ledger.genesis.validators.members]


def test_the_first_set_is_that_of_genesis_from_height_1() -> None:
    ledger = Ledger()
    members = ledger.genesis.validators.members
    assert ledger.state()[b"validators/" + height_key(1)] == encode(SetRecord(members))
    assert newest_set(ledger.view()) == ledger.genesis.validators


def test_a_validator_that_can_be_spared_is_removed_two_heights_later() -> None:
    ledger = Ledger(development_genesis(nodes=5))
    key = ledger.genesis.validators.keys[2]
    ledger.block()
    outcome = ledger.block(evidence=((key, 1),))
    assert key not in outcome.validators
    assert len(outcome.validators) == 4
    assert [event.kind for event in outcome.closing] == ["validators.removed"]
    assert outcome.closing[0].fields["from_height"] == 4
    assert key in ledger.validators[3]
    assert key not in ledger.validators[4]
    assert ledger.view().get(SETS, height_key(4)).members == outcome.validators.members
    assert ledger.view().get(SETS, height_key(1)).members == ledger.genesis.validators.members


def test_removals_of_neighbouring_heights_add_up() -> None:
    ledger = Ledger(development_genesis(nodes=6))
    one, two = ledger.genesis.validators.keys[:2]
    ledger.block(evidence=((one, 1),))
    ledger.block(evidence=((two, 1),))
    assert [len(ledger.validators[height]) for height in (1, 2, 3, 4)] == [6, 6, 5, 4]


def test_the_set_never_goes_below_its_minimum_by_punishment() -> None:
    ledger = Ledger(development_genesis(nodes=5))
    outcome = ledger.block(evidence=tuple((key, 1) for key in ledger.genesis.validators.keys))
    assert len(outcome.validators) == 4
    assert [event.kind for event in outcome.closing] == ["validators.removed", *["validators.suspended"] * 4]


def test_a_validator_that_cannot_be_spared_keeps_its_vote_and_earns_nothing_for_a_day() -> None:
    ledger = Ledger()
    key = ledger.genesis.validators.keys[1]
    outcome = ledger.block(evidence=((key, 1),))
    assert key in outcome.validators
    until_ms = ledger.time_ms + SUSPENSION_MS
    ledger.block(ledger.tx("alice", PAY))
    first = rewards(ledger)
    assert first[1] == 0
    assert first[0] == first[2] == first[3] > 0
    ledger.block(ledger.tx("alice", PAY, valid_ms=SUSPENSION_MS), time_ms=until_ms)
    assert rewards(ledger)[1] == 0
    ledger.block(ledger.tx("alice", PAY), time_ms=until_ms + 1)
    assert rewards(ledger)[1] > 0


def test_one_height_is_punished_once_and_another_again() -> None:
    ledger = Ledger()
    key = ledger.genesis.validators.keys[1]
    assert ledger.block(evidence=((key, 1), (key, 1))).closing != []
    again = ledger.block(evidence=((key, 1),))
    assert (again.closing, again.changes) == ([], {})
    assert [event.kind for event in ledger.block(evidence=((key, 2),)).closing] == ["validators.suspended"]


def test_evidence_against_a_key_that_no_longer_validates_changes_nothing() -> None:
    ledger = Ledger()
    assert ledger.block(evidence=((bytes(32), 1),)).changes == {}
