"""Tables of holders: transfers, their pages, what belongs to whom, vaults in a table."""

from __future__ import annotations

import pytest

from concento.errors import Rejected
from state.modules import royalties, shares
from state.modules.royalties import asset_holder
from support.revenue_chain import (
    SPLIT,
    RevenueChain,
    claim,
    free_of_fee,
    holder,
    make_params,
    on_board,
    people,
)


def test_income_before_a_transfer_of_shares_is_the_sellers() -> None:
    chain = free_of_fee("alice", "bea", "carol")
    chain.simple(1, SPLIT)
    chain.sell(1, 1_001)
    chain.finalise()
    royalties.transfer_shares(chain.view, 1_000, 1, (0, holder("alice")), (0, holder("carol")), 700_000)
    chain.sell(1, 1_000)
    chain.finalise()
    # The sale is in the block of the transfer: its income belongs to the holders after the block's transactions.
    assert [chain.balance(name) for name in ("alice", "bea", "carol")] == [700, 600, 700]


def test_a_transfer_settles_a_page_of_a_large_table_first() -> None:
    chain = RevenueChain(make_params(market_bps=0, row_threshold=10**6))
    on_board(chain, "p1", "p99", "carol")
    chain.simple(1, people(100))
    chain.sell(1, 199_000)
    chain.finalise()
    royalties.transfer_shares(chain.view, 10**6, 1, (0, holder("p1")), (1, holder("carol")), 2)
    chain.finalise()
    total = chain.table(1).total
    assert chain.balance("p1") == 199_000 * 2 // total
    assert chain.balance("p99") == 199_000 // total
    assert chain.table(1).rows == 101
    chain.sell(1, 199_000)
    chain.finalise()
    claim(chain, 1, page=1)
    chain.finalise()
    assert chain.balance("carol") == 199_000 * 2 // total


def test_more_shares_than_are_held_cannot_be_moved() -> None:
    chain = RevenueChain()
    chain.simple(1, SPLIT)
    with pytest.raises(Rejected) as refusal:
        royalties.transfer_shares(chain.view, 1, 1, (0, holder("bea")), (0, holder("carol")), 300_001)
    assert refusal.value.kind == "royalties.shares_short"


def test_a_split_never_gets_a_65th_row() -> None:
    chain = RevenueChain()
    chain.simple(1, people(64))
    with pytest.raises(Rejected) as refusal:
        royalties.transfer_shares(chain.view, 1, 1, (0, holder("p1")), (0, holder("carol")), 1)
    assert refusal.value.kind == "royalties.split_full"


def test_a_table_never_gets_a_holder_that_is_younger_than_its_asset() -> None:
    chain = RevenueChain()
    chain.simple(1, SPLIT)
    younger = chain.simple(2, SPLIT)
    with pytest.raises(Rejected) as refusal:
        royalties.transfer_shares(chain.view, 1, 1, (0, holder("bea")), (0, asset_holder(younger)), 1)
    assert refusal.value.kind == "royalties.holder_too_young"


def test_a_row_that_was_sold_out_is_used_again() -> None:
    chain = RevenueChain()
    chain.simple(1, people(64))
    royalties.transfer_shares(chain.view, 1, 1, (0, holder("p1")), (0, holder("p2")), 2)
    royalties.transfer_shares(chain.view, 1, 1, (0, holder("p2")), (0, holder("carol")), 5)
    chain.finalise()
    assert chain.table(1).rows == 64


def test_a_vault_shares_what_it_holds_among_its_accounts() -> None:
    chain = free_of_fee("alice", "bea", "carol")
    chain.simple(1, SPLIT)
    vault = royalties.new_table(chain.view, [(holder("bea"), 1), (holder("carol"), 2)], vault=True)
    royalties.transfer_shares(chain.view, 1, 1, (0, holder("bea")), (0, shares.table_holder(vault)), 300_000)
    chain.sell(1, 1_000)
    chain.finalise()
    assert [chain.balance(name) for name in ("alice", "bea", "carol")] == [700, 100, 200]
