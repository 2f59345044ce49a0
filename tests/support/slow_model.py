"""The revenue pass once more, slowly: a Fraction per row, a loop over all rows at every credit, plain dictionaries.

It shares no code with the ledger. What it keeps per row is the row's exact entitlement; a settlement pays its floor
less what the row was paid before. Written from the protocol page, so that two readings of it can be compared.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

PAGES_PER_TURN = 1


@dataclass
class SlowRow:
    holder: tuple[str, object]
    shares: int
    entitled: Fraction = Fraction(0)
    paid: int = 0


@dataclass
class SlowTable:
    rows: list[SlowRow]
    vault: bool = False
    credited: int = 0
    paid: int = 0
    seen: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    mark: int = 0
    cursor: int = 0
    queued: bool = False

    @property
    def total(self) -> int:
        return sum(row.shares for row in self.rows)


@dataclass
class SlowAsset:
    """`legs`: (("asset", rank) | ("table", number), weight); `edges` and `claims`: (parent, bps, limited)."""

    legs: list[tuple[tuple[str, int], int]]
    edges: list[tuple[int, int, bool]]
    claims: list[tuple[int, int, bool]]


@dataclass
class SlowHold:
    """What one dispute holds of a leg."""

    name: bytes
    bps: int
    cap: int
    held: int = 0


@dataclass
class SlowPot:
    """A batch's members' part; `amount` is None until the pass brings it."""

    table: int
    deadline: int
    amount: int | None = None
    closed: bool = False


def route_order(route: str) -> tuple[int, int]:
    """`all`, `own`, then legs and pots by their numbers."""
    for place, kind in enumerate(("leg", "pot"), 2):
        if route.startswith(kind):
            return place, int(route[3:])
    return (0 if route == "all" else 1), 0


class SlowModel:
    def __init__(self, page_rows: int, dust: int, v: int, work: int, row_threshold: int, market_bps: int) -> None:
        self.page_rows, self.dust, self.v, self.work = page_rows, dust, v, work
        self.row_threshold, self.market_bps = row_threshold, market_bps
        self.tables: dict[int, SlowTable] = {}
        self.assets: dict[int, SlowAsset] = {}
        self.ceilings: dict[tuple[int, int], int] = {}
        self.current: dict[int, dict[str, list[int]]] = {}
        self.following: dict[int, dict[str, list[int]]] = {}
        self.claimed: set[int] = set()
        self.claimed_following: set[int] = set()
        self.parked: dict[int, list[int]] = {}
        self.queue: list[int] = []
        self.owed: dict[object, int] = defaultdict(int)
        self.due: dict[object, int] = defaultdict(int)
        self.balances: dict[object, int] = defaultdict(int)
        self.minimum: dict[object, int] = defaultdict(int)
        self.released: set[object] = set()
        self.holds: dict[tuple[int, int], list[SlowHold]] = {}
        self.pots: dict[int, SlowPot] = {}
        self.now = 0
        self.spent = 0
        self.routes: dict[tuple[int, int, str], str] = {}
        self.found: list[tuple[int, tuple[int, int, bool]]] = []

    # What transactions do

    def amend(self, child: int, parent: int, bps: int, limited: bool) -> None:
        """An edge that was found now and counts from the next block on."""
        self.found.append((child, (parent, bps, limited)))

    def sell(self, rank: int, gross: int, route: str) -> None:
        self._hand(self.following, rank, route, 0, gross - gross * self.market_bps // 10_000)

    def claim(self, rank: int, table: int, page: int, sender: object) -> None:
        self._settle(table, page, self.following)
        if rank in self.parked:
            src, rel = self.parked.pop(rank)
            self._hand(self.following, rank, "all", 0, src)
            self._hand(self.following, rank, "all", 1, rel)
            self.claimed_following.add(rank)
        self.released.add(sender)

    def transfer(
        self, table: int, seller: tuple[str, object], page: int, target: int, buyer: tuple[str, object], count: int
    ) -> None:
        entry = self.tables[table]
        for number in sorted({page, target, self._pages(entry) - 1}):
            self._settle(table, number, self.following)
        sold = next(row for row in self._rows(entry, page) if row.holder == seller and row.shares)
        sold.shares -= count
        on_page = self._rows(entry, target)
        place = next((row for row in on_page if row.holder == buyer and row.shares), None)
        place = place or next((row for row in on_page if row.shares == 0), None)
        if place is None:
            place = SlowRow(buyer, 0)
            entry.rows.append(place)
            entry.seen[self._pages(entry) - 1] = entry.credited
        place.holder = buyer
        place.shares += count

    def ask_for_sweep(self, table: int) -> None:
        entry = self.tables[table]
        if not entry.queued and self._pages(entry) > 1:
            self._enqueue(table)

    # The end of a block

    def hold(self, rank: int, leg: int, hold: SlowHold) -> None:
        self.holds.setdefault((rank, leg), []).append(hold)

    def lift(self, rank: int, leg: int, hold: SlowHold, award_to: object, awarded: int) -> None:
        """Ends a hold: a part goes to somebody, the rest into the leg by a route of its own."""
        self.holds[rank, leg].remove(hold)
        self.balances[award_to] += awarded
        self._hand(self.following, rank, f"leg{leg}", 0, hold.held - awarded)

    def finalise(self) -> None:
        self._close_pots()
        self.now += 1_000
        swept = not self.current
        if swept:
            self._sweep()
            self._advance()
        self.spent = 0
        self._pass()
        if not self.current and not swept:
            spent = self.spent
            self._sweep()
            self._advance()
            self.spent = spent
            self._pass()
        self._pay()
        for child, edge in self.found:
            self.assets[child].edges.append(edge)
        self.found = []

    def _advance(self) -> None:
        self.current, self.following = self.following, {}
        self.claimed, self.claimed_following = self.claimed_following, set()

    def _pass(self) -> None:
        while self.current and self.spent < self.work:
            rank = max(self.current)
            routes = self.current.pop(rank)
            for route in sorted(routes, key=route_order):
                src, rel = routes[route]
                if route == "all":
                    more = self.parked.pop(rank, [0, 0])
                    src, rel = src + more[0], rel + more[1]
                    if src + rel < self.dust and rank not in self.claimed:
                        self.parked[rank] = [src, rel]
                        self.spent += 2
                        continue
                self._node(rank, route, src, rel)

    def _node(self, rank: int, route: str, src: int, rel: int) -> None:
        asset = self.assets[rank]
        returned = route.startswith("leg")
        self.spent += 1 + (0 if returned else len(asset.claims) + len(asset.edges))
        base = src
        for parent, bps, limited in () if returned else asset.claims:
            src -= self._pay_parent(rank, parent, base, bps, limited, "abs")
        income = keep = src + rel
        for parent, bps, limited in () if returned else asset.edges:
            keep -= self._pay_parent(rank, parent, income, bps, limited, "rel")
        legs = list(enumerate(asset.legs))
        if route == "own" or returned:
            legs = [legs[-1 if route == "own" else int(route[3:])]]
        weights = sum(weight for _, (_, weight) in legs)
        amounts = [keep * weight // weights for _, (_, weight) in legs[:-1]]
        amounts.append(keep - sum(amounts))
        for (leg, (target, _)), whole in zip(legs, amounts, strict=True):
            amount = whole if returned else whole - self._held(rank, leg, whole)
            self.spent += 2 if amount or route.startswith("pot") else 1
            self._pay_leg(route, leg, target, amount)

    def _pay_leg(self, route: str, leg: int, target: tuple[str, int], amount: int) -> None:
        kind, number = target
        if leg == 0 and route.startswith("pot"):
            self._fill(int(route[3:]), amount)
        elif amount and kind == "asset":
            self._hand(self.current, number, "all", 0, amount)
        elif amount:
            self._credit(number, amount, self.current)

    def _held(self, rank: int, leg: int, amount: int) -> int:
        left = amount
        for hold in self.holds.get((rank, leg), []):
            taken = min(amount * hold.bps // 10_000, left, hold.cap - hold.held)
            hold.held += taken
            left -= taken
        return amount - left

    def _fill(self, number: int, amount: int) -> None:
        pot = self.pots[number]
        pot.amount = amount
        if pot.closed:
            self._empty(number, self.current)

    def _close_pots(self) -> None:
        due = [number for number, pot in self.pots.items() if pot.deadline <= self.now and not pot.closed]
        for number in sorted(due, key=lambda one: (self.pots[one].deadline, one)):
            self.pots[number].closed = True
            if self.pots[number].amount is not None:
                self._empty(number, self.following)

    def _empty(self, number: int, assets_to: dict[int, dict[str, list[int]]]) -> None:
        pot = self.pots.pop(number)
        if pot.amount:
            self._credit(pot.table, pot.amount, assets_to)

    def _pay_parent(self, child: int, parent: int, base: int, bps: int, limited: bool, kind: str) -> int:
        amount = base * bps // 10_000
        if limited:
            amount = min(amount, self.ceilings[child, parent])
            self.ceilings[child, parent] -= amount
        self.spent += 1 if amount else 0
        self._hand(self.current, parent, self.routes.get((child, parent, kind), "all"), 1, amount)
        return amount

    def _sweep(self) -> None:
        self.spent = 0
        while self.queue and self.spent < self.v:
            number = self.queue.pop(0)
            table = self.tables[number]
            self.spent += 1
            pages = self._pages(table)
            stop = min(table.cursor + PAGES_PER_TURN, pages)
            for page in range(table.cursor, stop):
                self._settle(number, page, self.following)
            table.cursor = stop
            if stop < pages:
                self.queue.append(number)
            else:
                table.cursor, table.queued = 0, False
                self._enqueue_if_due(number)

    def _pay(self) -> None:
        for who in self.owed.keys() | self.released:
            amount = self.due.pop(who, 0) + self.owed.get(who, 0)
            if who in self.released or amount >= self.minimum[who]:
                self.balances[who] += amount
            elif amount:
                self.due[who] = amount
        self.owed.clear()
        self.released.clear()

    # Tables

    def _credit(self, number: int, amount: int, assets_to: dict[int, dict[str, list[int]]]) -> None:
        table = self.tables[number]
        table.credited += amount
        total = table.total
        for row in table.rows:
            row.entitled += Fraction(amount * row.shares, total)
        if self._pages(table) == 1:
            self._settle(number, 0, assets_to)
        else:
            self._enqueue_if_due(number)

    def _settle(self, number: int, page: int, assets_to: dict[int, dict[str, list[int]]]) -> None:
        table = self.tables[number]
        self.spent += 1
        if table.seen[page] == table.credited:
            return
        table.seen[page] = table.credited
        for row in self._rows(table, page):
            self.spent += 1
            amount = floor(row.entitled) - row.paid
            row.paid += amount
            table.paid += amount
            if not amount:
                continue
            self.spent += 4
            kind, name = row.holder
            if kind == "account":
                self.owed[name] += amount
            elif kind == "asset":
                assert isinstance(name, int)
                self._hand(assets_to, name, "all", 0, amount)
            else:
                assert isinstance(name, int)
                self._credit(name, amount, assets_to)

    def _enqueue_if_due(self, number: int) -> None:
        table = self.tables[number]
        if not table.queued and table.credited - table.mark >= max(1, self.row_threshold * len(table.rows)):
            self._enqueue(number)

    def _enqueue(self, number: int) -> None:
        table = self.tables[number]
        table.mark, table.cursor, table.queued = table.credited, 0, True
        self.queue.append(number)

    def _rows(self, table: SlowTable, page: int) -> list[SlowRow]:
        return table.rows[page * self.page_rows : (page + 1) * self.page_rows]

    def _pages(self, table: SlowTable) -> int:
        return -(-len(table.rows) // self.page_rows)

    def _hand(self, to: dict[int, dict[str, list[int]]], rank: int, route: str, part: int, amount: int) -> None:
        if amount:
            to.setdefault(rank, {}).setdefault(route, [0, 0])[part] += amount
