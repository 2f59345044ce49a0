"""What `concento gov` sends and prints."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from concento.accounts import account_of_key, address
from concento.development import development_seed
from concento.keys import public_key
from concento.messages.governance import (
    AddValidator,
    AdmitObserver,
    Approve,
    CancelUpgrade,
    Propose,
    RemoveObserver,
    RemoveValidator,
    ReplaceKey,
    Upgrade,
)
from node.rpc.governance_methods import Observers, ProposalInFull, Proposals, Protocol
from support.canned import WHO, page
from support.fake_node import FakeNode

PROPOSAL = "c0" * 32
DAY_MS = 24 * 3_600_000


def key_of(name: str) -> bytes:
    return public_key(development_seed(name))


def account_of(name: str) -> str:
    return address(account_of_key(key_of(name)), dev=True)


DOCUMENT: dict[str, Any] = {
    "id": PROPOSAL,
    "change": {"kind": "validator.add", "key": key_of("node5").hex()},
    "state": "open",
    "proposer": account_of("node1"),
    "approvals": 1,
    "needed": 3,
    "validators": 4,
    "proposed_ms": 1_793_491_200_000,
    "expires_ms": 1_793_491_200_000 + DAY_MS,
    "proposed_height": 7,
    "decided_height": None,
    "voices": [
        {"name": f"node{number}", "account": account_of(f"node{number}"), "approves": number == 1}
        for number in range(1, 5)
    ],
    "reason": None,
    "tx": "ab" * 32,
    "height": 118,
}
SUMMARY = {name: DOCUMENT[name] for name in DOCUMENT if name not in ("voices", "reason", "tx", "height")}
VALIDATORS = {
    **page(*({"name": f"node{n}", "key": key_of(f"node{n}").hex(), "rewards_to": WHO["alice"]} for n in range(1, 5))),
    "hash": "ee" * 32,
    "quorum": 3,
}
OBSERVERS = page({"name": "spare", "key": key_of("node5").hex(), "account": account_of("node5")})
PROTOCOL = {"protocol": 1, "switches": [{"height": 5_000, "protocol": 2}], "height": 118}


@pytest.fixture
def council(node: FakeNode) -> FakeNode:
    node.answers |= {
        "gov_getProposal": DOCUMENT,
        "gov_listProposals": page(SUMMARY),
        "gov_listObservers": OBSERVERS,
        "gov_getProtocol": PROTOCOL,
        "chain_getValidators": VALIDATORS,
    }
    return node


def sent(node: FakeNode, kind: type) -> list[Any]:
    return [
        action for transaction in node.submitted() for action in transaction.body.actions if isinstance(action, kind)
    ]


def test_the_answers_of_these_tests_have_the_shapes_that_nodes_give(council: FakeNode) -> None:
    msgspec.convert(DOCUMENT, ProposalInFull)
    msgspec.convert(page(SUMMARY), Proposals)
    msgspec.convert(OBSERVERS, Observers)
    msgspec.convert(PROTOCOL, Protocol)


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (("validator", "add", "spare"), AddValidator(key_of("node5"))),
        (("validator", "add", key_of("node9").hex()), AddValidator(key_of("node9"))),
        (("validator", "remove", "node3"), RemoveValidator(key_of("node3"))),
        (("validator", "replace", "node3", "spare"), ReplaceKey(key_of("node3"), key_of("node5"))),
        (("observer", "remove", "spare"), RemoveObserver(key_of("node5"))),
        (("upgrade", "2", "5000"), Upgrade(2, 5_000)),
        (("cancel-upgrade", "2"), CancelUpgrade(2)),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
def test_a_change_is_proposed_for_a_week_of_block_time(concento, council: FakeNode, line, change) -> None:
    made = concento("gov", "propose", *line, "--from", "node1")
    assert made.code == 0, made.err
    (proposal,) = sent(council, Propose)
    assert proposal.change == change
    block_ms = council.answers["node_getStatus"]["time_ms"]
    assert proposal.expires_ms == block_ms + 7 * DAY_MS
    assert "is open" in made.out
    assert "concento gov approve" in made.out


def test_an_observer_is_admitted_with_who_speaks_for_it(concento, council: FakeNode) -> None:
    line = ("gov", "propose", "observer", "add", key_of("node9").hex(), "--name", "lisbon", "--from", "node1")
    assert concento(*line).code == 0
    assert concento(*line, "--account", "carol", "--days", "0.5").code == 0
    own, others = sent(council, Propose)
    assert own.change == AdmitObserver(key_of("node9"), "lisbon", account_of_key(key_of("node1")))
    assert others.change.account == account_of_key(key_of("carol"))
    assert others.expires_ms < own.expires_ms


def test_nodes_that_nobody_knows_are_a_mistake_with_the_names_that_there_are(concento, council: FakeNode) -> None:
    wrong = concento("gov", "propose", "validator", "remove", "node9", "--from", "node1")
    assert wrong.code == 2
    assert "No validator is called node9; there is: node1, node2, node3, node4." in wrong.err
    assert concento("gov", "propose", "observer", "add", "abc", "--name", "x", "--from", "node1").code == 2
    assert sent(council, Propose) == []


def test_approve_sends_the_whole_id_and_says_how_it_stands(concento, council: FakeNode) -> None:
    done = concento("gov", "approve", PROPOSAL[:12], "--from", "node2")
    assert done.code == 0, done.err
    assert sent(council, Approve) == [Approve(bytes.fromhex(PROPOSAL))]
    assert "open, 1 of the 3 validators that it needs are for it" in done.out


def test_reading_says_what_who_and_when(concento, council: FakeNode) -> None:
    shown = concento("gov", "show", PROPOSAL)
    assert "make spare a validator: open" in shown.out
    assert "for it" in shown.out
    assert concento("gov", "show", PROPOSAL, "--json").document == DOCUMENT
    listed = concento("gov", "list", "--state", "open")
    assert "1 of 3" in listed.out
    assert "make spare a validator" in listed.out
    assert council.called("gov_listProposals")[-1] == {"state": "open"}
    assert "4 validators decide block 118; 3 must sign." in concento("gov", "validators").out
    assert "spare" in concento("gov", "observers").out
    upgrades = concento("gov", "upgrades").out
    assert "Protocol 1 is in force." in upgrades
    assert "5000" in upgrades


def test_a_node_that_is_gone_is_called_by_its_key(concento, council: FakeNode) -> None:
    council.answers["gov_listObservers"] = page()
    assert f"make {key_of('node5').hex()[:12]} a validator: open" in concento("gov", "show", PROPOSAL).out


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "observer.add", "name": "lisbon", "key": "aa" * 32, "account": WHO["alice"]},
        {"kind": "observer.remove", "key": "aa" * 32},
        {"kind": "validator.remove", "key": "aa" * 32},
        {"kind": "validator.replace", "key": "aa" * 32, "new_key": "bb" * 32},
        {"kind": "protocol.upgrade", "protocol": 2, "height": 5},
        {"kind": "protocol.cancel", "protocol": 2},
    ],
    ids=lambda change: change["kind"],
)
def test_every_change_has_words(concento, council: FakeNode, change) -> None:
    council.answers["gov_getProposal"] = {
        **DOCUMENT,
        "change": change,
        "state": "failed",
        "reason": "governance.too_few",
    }
    shown = concento("gov", "show", PROPOSAL)
    assert shown.code == 0
    assert change["kind"] not in shown.out
    assert "governance.too_few" in shown.out
