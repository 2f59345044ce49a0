"""Usage-weighted datasets: the members that a reader used are paid for it, exactly, and never more than was paid."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from concento.devnet import development_genesis
from concento.merkle import merkle_root, range_proof
from concento.messages.receipts import PostUsage, UsageRow, usage_leaf, usage_root
from state.modules import royalties, shares
from state.modules.pots import POTS
from state.modules.shares import number_key
from state.supply import audit
from support.ledger import BEAT, Ledger
from support.rights import Reader, album, buy, offer, splits, tracks

PER_ACCESS = BEAT // 20


class Market:
    """Three tracks, each of one person alone, in a dataset that goes by use; bob reads them."""

    def __init__(self, rule: str = "usage", **changes: Any) -> None:
        params = development_genesis().params
        # Without rewards for use, so that what members get is what readers paid.
        self.ledger = Ledger(params=replace(params, rewards=replace(params.rewards, data_ubeat=0)))
        self.members = [
            tracks(self.ledger, 1, prefix=name, splits=splits(**{name: 100}))[0] for name in ("bea", "carol", "dana")
        ]
        self.sealed = album(self.ledger, self.members, rule=rule, **changes)
        self.licence = buy(self.ledger, offer(self.ledger, self.sealed), deposit_ubeat=10 * BEAT)
        self.reader = Reader(self.ledger, self.licence, self.sealed)
        self.ledger.run("bob", self.reader.open_action(60))
        for _ in range(3):
            self.ledger.block()
        self.before = self.balances()

    def balances(self) -> dict[str, int]:
        return {name: self.ledger.balance(name) for name in ("alice", "bea", "carol", "dana")}

    def earned(self) -> dict[str, int]:
        """What everybody has got since the licence was bought."""
        for _ in range(4):
            self.ledger.block()
        books = audit(self.ledger.state().items())
        assert books.difference_ubeat == 0
        return {name: balance - self.before[name] for name, balance in self.balances().items()}

    def read(self, *units: int) -> None:
        for name, member, count in zip(("bea", "carol", "dana"), self.members, units, strict=True):
            for _ in range(count):
                self.reader.read(member, f"{name}0")

    def anchor(self, rows: Sequence[UsageRow], first: int = 0) -> int:
        """Anchors what was read with the use that the rows tell; returns the pot's number."""
        root = signed(rows, first)
        events = self.ledger.run("gateway1", self.reader.anchor_action(self.reader.voucher(usage_root=root)))
        opened = [event for event in events if event.kind == "usage.opened"]
        return int(opened[0].fields["pot"]) if opened else 0  # type: ignore[arg-type]

    def pot(self, number: int) -> Any:
        return self.ledger.view().find(POTS, number_key(number))


def signed(rows: Sequence[UsageRow], first: int = 0) -> bytes:
    return usage_root(first, len(rows), merkle_root([usage_leaf(row) for row in rows]))


def post(pot: int, rows: Sequence[UsageRow], start: int = 0, count: int | None = None) -> PostUsage:
    count = len(rows) if count is None else count
    proof = range_proof([usage_leaf(row) for row in rows], start, count)
    return PostUsage(pot, start, len(rows), tuple(rows[start : start + count]), tuple(proof))


def rows_of(*units: int) -> list[UsageRow]:
    return [UsageRow(index, count) for index, count in enumerate(units) if count]


def own_part(net: int) -> int:
    """A track's own half; the other half is its work's, which alice and bea share."""
    return net - net // 2


def test_only_those_who_were_used_are_paid() -> None:
    market = Market()
    market.read(0, 3, 1)
    pot = market.anchor(rows_of(0, 3, 1))
    net = 4 * PER_ACCESS * 99 // 100
    assert market.pot(pot).amount_ubeat == net
    market.ledger.run("issuer", post(pot, rows_of(0, 3, 1)))
    earned = market.earned()
    assert earned["carol"] == own_part(net * 3 // 4)
    assert earned["dana"] == own_part(net - net * 3 // 4)
    assert market.pot(pot) is None


def test_rows_posted_in_pieces_pay_the_same_as_at_once_and_only_in_order() -> None:
    rows = rows_of(5, 7, 1)
    whole, pieces = Market(), Market()
    for market in (whole, pieces):
        market.read(5, 7, 1)
    whole.ledger.run("alice", post(whole.anchor(rows), rows))
    pot = pieces.anchor(rows)
    assert pieces.ledger.refusal("alice", post(pot, rows, 1, 2)) == "usage.order"
    pieces.ledger.run("alice", post(pot, rows, 0, 1))
    assert pieces.ledger.refusal("alice", post(pot, rows, 0, 1)) == "usage.order"
    pieces.ledger.run("alice", post(pot, rows, 1, 2))
    # Both paid for different numbers of transactions: compare those who sent none.
    one, other = whole.earned(), pieces.earned()
    assert {name: one[name] for name in ("bea", "carol", "dana")} == {
        name: other[name] for name in ("bea", "carol", "dana")
    }


def test_rows_that_the_reader_did_not_sign_are_refused() -> None:
    market = Market()
    market.read(1, 1, 1)
    pot = market.anchor(rows_of(1, 1, 1))
    assert market.ledger.refusal("bea", post(pot, rows_of(3, 0, 0))) == "usage.root_differs"
    assert market.ledger.refusal("bea", post(pot, rows_of(4, 0, 0))) == "usage.units_exceeded"
    shorter = post(pot, rows_of(1, 1))
    assert market.ledger.refusal("bea", shorter) == "usage.root_differs"
    assert market.ledger.refusal("bea", post(pot + 1, rows_of(1, 1, 1))) == "usage.no_pot"


def test_a_reader_who_signs_more_units_than_he_paid_for_pays_nobody_more() -> None:
    market = Market()
    market.read(1, 1, 1)
    rows = [UsageRow(0, 2), UsageRow(1, 2)]
    pot = market.anchor(rows)
    market.ledger.run("bea", post(pot, rows, 0, 1))
    assert market.ledger.refusal("bea", post(pot, rows, 1, 1)) == "usage.units_exceeded"


def test_a_member_that_does_not_exist_is_refused() -> None:
    market = Market()
    market.read(1, 0, 0)
    rows = [UsageRow(3, 1)]
    assert market.ledger.refusal("bea", post(market.anchor(rows), rows)) == "usage.unknown_member"


def test_what_nobody_posts_in_time_goes_to_all_members_by_weight() -> None:
    market = Market()
    market.read(4, 2, 0)
    rows = rows_of(4, 2)
    pot = market.anchor(rows)
    market.ledger.run("issuer", post(pot, rows, 0, 1))
    net = 6 * PER_ACCESS * 99 // 100
    dana = market.balances()["dana"]
    market.ledger.block(time_ms=market.ledger.time_ms + market.ledger.params.access.anchor_window_ms + 1)
    assert market.pot(pot) is None
    market.earned()
    rest = net - net * 4 // 6
    assert abs(market.balances()["dana"] - dana - own_part(rest // 3)) <= 1
    assert market.ledger.refusal("issuer", post(pot, rows, 1, 1)) == "usage.no_pot"


def test_units_that_no_row_tells_go_by_weight_at_once() -> None:
    market = Market()
    market.read(2, 2, 0)
    rows = rows_of(1)
    pot = market.anchor(rows)
    market.ledger.run("issuer", post(pot, rows))
    assert market.pot(pot) is None
    assert market.earned()["dana"] > 0


@pytest.mark.parametrize("rule", ["equal", "usage"])
def test_without_a_signed_root_or_in_another_dataset_money_goes_by_weight(rule: str) -> None:
    market = Market(rule)
    market.read(3, 0, 0)
    if rule == "equal":
        assert market.anchor(rows_of(3)) == 0
    else:
        market.reader.anchor()
    assert market.earned()["dana"] > 0


def test_a_root_of_another_batch_opens_a_pot_that_nobody_can_empty() -> None:
    market = Market()
    market.read(2, 0, 0)
    pot = market.anchor(rows_of(2), first=1)
    assert market.ledger.refusal("issuer", post(pot, rows_of(2))) == "usage.root_differs"


def test_a_one_off_price_never_goes_by_use() -> None:
    market = Market()
    before = market.balances()
    buy(market.ledger, offer(market.ledger, market.sealed))
    market.earned()
    after = market.balances()
    assert after["carol"] - before["carol"] == after["dana"] - before["dana"] > 0


def test_the_curator_has_his_part_of_metered_money_too() -> None:
    market = Market(member_bps=6_000, curator_splits=splits(alice=100))
    market.read(0, 1, 0)
    pot = market.anchor(rows_of(0, 1))
    net = PER_ACCESS * 99 // 100
    assert market.pot(pot).amount_ubeat == net * 6 // 10
    assert market.earned()["alice"] == net - net * 6 // 10


@pytest.mark.parametrize("seed", range(5))
def test_over_many_batches_every_member_is_within_a_unit_a_batch_of_its_exact_part(seed: int) -> None:
    random = Random(seed)
    market = Market()
    exact = [0.0, 0.0, 0.0]
    credited = [0, 0, 0]
    for _ in range(6):
        units = [random.randint(0, 3) for _ in range(3)]
        if not sum(units):
            continue
        market.read(*units)
        first = market.reader.anchored
        rows = rows_of(*units)
        random.shuffle(rows)
        pot = market.anchor(rows, first)
        market.reader.anchored = len(market.reader.log)
        amount = market.pot(pot).amount_ubeat
        so_far = 0
        for row in rows:
            part = amount * (so_far + row.units) // sum(units) - amount * so_far // sum(units)
            so_far += row.units
            credited[row.member] += part
            exact[row.member] += amount * row.units / sum(units)
        assert so_far == sum(units)
        market.ledger.run("issuer", post(pot, rows))
    market.earned()
    for index in range(3):
        assert abs(exact[index] - credited[index]) <= 6
    table = royalties.require_table(market.ledger.view(), market.members[1], 1)
    assert shares.find_table(market.ledger.view(), table).credited >= credited[1] // 2
