"""Random histories of lineage, made of real transactions, told to the slow model at once.

The model's edges and claims are worked out here once more from the rates alone, the plain way.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from random import Random

from msgspec.structs import replace

from concento.messages import Action
from concento.messages.licences import Rate, ReportRevenue
from concento.messages.lineage import AmendProvenance, Parent
from concento.terms import terms_hash
from state.modules import shares
from state.modules.cascade import CEILINGS, ceiling_key, find_payee, rank_of
from state.modules.lineage import lineage_of
from state.supply import audit
from support.ledger import Ledger, account_of, events_of
from support.lineage import FREE, OPEN, people, remix_action
from support.rights import buy_action, offer_action, recording, splits, work
from support.slow_model import SlowAsset, SlowModel, SlowRow, SlowTable

PEOPLE = ("alice", "bea", "remixer")
BUYER = "stranger"
BPS = 10_000

Claim = tuple[int, int | None, str]
"""(bps, ceiling, route)."""


class LineageStory:
    """Works, recordings over them and remixes of remixes; sales, reports and parents found later."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.ledger = Ledger()
        people(self.ledger, "remixer", BUYER)
        revenue, fees = self.ledger.params.revenue, self.ledger.params.fees
        self.dust = random.choice([1, 1, 500])
        self.ledger.params = replace(self.ledger.params, revenue=replace(revenue, dust=self.dust))
        self.model = SlowModel(64, self.dust, revenue.v_min, revenue.work, revenue.row_threshold, fees.market_bps)
        self.assets: list[bytes] = []
        self.owners: list[str] = []
        self.claims: dict[int, dict[int, Claim]] = {}
        self.parents: dict[int, set[int]] = {}
        self.works: dict[int, dict[int, int]] = {}
        self.reported = 0

    def block(self) -> None:
        """Something is made in a block of its own, then things are sold in the next."""
        made = self.random.choice([self._work, self._recording, self._remix, self._remix, self._remix, self._amend])
        made()
        self.model.finalise()
        sales = [self._sale() for _ in range(self.random.randint(0, 4))] if self.assets else []
        outcome = self.ledger.block(*(self.ledger.tx(sender, *actions) for sender, actions in sales))
        assert all(result.status == "ok" for result in outcome.results), [result.kind for result in outcome.results]
        self.model.finalise()

    # Making things

    def _work(self) -> None:
        owner = self.random.choice(PEOPLE)
        rows, split = self._split()
        self._register(owner, work(f"work {len(self.assets)}", terms=OPEN, rows=split))
        self._add([], rows, [])

    def _recording(self) -> None:
        owner = self.random.choice(PEOPLE)
        rows, split = self._split()
        mine = [
            rank for rank, asset in enumerate(self.assets, 1) if self.owners[rank - 1] == owner and self._is_work(asset)
        ]
        works = self.random.sample(mine, min(len(mine), self.random.randint(0, 2)))
        action = recording(
            f"track {len(self.assets)}", *(self.assets[rank - 1] for rank in works), terms=OPEN, splits=split
        )
        self._register(owner, action)
        self._add([(("asset", rank), 5_000 // len(works)) for rank in works], rows, [])

    def _remix(self) -> None:
        """Of up to three assets at random rates; where those are too high, the ledger must say so."""
        if not self.assets:
            return self._work()
        owner = self.random.choice(PEOPLE)
        ranks = self.random.sample(range(1, len(self.assets) + 1), min(len(self.assets), self.random.randint(1, 3)))
        rated = [(rank, self._rate()) for rank in ranks]
        parents = tuple(Parent(self.assets[rank - 1], self._right(rank, owner, rate)) for rank, rate in rated)
        rows, split = self._split()
        action = replace(remix_action(name=f"remix {len(self.assets)}"), parents=parents, splits=split)
        claims = self._merged(rated)
        total = sum(rate.rel_bps for _, rate in rated) + sum(bps for bps, _, _ in claims.values())
        if total > BPS:
            assert self.ledger.refusal(owner, action) == "lineage.rates_sum"
            return None
        self._register(owner, action)
        self._add([(("asset", work), bps) for work, bps in self._works_behind(ranks).items()], rows, rated)
        return None

    def _works_behind(self, ranks: list[int]) -> dict[int, int]:
        """What the writers have of a remix: as much as of the parent that gives them most, in proportion."""
        behind = [{work: bps for work, bps in self.works[rank].items() if work not in ranks} for rank in ranks]
        most = max(sum(parts.values()) for parts in behind)
        best = {work: max(parts.get(work, 0) for parts in behind) for parts in behind for work in parts}
        if sum(best.values()) > most:
            scale = Fraction(min(most, BPS - len(best)), sum(best.values()))
            return {work: max(1, floor(bps * scale)) for work, bps in best.items()}
        return best

    def _amend(self) -> None:
        """Both owners agree, in one block."""
        if len(self.assets) < 2:
            return self._work()
        child = self.random.randint(2, len(self.assets))
        parent = self.random.randint(1, child - 1)
        asset = self.model.assets[child]
        left = BPS - sum(bps for _, bps, _ in asset.edges) - sum(bps for _, bps, _ in asset.claims)
        if parent in self.parents[child] or left < 1:
            return None
        bps, ceiling = self.random.choice([1, left]), self.random.choice([None, 10_000])
        pact = AmendProvenance(self.assets[child - 1], self.assets[parent - 1], bps, ceiling, 1_024)
        owners = dict.fromkeys([self.owners[child - 1], self.owners[parent - 1]])
        outcome = self.ledger.block(*(self.ledger.tx(owner, pact) for owner in owners))
        assert events_of(outcome, len(owners) - 1)[0].kind == "lineage.amended"
        self.model.amend(child, parent, bps, ceiling is not None)
        if ceiling is not None:
            self.model.ceilings[child, parent] = max(ceiling, self.model.ceilings.get((child, parent), 0))
        self.parents[child].add(parent)
        return None

    def _owned(self, owner: str) -> list[int]:
        return [rank for rank, name in enumerate(self.owners, 1) if name == owner]

    def _right(self, rank: int, account: str, rate: Rate) -> bytes:
        """A licence of the asset, or an offer of one's own, at this rate; in blocks of their own."""
        asset, owner = self.assets[rank - 1], self.owners[rank - 1]
        layers = ("work",) if self._is_work(asset) else ("recording",)
        if self._has_work(asset) and not self._is_work(asset):
            layers = ("work", "recording")  # type: ignore[assignment]
        upstream = rate if rate.rel_bps + rate.abs_bps else None
        event = self._apart(owner, offer_action(asset, terms=OPEN, layers=layers, pricing=FREE, upstream=upstream))
        offer_id = event["offer"]
        if owner == account:
            return offer_id
        return self._apart(account, buy_action(offer_id, terms_hash=terms_hash(OPEN), purpose="derive-remix"))[
            "licence"
        ]

    def _apart(self, sender: str, action: Action) -> dict[str, bytes]:
        fields = self.ledger.run(sender, action)[0].fields
        self.model.finalise()
        return fields  # type: ignore[return-value]

    def _register(self, owner: str, action: Action) -> None:
        asset = self.ledger.run(owner, action)[0].fields["asset"]
        assert isinstance(asset, bytes)
        self.assets.append(asset)
        self.owners.append(owner)

    def _add(self, legs: list[tuple[tuple[str, int], int]], rows: list[SlowRow], rated: list[tuple[int, Rate]]) -> None:
        """Tells the model, which numbers assets and tables as the ledger does."""
        rank = len(self.assets)
        self.model.tables[rank] = SlowTable(rows)
        own = BPS - sum(weight for _, weight in legs)
        claims = self._merged(rated)
        edges = [(parent, rate.rel_bps, rate.ceiling_ubeat is not None) for parent, rate in rated if rate.rel_bps]
        listed = [(parent, claims[parent][0], claims[parent][1] is not None) for parent in sorted(claims, reverse=True)]
        self.model.assets[rank] = SlowAsset([*legs, (("table", rank), own)], edges, listed)
        limits = [(parent, ceiling) for parent, (_, ceiling, _) in claims.items()]
        limits += [(parent, rate.ceiling_ubeat) for parent, rate in rated]
        for parent, ceiling in limits:
            if ceiling is not None:
                self.model.ceilings[rank, parent] = max(ceiling, self.model.ceilings.get((rank, parent), 0))
        for parent, (_, _, route) in claims.items():
            self.model.routes[rank, parent, "abs"] = route
        for parent, _ in rated:
            self.model.routes[rank, parent, "rel"] = self._route(parent)
        self.claims[rank] = claims
        self.works[rank] = {number: weight for (_, number), weight in legs}
        self.parents[rank] = {parent for parent, _ in rated}

    def _merged(self, rated: list[tuple[int, Rate]]) -> dict[int, Claim]:
        """The best of every path to each claimant."""
        found: dict[int, list[Claim]] = {}
        for parent, rate in rated:
            if rate.abs_bps:
                found.setdefault(parent, []).append((rate.abs_bps, rate.ceiling_ubeat, self._route(parent)))
        for parent, _ in rated:
            for rank, claim in self.claims[parent].items():
                found.setdefault(rank, []).append(claim)
        return {
            rank: (max(bps for bps, _, _ in claims), _loosest([limit for _, limit, _ in claims]), claims[0][2])
            for rank, claims in found.items()
        }

    def _rate(self) -> Rate:
        rel, absolute = self.random.choice([0, 1, 900, 3_000, 6_000]), self.random.choice([0, 0, 10, 700])
        if rel + absolute == 0:
            return Rate(0, 0, None)
        return Rate(rel, absolute, self.random.choice([None, None, 1, 5_000, 10**7]))

    def _split(self) -> tuple[list[SlowRow], tuple[object, ...]]:
        names = self.random.sample(PEOPLE, self.random.randint(1, 3))
        percents = {1: [100], 2: [33, 67], 3: [17, 25, 58]}[len(names)]
        split = splits(**dict(zip(names, percents, strict=True)))
        name_of = {account_of(name): name for name in names}
        return [SlowRow(("account", name_of[row.holder]), row.shares) for row in split], split

    # Money

    def _sale(self) -> tuple[str, tuple[Action, ...]]:
        """The owner of an asset passes on what it earned elsewhere."""
        rank = self.random.randint(1, len(self.assets))
        asset, owner = self.assets[rank - 1], self.owners[rank - 1]
        amount = self.random.choice([1, 7, 999, 123_457, 10**8 + 7])
        self.model.sell(rank, amount, "all")
        self.reported += 1
        return owner, (ReportRevenue(asset, b"", self.reported, self.reported + 1, amount, b""),)

    def _route(self, rank: int) -> str:
        """A right to the recording layer alone pays the recording alone."""
        asset = self.assets[rank - 1]
        kind = find_payee(self.ledger.view(), rank_of(self.ledger.view(), asset) or 0).layer
        return "own" if kind == "recording" and not self._has_work(asset) else "all"

    def _is_work(self, asset: bytes) -> bool:
        return find_payee(self.ledger.view(), rank_of(self.ledger.view(), asset) or 0).layer == "work"

    def _has_work(self, asset: bytes) -> bool:
        payee = find_payee(self.ledger.view(), rank_of(self.ledger.view(), asset) or 0)
        return payee.layer in ("work", "remix") or len(payee.legs) > 1

    # Comparing

    def check_equal(self) -> None:
        """Every table, every ceiling and every claim is the model's; no money is made or lost."""
        view = self.ledger.view()
        for rank, asset in enumerate(self.assets, 1):
            table = shares.find_table(view, rank)
            slow = self.model.tables[rank]
            assert (table.credited, table.paid) == (slow.credited, slow.paid)
            claims = [(claim.rank, claim.bps) for claim in lineage_of(view, asset).claims]
            assert claims == [(parent, bps) for parent, bps, _ in self.model.assets[rank].claims]
        for (child, parent), left in self.model.ceilings.items():
            assert view.get(CEILINGS, ceiling_key(child, parent)).left == left
        assert audit(self.ledger.state().items()).difference_ubeat == 0


def _loosest(ceilings: list[int | None]) -> int | None:
    known = [ceiling for ceiling in ceilings if ceiling is not None]
    return None if len(known) < len(ceilings) else max(known)
