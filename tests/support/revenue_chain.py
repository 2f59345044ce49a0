"""The revenue part of the ledger on a store in memory: blocks of sales, claims and transfers, each one checked."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from msgspec.structs import replace

from concento.accounts import placeholder_id
from concento.devnet import development_genesis
from concento.encoding import encode
from concento.genesis import Params, RevenueParams
from concento.hashing import Network
from concento.messages.royalties import Claim
from state.calls import Call, Event, Finalised
from state.modules import identity, inbox, payout, pots, royalties, shares, tokens
from state.modules.revenue import FinalisationRow, decode_row
from state.view import Kind, R, View

PAYER = sha256(b"payer").digest()
SUPPLY = 10**15
GENESIS = development_genesis()


def account(name: str) -> bytes:
    """Somebody is not on board yet: a placeholder."""
    return placeholder_id(b"") if name == "somebody" else sha256(name.encode()).digest()


def asset_id(number: int) -> bytes:
    return sha256(b"asset %d" % number).digest()


def holder(name: str) -> bytes:
    return shares.account_holder(account(name))


def make_params(
    dust: int = 1,
    work: int = 50_000,
    v_min: int = 2_000,
    row_threshold: int = 1_000,
    market_bps: int = 100,
    block_weight: int = 100_000,
) -> Params:
    params = GENESIS.params
    return replace(
        params,
        revenue=RevenueParams(dust, work, v_min, row_threshold),
        fees=replace(params.fees, market_bps=market_bps),
        limits=replace(params.limits, block_weight=block_weight),
    )


SPLIT = [(holder("alice"), 700_000), (holder("bea"), 300_000)]


class RevenueChain:
    """Committed state and history, and the block being made."""

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or make_params()
        self.state: dict[bytes, bytes] = {}
        self.history: dict[bytes, bytes] = {}
        self.height = self.calls = 0
        self.time_ms = 1_000_000
        self.rows: list[FinalisationRow] = []
        self.view = self._next_view()
        tokens.credit(self.view, PAYER, SUPPLY, "genesis")

    def call(self, sender: bytes = PAYER) -> Call:
        self.calls += 1
        tx = sha256(b"tx %d" % self.calls).digest()
        self.view.tx = tx
        return Call(
            sender, bytes(16), 0, tx, (), self.height, self.view.time_ms, self.params, Network("test", bytes(32))
        )

    def asset(self, number: int, layer: str, legs: list[royalties.Leg], **more: list[royalties.Edge]) -> int:
        return royalties.new_asset(self.view, asset_id(number), layer, legs, **more)

    def simple(self, number: int, rows: list[tuple[bytes, int]], **more: list[royalties.Edge]) -> int:
        """An asset with one table of these rows."""
        table = royalties.open_table(self.view)
        royalties.add_rows(self.view, table, rows)
        return self.asset(number, "work", [royalties.table_leg(table, 10_000)], **more)

    def sell(self, number: int, gross: int, route: int = royalties.ALL, cause: str = "sale") -> Event:
        call = self.call()
        tokens.debit(self.view, PAYER, gross, "purchase")
        return royalties.pay_asset(self.view, call, asset_id(number), gross, cause, bytes(32), PAYER, route)

    def finalise(self, weight: int = 0) -> Finalised:
        """Ends the block: commits it and checks every invariant of the books."""
        self.view.tx = b""
        finalised = royalties.finalise(self.view, self.params, weight)
        tokens.write_movements(self.view)
        self.rows = [decode_row(row) for row in finalised.rows]
        for key, value in self.view.changes().items():
            if value is None:
                del self.state[key]
            else:
                self.state[key] = value
        assert not self.history.keys() & self.view.history().keys()
        self.history.update(self.view.history())
        self.check()
        self.view = self._next_view()
        return finalised

    def balance(self, name: str) -> int:
        return tokens.balance(self.view, account(name))

    def all(self, kind: Kind[R]) -> dict[bytes, R]:
        """Every committed record of a kind."""
        start = len(kind.prefix)
        return {key[start:]: kind.decode(value) for key, value in self.state.items() if key.startswith(kind.prefix)}

    def table(self, number: int) -> shares.Table:
        return shares.find_table(self.view, number)

    def pages(self, number: int) -> list[shares.Page]:
        table = self.table(number)
        if shares.is_single(table):
            return [shares.Page(table.seen, table.page)]
        return [self.view.get(shares.PAGES, shares.page_key(number, page)) for page in range(shares.page_count(table))]

    def check(self) -> None:
        """Conservation (REVENUE section 10) and the row identity of every table (section 2)."""
        view = View(self.state.get)
        waiting = sum(due.amount_ubeat for due in self.all(payout.DUES).values())
        waiting += sum(item.src + item.rel for item in self.all(inbox.PARKED).values())
        waiting += sum(e.src + e.rel for box in self.all(inbox.INBOXES).values() for e in box.entries)
        for key, table in self.all(shares.TABLES).items():
            waiting += table.credited - table.paid
            self._check_table(int.from_bytes(key, "big"), table)
        waiting += sum(pot.amount_ubeat - pot.paid_ubeat for pot in self.all(pots.POTS).values())
        assert waiting == tokens.bucket(view, "royalties")
        balances = sum(record.balance_ubeat for record in self.all(identity.ACCOUNTS).values())
        assert balances + sum(tokens.bucket(view, name) for name in tokens.BUCKET_NAMES) == SUPPLY
        assert all(encode(kind) for kind in self.rows)

    def _check_table(self, number: int, table: shares.Table) -> None:
        view = self.view
        self.view = View(self.state.get)
        owed = held = 0
        for page in self.pages(number):
            assert page.seen <= table.credited
            for row in page.rows:
                assert 0 <= row.frac < table.total
                owed += row.shares * (table.credited - page.seen) + row.frac
                held += row.shares
        self.view = view
        assert owed == (table.credited - table.paid) * table.total
        assert held == table.total

    def _next_view(self) -> View:
        self.height += 1
        self.time_ms += 1_000
        view = View(self.state.get)
        view.height, view.time_ms = self.height, self.time_ms
        return view


def run_until_idle(chain: RevenueChain, blocks_max: int, each: Callable[[], None] = lambda: None) -> int:
    """Empty blocks until one changes nothing; returns how many did something."""
    for count in range(blocks_max):
        before = dict(chain.state)
        chain.finalise()
        each()
        if chain.state == before:
            return count
    raise AssertionError(f"still busy after {blocks_max} blocks")


def on_board(chain: RevenueChain, *names: str) -> None:
    for name in names:
        tokens.credit(chain.view, account(name), 0, "genesis")
        chain.view.put(identity.ACCOUNTS, account(name), identity.Account(0, None))


def free_of_fee(*names: str) -> RevenueChain:
    """A chain whose markets keep nothing of a sale, with these people on board."""
    chain = RevenueChain(make_params(market_bps=0))
    on_board(chain, *names)
    return chain


def claim(chain: RevenueChain, number: int, page: int = 0, sender: bytes = PAYER) -> None:
    message = Claim(asset_id(number), 0, page)
    royalties.check_claim(chain.view, chain.call(), message)
    royalties.apply_claim(chain.view, chain.call(sender), message)


def people(count: int) -> list[tuple[bytes, int]]:
    return [(holder(f"p{number}"), 1 + number % 3) for number in range(count)]
