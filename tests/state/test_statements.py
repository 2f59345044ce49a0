"""Statements: opening + earned + other = closing, the lines are what was paid, and each tells where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from concento.encoding import encode
from concento.errors import Rejected
from state.accruals import accrued_ubeat
from state.modules import identity, royalties, shares, tokens
from state.modules.cascade import Edge
from state.modules.royalties import ALL, asset_holder, asset_leg, table_leg
from state.provenance import PARTS_MAX
from state.queries import Chain
from state.statements import statement
from state.store.kv import META, MemoryKeyValue
from state.store.opening import create_store
from support.histories import histories
from support.ledger import movements_of
from support.revenue_chain import (
    GENESIS,
    PAYER,
    RevenueChain,
    account,
    asset_id,
    free_of_fee,
    holder,
    make_params,
    run_until_idle,
)
from support.revenue_stories import PEOPLE, Story

PAIR = ("song", "remix")
SPLIT = [(holder("alice"), 700_000), (holder("bea"), 300_000)]


def read(chain: RevenueChain) -> Chain:
    """The committed blocks as queries see them."""
    store = MemoryKeyValue()
    opened = create_store(store, GENESIS.network, chain.state, chain.history)
    store.write({META + b"commit": encode(replace(opened.commit, height=chain.height - 1))})
    return Chain(store, opened.tree, GENESIS)


def whole(
    chain: RevenueChain, name: str, first: int | None = None, last: int | None = None, limit: int = 7
) -> dict[str, Any]:
    """All pages of a statement put together."""
    return all_pages(read(chain), name, first, last, limit)


def all_pages(reader: Chain, name: str, first: int | None, last: int | None, limit: int) -> dict[str, Any]:
    who = reader.address(account(name))
    document = statement(reader, who, first, last, None, limit)
    lines, following = list(document["lines"]), document["next"]
    while following is not None:
        page = statement(reader, who, first, last, following, limit)
        lines += page["lines"]
        following = page["next"]
    return {**document, "lines": lines}


def movements(chain: RevenueChain, name: str) -> list[tokens.Entry]:
    """Everything that moved somebody's balance."""
    return [entry for block in movements_of(chain.history, account(name)) for entry in block.entries]


def check(document: dict[str, Any]) -> None:
    """The equations that hold for every statement."""
    opening, earned, other, closing = (
        int(document[f"{name}_ubeat"]) for name in ("opening", "earned", "other", "closing")
    )
    assert opening + earned + other == closing
    assert sum(int(line["amount_ubeat"]) for line in document["lines"]) == earned
    assert all(int(line["amount_ubeat"]) > 0 for line in document["lines"])


def sold_album(tracks: int = 6) -> RevenueChain:
    """Asset 100, a dataset of recordings 1.. with works 1001.., sold once for 40 BEAT in block 1."""
    chain = RevenueChain()
    on_board(chain, "alice", "bea")
    members = []
    for number in range(1, tracks + 1):
        work = chain.simple(number + 1_000, SPLIT)
        own = royalties.new_table(chain.view, SPLIT)
        members.append(chain.asset(number, "recording", [asset_leg(work, 5_000), table_leg(own, 5_000)]))
    table = royalties.open_table(chain.view)
    royalties.add_rows(chain.view, table, [(asset_holder(rank), 1) for rank in members])
    chain.asset(100, "members", [table_leg(table, 10_000)])
    chain.sell(100, 40_000_000)
    chain.finalise()
    return chain


def on_board(chain: RevenueChain, *names: str) -> None:
    for name in names:
        chain.view.put(identity.ACCOUNTS, account(name), identity.Account(0, None))


def test_a_line_tells_sale_path_share_and_amount() -> None:
    chain = sold_album()
    document = whole(chain, "alice")
    check(document)
    assert document["earned_ubeat"] == "27720000"
    assert len(document["lines"]) == 12
    line = next(item for item in document["lines"] if item["asset"] == asset_id(1_003).hex())
    assert line["path"] == [asset_id(number).hex() for number in (100, 3, 1_003)]
    assert {name: line[name] for name in ("cause", "layer", "shares", "shares_total", "height", "paid_height")} == {
        "cause": "sale",
        "layer": "work",
        "shares": "700000",
        "shares_total": "1000000",
        "height": 1,
        "paid_height": 1,
    }
    amounts = ("gross_ubeat", "fee_ubeat", "upstream_ubeat", "keep_ubeat", "amount_ubeat")
    assert [line[name] for name in amounts] == ["40000000", "400000", "0", "3300000", "2310000"]
    assert line["rate"] == "0.058333"
    assert line["payer"] == read(chain).address(PAYER)


def test_two_sales_of_one_block_are_told_apart() -> None:
    chain = free_of_fee("alice", "bea")
    chain.simple(1, SPLIT)
    chain.sell(1, 100)
    chain.sell(1, 10, cause="usage")
    chain.finalise()
    lines = whole(chain, "alice")["lines"]
    assert [(line["cause"], line["gross_ubeat"], line["amount_ubeat"]) for line in lines] == [
        ("sale", "100", "70"),
        ("usage", "10", "7"),
    ]
    assert lines[0]["cause_tx"] != lines[1]["cause_tx"]


def test_income_from_a_derivative_is_a_royalty_and_names_what_its_ancestors_took() -> None:
    chain = free_of_fee("song", "remix")
    song = chain.simple(1, [(holder("song"), 1)])
    chain.simple(2, [(holder("remix"), 1)], edges=[Edge(song, 2_500, ALL, False)])
    chain.sell(2, 1_000)
    chain.finalise()
    (line,) = whole(chain, "song")["lines"]
    assert (line["cause"], line["amount_ubeat"], line["path"]) == (
        "royalty",
        "250",
        [asset_id(2).hex(), asset_id(1).hex()],
    )
    (line,) = whole(chain, "remix")["lines"]
    assert (line["cause"], line["upstream_ubeat"], line["keep_ubeat"]) == ("sale", "250", "750")


def test_what_was_declared_stays_declared_for_everybody_upstream() -> None:
    """A royalty of revenue that only its reporter vouches for must not read like one of a sale on the chain."""
    chain = free_of_fee("song", "remix")
    song = chain.simple(1, [(holder("song"), 1)])
    chain.simple(2, [(holder("remix"), 1)], edges=[Edge(song, 2_500, ALL, False)])
    for cause in ("declared", "sale"):
        chain.sell(2, 1_000, cause=cause)
    chain.finalise()
    told = {name: [(line["cause"], line["source"]) for line in whole(chain, name)["lines"]] for name in PAIR}
    assert told["remix"] == [("declared", "declared"), ("sale", "sale")]
    assert told["song"] == [("royalty", "declared"), ("royalty", "sale")]


def test_a_period_counts_what_was_paid_in_it() -> None:
    chain = free_of_fee("alice", "bea")
    chain.simple(1, SPLIT)
    chain.view.put(identity.PAYOUTS, account("alice"), identity.Payout("min", 1_000, 0))
    chain.sell(1, 1_000)
    chain.finalise()
    waiting = whole(chain, "alice")
    assert (waiting["earned_ubeat"], waiting["accrued_ubeat"], waiting["lines"]) == ("0", "700", [])
    chain.sell(1, 1_000)
    chain.finalise()
    paid = whole(chain, "alice", 2, 2)
    check(paid)
    assert (paid["earned_ubeat"], paid["accrued_ubeat"]) == ("1400", "0")
    assert [(line["height"], line["paid_height"]) for line in paid["lines"]] == [(1, 2), (2, 2)]
    assert whole(chain, "alice", 1, 1)["earned_ubeat"] == "0"


def test_what_is_neither_fee_nor_income_is_other() -> None:
    chain = sold_album()
    tokens.debit(chain.view, account("alice"), 5, "transfer", PAYER)
    tokens.credit(chain.view, PAYER, 5, "transfer", account("alice"))
    chain.finalise()
    document = whole(chain, "alice", 2)
    check(document)
    assert (document["opening_ubeat"], document["other_ubeat"]) == ("27720000", "-5")


def test_accrued_counts_rows_that_no_sweep_has_reached() -> None:
    chain = RevenueChain(make_params(market_bps=0, row_threshold=10**6))
    on_board(chain, "alice")
    chain.simple(1, [(holder(f"p{number}"), 1) for number in range(99)] + [(holder("alice"), 1)])
    chain.sell(1, 1_000)
    chain.finalise()
    assert accrued_ubeat(read(chain), account("alice")) == 10
    assert whole(chain, "alice")["accrued_ubeat"] == "10"


def test_a_statement_of_a_seller_and_of_a_buyer_of_shares_divide_the_income_at_the_transfer() -> None:
    chain = free_of_fee("alice", "bea", "carol")
    chain.simple(1, SPLIT)
    chain.sell(1, 1_000)
    chain.finalise()
    royalties.transfer_shares(chain.view, 1, 1, (0, holder("alice")), (0, holder("carol")), 700_000)
    chain.finalise()
    chain.sell(1, 1_000)
    chain.finalise()
    assert [whole(chain, name)["earned_ubeat"] for name in ("alice", "bea", "carol")] == ["700", "600", "700"]
    assert whole(chain, "carol")["lines"][0]["height"] == 3


def test_more_payments_than_a_line_can_tell_are_told_together() -> None:
    chain = free_of_fee("alice", "bea")
    chain.simple(1, SPLIT)
    for _ in range(PARTS_MAX + 1):
        chain.sell(1, 10, cause="usage")
    chain.finalise()
    document = whole(chain, "alice")
    check(document)
    (line,) = document["lines"]
    assert (line["cause"], line["cause_tx"], line["payer"]) == ("usage", None, None)
    assert line["gross_ubeat"] == str(10 * (PARTS_MAX + 1))


def test_the_oldest_of_a_long_line_of_descent_gets_a_statement() -> None:
    chain = free_of_fee("first")
    rank = chain.simple(1, [(holder("first"), 1)])
    for number in range(2, 400):
        rank = chain.simple(number, [(holder("next"), 1)], edges=[Edge(rank, 10_000, ALL, False)])
    chain.sell(399, 1_000)
    chain.finalise()
    (line,) = whole(chain, "first")["lines"]
    assert len(line["path"]) == 399


def test_a_period_without_heights_and_a_foreign_cursor_are_refused() -> None:
    chain = sold_album()
    reader = read(chain)
    who = reader.address(account("alice"))
    refused = {"statement.period": (5, 2, None), "rpc.cursor_malformed": (None, None, "x")}
    for kind, (first, last, cursor) in refused.items():
        with pytest.raises(Rejected) as refusal:
            statement(reader, who, first, last, cursor)
        assert refusal.value.kind == kind


@pytest.fixture
def _small_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "PAGE_ROWS", 4)
        yield


@given(st.integers(0, 2**32))
@settings(max_examples=histories(15))
@pytest.mark.usefixtures("_small_pages")
def test_statements_of_random_histories_add_up_in_every_period(seed: int) -> None:
    story = Story(Random(seed), 4)
    for _ in range(8):
        for _ in range(story.random.randint(0, 6)):
            story.step()
        story.end_block()
    run_until_idle(story.chain, 300)
    last = story.chain.height - 1
    cut = story.random.randint(1, last)
    reader = read(story.chain)
    for name in PEOPLE:
        whole_time, before, after = (
            all_pages(reader, name, *period, limit=200) for period in ((None, None), (0, cut - 1), (cut, last))
        )
        for document in (whole_time, before, after):
            check(document)
        # What a ruling awards is no income of an asset: it is told with the other movements.
        awarded = sum(entry.amount_ubeat for entry in movements(story.chain, name) if entry.cause == "dispute")
        assert int(whole_time["earned_ubeat"]) + awarded == story.chain.balance(name)
        assert whole_time["lines"] == before["lines"] + after["lines"]
        assert len(whole_time["lines"]) > 60 or all_pages(reader, name, None, None, 9)["lines"] == whole_time["lines"]
