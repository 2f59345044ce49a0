"""How income reaches an account: at once, from a sum on, once a period, or when it is bound."""

from __future__ import annotations

from state.modules import identity, payout, royalties, settlement
from support.revenue_chain import (
    RevenueChain,
    account,
    claim,
    free_of_fee,
    holder,
    make_params,
    on_board,
)


def policy(chain: RevenueChain, name: str, mode: str, amount: int = 0, period_ms: int = 0) -> None:
    chain.view.put(identity.PAYOUTS, account(name), identity.Payout(mode, amount, period_ms))
    royalties.touch(chain.view, account(name))


def where_alice_asked_for(mode: str, **asked: int) -> RevenueChain:
    """She holds all of a work."""
    chain = free_of_fee("alice")
    chain.simple(1, [(holder("alice"), 1)])
    policy(chain, "alice", mode, **asked)
    return chain


def due(chain: RevenueChain, name: str) -> int:
    found = chain.view.find(payout.DUES, account(name))
    return 0 if found is None else found.amount_ubeat


def test_an_account_that_asked_for_larger_sums_is_paid_once_they_are_reached() -> None:
    chain = where_alice_asked_for("min", amount=1_000)
    chain.sell(1, 999)
    chain.finalise()
    assert (chain.balance("alice"), due(chain, "alice")) == (0, 999)
    chain.sell(1, 1)
    chain.finalise()
    assert (chain.balance("alice"), due(chain, "alice")) == (1_000, 0)


def test_a_claim_by_the_holder_overrides_the_policy_and_by_another_does_not() -> None:
    chain = where_alice_asked_for("min", amount=1_000)
    chain.sell(1, 10)
    chain.finalise()
    claim(chain, 1)
    chain.finalise()
    assert chain.balance("alice") == 0
    claim(chain, 1, sender=account("alice"))
    chain.finalise()
    assert chain.balance("alice") == 10


def test_an_account_that_asked_for_a_period_is_paid_at_its_end() -> None:
    chain = where_alice_asked_for("every", period_ms=60_000)
    start = chain.time_ms
    for _ in range(2):
        chain.sell(1, 10)
        chain.finalise()
    assert chain.balance("alice") == 0
    chain.view.time_ms = start // 60_000 * 60_000 + 59_999
    chain.finalise()
    assert chain.balance("alice") == 0
    chain.view.time_ms = start // 60_000 * 60_000 + 60_000
    chain.finalise()
    assert chain.balance("alice") == 20
    assert not chain.all(payout.DUES)


def test_timers_that_do_not_fit_a_block_fire_in_the_next() -> None:
    chain = RevenueChain(make_params(market_bps=0, v_min=3 * settlement.PART_WORK, block_weight=0))
    names = [f"p{number}" for number in range(8)]
    on_board(chain, *names)
    chain.simple(1, [(holder(name), 1) for name in names])
    for name in names:
        policy(chain, name, "every", period_ms=60_000)
    chain.sell(1, 80)
    chain.finalise()
    paid = []
    for _ in range(3):
        chain.view.time_ms += 60_000
        chain.finalise()
        paid.append(sum(chain.balance(name) for name in names))
    assert paid == [30, 60, 80]


def test_a_policy_set_back_to_now_pays_what_waited() -> None:
    chain = where_alice_asked_for("min", amount=1_000)
    chain.sell(1, 10)
    chain.finalise()
    policy(chain, "alice", "now")
    chain.finalise()
    assert chain.balance("alice") == 10


def test_a_holder_who_is_not_on_board_is_paid_when_an_issuer_binds_an_account() -> None:
    chain = free_of_fee("alice")
    chain.simple(1, [(holder("somebody"), 1)])
    chain.sell(1, 10)
    chain.finalise()
    assert (chain.balance("somebody"), due(chain, "somebody")) == (0, 10)
    chain.view.put(identity.BINDINGS, account("somebody"), identity.Binding(account("alice")))
    royalties.touch(chain.view, account("somebody"))
    chain.finalise()
    assert (chain.balance("somebody"), chain.balance("alice")) == (0, 10)
    chain.sell(1, 5)
    chain.finalise()
    assert chain.balance("alice") == 15
