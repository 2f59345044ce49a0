"""What a licence costs after its purchase: volume prices, subscriptions, outputs, shares of revenue, advances."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from concento.messages.licences import Price, Rate, RenewLicence, ReportRevenue, Tier
from concento.messages.lineage import AuthoriseOutputs
from state.modules import charges, tokens
from state.modules.licences import LICENCES, Licence, charge_ubeat, state_of
from state.supply import audit
from support.ledger import BEAT, Ledger
from support.lineage import FREE, OPEN, licence, model_action, nodes, output_action, rel
from support.rights import Reader, album, offer_action, recording, register, tracks

DAY_MS = 86_400_000
PERIOD = replace(OPEN, duration_ms=DAY_MS)
SHARE = Price("revenue-share", 0, (), 500)


def market(*pricing: Price, **changes: Any) -> tuple[Ledger, bytes, bytes]:
    """(ledger, alice's dataset of one track, bob's licence of it)."""
    ledger = Ledger()
    trained = album(ledger, tracks(ledger, 1, terms=OPEN))
    bought = {"price_max_ubeat": 100 * BEAT, **changes}
    return ledger, trained, licence(ledger, trained, "alice", "bob", None, pricing=pricing, **bought)


def state(ledger: Ledger, licence_id: bytes) -> Licence:
    return ledger.view().get(LICENCES, licence_id)


def paid(events: list[Any]) -> list[tuple[str, int]]:
    """(cause, gross) of what was passed on."""
    found = [event.fields for event in events if event.kind == "royalties.accrued"]
    return [(fields["cause"], fields["gross_ubeat"]) for fields in found]


# Volume


def test_a_volume_price_is_one_division_over_the_sum_of_its_tiers_however_it_is_cut() -> None:
    tiers = (Tier(10, 700), Tier(25, 0), Tier(40, 1_500))
    ledger, _, licence_id = market(Price("per-access", 999, tiers), deposit_ubeat=BEAT)
    record = state(ledger, licence_id)
    whole = (10 * 999 + 15 * 700 + 15 * 0 + 60 * 1_500) // 1_000
    assert charge_ubeat(record, 0, 100) == whole
    for step in (1, 3, 7, 50):
        cut = [charge_ubeat(record, start, min(step, 100 - start)) for start in range(0, 100, step)]
        assert sum(cut) == whole


@pytest.mark.parametrize(
    "pricing",
    [
        (Price("one-off", BEAT, (Tier(1, 1),)),),
        (Price("per-access", BEAT, (Tier(2, 1), Tier(2, 1))),),
        (Price("one-off", BEAT, (), 5),),
        (Price("revenue-share", 5, (), 5),),
        (Price("revenue-share", 0, (), 0),),
        (Price("one-off", BEAT), Price("subscription", BEAT)),
        (Price("guarantee", BEAT),),
        (Price("guarantee", BEAT), Price("one-off", BEAT)),
        (SHARE, SHARE),
        (Price("free", 0), SHARE),
    ],
)
def test_a_price_without_sense_is_refused(pricing: tuple[Price, ...]) -> None:
    ledger = Ledger()
    track = register(ledger, "alice", recording("t", terms=PERIOD))
    action = offer_action(track, terms=PERIOD, layers=("recording",), pricing=pricing)
    assert ledger.refusal("alice", action) == "offer.pricing_invalid"


def test_an_upstream_rate_asks_for_something_and_for_no_more_than_everything() -> None:
    ledger = Ledger()
    track = register(ledger, "alice", recording("t", terms=OPEN))
    for rate in (Rate(0, 0, None), Rate(0, 0, 5), Rate(6_000, 4_001, None)):
        action = offer_action(track, terms=OPEN, layers=("recording",), pricing=FREE, upstream=rate)
        assert ledger.refusal("alice", action) == "offer.upstream_invalid"


# Subscriptions


def test_a_subscription_is_renewed_period_by_period_and_only_while_it_runs() -> None:
    limited = replace(PERIOD, accesses_max=5)
    pricing = (Price("subscription", 3 * BEAT), Price("guarantee", BEAT), Price("per-access", 1_000))
    ledger, _, licence_id = market(*pricing, terms=limited)
    first = state(ledger, licence_id)
    assert first.expires_ms is not None
    assert ledger.refusal("bob", RenewLicence(licence_id, 4 * BEAT - 1)) == "licence.price_above_max"
    assert ledger.refusal("dana", RenewLicence(licence_id, 4 * BEAT)) == "licence.not_yours"
    events = ledger.run("bob", RenewLicence(licence_id, 4 * BEAT))
    after = state(ledger, licence_id)
    assert paid(events) == [("sale", 4 * BEAT)]
    assert after.expires_ms == first.expires_ms + DAY_MS
    assert (after.quota_units, after.recoup_ubeat) == (10, 2 * BEAT)
    ledger.block(time_ms=after.expires_ms)
    assert state_of(after, ledger.time_ms) == "active"
    ledger.block(time_ms=after.expires_ms + 1)
    assert ledger.refusal("bob", RenewLicence(licence_id, 4 * BEAT)) == "licence.expired"


def test_a_renewed_licence_keeps_its_deposit_until_its_new_end() -> None:
    pricing = (Price("subscription", BEAT), Price("per-access", 1_000))
    ledger, _, licence_id = market(*pricing, terms=PERIOD, deposit_ubeat=7)
    first = state(ledger, licence_id).expires_ms
    assert first is not None
    ledger.run("bob", RenewLicence(licence_id, BEAT))
    window = ledger.params.access.anchor_window_ms
    ledger.block(time_ms=first + window)
    assert tokens.escrowed(ledger.view(), licence_id) == 7
    ledger.block(time_ms=first + DAY_MS + window)
    assert tokens.escrowed(ledger.view(), licence_id) == 0


def test_a_licence_that_is_no_subscription_cannot_be_renewed() -> None:
    ledger, _, licence_id = market(Price("one-off", BEAT), terms=PERIOD)
    assert ledger.refusal("bob", RenewLicence(licence_id, BEAT)) == "licence.no_subscription"


def test_a_subscription_without_a_period_cannot_be_offered() -> None:
    ledger = Ledger()
    track = register(ledger, "alice", recording("t", terms=OPEN))
    action = offer_action(track, terms=OPEN, layers=("recording",), pricing=(Price("subscription", BEAT),))
    assert ledger.refusal("alice", action) == "offer.period_missing"


# Revenue made elsewhere


def test_a_share_of_reported_revenue_adds_up_however_it_is_reported() -> None:
    ledger, trained, licence_id = market(SHARE)
    total = 0
    for number, gross in enumerate((999, 1, 12_345, 7)):
        report = ReportRevenue(trained, licence_id, number, number + 1, gross, b"")
        total += sum(amount for cause, amount in paid(ledger.run("bob", report)) if cause == "declared")
    assert total == (999 + 1 + 12_345 + 7) * 500 // 10_000
    found = ledger.view().get(charges.REPORTED, licence_id)
    assert (found.gross_ubeat, found.until_ms, found.reports) == (13_352, 4, 4)


def test_periods_of_reports_follow_each_other_and_are_over() -> None:
    ledger, trained, licence_id = market(SHARE)
    good = ReportRevenue(trained, licence_id, 5, 10, 100, bytes(32))
    ledger.run("bob", good)
    for start, end in ((9, 12), (12, 12), (13, 12), (12, ledger.time_ms + DAY_MS)):
        assert ledger.refusal("bob", replace(good, from_ms=start, until_ms=end)) == "revenue.period"
    later = replace(good, from_ms=10, until_ms=20)
    assert ledger.refusal("dana", later) == "licence.not_yours"
    assert ledger.refusal("bob", replace(later, evidence=b"x")) == "revenue.evidence_invalid"
    assert ledger.refusal("bob", replace(later, asset=bytes(32))) == "lineage.right_foreign"
    assert ledger.refusal("bob", replace(later, gross_ubeat=10**18)) == "amount.range"


def test_an_owner_passes_on_what_an_asset_earned_off_the_network() -> None:
    ledger, trained, _ = market(*FREE)
    report = ReportRevenue(trained, b"", 0, 1, 1_000_000, b"")
    assert ledger.refusal("bob", report) == "asset.not_owner"
    before = ledger.balance("bea")
    events = ledger.run("alice", report)
    assert paid(events) == [("declared", 1_000_000)]
    # bea has 30 % of the track and of its work, after the market fee.
    assert ledger.balance("bea") - before == 297_000


def test_a_licence_without_a_share_takes_no_report() -> None:
    ledger, trained, licence_id = market(*FREE)
    assert ledger.refusal("bob", ReportRevenue(trained, licence_id, 0, 1, 5, b"")) == "licence.no_share"


# Outputs


def outputs_market(*pricing: Price, **changes: Any) -> tuple[Ledger, bytes, bytes]:
    """(ledger, bob's model, bea's licence of it)."""
    ledger = Ledger()
    trained = album(ledger, tracks(ledger, 1, terms=OPEN))
    model = register(ledger, "bob", model_action((trained, licence(ledger, trained, "alice", "bob", rel(1_000)))))
    bought = {"price_max_ubeat": 100 * BEAT, "purpose": "inference-service", **changes}
    return ledger, model, licence(ledger, model, "bob", "bea", None, pricing=pricing, **bought)


def test_each_output_costs_its_fee_from_the_deposit_and_pays_the_models_ancestors() -> None:
    ledger, model, licence_id = outputs_market(Price("per-output", 1_000_000), deposit_ubeat=2_500_000)
    ledger.run("bea", AuthoriseOutputs(licence_id, 9))
    for number in range(2):
        output = output_action(model, f"output{number}", licence=licence_id, splits=())
        events = ledger.run("dana", output)
        assert paid(events) == [("usage", 1_000_000)]
    row = nodes(ledger, ledger.outcomes[-1])[model]
    assert (row.src, row.rel_out) == (990_000, 99_000)
    assert tokens.escrowed(ledger.view(), licence_id) == 500_000
    third = output_action(model, "third", licence=licence_id, splits=())
    assert ledger.refusal("dana", third) == "licence.deposit_short"


# Advances


def test_an_advance_is_distributed_at_once_and_used_up_before_money_is_taken() -> None:
    pricing = (Price("guarantee", 1_000), Price("per-access", 100_000), SHARE)
    ledger, trained, licence_id = market(*pricing, deposit_ubeat=10_000)
    assert state(ledger, licence_id).recoup_ubeat == 1_000
    reader = Reader(ledger, licence_id, trained)
    ledger.run("bob", reader.open_action(15))
    # Fifteen accesses may use 1,500: nothing of the advance is free for anything else while they are locked.
    assert paid(ledger.run("bob", ReportRevenue(trained, licence_id, 0, 1, 2_000, b""))) == [("declared", 100)]
    ledger.run("bob", reader.close_action(reader.voucher()))
    ledger.block(time_ms=ledger.time_ms + ledger.params.access.anchor_window_ms + 1)
    assert paid(ledger.run("bob", ReportRevenue(trained, licence_id, 1, 2, 22_000, b""))) == [("declared", 100)]
    assert state(ledger, licence_id).recoup_ubeat == 0


def test_metered_use_pays_what_exceeds_the_advance() -> None:
    ledger = Ledger()
    members = tracks(ledger, 1, terms=OPEN)
    trained = album(ledger, members)
    pricing = (Price("guarantee", 250), Price("per-access", 100_000))
    licence_id = licence(
        ledger, trained, "alice", "bob", None, pricing=pricing, price_max_ubeat=BEAT, deposit_ubeat=300
    )
    reader = Reader(ledger, licence_id, trained)
    assert ledger.refusal("bob", reader.open_action(6)) == "licence.deposit_low"
    ledger.run("bob", reader.open_action(5))
    taken = []
    for _ in range(5):
        reader.read(members[0], "track0", purpose="derive-remix")
        taken.append(sum(amount for _, amount in paid(reader.anchor())))
    assert taken == [0, 0, 50, 100, 100]
    assert tokens.escrowed(ledger.view(), licence_id) == 50
    assert audit(ledger.state().items()).difference_ubeat == 0
