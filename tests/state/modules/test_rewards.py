"""Usage rewards: whose data others paid to use gets more; who pays himself loses; the supply never grows by it."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from concento.devnet import development_genesis
from concento.errors import Rejected
from concento.genesis import Params, genesis_json, parse_genesis
from concento.messages.identity import Admit
from concento.messages.licences import Price, ReportRevenue
from concento.messages.tokens import Transfer
from state.modules import tokens
from state.modules.rewards import EPOCHS, USES, reward_of
from state.modules.tokens import SUPPLY
from state.supply import audit
from support.ledger import BEAT, Ledger, account_of
from support.rights import Reader, buy, buy_action, offer, recording, register, splits

EPOCH_MS = 3_600_000


class Shop:
    """One track of its owner alone; readers pay by access."""

    def __init__(self, ledger: Ledger, owner: str, name: str, price_ubeat: int = 50 * BEAT) -> None:
        self.ledger, self.owner, self.name = ledger, owner, name
        self.track = register(ledger, owner, recording(f"{name}0", splits=splits(**{owner: 100})))
        pricing = (Price("per-access", price_ubeat),)
        self.offer = offer(ledger, self.track, owner=owner, pricing=pricing, layers=("recording",))

    def use(self, reader: str, count: int) -> None:
        """A licence, `count` accesses, anchored and paid."""
        licence = buy(self.ledger, self.offer, buyer=reader, deposit_ubeat=count * BEAT)
        lane = Reader(self.ledger, licence, self.track)
        self.ledger.run(reader, lane.open_action(count))
        for _ in range(count):
            lane.read(self.track, f"{self.name}0")
        lane.anchor()


def end_epoch(ledger: Ledger) -> None:
    ledger.block(time_ms=(ledger.time_ms // EPOCH_MS + 1) * EPOCH_MS)
    ledger.block()
    check(ledger)


def check(ledger: Ledger) -> None:
    books = audit(ledger.state().items())
    assert books.difference_ubeat == 0
    assert minted(ledger) <= books.burnt_ubeat


def minted(ledger: Ledger) -> int:
    return ledger.view().get(SUPPLY, b"").minted_ubeat - ledger.genesis.supply_ubeat


def test_use_that_others_paid_for_is_rewarded_by_the_fees_that_it_caused() -> None:
    ledger = Ledger()
    shop = Shop(ledger, "alice", "lofi")
    shop.use("bob", 10)
    before = ledger.balance("alice")
    end_epoch(ledger)
    fee = 10 * 50_000 // 100
    reward = fee * ledger.params.rewards.alpha_bps // 10_000
    assert minted(ledger) == reward > 0
    assert ledger.balance("alice") - before == reward
    end_epoch(ledger)
    assert minted(ledger) == reward
    assert not [key for key in ledger.state() if key.startswith((EPOCHS.prefix, USES.prefix))]


def test_the_budget_bounds_what_is_made_and_is_shared_by_fees() -> None:
    params = development_genesis().params
    few = replace(params, rewards=replace(params.rewards, data_ubeat=100))
    assert [reward_of(few, fees, 1_000) for fees in (100, 300, 600)] == [10, 30, 60]
    assert [reward_of(params, fees, 1_000) for fees in (100, 300, 600)] == [40, 120, 240]


def test_an_owner_buys_no_licence_of_his_own_asset_so_none_of_his_use_is_counted() -> None:
    shop = Shop(Ledger(), "alice", "lofi")
    assert shop.ledger.refusal("alice", buy_action(shop.offer, price_max_ubeat=0)) == "licence.own_asset"


def test_cheap_units_without_end_take_nothing_from_honest_use() -> None:
    """Whoever sells for next to nothing can count any number of units; fees are what counts."""
    ledger = Ledger()
    honest, flood = Shop(ledger, "alice", "lofi"), Shop(ledger, "bea", "flood", price_ubeat=1)
    honest.use("bob", 10)
    flood.use("dana", 60)
    end_epoch(ledger)
    assert minted(ledger) == 10 * 50_000 // 100 * ledger.params.rewards.alpha_bps // 10_000


@pytest.mark.parametrize("seed", range(3))
def test_agents_who_use_their_own_data_lose_and_honest_sellers_gain(seed: int) -> None:
    """Some sell to customers, some to a second account of their own; each counts all that he has in both."""
    random = Random(seed)
    ledger = Ledger()
    honest = Shop(ledger, "alice", "lofi")
    washers = {"xiu": "zoe", "yan": "yin"}
    for account in (*washers, *washers.values()):
        ledger.run("treasury", Transfer(account_of(account), 1_000 * BEAT))
        ledger.run("issuer", _admit(account))
    shops = {name: Shop(ledger, name, f"wash-{name}") for name in washers}
    wealth = {name: ledger.balance(name) + ledger.balance(second) for name, second in washers.items()}
    rewards_before, earned_before = minted(ledger), ledger.balance("alice")
    for _ in range(4):
        for name, second in washers.items():
            shops[name].use(second, random.randint(5, 40))
        honest.use("bob", random.randint(5, 40))
        end_epoch(ledger)
    assert minted(ledger) > rewards_before
    for name, second in washers.items():
        assert ledger.balance(name) + ledger.balance(second) < wealth[name]
    assert ledger.balance("alice") > earned_before


def test_paying_oneself_loses_even_for_whoever_earns_the_whole_validators_part() -> None:
    """Attack: the owner of every validator uses his own data through a second account, epoch after epoch."""
    ledger = Ledger()
    shop = Shop(ledger, "alice", "mine")
    accounts = {account_of("alice"), account_of("bob")}
    accounts |= {member.rewards_to for member in ledger.genesis.validators.members}

    def wealth() -> int:
        view = ledger.view()
        return sum(tokens.balance(view, account) for account in accounts) + tokens.bucket(view, "fees")

    for _ in range(3):
        before = wealth()
        shop.use("bob", 40)
        end_epoch(ledger)
        assert wealth() < before
    assert minted(ledger) > 0


def _admit(name: str) -> Admit:
    return Admit(account_of(name), name, "person", ("creator", "developer"))


def test_revenue_that_only_its_reporter_vouches_for_earns_no_reward() -> None:
    """Attack: an owner reports sales that never were, to himself, for the sake of the reward."""
    ledger = Ledger()
    shop = Shop(ledger, "alice", "lofi")
    ledger.run("alice", ReportRevenue(shop.track, b"", 0, ledger.time_ms, 1_000 * BEAT, b""))
    end_epoch(ledger)
    assert minted(ledger) == 0


def test_a_reward_is_told_as_one_in_a_statement_source() -> None:
    ledger = Ledger()
    Shop(ledger, "alice", "lofi").use("bob", 10)
    end_epoch(ledger)
    assert [event.kind for outcome in ledger.outcomes for event in outcome.closing].count("rewards.made") == 1


@pytest.mark.parametrize("alpha_bps", [5_000, 9_999])
def test_genesis_refuses_rewards_that_would_pay_whoever_pays_himself(alpha_bps: int) -> None:
    text = genesis_json(development_genesis()).replace('"alpha_bps": 4000', f'"alpha_bps": {alpha_bps}')
    with pytest.raises(Rejected, match="alpha_bps"):
        parse_genesis(text)


def test_nothing_is_made_where_genesis_sets_no_budget() -> None:
    params: Params = development_genesis().params
    ledger = Ledger(params=replace(params, rewards=replace(params.rewards, data_ubeat=0)))
    Shop(ledger, "alice", "lofi").use("bob", 10)
    end_epoch(ledger)
    assert minted(ledger) == 0
