"""Random histories of the revenue module, told to the ledger and to the slow model at once."""

from __future__ import annotations

from random import Random

from concento.errors import Rejected
from concento.messages.royalties import Claim, Sweep
from state.modules import holds, identity, inbox, payout, pots, royalties, shares, tokens
from state.modules.cascade import CEILINGS, Ceiling, Edge, ceiling_key
from state.modules.holds import LegHold
from state.modules.revenue import ALL, OWN, leg_of, pot_of, pot_route
from support.revenue_chain import RevenueChain, account, asset_id, make_params
from support.slow_model import SlowAsset, SlowHold, SlowModel, SlowPot, SlowRow, SlowTable

PEOPLE = [f"person{number}" for number in range(6)]

Holder = tuple[str, object]


class Story:
    """One chain, its model, and what both may do next; tables have pages of `page_rows` rows."""

    def __init__(self, random: Random, page_rows: int, work: int = 10**9) -> None:
        self.random = random
        dust, v = random.choice([1, 1, 50]), random.choice([4, 15, 40, 10**6])
        threshold, market_bps = random.choice([1, 10]), random.choice([0, 100])
        params = make_params(dust, work, v, threshold, market_bps, block_weight=0)
        self.chain = RevenueChain(params)
        self.model = SlowModel(page_rows, dust, v, work, threshold, market_bps)
        self.ranks: list[int] = []
        self.tables: list[int] = []
        self.vaults: list[int] = []
        self.disputes = 0
        self.model.now = self.chain.view.time_ms
        for name in PEOPLE:
            self.chain.view.put(identity.ACCOUNTS, account(name), identity.Account(0, None))

    def step(self) -> None:
        """Something happens, most often a sale."""
        choices = [self.sell] * 8 + [self.transfer] * 2 + [self.claim, self.claim, self.set_policy, self.ask_for_sweep]
        if len(self.ranks) < 14:
            choices += [self.register] * 5
        if len(self.vaults) < 2:
            choices.append(self.make_vault)
        if len(self.ranks) > 2:
            choices += [self.amend, self.hold, self.hold, self.rule, self.sell_by_use, self.sell_by_use]
        self.random.choice(choices)()

    def end_block(self) -> None:
        self.chain.finalise()
        self.model.finalise()

    # Making things

    def register(self) -> None:
        """A work, a recording, a dataset or a remix over what there is."""
        rank = len(self.ranks) + 1
        legs: list[tuple[Holder, int]] = []
        if self.ranks and self.random.random() < 0.5:
            legs = [(("asset", self._some_rank()), self.random.randint(1, 9_999)) for _ in range(self._count(2))]
        tables = [self._new_table(self._members()) for _ in range(self._count(2))]
        legs += [(("table", table), self.random.randint(1, 9_999)) for table in tables]
        edges, claims = self._parents(rank)
        self.model.assets[rank] = SlowAsset(legs, edges, claims)  # type: ignore[arg-type]
        made = royalties.new_asset(
            self.chain.view,
            asset_id(rank),
            "work",
            [royalties.Leg(_encoded((kind, number)), weight) for (kind, number), weight in legs],
            [Edge(parent, bps, ALL, limited) for parent, bps, limited in edges],
            [Edge(parent, bps, ALL, limited) for parent, bps, limited in claims],
        )
        assert made == rank
        self.ranks.append(rank)

    def make_vault(self) -> None:
        names = self.random.sample(PEOPLE, 3)
        rows = [(("account", name), self.random.randint(1, 9)) for name in names]
        number = royalties.new_table(self.chain.view, [(_encoded(who), count) for who, count in rows], vault=True)
        self.model.tables[number] = SlowTable([SlowRow(who, count) for who, count in rows], vault=True)
        self.vaults.append(number)

    def _new_table(self, rows: list[tuple[Holder, int]]) -> int:
        number = royalties.open_table(self.chain.view)
        split = self.random.randint(0, len(rows))
        for part in (rows[:split], rows[split:]):
            royalties.add_rows(self.chain.view, number, [(_encoded(who), count) for who, count in part])
        self.model.tables[number] = SlowTable([SlowRow(who, count) for who, count in rows])
        self.tables.append(number)
        return number

    def _members(self) -> list[tuple[Holder, int]]:
        """Rows of a table: people, older assets, vaults; often more than one page of them."""
        pool: list[Holder] = [("account", name) for name in PEOPLE]
        pool += [("asset", rank) for rank in self.ranks] + [("vault", vault) for vault in self.vaults]
        return [(self.random.choice(pool), self.random.randint(1, 50)) for _ in range(self.random.randint(1, 14))]

    def _parents(self, child: int) -> tuple[list[tuple[int, int, bool]], list[tuple[int, int, bool]]]:
        if not self.ranks or self.random.random() < 0.5:
            return [], []
        parents = sorted({self._some_rank() for _ in range(3)}, reverse=True)
        edges = [(parent, self.random.choice([1, 700, 3_000]), self.random.random() < 0.3) for parent in parents]
        claims = [(parent, self.random.choice([10, 300]), self.random.random() < 0.3) for parent in parents[:2]]
        for parent, _, limited in (*edges, *claims):
            if limited:
                ceiling = self.random.choice([0, 100, 10**6])
                self.chain.view.put(CEILINGS, ceiling_key(child, parent), Ceiling(ceiling))
                self.model.ceilings[child, parent] = ceiling
        return edges, claims

    # What happens

    def sell(self) -> None:
        if not self.ranks:
            return self.register()
        rank, route = self._some_rank(), self.random.choice([ALL, ALL, ALL, OWN])
        gross = self.random.choice([1, 7, 99, 1_000, 123_457, 10**9 + 7])
        self.chain.sell(rank, gross, route, self.random.choice(["sale", "usage"]))
        self.model.sell(rank, gross, "all" if route == ALL else "own")
        return None

    def claim(self) -> None:
        found = self._some_leg()
        if found is None:
            return
        rank, leg, table = found
        page, sender = self.random.randrange(self._pages(table)), self.random.choice(PEOPLE)
        message = Claim(asset_id(rank), leg, page)
        royalties.check_claim(self.chain.view, self.chain.call(), message)
        royalties.apply_claim(self.chain.view, self.chain.call(account(sender)), message)
        self.model.claim(rank, table, page, sender)

    def ask_for_sweep(self) -> None:
        found = self._some_leg()
        if found is None:
            return
        rank, leg, table = found
        message = Sweep(asset_id(rank), leg, len(self.model.tables[table].rows))
        royalties.check_sweep(self.chain.view, self.chain.call(), message)
        royalties.apply_sweep(self.chain.view, self.chain.call(), message)
        self.model.ask_for_sweep(table)

    def set_policy(self) -> None:
        name, minimum = self.random.choice(PEOPLE), self.random.choice([0, 0, 500, 10**6])
        mode = "min" if minimum else "now"
        self.chain.view.put(identity.PAYOUTS, account(name), identity.Payout(mode, minimum, 0))
        royalties.touch(self.chain.view, account(name))
        self.model.minimum[name] = minimum
        self.model.owed[name] += 0

    def transfer(self) -> None:
        """Shares of some row go to a person, an older asset or a vault; refused where the ledger must refuse."""
        if not self.tables:
            return
        table = self.random.choice(self.tables)
        entry = self.model.tables[table]
        page_rows = self.model.page_rows
        index = self.random.randrange(len(entry.rows))
        row, page = entry.rows[index], index // page_rows
        if not row.shares:
            return
        first = next(r for r in entry.rows[page * page_rows :] if r.holder == row.holder and r.shares)
        count = self.random.randint(1, first.shares)
        target = self.random.randrange(self._pages(table))
        buyer = self.random.choice(self._possible_holders(table))
        mark = self.chain.view.mark()
        seller, to = (page, _encoded(row.holder)), (target, _encoded(buyer))
        threshold = self.chain.params.revenue.row_threshold
        try:
            royalties.transfer_shares(self.chain.view, threshold, table, seller, to, count)
        except Rejected as refusal:
            if refusal.kind != "royalties.split_full" or len(entry.rows) != page_rows:
                raise
            self.chain.view.rollback(mark)
            return
        self.model.transfer(table, row.holder, page, target, buyer, count)

    def hold(self) -> None:
        """A dispute claims a part of a leg."""
        rank = self._some_rank()
        leg = self.random.randrange(len(self.model.assets[rank].legs))
        self.disputes += 1
        hold = SlowHold(self.disputes.to_bytes(32, "big"), self.random.choice([1, 3_000, 10_000]), 0)
        hold.cap = self.random.choice([10, 5_000, 10**12])
        holds.place(self.chain.view, rank, leg, LegHold(hold.name, hold.bps, 0, hold.cap))
        self.model.hold(rank, leg, hold)

    def rule(self) -> None:
        """A dispute ends: a part of what it held goes to somebody, the rest back into the leg."""
        pending = [(place, hold) for place, held in sorted(self.model.holds.items()) for hold in held]
        if not pending:
            return
        (rank, leg), hold = self.random.choice(pending)
        view, deposit = self.chain.view, holds.held_id(hold.name)
        assert tokens.escrowed(view, deposit) == hold.held
        name, awarded = self.random.choice(PEOPLE), self.random.randint(0, hold.held)
        holds.lift(view, rank, leg, hold.name)
        if awarded:
            tokens.escrow_out(view, deposit, account(name), awarded, "dispute")
        if hold.held - awarded:
            tokens.escrow_take(view, deposit, hold.held - awarded)
            royalties.return_to_leg(view, asset_id(rank), leg, hold.held - awarded, hold.name)
        self.model.lift(rank, leg, hold, name, awarded)

    def sell_by_use(self) -> None:
        """Metered money whose members' part waits in a pot; nobody posts any use before the deadline."""
        fitting = [rank for rank in self.ranks if self.model.assets[rank].legs[0][0][0] == "table"]
        if not fitting:
            return
        rank = self.random.choice(fitting)
        table, gross = self.model.assets[rank].legs[0][0][1], self.random.choice([3, 1_000, 123_457])
        deadline = self.chain.view.time_ms + 1_000 * self.random.randint(0, 4)
        pot = pots.Pot(asset_id(rank), rank, table, 0, bytes(32), 1, 0, 0, 0, 0, 0, deadline, False)
        number = pots.open_pot(self.chain.view, pot)
        self.chain.sell(rank, gross, pot_route(number), "usage")
        self.model.pots[number] = SlowPot(table, deadline)
        self.model.sell(rank, gross, f"pot{number}")

    def _possible_holders(self, table: int) -> list[Holder]:
        owner = next(rank for rank, asset in self.model.assets.items() if (("table", table)) in dict(asset.legs))
        holders: list[Holder] = [("account", name) for name in PEOPLE]
        return holders + [("asset", rank) for rank in range(1, owner)] + [("vault", vault) for vault in self.vaults]

    def amend(self) -> None:
        """A parent is found later: it takes a part of what the child still keeps, from the next block on."""
        child = self.random.choice(self.ranks[1:])
        parent = self.random.randrange(1, child)
        left = royalties.rate_left_bps(self.chain.view, asset_id(child))
        if left == 0:
            return
        bps, limited = self.random.choice([1, min(left, 900), left]), self.random.random() < 0.3
        height = self.chain.view.height + 1
        royalties.add_edge(self.chain.view, asset_id(child), Edge(parent, bps, ALL, limited, height))
        if limited:
            ceiling = self.random.choice([1, 1_000, 10**7])
            royalties.set_ceiling(self.chain.view, child, parent, ceiling)
            self.model.ceilings[child, parent] = max(ceiling, self.model.ceilings.get((child, parent), 0))
        self.model.amend(child, parent, bps, limited)

    def _some_leg(self) -> tuple[int, int, int] | None:
        if not self.ranks:
            return None
        rank = self._some_rank()
        legs = self.model.assets[rank].legs
        leg = self.random.choice([number for number, ((kind, _), _) in enumerate(legs) if kind == "table"])
        return rank, leg, legs[leg][0][1]

    def _some_rank(self) -> int:
        return self.random.choice(self.ranks)

    def _count(self, most: int) -> int:
        return self.random.randint(1, most)

    def _pages(self, table: int) -> int:
        return -(-len(self.model.tables[table].rows) // self.model.page_rows)

    # Comparing

    def check_equal(self) -> None:
        """Every amount that the ledger holds is the model's."""
        for name in PEOPLE:
            assert self.chain.balance(name) == self.model.balances[name]
            due = self.chain.view.find(payout.DUES, account(name))
            assert (0 if due is None else due.amount_ubeat) == self.model.due.get(name, 0)
        for number, table in self.model.tables.items():
            self._check_table(number, table)
        self._check_waiting()

    def _check_table(self, number: int, table: SlowTable) -> None:
        found = self.chain.table(number)
        assert (found.credited, found.paid, found.total) == (table.credited, table.paid, table.total)
        assert (found.mark, found.queued, found.rows) == (table.mark, table.queued, len(table.rows))
        rows = [row for page in self.chain.pages(number) for row in page.rows]
        assert [(row.holder, row.shares) for row in rows] == [(_encoded(r.holder), r.shares) for r in table.rows]
        for index, (row, slow) in enumerate(zip(rows, table.rows, strict=True)):
            if self.chain.pages(number)[index // self.model.page_rows].seen == table.credited:
                assert row.frac == (slow.entitled - slow.paid) * table.total

    def _check_waiting(self) -> None:
        parked = {
            int.from_bytes(key, "big"): [item.src, item.rel] for key, item in self.chain.all(inbox.PARKED).items()
        }
        assert parked == self.model.parked
        generation = inbox.flow(self.chain.view).generation
        for offset, boxes in enumerate((self.model.current, self.model.following)):
            found = {
                int.from_bytes(key[8:], "big"): {_route_name(e.route): [e.src, e.rel] for e in box.entries}
                for key, box in self.chain.all(inbox.INBOXES).items()
                if int.from_bytes(key[:8], "big") == generation + offset
            }
            assert found == boxes
        for (rank, leg), slow in self.model.holds.items():
            record = self.chain.view.find(holds.LEG_HOLDS, holds.leg_key(rank, leg))
            found_holds = () if record is None else record.holds
            assert [(one.dispute, one.held_ubeat) for one in found_holds] == [(one.name, one.held) for one in slow]


def _route_name(route: int) -> str:
    leg, pot = leg_of(route), pot_of(route)
    if pot is not None:
        return f"pot{pot}"
    return ("all" if route == ALL else "own") if leg is None else f"leg{leg}"


def _encoded(holder: Holder) -> bytes:
    kind, name = holder
    if kind == "account":
        return shares.account_holder(account(str(name)))
    assert isinstance(name, int)
    return shares.asset_holder(name) if kind == "asset" else shares.table_holder(name)
