"""What payments become: the vectors of the protocol page and the story's numbers, to the unit."""

from __future__ import annotations

import pytest

from concento.encoding import decode
from concento.errors import Broken, Rejected
from concento.messages.royalties import Claim, Sweep
from state.modules import inbox, revenue, royalties, shares, tokens
from state.modules.cascade import CEILINGS, Ceiling, Edge, ceiling_key
from state.modules.revenue import NodeRow, PayoutRow, SettlementRow, StuckRow
from state.modules.royalties import ALL, OWN, asset_holder, asset_leg, table_leg
from state.transition import check_conservation
from support.revenue_chain import (
    PAYER,
    SPLIT,
    RevenueChain,
    account,
    asset_id,
    claim,
    free_of_fee,
    holder,
    make_params,
    on_board,
    people,
    run_until_idle,
)


def rel(parent: int, bps: int, limited: bool = False) -> Edge:
    return Edge(parent, bps, ALL, limited)


def make_album(chain: RevenueChain, tracks: int = 6, splits: list[tuple[bytes, int]] = SPLIT) -> int:
    """Asset 100: a dataset of recordings 1.., each half of a work of its own; all split alike."""
    members = []
    for number in range(1, tracks + 1):
        work = chain.simple(number + 1_000, splits)
        own = royalties.new_table(chain.view, splits)
        members.append(chain.asset(number, "recording", [asset_leg(work, 5_000), table_leg(own, 5_000)]))
    table = royalties.open_table(chain.view)
    royalties.add_rows(chain.view, table, [(asset_holder(rank), 1) for rank in members])
    return chain.asset(100, "members", [table_leg(table, 10_000)])


def test_the_sale_of_an_album_reaches_both_people_in_its_own_block() -> None:
    chain = RevenueChain()
    on_board(chain, "alice", "bea")
    make_album(chain)
    event = chain.sell(100, 40_000_000)
    chain.finalise()
    assert event.fields["fee_ubeat"] == 400_000
    assert (chain.balance("alice"), chain.balance("bea")) == (27_720_000, 11_880_000)


def test_the_use_of_an_album_reaches_both_people_exactly() -> None:
    chain = RevenueChain()
    on_board(chain, "alice", "bea")
    make_album(chain)
    chain.sell(100, 300_000, cause="usage")
    chain.finalise()
    assert (chain.balance("alice"), chain.balance("bea")) == (207_900, 89_100)


def test_sales_and_uses_add_up_whatever_order_they_come_in() -> None:
    chain = RevenueChain()
    on_board(chain, "alice", "bea")
    make_album(chain)
    for gross in (40_000_000, 300_000, 40_000_000):
        chain.sell(100, gross)
        chain.finalise()
    chain.sell(100, 300_000)
    chain.sell(100, 300_000)
    chain.finalise()
    assert (chain.balance("alice"), chain.balance("bea")) == (2 * 27_720_000 + 3 * 207_900, 2 * 11_880_000 + 3 * 89_100)


def make_graph(chain: RevenueChain) -> dict[str, int]:
    """The derivation graph of the vectors: R <- T 15 %, S 25 %, M 5 %; T <- M 20 %; M <- D 30 %, D2 10 %."""
    ranks = {"D": chain.simple(1, [(holder("d5"), 5), (holder("d3"), 3), (holder("d2"), 2)])}
    ranks["D2"] = chain.simple(2, [(holder("D2"), 1)])
    ranks["S"] = chain.simple(3, [(holder("S"), 1)])
    ranks["M"] = chain.simple(4, [(holder("M"), 1)], edges=[rel(ranks["D"], 3_000), rel(ranks["D2"], 1_000)])
    ranks["T"] = chain.simple(5, [(holder("T"), 1)], edges=[rel(ranks["M"], 2_000)])
    edges = [rel(ranks["T"], 1_500), rel(ranks["S"], 2_500), rel(ranks["M"], 500)]
    ranks["R"] = chain.simple(6, [(holder("R"), 1)], edges=edges)
    return ranks


def test_a_remix_pays_its_ancestors_once_each_and_keeps_the_rest() -> None:
    chain = RevenueChain()
    ranks = make_graph(chain)
    chain.sell(6, 1_000_000_007)
    chain.finalise()
    keeps = {row.rank: row.keep for row in chain.rows if isinstance(row, NodeRow)}
    expected = {"R": 544_500_005, "T": 118_800_001, "S": 247_500_001, "M": 47_520_000, "D": 23_760_000, "D2": 7_920_000}
    assert keeps == {ranks[name]: keep for name, keep in expected.items()}
    assert tokens.bucket(chain.view, "fees") == 10_000_000


def test_members_are_paid_the_floor_of_what_they_earned_in_all() -> None:
    chain = free_of_fee("d5", "d3", "d2")
    make_graph(chain)
    for amount in (23_760_000, 7, 1):
        chain.sell(1, amount)
        chain.finalise()
    assert [chain.balance(name) for name in ("d5", "d3", "d2")] == [11_880_004, 7_128_002, 4_752_001]
    table = chain.table(1)
    assert table.credited - table.paid == 1


def test_a_third_of_three_units_is_one() -> None:
    chain = free_of_fee("three")
    chain.simple(1, [(holder("three"), 3), (holder("six"), 6)])
    chain.sell(1, 3)
    chain.finalise()
    assert chain.balance("three") == 1


def test_wrapping_a_remix_into_a_dataset_does_not_shield_it_from_its_parent() -> None:
    chain = free_of_fee("song", "remix")
    song = chain.simple(1, [(holder("song"), 1)])
    remix = chain.simple(2, [(holder("remix"), 1)], edges=[rel(song, 2_500)])
    chain.simple(3, [(asset_holder(remix), 1)])
    chain.sell(3, 1_000_000)
    chain.finalise()
    assert (chain.balance("song"), chain.balance("remix")) == (250_000, 750_000)


def test_a_chain_of_256_ancestors_is_followed_until_nothing_is_left_to_pass() -> None:
    chain = free_of_fee()
    rank = chain.simple(1, [(holder("first"), 1)])
    for number in range(2, 257):
        rank = chain.simple(number, [(holder("next"), 1)], edges=[rel(rank, 9_000)])
    chain.sell(256, 10**9)
    chain.finalise()
    assert sum(isinstance(row, NodeRow) for row in chain.rows) == 181


def test_an_absolute_claim_is_taken_from_sources_only_and_shared_with_the_claimants_parents() -> None:
    chain = free_of_fee("old", "song", "remix", "set")
    old = chain.simple(1, [(holder("old"), 1)])
    song = chain.simple(2, [(holder("song"), 1)], edges=[rel(old, 1_000)])
    chain.simple(3, [(holder("remix"), 1)], edges=[rel(song, 2_000)], claims=[Edge(song, 1_000, ALL, False)])
    chain.sell(3, 1_000)
    chain.finalise()
    # 100 by the claim and 180 of the remaining 900 by the edge go to the song, which passes on a tenth.
    assert [chain.balance(name) for name in ("remix", "song", "old")] == [720, 252, 28]


def test_a_ceiling_leaves_the_rest_with_the_child() -> None:
    chain = free_of_fee("song", "remix")
    song = chain.simple(1, [(holder("song"), 1)])
    remix = chain.simple(2, [(holder("remix"), 1)], edges=[rel(song, 5_000, limited=True)])
    chain.view.put(CEILINGS, ceiling_key(remix, song), Ceiling(700))
    for _ in range(2):
        chain.sell(2, 1_000)
        chain.finalise()
    assert (chain.balance("song"), chain.balance("remix")) == (700, 1_300)


def test_the_recording_layer_alone_pays_nothing_to_the_work() -> None:
    chain = free_of_fee("writer", "singer")
    work = chain.simple(1, [(holder("writer"), 1)])
    own = royalties.new_table(chain.view, [(holder("singer"), 1)])
    chain.asset(2, "recording", [asset_leg(work, 5_000), table_leg(own, 5_000)])
    chain.sell(2, 1_001, route=OWN)
    chain.sell(2, 101)
    chain.finalise()
    assert (chain.balance("writer"), chain.balance("singer")) == (50, 1_001 + 51)


def test_income_below_the_dust_limit_is_parked_until_there_is_enough() -> None:
    chain = RevenueChain(make_params(dust=10, market_bps=0))
    on_board(chain, "alice")
    rank = chain.simple(1, [(holder("alice"), 1)])
    chain.sell(1, 6)
    chain.finalise()
    assert chain.balance("alice") == 0
    assert chain.view.get(inbox.PARKED, shares.number_key(rank)).src == 6
    chain.sell(1, 6)
    chain.finalise()
    assert chain.balance("alice") == 12


def test_a_claim_pays_out_parked_income() -> None:
    chain = RevenueChain(make_params(dust=10, market_bps=0))
    on_board(chain, "alice")
    chain.simple(1, [(holder("alice"), 1)])
    chain.sell(1, 6)
    chain.finalise()
    claim(chain, 1)
    chain.finalise()
    assert chain.balance("alice") == 6
    assert not chain.all(inbox.PARKED)


def test_a_table_of_many_pages_is_paid_over_several_blocks_and_every_row_gets_its_part() -> None:
    chain = RevenueChain(make_params(market_bps=0, v_min=1_000, block_weight=0, row_threshold=1))
    rows = people(1_000)
    on_board(chain, *(f"p{number}" for number in range(1_000)))
    chain.simple(1, rows)
    chain.sell(1, 10_000_000)
    total = sum(count for _, count in rows)
    blocks = run_until_idle(chain, 20)
    assert blocks > 3
    paid = [chain.balance(f"p{number}") for number in range(1_000)]
    assert paid == [10_000_000 * count // total for _, count in rows]


def test_nobody_waits_for_the_sweep_of_a_larger_table() -> None:
    chain = RevenueChain(make_params(market_bps=0, v_min=1_000, block_weight=0, row_threshold=1))
    on_board(chain, "first", "last")
    chain.simple(1, [*people(2_000), (holder("first"), 1)])
    chain.simple(2, [*people(100), (holder("last"), 1)])
    chain.sell(1, 10**9)
    chain.sell(2, 10**9)
    chain.finalise()
    # The next block sweeps a page of the large table, and then the small one has its turn.
    chain.finalise()
    assert chain.balance("last") > 0
    assert chain.balance("first") == 0


def test_a_credit_below_the_threshold_waits_until_somebody_pays_for_the_sweep() -> None:
    chain = RevenueChain(make_params(market_bps=0, row_threshold=1_000))
    on_board(chain, "p0", "p99")
    chain.simple(1, people(100))
    chain.sell(1, 50_000)
    run_until_idle(chain, 5)
    assert chain.balance("p99") == 0
    claim(chain, 1, page=1)
    chain.finalise()
    assert chain.balance("p99") > 0
    assert chain.balance("p0") == 0
    message = Sweep(asset_id(1), 0, 100)
    royalties.check_sweep(chain.view, chain.call(), message)
    royalties.apply_sweep(chain.view, chain.call(), message)
    run_until_idle(chain, 5)
    assert chain.balance("p0") > 0


def test_a_sweep_must_be_paid_for_every_row() -> None:
    chain = RevenueChain()
    chain.simple(1, people(100))
    with pytest.raises(Rejected) as refusal:
        royalties.check_sweep(chain.view, chain.call(), Sweep(asset_id(1), 0, 99))
    assert refusal.value.kind == "royalties.rows_few"
    assert royalties.weigh_sweep(Sweep(asset_id(1), 0, 100)) > 200


def test_a_claim_names_a_leg_with_a_table_and_a_page_of_it() -> None:
    chain = RevenueChain()
    work = chain.simple(1, [(holder("writer"), 1)])
    own = royalties.new_table(chain.view, SPLIT)
    chain.asset(2, "recording", [asset_leg(work, 5_000), table_leg(own, 5_000)])
    refused = {
        "royalties.not_sealed": Claim(asset_id(3), 0, 0),
        "royalties.no_leg": Claim(asset_id(2), 0, 0),
        "royalties.no_page": Claim(asset_id(2), 1, 1),
    }
    for kind, message in refused.items():
        with pytest.raises(Rejected) as refusal:
            royalties.check_claim(chain.view, chain.call(), message)
        assert refusal.value.kind == kind
    with pytest.raises(Rejected):
        royalties.check_claim(chain.view, chain.call(), Claim(asset_id(2), 2, 0))


def test_an_asset_that_is_not_sealed_cannot_be_paid() -> None:
    chain = RevenueChain()
    with pytest.raises(Rejected) as refusal:
        royalties.pay_asset(chain.view, chain.call(), asset_id(1), 1, "sale", bytes(32), PAYER)
    assert refusal.value.kind == "royalties.not_sealed"


def test_work_beyond_the_budget_goes_on_in_the_next_block_and_new_sales_wait_their_turn() -> None:
    chain = RevenueChain(make_params(market_bps=0, work=1))
    on_board(chain, *(f"n{number}" for number in range(5)))
    rank = chain.simple(1, [(holder("n0"), 1)])
    for number in range(2, 6):
        rank = chain.simple(number, [(holder(f"n{number - 1}"), 1)], edges=[rel(rank, 5_000)])
    chain.sell(5, 16_000)
    chain.finalise()
    assert [chain.balance(f"n{number}") for number in range(5)] == [0, 0, 0, 0, 8_000]
    chain.sell(5, 16_000)
    for _ in range(4):
        chain.finalise()
    # The first sale has reached the oldest asset before the second is looked at.
    assert [chain.balance(f"n{number}") for number in range(5)] == [1_000, 1_000, 2_000, 4_000, 8_000]
    run_until_idle(chain, 8)
    assert [chain.balance(f"n{number}") for number in range(5)] == [2_000, 2_000, 4_000, 8_000, 16_000]


def test_a_lost_record_stops_its_own_income_only() -> None:
    chain = free_of_fee("alice", "bea")
    chain.simple(1, [(holder("alice"), 1)])
    lost = chain.simple(2, [(holder("bea"), 1)])
    chain.finalise()
    del chain.state[b"rank/" + shares.number_key(lost)]
    chain.view = chain._next_view()
    chain.sell(1, 10)
    chain.sell(2, 10)
    chain.finalise()
    assert (chain.balance("alice"), chain.balance("bea")) == (10, 0)
    assert StuckRow(lost, 0, 0) in chain.rows
    chain.sell(1, 10)
    chain.finalise()
    assert chain.balance("alice") == 20


def test_a_lost_page_stops_its_own_rows_only() -> None:
    chain = RevenueChain(make_params(market_bps=0, row_threshold=1))
    on_board(chain, "p1", "p99")
    chain.simple(1, people(100))
    chain.finalise()
    lost = b"page/" + shares.page_key(1, 0)
    kept = chain.state.pop(lost)
    chain.view = chain._next_view()
    chain.sell(1, 10_000)
    royalties.finalise(chain.view, chain.params, 0)
    royalties.finalise(chain.view, chain.params, 0)
    assert (chain.balance("p1"), chain.balance("p99")) == (0, 10_000 // chain.table(1).total)
    assert kept


def test_a_table_that_can_count_no_further_keeps_the_income_where_it_is() -> None:
    chain = free_of_fee()
    rank = chain.simple(1, [(holder("alice"), 1)])
    full = 2**63 - 5
    table = chain.table(1)
    rich = shares.Table(**{**{name: getattr(table, name) for name in table.__struct_fields__}, "credited": full})
    chain.view.put(shares.TABLES, shares.number_key(1), rich)
    chain.sell(1, 10)
    finalised = royalties.finalise(chain.view, chain.params, 0)
    assert len(finalised.rows) == 1
    assert inbox.is_empty(chain.view, inbox.Boxes(), 1)
    assert chain.view.get(inbox.INBOXES, shares.number_key(1) + shares.number_key(rank)).entries[0].src == 10


def test_a_block_with_nothing_to_do_changes_no_record() -> None:
    chain = RevenueChain()
    on_board(chain, "alice", "bea")
    make_album(chain)
    chain.sell(100, 40_000_000)
    chain.finalise()
    before = dict(chain.state)
    chain.finalise()
    assert chain.state == before
    assert chain.rows == []


def test_rows_tell_of_every_node_and_payout_and_of_no_page_that_a_credit_settled() -> None:
    chain = RevenueChain()
    on_board(chain, "alice", "bea")
    make_album(chain, tracks=2)
    chain.sell(100, 1_000_000)
    finalised = chain.finalise()
    nodes = [row for row in chain.rows if isinstance(row, NodeRow)]
    assert [row.rank for row in nodes] == sorted((row.rank for row in nodes), reverse=True)
    assert len(nodes) == 5
    assert not any(isinstance(row, SettlementRow) for row in chain.rows)
    payouts = [paid for row in chain.rows if isinstance(row, PayoutRow) for paid in row.payouts]
    assert [paid.amount_ubeat for paid in payouts] == [chain.balance(name) for name in _by_address("alice", "bea")]
    told = [event.fields["amount_ubeat"] for event in finalised.events]
    assert sum(told) == 990_000
    assert all(event.kind == "royalties.paid" for event in finalised.events)


def _by_address(*names: str) -> list[str]:
    return sorted(names, key=account)


def test_every_page_of_a_larger_table_that_is_settled_is_a_row() -> None:
    chain = RevenueChain()
    chain.simple(1, people(100))
    chain.sell(1, 1_000_000)
    chain.finalise()
    chain.finalise()
    pages = [(row.page, row.seen, row.credited) for row in chain.rows if isinstance(row, SettlementRow)]
    assert pages == [(0, 0, 990_000), (1, 0, 990_000)]


def test_ten_times_the_holders_do_not_make_a_payment_slower() -> None:
    counts = []
    for holders in (100, 1_000):
        chain = RevenueChain(make_params(v_min=1, block_weight=0))
        chain.simple(1, people(holders))
        chain.finalise()
        chain.sell(1, 1_000)
        before = chain.view.mark()
        royalties.finalise(chain.view, chain.params, 0)
        counts.append(sum(chain.view.mark()) - sum(before))
    assert counts[0] == counts[1]


def test_the_makers_of_an_asset_cannot_promise_more_than_it_earns() -> None:
    chain = RevenueChain()
    parent = chain.simple(1, SPLIT)
    with pytest.raises(Broken):
        chain.simple(2, SPLIT, edges=[rel(parent, 6_000)], claims=[Edge(parent, 4_001, ALL, False)])


def test_a_payment_that_comes_after_the_pass_fails_the_check_of_the_books() -> None:
    """What pays assets at the end of a block must come before the pass, which takes what was noted."""
    chain = free_of_fee()
    chain.simple(1, [(holder("alice"), 1)])
    chain.finalise()
    royalties.finalise(chain.view, chain.params, 0)
    tokens.write_movements(chain.view)
    check_conservation(chain.view)
    chain.sell(1, 10)
    tokens.write_movements(chain.view)
    with pytest.raises(Broken):
        check_conservation(chain.view)


def test_a_payment_that_is_rolled_back_reaches_nobody() -> None:
    chain = free_of_fee("alice")
    chain.simple(1, [(holder("alice"), 1)])
    mark = chain.view.mark()
    chain.sell(1, 10)
    chain.view.rollback(mark)
    chain.sell(1, 3)
    chain.finalise()
    assert chain.balance("alice") == 3


def test_who_handed_more_than_fits_a_record_is_all_remembered() -> None:
    """More payments of one asset in a block than one history record holds."""
    chain = free_of_fee()
    chain.simple(1, [(holder("alice"), 1)])
    count = revenue.INFLOWS_PER_RECORD * 2 + 1
    for _ in range(count):
        chain.sell(1, 1)
    chain.finalise()
    prefix = revenue.inflow_prefix(1, royalties.ALL, 1)
    records = [raw for key, raw in sorted(chain.history.items()) if key.startswith(prefix)]
    inflows = [inflow for raw in records for inflow in decode(tuple[revenue.Inflow, ...], raw)]
    assert len(records) == 3
    assert [decode(revenue.Source, inflow.origin).number for inflow in inflows] == list(range(count))
