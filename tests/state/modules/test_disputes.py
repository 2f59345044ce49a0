"""Disputes: only the claimed part waits, nobody is held hostage, and every end adds up to the last ubeat."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from concento.messages.assets import Split
from concento.messages.disputes import DISMISSED, AnswerDispute, OpenDispute, RaiseBond, RuleDispute
from concento.messages.identity import BindPlaceholder, RevokeRoles
from concento.messages.royalties import OpenVault, SealVault, TransferShares
from state.modules import tokens
from state.modules.disputes import DISPUTES, OPEN_OF, Dispute, open_disputes, stand_in
from state.modules.holds import held_id
from state.modules.rulings import ALIASES
from state.supply import audit
from support.ledger import BEAT, Ledger, account_of
from support.rights import buy, buy_action, offer, register, splits, work

NET = 40 * BEAT * 99 // 100
BOND = 10 * BEAT
DAY_MS = 24 * 3_600_000
UPHELD = replace(DISMISSED, upheld=True)


class Court:
    """A song of alice (70 %) and bea (30 %), and somebody who disputes it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.song = register(self.ledger, "alice", work("Song"))
        self.offer = offer(self.ledger, self.song, layers=("work",))

    def open(self, who: str = "dana", **changes: Any) -> bytes:
        found = self.ledger.run(who, self.claim(**changes))[0].fields["dispute"]
        assert isinstance(found, bytes)
        return found

    def claim(self, evidence: str = "a contract", **changes: Any) -> OpenDispute:
        fields: dict[str, Any] = {
            "asset": self.song,
            "reason": "ownership",
            "leg": 0,
            "bps": 0 if "holder" in changes else 5_000,
            "holder": b"",
            "page": 0,
            "shares": 0,
            "bond_ubeat": BOND,
            "evidence": sha256(evidence.encode()).digest(),
        }
        return OpenDispute(**{**fields, **changes})

    def against_alice(self, count: int = 200_000, **changes: Any) -> bytes:
        return self.open(holder=account_of("alice"), shares=count, **changes)

    def answer(self, dispute: bytes, who: str = "alice") -> None:
        self.ledger.run(who, AnswerDispute(dispute, False, b""))

    def rule(self, dispute: bytes, **ruling: Any) -> None:
        """Two of three arbiters agree."""
        wanted = replace(UPHELD if ruling.pop("upheld", True) else DISMISSED, **ruling)
        for arbiter in ("arbiter1", "arbiter2"):
            self.ledger.run(arbiter, RuleDispute(dispute, wanted))

    def sell(self) -> dict[str, int]:
        """One sale; what it changed in whose balance."""
        people = ("alice", "bea", "carol", "dana")
        before = {name: self.ledger.balance(name) for name in people}
        buy(self.ledger, self.offer)
        self.check()
        return {name: self.ledger.balance(name) - before[name] for name in people}

    def wait(self, days: int) -> None:
        self.ledger.block(time_ms=self.ledger.time_ms + days * DAY_MS)
        self.ledger.block()
        self.check()

    def held(self, dispute: bytes) -> int:
        return tokens.escrowed(self.ledger.view(), held_id(dispute))

    def dispute(self, dispute: bytes) -> Dispute:
        return self.ledger.view().get(DISPUTES, dispute)

    def check(self) -> None:
        books = audit(self.ledger.state().items())
        assert books.difference_ubeat == 0
        assert books.deposits_ubeat == books.escrow_ubeat


@pytest.fixture
def court() -> Court:
    return Court()


def test_a_claim_on_a_leg_holds_its_part_and_everybody_gets_the_rest(court: Court) -> None:
    dispute = court.open()
    earned = court.sell()
    assert court.held(dispute) == NET // 2
    assert (earned["alice"], earned["bea"]) == (NET // 2 * 7 // 10, NET // 2 * 3 // 10)


def test_a_claim_on_one_holder_takes_nothing_from_the_others(court: Court) -> None:
    court.against_alice()
    earned = court.sell()
    assert (earned["alice"], earned["bea"], earned["dana"]) == (NET // 2, NET * 3 // 10, 0)


def test_what_is_held_never_exceeds_ten_times_the_bond_unless_the_bond_is_raised(court: Court) -> None:
    dispute = court.open(bps=10_000)
    total = sum(sum(court.sell().values()) for _ in range(4))
    assert court.held(dispute) == 10 * BOND
    assert total == 4 * NET - 10 * BOND
    court.ledger.run("dana", RaiseBond(dispute, BOND))
    court.sell()
    court.sell()
    court.sell()
    assert court.held(dispute) == 20 * BOND


def test_beyond_the_cap_disputed_shares_earn_for_their_holder_again(court: Court) -> None:
    dispute = court.against_alice(700_000)
    earned = [court.sell()["alice"] for _ in range(6)]
    held = NET * 7 // 10 * 3
    assert earned == [0, 0, 0, *[NET * 7 // 10] * 3]
    assert held <= 10 * BOND < held + NET * 7 // 10
    court.answer(dispute)
    court.rule(dispute, shares=700_000)
    assert court.sell()["dana"] == NET * 7 // 10


def test_a_ruling_divides_what_was_held_and_the_loser_pays(court: Court) -> None:
    dispute = court.open()
    court.sell()
    court.answer(dispute)
    held, dana, alice = court.held(dispute), court.ledger.balance("dana"), court.ledger.balance("alice")
    court.rule(dispute, escrow_bps=2_500, slash_bps=5_000)
    assert court.dispute(dispute).state == "upheld"
    court.ledger.block()
    assert court.ledger.balance("dana") - dana == held // 4 + BOND + BOND // 2
    assert court.ledger.balance("alice") - alice == held * 3 // 4 * 7 // 10
    assert court.held(dispute) == 0
    assert court.sell()["alice"] == NET * 7 // 10
    court.check()


def test_a_dismissed_claim_gives_everything_back_and_the_bond_to_the_other_side(court: Court) -> None:
    dispute = court.open()
    court.sell()
    court.answer(dispute)
    alice, bea = court.ledger.balance("alice"), court.ledger.balance("bea")
    court.rule(dispute, upheld=False)
    court.ledger.block()
    assert court.ledger.balance("alice") - alice == NET // 2 * 7 // 10 + 2 * BOND
    assert court.ledger.balance("bea") - bea == NET // 2 * 3 // 10
    court.check()


@pytest.mark.parametrize("awarded", [0, 50_000, 200_000])
def test_held_shares_and_what_they_earned_go_to_whom_they_belong(court: Court, awarded: int) -> None:
    dispute = court.against_alice()
    court.sell()
    court.answer(dispute)
    held = NET * 2 // 10
    alice, dana = court.ledger.balance("alice"), court.ledger.balance("dana")
    bonds = 2 * BOND
    court.rule(dispute, upheld=bool(awarded), shares=awarded)
    won = held * awarded // 200_000
    assert court.ledger.balance("dana") - dana == won + (bonds if awarded else 0)
    assert court.ledger.balance("alice") - alice == held - won + (0 if awarded else bonds)
    later = court.sell()
    assert later["dana"] == NET * awarded // 10**6
    assert later["alice"] == NET * (700_000 - awarded) // 10**6
    assert court.ledger.view().find(OPEN_OF, court.song) is None


def test_who_does_not_answer_in_time_has_lost(court: Court) -> None:
    dispute = court.against_alice()
    court.sell()
    dana = court.ledger.balance("dana")
    court.wait(8)
    assert court.dispute(dispute).state == "defaulted"
    assert court.ledger.balance("dana") - dana == NET * 2 // 10 + BOND
    assert court.sell()["dana"] == NET * 2 // 10


def test_an_answer_after_the_deadline_is_too_late(court: Court) -> None:
    dispute = court.open()
    late = court.ledger.tx("alice", AnswerDispute(dispute, False, b""), valid_ms=8 * DAY_MS)
    params = court.ledger.params
    court.ledger.params = replace(params, consensus=replace(params.consensus, replay_window_ms=30 * DAY_MS))
    outcome = court.ledger.block(late, time_ms=court.ledger.time_ms + 7 * DAY_MS + 1)
    assert outcome.results[0].kind == "dispute.late"


def test_without_a_ruling_in_time_everything_goes_back(court: Court) -> None:
    dispute = court.open()
    court.sell()
    court.answer(dispute)
    alice, dana = court.ledger.balance("alice"), court.ledger.balance("dana")
    court.wait(31)
    assert court.dispute(dispute).state == "lapsed"
    assert court.ledger.balance("alice") - alice == NET // 2 * 7 // 10 + BOND
    assert court.ledger.balance("dana") - dana == BOND


def test_either_side_may_concede(court: Court) -> None:
    first, second = court.open(), court.open(evidence="another one", bps=1_000)
    court.ledger.run("alice", AnswerDispute(first, True, b""))
    court.ledger.run("dana", AnswerDispute(second, True, b""))
    assert (court.dispute(first).state, court.dispute(second).state) == ("upheld", "rejected")
    court.check()


def test_one_arbiter_is_no_panel_and_two_who_differ_are_none_either(court: Court) -> None:
    dispute = court.open()
    court.answer(dispute)
    court.ledger.run("arbiter1", RuleDispute(dispute, replace(UPHELD, escrow_bps=1)))
    court.ledger.run("arbiter2", RuleDispute(dispute, replace(UPHELD, escrow_bps=2)))
    assert court.dispute(dispute).state == "answered"
    again = RuleDispute(dispute, replace(UPHELD, escrow_bps=2))
    assert court.ledger.refusal("arbiter2", again) == "dispute.voted"
    court.ledger.run("issuer", RevokeRoles(account_of("arbiter2"), ("arbiter",)))
    court.ledger.run("arbiter3", RuleDispute(dispute, replace(UPHELD, escrow_bps=2)))
    assert court.dispute(dispute).state == "answered"
    court.ledger.run("arbiter1", RuleDispute(dispute, replace(UPHELD, escrow_bps=2)))
    assert court.dispute(dispute).state == "upheld"


def test_nobody_judges_his_own_case_and_nobody_without_the_role_judges_at_all(court: Court) -> None:
    dispute = court.open("arbiter3")
    assert court.ledger.refusal("arbiter1", RuleDispute(dispute, DISMISSED)) == "dispute.not_ready"
    court.answer(dispute)
    assert court.ledger.refusal("arbiter3", RuleDispute(dispute, UPHELD)) == "dispute.conflict"
    assert court.ledger.refusal("bob", RuleDispute(dispute, DISMISSED)) == "identity.role_required"


def test_a_ruling_changes_splits_from_here_on(court: Court) -> None:
    dispute = court.open()
    court.answer(dispute)
    court.rule(dispute, splits=splits(bea=100))
    assert court.sell() == {"alice": 0, "bea": NET, "carol": 0, "dana": 0}


def test_what_was_held_before_new_splits_goes_back_into_the_leg_of_today(court: Court) -> None:
    dispute = court.open()
    court.sell()
    court.answer(dispute)
    bea = court.ledger.balance("bea")
    court.rule(dispute, splits=splits(bea=100))
    court.ledger.block()
    assert court.ledger.balance("bea") - bea == NET // 2


def test_a_ruling_adds_a_parent_and_the_parent_is_paid(court: Court) -> None:
    older, court.song = court.song, register(court.ledger, "bea", work("Copy", rows=splits(bea=100)))
    court.offer = offer(court.ledger, court.song, owner="bea", layers=("work",))
    dispute = court.open()
    court.answer(dispute, "bea")
    wrong = replace(UPHELD, parent=court.song, parent_bps=1_000)
    assert court.ledger.refusal("arbiter1", RuleDispute(dispute, wrong)) == "dispute.ruling_form"
    court.rule(dispute, parent=older, parent_bps=1_000)
    assert court.sell()["alice"] == NET // 10 * 7 // 10


def test_a_duplicate_points_to_its_original_and_sells_no_more(court: Court) -> None:
    copy = register(court.ledger, "bea", work("Copy"))
    copy_offer = offer(court.ledger, copy, owner="bea", layers=("work",))
    dispute = court.open(asset=copy)
    court.answer(dispute, "bea")
    court.rule(dispute, original=court.song)
    assert court.ledger.view().get(ALIASES, copy).original == court.song
    assert court.ledger.refusal("bob", buy_action(copy_offer)) == "asset.retired"


def test_griefing_is_bounded(court: Court) -> None:
    """Four at once, each with new evidence and a bond that the loser loses."""
    first = court.open()
    assert court.ledger.refusal("dana", court.claim()) == "dispute.evidence_repeated"
    assert court.ledger.refusal("dana", court.claim("cheap", bond_ubeat=1)) == "dispute.bond_low"
    assert court.ledger.refusal("alice", court.claim("own")) == "dispute.self"
    assert court.ledger.refusal("dana", court.claim("both", holder=account_of("bea"), bps=1)) == "dispute.claim_form"
    for number in range(3):
        court.open(evidence=f"more {number}")
    assert court.ledger.refusal("dana", court.claim("a fifth")) == "dispute.too_many"
    assert len(open_disputes(court.ledger.view(), court.song)) == 4
    court.answer(first)
    court.rule(first, upheld=False)
    assert court.ledger.refusal("dana", court.claim()) == "dispute.evidence_repeated"
    court.open(evidence="a fifth")


def test_four_claims_on_everything_hold_everything_once(court: Court) -> None:
    disputes = [court.open(evidence=str(number), bps=4_000) for number in range(4)]
    earned = court.sell()
    assert sum(court.held(dispute) for dispute in disputes) == NET
    assert sum(earned.values()) == 0


def test_disputed_shares_cannot_be_sold_or_bound_away(court: Court) -> None:
    dispute = court.against_alice(700_000)
    sale = TransferShares(court.song, 0, 0, "account", account_of("carol"), 0, 1)
    assert court.ledger.refusal("alice", sale) == "royalties.shares_short"
    bind = BindPlaceholder(stand_in(dispute), account_of("carol"))
    assert court.ledger.refusal("issuer", bind) == "dispute.not_ready"


class VaultCourt(Court):
    """carol and dana share a vault that holds half of alice's part of the song."""

    def __init__(self) -> None:
        super().__init__()
        rows = tuple(sorted((Split(account_of(name), 500) for name in ("carol", "dana")), key=lambda row: row.holder))
        vault = self.ledger.run("carol", OpenVault("a fund", rows))[0].fields["vault"]
        assert isinstance(vault, bytes)
        self.vault = vault
        assert self.ledger.refusal("bob", self.against_dana()) == "royalties.vault_open"
        self.ledger.run("carol", SealVault(vault))
        self.ledger.run("alice", TransferShares(self.song, 0, 0, "vault", vault, 0, 400_000))

    def against_dana(self, **changes: Any) -> OpenDispute:
        fields = {"asset": self.vault, "holder": account_of("dana"), "shares": 300, "evidence": "a receipt", **changes}
        return self.claim(**fields)


def test_shares_of_a_vault_are_disputed_like_those_of_a_split() -> None:
    court = VaultCourt()
    dispute = court.ledger.run("bob", court.against_dana())[0].fields["dispute"]
    assert isinstance(dispute, bytes)
    part = NET * 4 // 10
    assert court.sell() == {"alice": NET * 3 // 10, "bea": NET * 3 // 10, "carol": part // 2, "dana": part // 5}
    court.answer(dispute, "dana")
    bob, dana = court.ledger.balance("bob"), court.ledger.balance("dana")
    court.rule(dispute, shares=100)
    court.ledger.block()
    # 300 of 1,000 shares earned while they were held; a third of that, 100 shares and both bonds are bob's.
    assert court.ledger.balance("bob") - bob == part // 10 + 2 * BOND
    assert court.ledger.balance("dana") - dana == part // 5
    assert court.sell()["dana"] == part * 4 // 10
    court.check()


def test_of_a_vault_nothing_but_shares_is_claimed_or_ruled_on() -> None:
    court = VaultCourt()
    leg = court.against_dana(holder=b"", shares=0, bps=5_000)
    assert court.ledger.refusal("bob", leg) == "dispute.claim_form"
    assert court.ledger.refusal("bob", court.against_dana(leg=1)) == "royalties.no_leg"
    assert court.ledger.refusal("bob", court.against_dana(shares=501)) == "royalties.shares_short"
    assert court.ledger.refusal("dana", court.against_dana()) == "dispute.self"
    dispute = court.ledger.run("bob", court.against_dana())[0].fields["dispute"]
    assert isinstance(dispute, bytes)
    court.answer(dispute, "dana")
    for ruling in ({"splits": splits(bea=100)}, {"original": court.song}, {"delist": True}):
        wanted = RuleDispute(dispute, replace(UPHELD, **ruling))
        assert court.ledger.refusal("arbiter1", wanted) == "dispute.ruling_form"


def test_a_dispute_about_a_vault_that_nobody_answers_gives_the_claimant_the_shares() -> None:
    court = VaultCourt()
    court.ledger.run("bob", court.against_dana())
    court.wait(8)
    before = court.ledger.balance("bob")
    buy(court.ledger, court.offer, "dana")
    assert court.ledger.balance("bob") - before == NET * 4 // 10 * 3 // 10


def test_an_open_dispute_stops_no_sale(court: Court) -> None:
    court.open(bps=10_000)
    assert buy(court.ledger, court.offer) != buy(court.ledger, court.offer)
