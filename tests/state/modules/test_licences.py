"""Purchase, deposits and the end of licences, with every boundary of time inclusive."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from concento.errors import Rejected
from concento.messages.identity import RevokeRoles
from concento.messages.licences import Price, RevokeLicence, TopUpLicence, WithdrawDeposit
from concento.messages.tokens import Transfer
from concento.terms import make_terms, terms_hash
from concento.transactions import licence_id
from concento.units import AMOUNT_UBEAT_MAX
from state.modules import licences, tokens
from state.modules.licences import (
    LICENCES,
    REFUNDS_PER_BLOCK_MAX,
    charge_ubeat,
    ended_ms,
    holding_key,
    holdings_among,
    state_of,
    units_free,
)
from state.modules.offers import OFFERS
from support.ledger import BEAT, Ledger, account_of, events_of
from support.rights import TRAINING, album, buy, buy_action, offer, tracks

WINDOW_MS = 3_600_000
"""The anchor window of the development network."""

MINUTE = make_terms(allow=("train-generative",), duration_ms=60_000)


class Sale:
    """An album of alice and bea, on offer."""

    def __init__(self, **offered: Any) -> None:
        self.ledger = Ledger()
        self.asset = album(self.ledger, tracks(self.ledger, 2))
        self.terms = offered.get("terms", TRAINING)
        self.offer = offer(self.ledger, self.asset, **offered)

    def action(self, **changes: Any) -> Any:
        return buy_action(self.offer, **{"terms_hash": terms_hash(self.terms), **changes})

    def buy(self, **changes: Any) -> bytes:
        return buy(self.ledger, self.offer, **{"terms_hash": terms_hash(self.terms), **changes})

    def refused(self, sender: str = "bob", **changes: Any) -> str:
        return self.ledger.refusal(sender, self.action(**changes))

    def licence(self, licence_id: bytes) -> licences.Licence:
        return self.ledger.view().get(LICENCES, licence_id)

    def deposit(self, licence_id: bytes) -> int:
        return tokens.escrowed(self.ledger.view(), licence_id)


def test_a_sale_is_paid_out_in_its_block() -> None:
    sale = Sale()
    before = {name: sale.ledger.balance(name) for name in ("alice", "bea", "bob")}
    transaction = sale.ledger.tx("bob", sale.action())
    fee = sale.ledger.block(transaction).results[0].fee_ubeat
    after = {name: sale.ledger.balance(name) for name in before}
    assert after["alice"] - before["alice"] == 27_720_000
    assert after["bea"] - before["bea"] == 11_880_000
    assert before["bob"] - after["bob"] == 40 * BEAT + fee


def test_a_licence_remembers_what_was_bought() -> None:
    sale = Sale(terms=replace(MINUTE, accesses_max=9))
    licence_id = sale.buy(deposit_ubeat=BEAT)
    found = sale.licence(licence_id)
    assert (found.offer, found.asset, found.licensee) == (sale.offer, sale.asset, account_of("bob"))
    assert (found.unit, found.unit_price_ubeat, found.quota_units) == ("access", 50 * BEAT, 9)
    assert (found.starts_ms, found.expires_ms) == (sale.ledger.time_ms, sale.ledger.time_ms + 60_000)
    assert units_free(found) == 9
    assert sale.deposit(licence_id) == BEAT
    assert holding_key(licence_id, found) in sale.ledger.history()
    assert holdings_among(sale.ledger.state().items()).keys() == {holding_key(licence_id, found)}
    assert sale.ledger.view().get(OFFERS, sale.offer).sold == 1


def test_a_quota_of_seconds_counts_seconds() -> None:
    terms = replace(TRAINING, seconds_max=100)
    sale = Sale(terms=terms, pricing=(Price("one-off", BEAT),))
    found = sale.licence(sale.buy())
    assert (found.unit, found.quota_units) == ("second", 100)


def test_a_free_licence_moves_no_money() -> None:
    sale = Sale(pricing=(Price("free", 0),))
    transaction = sale.ledger.tx("bob", sale.action(price_max_ubeat=0))
    before = sale.ledger.balance("bob")
    outcome = sale.ledger.block(transaction)
    assert before - sale.ledger.balance("bob") == outcome.results[0].fee_ubeat
    assert [event.kind for event in events_of(outcome)] == ["licence.bought"]


def test_the_terms_are_those_that_the_buyer_saw() -> None:
    assert Sale().refused(terms_hash=terms_hash(MINUTE)) == "licence.terms_changed"


def test_a_purpose_that_is_denied_is_not_sold() -> None:
    sale = Sale()
    assert sale.refused(purpose="redistribute") == "licence.wrong_purpose"
    sale.buy(purpose="analysis")


def test_a_buyer_pays_at_most_what_he_said() -> None:
    sale = Sale()
    assert sale.refused(price_max_ubeat=40 * BEAT - 1) == "licence.price_above_max"
    sale.buy(price_max_ubeat=40 * BEAT)


def test_the_hint_of_a_price_above_the_maximum_is_the_next_command() -> None:
    error = Rejected("licence.price_above_max", asset=b"\1" * 32, purpose="analysis", price="40.000000", price_max="1")
    assert error.hint == f"concento licence buy {'01' * 32} --purpose analysis --max-price 40.000000"


def test_an_owner_needs_no_licence_of_his_own() -> None:
    assert Sale().refused("alice") == "licence.own_asset"


def test_buying_needs_a_party_of_any_role() -> None:
    sale = Sale()
    sale.ledger.run("treasury", Transfer(account_of("eve"), 100 * BEAT))
    assert sale.refused("eve") == "identity.party_required"
    sale.ledger.run("carol", sale.action())
    sale.ledger.run("issuer", RevokeRoles(account_of("carol"), ("operator",)))
    assert sale.refused("carol") == "identity.party_required"


def test_an_unknown_offer_is_not_sold() -> None:
    assert Sale().refused(offer=bytes(32)) == "offer.not_found"


def test_supply_ends() -> None:
    sale = Sale(supply=2)
    sale.buy()
    sale.buy(buyer="dana")
    assert sale.refused() == "offer.sold_out"


def test_an_offer_is_open_until_its_expiry_inclusive() -> None:
    ledger = Ledger()
    track = tracks(ledger, 1)[0]
    expires_ms = ledger.time_ms + 10_000
    offer_id = offer(ledger, track, expires_ms=expires_ms)
    outcome = ledger.block(ledger.tx("bob", buy_action(offer_id)), time_ms=expires_ms)
    assert outcome.results[0].status == "ok"
    outcome = ledger.block(ledger.tx("bob", buy_action(offer_id)), time_ms=expires_ms + 1)
    assert outcome.results[0].kind == "offer.expired"


def test_a_tier_that_nobody_attests_is_not_sold() -> None:
    tiered = replace(TRAINING, audience_tier=1)
    assert Sale(terms=tiered).refused() == "licence.tier_required"


def test_every_purchase_is_a_licence_of_its_own_even_under_one_nonce() -> None:
    sale = Sale()
    first = sale.ledger.tx("bob", sale.action(), sale.action(), nonce=5)
    second = sale.ledger.tx("bob", sale.action(deposit_ubeat=1), nonce=5)
    results = sale.ledger.block(first, second).results
    assert [result.kind for result in results] == ["", ""]
    bought = [licence_id(first.id, 0), licence_id(first.id, 1), licence_id(second.id, 0)]
    assert [sale.licence(one).height for one in bought] == [sale.ledger.height] * 3


def test_price_and_deposit_must_be_there() -> None:
    sale = Sale()
    assert sale.refused("dana", deposit_ubeat=990 * BEAT) == "tokens.balance_low"
    assert sale.ledger.view().get(OFFERS, sale.offer).sold == 0


# Deposits


def test_a_deposit_is_for_metered_use_only() -> None:
    sale = Sale(pricing=(Price("one-off", BEAT),))
    assert sale.refused(deposit_ubeat=1) == "licence.deposit_unneeded"
    licence_id = sale.buy()
    assert sale.ledger.refusal("bob", TopUpLicence(licence_id, 1)) == "licence.deposit_unneeded"


def test_the_licensee_adds_and_withdraws() -> None:
    sale = Sale()
    licence_id = sale.buy()
    sale.ledger.run("bob", TopUpLicence(licence_id, 500))
    sale.ledger.run("bob", WithdrawDeposit(licence_id, 200))
    assert sale.deposit(licence_id) == 300
    assert sale.ledger.refusal("bob", WithdrawDeposit(licence_id, 301)) == "licence.deposit_locked"
    for action in (TopUpLicence(licence_id, 0), WithdrawDeposit(licence_id, 0)):
        assert sale.ledger.refusal("bob", action) == "tokens.amount_zero"
    for action in (TopUpLicence(licence_id, 1), WithdrawDeposit(licence_id, 1)):
        assert sale.ledger.refusal("dana", action) == "licence.not_yours"
    assert sale.ledger.refusal("bob", TopUpLicence(bytes(32), 1)) == "licence.not_found"
    assert sale.ledger.refusal("bob", TopUpLicence(licence_id, AMOUNT_UBEAT_MAX)) == "amount.range"
    assert sale.ledger.refusal("bob", TopUpLicence(licence_id, 60_000 * BEAT)) == "tokens.balance_low"


# Revocation


def test_only_the_offerer_revokes_and_only_once() -> None:
    sale = Sale()
    licence_id = sale.buy()
    assert sale.ledger.refusal("bea", RevokeLicence(licence_id, "why")) == "offer.not_yours"
    assert sale.ledger.refusal("alice", RevokeLicence(licence_id, "wh\u200by")) == "text.invalid"
    assert sale.ledger.refusal("alice", RevokeLicence(licence_id, "é" * 150)) == "text.invalid"
    sale.ledger.run("alice", RevokeLicence(licence_id, "why"))
    found = sale.licence(licence_id)
    assert (state_of(found, sale.ledger.time_ms), found.cause) == ("revoked", "why")
    assert sale.ledger.refusal("alice", RevokeLicence(licence_id, "why")) == "licence.ended"
    assert sale.ledger.refusal("bob", TopUpLicence(licence_id, 1)) == "licence.revoked"


def test_a_licence_that_expired_is_not_revoked() -> None:
    sale = Sale(terms=MINUTE)
    licence_id = sale.buy()
    sale.ledger.block(time_ms=sale.ledger.time_ms + 60_000)
    assert sale.ledger.refusal("alice", RevokeLicence(licence_id, "why")) == "licence.ended"


def test_what_was_paid_at_purchase_is_not_refunded() -> None:
    sale = Sale()
    licence_id = sale.buy(deposit_ubeat=7)
    sale.ledger.run("alice", RevokeLicence(licence_id, "why"))
    before = sale.ledger.balance("bob")
    sale.ledger.block(time_ms=sale.ledger.time_ms + WINDOW_MS)
    assert sale.ledger.balance("bob") - before == 7


# The end by time


def test_a_licence_serves_until_its_expiry_inclusive() -> None:
    sale = Sale(terms=MINUTE)
    licence_id = sale.buy()
    found = sale.licence(licence_id)
    expires_ms = found.expires_ms or 0
    assert state_of(found, expires_ms) == "active"
    assert state_of(found, expires_ms + 1) == "expired"
    top_up = TopUpLicence(licence_id, 1)
    assert sale.ledger.block(sale.ledger.tx("bob", top_up), time_ms=expires_ms).results[0].status == "ok"
    outcome = sale.ledger.block(sale.ledger.tx("bob", top_up), time_ms=expires_ms + 1)
    assert outcome.results[0].kind == "licence.expired"


def test_an_end_that_comes_first_is_the_end() -> None:
    sale = Sale(terms=MINUTE)
    found = sale.licence(sale.buy())
    assert ended_ms(found) == found.expires_ms
    assert ended_ms(replace(found, revoked_ms=5)) == 5
    assert ended_ms(replace(found, expires_ms=None)) is None
    assert ended_ms(replace(found, expires_ms=None, revoked_ms=6)) == 6


def test_a_used_up_quota_is_exhausted() -> None:
    sale = Sale(terms=replace(TRAINING, accesses_max=2))
    found = replace(sale.licence(sale.buy()), used_units=2)
    assert state_of(found, 0) == "exhausted"


def test_a_licence_for_ever_ends_with_the_calendar() -> None:
    sale = Sale(terms=replace(TRAINING, duration_ms=2**53 - 1))
    assert sale.licence(sale.buy()).expires_ms == 2**47


def test_refunds_of_one_block_are_bounded_and_none_is_lost() -> None:
    sale = Sale(terms=MINUTE, pricing=(Price("per-access", 1_000),))
    bought = 0
    while bought <= REFUNDS_PER_BLOCK_MAX:
        sale.ledger.run("bob", *[sale.action(deposit_ubeat=1)] * 64)
        bought += 64
    end = sale.ledger.time_ms + 60_000 + WINDOW_MS
    refunded = [
        [event.kind for event in sale.ledger.block(time_ms=end + later).closing].count("licence.refunded")
        for later in range(3)
    ]
    assert refunded == [REFUNDS_PER_BLOCK_MAX, bought - REFUNDS_PER_BLOCK_MAX, 0]
    assert tokens.bucket(sale.ledger.view(), "escrow") == 0


def test_an_idle_block_after_the_end_changes_nothing() -> None:
    sale = Sale(terms=MINUTE)
    sale.buy(deposit_ubeat=1)
    sale.ledger.block(time_ms=sale.ledger.time_ms + 60_000 + WINDOW_MS)
    sale.ledger.block()
    assert sale.ledger.block().changes == {}


# Charges


@given(st.lists(st.integers(0, 10**6), max_size=20), st.integers(0, 10**9))
def test_charges_telescope(batches: list[int], price: int) -> None:
    record = metered(price)
    used, total = 0, 0
    for units in batches:
        total += charge_ubeat(record, used, units)
        used += units
    assert total == used * price // 1_000


def metered(price: int) -> licences.Licence:
    return licences.Licence(
        offer=bytes(32),
        asset=bytes(32),
        licensee=bytes(32),
        purpose="analysis",
        price_ubeat=0,
        unit="access",
        unit_price_ubeat=price,
        quota_units=None,
        epoch=0,
        starts_ms=0,
        expires_ms=None,
        revoked_ms=None,
        cause="",
        used_units=0,
        locked_units=0,
        receipts=0,
        lanes_open=0,
        height=1,
        tx=b"",
    )


Steps = st.lists(
    st.tuples(st.sampled_from(["buy", "top up", "withdraw", "revoke", "wait"]), st.integers(1, 5_000)),
    max_size=12,
)


@settings(max_examples=15)
@given(Steps)
def test_deposits_are_conserved_whatever_happens(steps: list[tuple[str, int]]) -> None:
    sale = Sale(terms=MINUTE, pricing=(Price("per-access", 1_000),))
    bought = [sale.buy(deposit_ubeat=1)]
    for step, amount in steps:
        match step:
            case "buy":
                bought.append(sale.buy(deposit_ubeat=amount))
            case "top up":
                sale.ledger.block(sale.ledger.tx("bob", TopUpLicence(bought[-1], amount)))
            case "withdraw":
                sale.ledger.block(sale.ledger.tx("bob", WithdrawDeposit(bought[-1], amount)))
            case "revoke":
                sale.ledger.block(sale.ledger.tx("alice", RevokeLicence(bought[-1], "why")))
            case _:
                sale.ledger.block(time_ms=sale.ledger.time_ms + 1_000 * amount)
        assert sum(sale.deposit(one) for one in bought) == tokens.bucket(sale.ledger.view(), "escrow")
    sale.ledger.block(time_ms=sale.ledger.time_ms + 60_000 + WINDOW_MS)
    assert tokens.bucket(sale.ledger.view(), "escrow") == 0
