"""What `concento dispute` sends and prints."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from concento.accounts import parse_address
from concento.cids import cid
from concento.messages.disputes import AnswerDispute, OpenDispute, RuleDispute
from node.rpc.dispute_methods import DisputeInFull, Disputes
from support.canned import ASSET, DISPUTE, DISPUTE_DOCUMENT, WHO
from support.fake_node import FakeNode


def sent(node: FakeNode, kind: type) -> list[Any]:
    """The actions of this kind that were handed in."""
    return [
        action for transaction in node.submitted() for action in transaction.body.actions if isinstance(action, kind)
    ]


def account(name: str) -> bytes:
    return parse_address(WHO[name], dev=True)


def test_the_answers_of_these_tests_have_the_shapes_that_nodes_give(node: FakeNode) -> None:
    msgspec.convert(DISPUTE_DOCUMENT, DisputeInFull)
    msgspec.convert(node.answers["dispute_list"], Disputes)


def test_show_says_who_claims_what_from_whom_and_how_it_stands(concento) -> None:
    shown = concento("dispute", "show", DISPUTE)
    assert shown.code == 0
    assert "dana disputes asset" in shown.out
    assert "with alice; it waits for the arbiters." in shown.out
    assert "50 % of what leg 0 gets" in shown.out
    assert "19.800000 BEAT, at most 100.000000 BEAT" in shown.out
    assert concento("dispute", "show", DISPUTE, "--json").document == DISPUTE_DOCUMENT


def test_list_passes_its_conditions_on(concento, node: FakeNode) -> None:
    listed = concento("dispute", "list", "--asset", ASSET, "--state", "pending")
    assert "ownership" in listed.out
    assert node.called("dispute_list")[-1] == {"asset": ASSET, "state": "pending"}


def test_open_sends_the_claim_and_only_the_hash_of_the_evidence(concento, node: FakeNode, tmp_path: Path) -> None:
    contract = tmp_path / "contract.pdf"
    contract.write_bytes(b"we agreed")
    line = ("--reason", "ownership", "--part", "12.5", "--bond", "10", "--evidence", str(contract), "--from", "dana")
    opened = concento("dispute", "open", ASSET, *line)
    assert opened.code == 0, opened.err
    assert sent(node, OpenDispute) == [
        OpenDispute(
            asset=bytes.fromhex(ASSET),
            reason="ownership",
            leg=0,
            bps=1_250,
            holder=b"",
            page=0,
            shares=0,
            bond_ubeat=10_000_000,
            evidence=sha256(b"we agreed").digest(),
        )
    ]


def test_a_claim_on_a_holder_names_shares(concento, node: FakeNode) -> None:
    line = ("--reason", "ownership", "--holder", "alice", "--shares", "200000", "--bond", "10", "--leg", "1")
    opened = concento("dispute", "open", ASSET, *line, "--evidence", cid(bytes(32)), "--from", "dana")
    assert opened.code == 0, opened.err
    claim = sent(node, OpenDispute)[0]
    assert (claim.holder, claim.shares, claim.bps, claim.leg) == (account("alice"), 200_000, 0, 1)


@pytest.mark.parametrize(
    "line",
    [
        (),
        ("--part", "5", "--holder", "alice", "--shares", "1"),
        ("--holder", "alice"),
        ("--part", "100.01"),
        ("--part", "half"),
    ],
)
def test_a_claim_of_no_form_is_a_mistake_of_the_line(concento, node: FakeNode, line: tuple[str, ...]) -> None:
    more = ("--reason", "quality", "--bond", "10", "--evidence", cid(bytes(32)), "--from", "dana")
    assert concento("dispute", "open", ASSET, *line, *more).code == 2
    assert sent(node, OpenDispute) == []


def test_answer_and_concede(concento, node: FakeNode) -> None:
    assert concento("dispute", "answer", DISPUTE, "--from", "alice").code == 0
    assert concento("dispute", "answer", DISPUTE, "--concede", "--from", "alice", "--yes").code == 0
    assert [action.concede for action in sent(node, AnswerDispute)] == [False, True]


def test_rule_says_everything_that_a_panel_can_order(concento, node: FakeNode) -> None:
    line = ("--uphold", "--award", "25", "--split", "alice=70,bea=30", "--delist", "--slash", "50")
    ruled = concento("dispute", "rule", DISPUTE, *line, "--from", "arbiter1")
    assert ruled.code == 0, ruled.err
    ruling = sent(node, RuleDispute)[0].ruling
    assert (ruling.upheld, ruling.escrow_bps, ruling.delist, ruling.slash_bps) == (True, 2_500, True, 5_000)
    assert sorted((row.holder, row.shares) for row in ruling.splits) == sorted(
        [(account("alice"), 700_000), (account("bea"), 300_000)]
    )


def test_a_parent_needs_a_rate(concento) -> None:
    assert concento("dispute", "rule", DISPUTE, "--uphold", "--parent", ASSET, "--from", "arbiter1").code == 2


def test_dismiss_orders_nothing(concento, node: FakeNode) -> None:
    assert concento("dispute", "rule", DISPUTE, "--dismiss", "--from", "arbiter1").code == 0
    assert not sent(node, RuleDispute)[0].ruling.upheld
