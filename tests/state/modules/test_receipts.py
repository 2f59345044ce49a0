"""Lanes, vouchers, anchoring: what is served is paid once, and only what both sides signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concento.encoding import encode
from concento.merkle import merkle_root
from concento.messages.identity import RevokeRoles
from concento.messages.licences import Price, RevokeLicence, TopUpLicence, WithdrawDeposit
from concento.messages.receipts import SignedVoucher, receipt_id
from concento.terms import make_terms, terms_hash
from state.modules import licences, tokens
from state.modules.lanes import LANES, lane_key, lane_state
from state.modules.receipts import BATCHES, Position, batch_key, log_key
from state.store.kv import HISTORY
from support.ledger import BEAT, Ledger, account_of, key_of, seed_of
from support.rights import TRAINING, Reader, album, buy, offer, part, recording, register, splits, tracks, work

WINDOW_MS = 3_600_000
"""The anchor window of the development network."""


class Reading:
    """An album of two tracks, licensed by bob with a deposit, and a lane of ten units."""

    def __init__(self, deposit_ubeat: int = BEAT, units: int = 10, **offered: Any) -> None:
        self.ledger = Ledger()
        self.members = tracks(self.ledger, 2)
        self.asset = album(self.ledger, self.members)
        self.offer = offer(self.ledger, self.asset, **offered)
        hashed = terms_hash(offered.get("terms", TRAINING))
        self.licence = buy(self.ledger, self.offer, deposit_ubeat=deposit_ubeat, terms_hash=hashed)
        self.reader = Reader(self.ledger, self.licence, self.asset)
        if units:
            self.ledger.run("bob", self.reader.open_action(units))

    def read(self, times: int = 1) -> None:
        for _ in range(times):
            self.reader.read(self.members[0], "track0")

    def refused(self, voucher: SignedVoucher | None = None, **changes: Any) -> str:
        """Why the ledger refuses this anchoring."""
        return self.ledger.refusal("gateway1", self.reader.anchor_action(voucher, **changes))

    @property
    def record(self) -> licences.Licence:
        return self.ledger.view().get(licences.LICENCES, self.licence)

    @property
    def deposit(self) -> int:
        return tokens.escrowed(self.ledger.view(), self.licence)

    @property
    def lane(self) -> Any:
        return self.ledger.view().get(LANES, lane_key(self.licence, self.reader.gateway, self.reader.number))


def test_the_story_pays_a_sale_and_six_accesses_to_the_unit() -> None:
    ledger = Ledger()
    members = tracks(ledger, 6)
    asset = album(ledger, members)
    offer_id = offer(ledger, asset)
    alice, bea = ledger.balance("alice"), ledger.balance("bea")
    licence = buy(ledger, offer_id, deposit_ubeat=BEAT)
    assert ledger.balance("alice") - alice == 27_720_000
    assert ledger.balance("bea") - bea == 11_880_000
    reader = Reader(ledger, licence, asset)
    ledger.run("bob", reader.open_action(6))
    for number, member in enumerate(members):
        reader.read(member, f"track{number}")
    alice, bea = ledger.balance("alice"), ledger.balance("bea")
    events = reader.anchor()
    assert ledger.balance("alice") - alice == 207_900
    assert ledger.balance("bea") - bea == 89_100
    assert events[0].fields["amount_ubeat"] == 300_000
    assert tokens.escrowed(ledger.view(), licence) == BEAT - 300_000


def test_a_batch_leaves_what_a_receipt_is_proved_with() -> None:
    case = Reading()
    case.read(3)
    case.reader.anchor()
    view = case.ledger.view()
    batch = view.get(BATCHES, batch_key(case.licence, case.reader.gateway, 0, 0))
    assert (batch.count, batch.units, batch.size, batch.amount_ubeat) == (3, 3, 3, 150_000)
    assert batch.head == merkle_root(case.reader.log)
    history = case.ledger.history()
    assert history[log_key(case.licence, case.reader.gateway, 0, 1)] == case.reader.log[1]
    position = history[b"receipt/" + receipt_id(case.reader.log[1])]
    assert position == encode(Position(case.licence, case.reader.gateway, 0, 1, 0))
    assert case.ledger.kv.get(HISTORY + b"receipt/" + receipt_id(b"other")) is None


def test_the_log_goes_on_where_it_was_anchored() -> None:
    case = Reading()
    for times in (3, 1, 2):
        case.read(times)
        case.reader.anchor()
    assert (case.lane.size, case.lane.units) == (6, 6)
    assert (case.record.used_units, case.record.locked_units, case.record.receipts) == (6, 4, 6)


def test_a_batch_above_64_is_anchored_by_its_head_alone_and_goes_on_with_bodies() -> None:
    case = Reading(deposit_ubeat=5 * BEAT, units=100)
    case.read(3)
    case.reader.anchor()
    case.read(70)
    assert case.refused(bodies=tuple(case.reader.log[3:5])) == "receipt.bodies"
    case.reader.anchor()
    case.read(5)
    case.reader.anchor()
    assert (case.lane.size, case.record.used_units) == (78, 78)


# Opening


def test_only_the_licensee_opens_a_lane() -> None:
    case = Reading(units=0)
    assert case.ledger.refusal("dana", case.reader.open_action(1)) == "licence.not_yours"


def test_a_lane_is_at_a_gateway() -> None:
    case = Reading(units=0)
    case.reader.gateway = account_of("carol")
    assert case.ledger.refusal("bob", case.reader.open_action(1)) == "identity.role_required"


def test_a_lane_needs_units_and_a_usable_key() -> None:
    case = Reading(units=0)
    assert case.ledger.refusal("bob", case.reader.open_action(0)) == "lane.no_units"
    assert case.ledger.refusal("bob", case.reader.open_action(1, key=bytes(32))) == "key.invalid"


def test_a_lane_locks_no_more_than_the_deposit_pays() -> None:
    case = Reading(deposit_ubeat=100_000, units=0)
    assert case.ledger.refusal("bob", case.reader.open_action(3)) == "licence.deposit_low"
    case.ledger.run("bob", case.reader.open_action(2))
    case.reader.number = 1
    assert case.ledger.refusal("bob", case.reader.open_action(1)) == "licence.deposit_low"
    case.ledger.run("bob", TopUpLicence(case.licence, 50_000), case.reader.open_action(1))


def test_a_lane_locks_no_more_than_the_quota() -> None:
    terms = make_terms(allow=("train-generative",), accesses_max=4)
    case = Reading(units=3, terms=terms)
    case.reader.number = 1
    assert case.ledger.refusal("bob", case.reader.open_action(2)) == "licence.quota_low"
    case.ledger.run("bob", case.reader.open_action(1))


def test_an_open_lane_takes_more_units_and_no_other_key() -> None:
    case = Reading(units=2)
    case.ledger.run("bob", case.reader.open_action(3))
    assert (case.lane.units_max, case.record.lanes_open) == (5, 1)
    assert case.ledger.refusal("bob", case.reader.open_action(1, key=key_of("thief"))) == "lane.taken"
    case.ledger.run("gateway1", case.reader.close_action())
    assert case.ledger.refusal("bob", case.reader.open_action(1)) == "lane.taken"


def test_a_licence_has_at_most_64_open_lanes() -> None:
    case = Reading(deposit_ubeat=10 * BEAT, units=0)
    actions = []
    for number in range(64):
        case.reader.number = number
        actions.append(case.reader.open_action(1))
    case.ledger.run("bob", *actions)
    case.reader.number = 64
    assert case.ledger.refusal("bob", case.reader.open_action(1)) == "lane.too_many"


def test_units_of_a_free_licence_stay_countable() -> None:
    case = Reading(deposit_ubeat=0, units=0, pricing=(Price("free", 0),))
    assert case.ledger.refusal("bob", case.reader.open_action(2**53 - 1), case.reader.open_action(1)) == (
        "lane.units_range"
    )


# What is refused at anchoring


def test_a_replayed_range_is_refused_even_when_the_lane_is_over() -> None:
    case = Reading()
    case.read(6)
    action = case.reader.anchor_action()
    case.ledger.run("gateway1", action)
    assert case.ledger.refusal("gateway1", action) == "receipt.replayed"
    case.ledger.run("gateway1", case.reader.close_action())
    assert case.ledger.refusal("gateway1", action) == "receipt.replayed"


def test_a_gap_is_refused() -> None:
    case = Reading()
    case.read(3)
    case.reader.anchored = 1
    assert case.refused() == "receipt.gap"


def test_no_receipt_is_no_anchoring() -> None:
    case = Reading()
    assert case.refused() == "receipt.none"


def test_only_a_gateway_anchors_and_only_its_own_lanes() -> None:
    case = Reading()
    case.read()
    assert case.ledger.refusal("carol", case.reader.anchor_action()) == "identity.role_required"
    assert case.refused(lane=7) == "lane.not_found"
    case.ledger.run("issuer", RevokeRoles(account_of("gateway1"), ("gateway",)))
    assert case.refused() == "identity.role_required"


@pytest.mark.parametrize(
    "changes",
    [
        {"licence": bytes(32)},
        {"epoch": 1},
        {"gateway": account_of("carol")},
        {"lane": 5},
        {"seed": seed_of("thief")},
    ],
    ids=["licence", "epoch", "gateway", "lane", "key"],
)
def test_a_voucher_of_anything_else_is_refused(changes: dict[str, Any]) -> None:
    case = Reading()
    case.read()
    assert case.refused(case.reader.voucher(**changes)) == "voucher.foreign"


def test_a_voucher_signs_no_more_than_is_locked() -> None:
    case = Reading(units=2)
    case.read(3)
    assert case.refused() == "voucher.units_exceeded"


def test_a_voucher_signs_the_whole_range() -> None:
    case = Reading()
    case.read(3)
    assert case.refused(case.reader.voucher(size=2)) == "voucher.size_differs"


def test_a_voucher_takes_no_units_back() -> None:
    case = Reading()
    case.read(3)
    case.reader.anchor()
    case.read()
    assert case.refused(case.reader.voucher(units=2)) == "receipt.replayed"


def test_units_of_the_receipts_are_those_of_the_voucher() -> None:
    case = Reading()
    case.read(2)
    assert case.refused(case.reader.voucher(units=3)) == "receipt.units_differ"


def test_receipts_lead_to_the_head_that_was_signed() -> None:
    case = Reading()
    case.read(2)
    assert case.refused(case.reader.voucher(head=bytes(32))) == "receipt.head_differs"


def test_a_rewritten_log_is_refused() -> None:
    case = Reading()
    case.read(3)
    case.reader.anchor()
    case.reader.log[1] = encode(case.reader.body(case.members[1], "track1", seq=1))
    case.read(2)
    assert case.refused() == "proof.invalid"


def test_a_log_that_begins_is_consistent_with_nothing() -> None:
    case = Reading()
    case.read(2)
    assert case.refused(consistency=(bytes(32),)) == "proof.invalid"


def test_bodies_ride_along_up_to_64() -> None:
    case = Reading()
    case.read(2)
    assert case.refused(bodies=()) == "receipt.bodies"


def test_a_body_is_a_receipt() -> None:
    case = Reading()
    case.read()
    case.reader.log[0] = b"no receipt"
    assert case.refused() == "encoding.invalid"


@pytest.mark.parametrize(
    "changes",
    [{"licence": bytes(32)}, {"epoch": 1}, {"gateway": bytes(32)}, {"lane": 1}, {"seq": 1}, {"asset": bytes(32)}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_receipt_of_another_place_is_refused(changes: dict[str, Any]) -> None:
    case = Reading()
    case.reader.read(case.members[0], "track0", **changes)
    assert case.refused() == "receipt.foreign"


def test_a_receipt_names_a_member_of_the_licensed_asset() -> None:
    case = Reading()
    stranger = tracks(case.ledger, 1, prefix="other")[0]
    case.reader.read(stranger, "other0")
    assert case.refused() == "receipt.foreign_member"


@pytest.mark.parametrize(
    "changes", [{"content": bytes(32)}, {"part": 1}, {"offset": 1}], ids=lambda changes: next(iter(changes))
)
def test_a_receipt_names_bytes_of_a_file(changes: dict[str, Any]) -> None:
    case = Reading()
    case.reader.read(case.members[0], "track0", **changes)
    assert case.refused() == "receipt.wrong_content"


def test_a_receipt_is_for_a_permitted_purpose() -> None:
    case = Reading()
    case.reader.read(case.members[0], "track0", purpose="redistribute")
    assert case.refused() == "receipt.wrong_purpose"


def test_an_unknown_licence_has_no_receipts() -> None:
    case = Reading()
    case.read()
    assert case.refused(licence=bytes(32)) == "licence.not_found"


def test_a_receipt_of_a_nested_dataset_counts() -> None:
    case = Reading(units=0)
    outer = album(case.ledger, [case.asset])
    licence = buy(case.ledger, offer(case.ledger, outer), deposit_ubeat=BEAT)
    reader = Reader(case.ledger, licence, outer)
    case.ledger.run("bob", reader.open_action(1))
    reader.read(case.members[1], "track1")
    assert reader.anchor()[0].fields["receipts"] == 1


def test_seconds_are_charged_by_the_second() -> None:
    case = Reading(units=200, pricing=(Price("per-second", 1_234),))
    case.reader.read(case.members[0], "track0", units=181)
    case.reader.anchor()
    assert BEAT - case.deposit == 181 * 1_234 // 1_000


# The end of lanes and licences


def test_the_licensee_closes_and_the_gateway_anchors_up_to_the_closing_voucher() -> None:
    case = Reading()
    case.read(4)
    case.ledger.run("bob", case.reader.close_action(case.reader.voucher()))
    assert lane_state(case.lane) == "closing"
    assert case.ledger.refusal("bob", case.reader.close_action()) == "lane.closing"
    case.reader.anchor()
    assert lane_state(case.lane) == "closed"
    assert (case.record.used_units, case.record.locked_units, case.record.lanes_open) == (4, 0, 0)
    assert case.ledger.refusal("bob", case.reader.close_action()) == "lane.closed"
    case.read()
    assert case.refused() == "lane.closed"


@pytest.mark.parametrize("closing", [2, 3])
def test_an_old_closing_voucher_does_not_cheat_the_gateway(closing: int) -> None:
    case = Reading()
    case.read(closing)
    old = case.reader.voucher()
    case.reader.log[2:], case.reader.units = [], 2
    case.reader.anchor()
    case.read(2)
    case.ledger.run("bob", case.reader.close_action(old))
    assert lane_state(case.lane) == "closing"
    case.reader.anchor()
    case.read(1)
    case.reader.anchor()
    assert case.record.used_units == 5


def test_a_lane_that_closes_after_its_licence_gets_no_second_window() -> None:
    case = Reading(terms=make_terms(allow=("train-generative",), duration_ms=60_000))
    case.read(2)
    end_ms = case.record.starts_ms + 60_000
    case.ledger.block(time_ms=end_ms + 10_000)
    case.ledger.run("bob", case.reader.close_action())
    case.ledger.block(time_ms=end_ms + WINDOW_MS)
    assert lane_state(case.lane) == "closing"
    assert case.refused() == "receipt.window_over"


def test_use_of_a_recording_alone_pays_nothing_to_its_work() -> None:
    ledger = Ledger()
    song = register(ledger, "alice", work(rows=splits(alice=100)))
    track = register(ledger, "alice", recording("one", song, splits=splits(bea=100)))
    offer_id = offer(ledger, track, layers=("recording",), pricing=(Price("per-access", 1_000 * BEAT),))
    reader = Reader(ledger, buy(ledger, offer_id, deposit_ubeat=BEAT), track)
    ledger.run("bob", reader.open_action(1))
    reader.read(track, "one")
    alice, bea = ledger.balance("alice"), ledger.balance("bea")
    reader.anchor()
    assert (ledger.balance("alice") - alice, ledger.balance("bea") - bea) == (0, 990_000)


def test_a_closing_voucher_must_be_the_lanes() -> None:
    case = Reading()
    case.read()
    foreign = case.reader.voucher(seed=seed_of("thief"))
    assert case.ledger.refusal("bob", case.reader.close_action(foreign)) == "voucher.foreign"


def test_a_stranger_closes_nothing() -> None:
    case = Reading()
    assert case.ledger.refusal("dana", case.reader.close_action()) == "licence.not_yours"


def test_the_gateway_lets_go_at_once() -> None:
    case = Reading()
    case.ledger.run("gateway1", case.reader.close_action())
    assert (case.record.locked_units, case.record.lanes_open) == (0, 0)


def test_a_lane_whose_units_are_all_anchored_closes_at_once() -> None:
    case = Reading(units=2)
    case.read(2)
    case.reader.anchor()
    case.ledger.run("bob", case.reader.close_action(case.reader.voucher()))
    assert lane_state(case.lane) == "closed"


def test_a_closing_lane_is_anchored_until_its_window_ends_and_then_unlocked() -> None:
    case = Reading()
    case.read(2)
    case.ledger.run("bob", case.reader.close_action())
    until_ms = case.ledger.time_ms + WINDOW_MS
    case.ledger.block(time_ms=until_ms - 1)
    assert case.record.locked_units == 10
    transaction = case.ledger.tx("gateway1", case.reader.anchor_action())
    outcome = case.ledger.block(transaction, time_ms=until_ms)
    assert outcome.results[0].status == "ok"
    assert (case.record.used_units, case.record.locked_units) == (2, 0)
    assert [event.kind for event in outcome.closing].count("access.closed") == 1


def test_a_closing_lane_is_closed_to_the_gateway_after_its_window() -> None:
    case = Reading()
    case.read(2)
    case.ledger.run("bob", case.reader.close_action())
    case.ledger.block(time_ms=case.ledger.time_ms + WINDOW_MS)
    assert case.refused() == "lane.closed"


def ended_by_time(case: Reading) -> None:
    case.ledger.block(time_ms=case.record.starts_ms + 60_000)


def ended_by_revocation(case: Reading) -> None:
    case.ledger.run("alice", RevokeLicence(case.licence, "consent withdrawn"))


@pytest.mark.parametrize("end", [ended_by_time, ended_by_revocation])
def test_after_the_end_lanes_are_anchored_for_a_window_then_the_rest_is_refunded(
    end: Callable[[Reading], None],
) -> None:
    case = Reading(terms=make_terms(allow=("train-generative",), duration_ms=60_000))
    case.read(2)
    end(case)
    case.reader.number = 1
    over = case.ledger.time_ms
    if end is ended_by_time:
        case.ledger.block(time_ms=over + 1)
    assert case.ledger.refusal("bob", case.reader.open_action(1)) in ("licence.expired", "licence.revoked")
    case.reader.number = 0
    before = case.ledger.balance("bob")
    transaction = case.ledger.tx("gateway1", case.reader.anchor_action(), valid_ms=60_000)
    case.ledger.block(transaction)
    assert case.record.used_units == 2
    case.ledger.block(time_ms=over + WINDOW_MS - 1)
    assert case.deposit == BEAT - 100_000
    outcome = case.ledger.block(time_ms=over + WINDOW_MS)
    assert case.deposit == 0
    assert case.ledger.balance("bob") - before == BEAT - 100_000
    assert "licence.refunded" in [event.kind for event in outcome.closing]


def test_an_anchoring_in_the_last_block_of_the_window_is_paid_before_the_refund() -> None:
    case = Reading(terms=make_terms(allow=("train-generative",), duration_ms=60_000))
    case.read(2)
    last_ms = case.record.starts_ms + 60_000 + WINDOW_MS
    case.ledger.block(time_ms=last_ms - 1_000)
    case.ledger.block(case.ledger.tx("gateway1", case.reader.anchor_action()), time_ms=last_ms)
    assert (case.record.used_units, case.deposit) == (2, 0)


def test_after_the_window_nothing_is_anchored() -> None:
    case = Reading(terms=make_terms(allow=("train-generative",), duration_ms=60_000))
    case.read(2)
    case.ledger.block(time_ms=case.record.starts_ms + 60_000 + WINDOW_MS)
    assert case.refused() == "receipt.window_over"


def test_locked_deposit_cannot_be_withdrawn() -> None:
    case = Reading(units=10)
    assert case.ledger.refusal("bob", WithdrawDeposit(case.licence, 500_001)) == "licence.deposit_locked"
    case.ledger.run("bob", WithdrawDeposit(case.licence, 500_000))
    case.ledger.run("gateway1", case.reader.close_action())
    case.ledger.run("bob", WithdrawDeposit(case.licence, 500_000))
    assert case.deposit == 0


def test_lanes_of_one_licence_charge_one_sum() -> None:
    """Half a ubeat an access: two lanes of one access each charge one ubeat together, not none."""
    case = Reading(pricing=(Price("per-access", 500),))
    other = Reader(case.ledger, case.licence, case.asset, number=1)
    case.ledger.run("bob", other.open_action(1))
    case.read()
    other.read(case.members[1], "track1")
    case.reader.anchor()
    assert case.deposit == BEAT
    other.anchor()
    assert case.deposit == BEAT - 1


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=12),
    st.integers(1, 3_000),
)
def test_any_batching_over_any_lanes_charges_the_same_total(steps: list[tuple[int, int]], price: int) -> None:
    ledger = Ledger()
    song = register(ledger, "alice", work())
    track = register(ledger, "alice", recording("track0", song))
    offer_id = offer(ledger, track, pricing=(Price("per-access", price),))
    licence = buy(ledger, offer_id, deposit_ubeat=BEAT)
    readers = [Reader(ledger, licence, track, number) for number in range(3)]
    ledger.run("bob", *(reader.open_action(60) for reader in readers))
    minted = ledger.genesis.supply_ubeat
    for lane, times in steps:
        for _ in range(times):
            readers[lane].read(track, "track0")
        readers[lane].anchor()
    units = sum(times for _, times in steps)
    assert BEAT - tokens.escrowed(ledger.view(), licence) == units * price // 1_000
    assert sum_of_money(ledger) == minted


def sum_of_money(ledger: Ledger) -> int:
    """Balances and buckets; the escrow bucket is the sum of the deposits."""
    view, state = ledger.view(), ledger.state()
    deposits = sum(
        tokens.DEPOSITS.decode(value).amount_ubeat
        for key, value in state.items()
        if key.startswith(tokens.DEPOSITS.prefix)
    )
    assert tokens.bucket(view, "escrow") == deposits
    balances = sum(
        tokens.ACCOUNTS.decode(value).balance_ubeat
        for key, value in state.items()
        if key.startswith(tokens.ACCOUNTS.prefix)
    )
    return balances + sum(tokens.bucket(view, name) for name in tokens.BUCKET_NAMES)


def test_a_recording_licensed_alone_is_its_own_member() -> None:
    ledger = Ledger()
    track = tracks(ledger, 1)[0]
    licence = buy(ledger, offer(ledger, track), deposit_ubeat=BEAT)
    reader = Reader(ledger, licence, track)
    ledger.run("bob", reader.open_action(1))
    reader.read(track, "track0")
    assert reader.anchor()[0].fields["ids"] == (receipt_id(reader.log[0]),)
    assert part("track0").content in reader.log[0]


def test_no_access_is_without_a_unit() -> None:
    case = Reading()
    case.read()
    case.reader.read(case.members[1], "track1", units=0)
    assert case.refused() == "receipt.units_low"
    case.reader.log.clear()
    case.reader.units = 0
    case.reader.read(case.members[0], "track0", units=2)
    case.reader.read(case.members[1], "track1", units=0)
    assert case.refused() == "receipt.units_low"
