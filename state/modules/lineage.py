"""Lineage: what was made from what, on which right, and what each ancestor is owed for it.

A link is fixed when the child is registered: its parents are older, so there are no cycles; the rates stand in the
offers that its rights came from; the terms of all parents bind the child. The money itself goes through
`royalties.py`. What is registered is in `models.py` and `derivatives.py`. Rules: docs/protocol/lineage.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from concento.encoding import BasisPoints, Natural, Record
from concento.errors import Rejected
from concento.limits import ANCESTORS_MAX, CLAIMS_MAX, DEPTH_MAX, PARENTS_MAX
from concento.messages.assets import OWN, AssetId
from concento.messages.licences import Rate
from concento.terms import LAYERS, Terms, combine, inherited, permits, permits_nothing
from concento.units import Amount
from state.calls import Call, Event
from state.modules import royalties
from state.modules.assets import (
    RIGHTS,
    Asset,
    AssetKind,
    Rights,
    put_contents,
    put_registered,
    put_terms,
    registered_event,
    require_asset,
    require_rank,
)
from state.modules.licences import LICENCES, Licence, require_not_over
from state.modules.offers import OFFERS, Offer, Pointer, route_of
from state.modules.royalties import Edge
from state.view import Kind, View

WHOLE_BPS: Final = 10_000

NO_RATE: Final = Rate(0, 0, None)
"""An offer that asks for nothing upstream."""


class Link(Record):
    """One parent of a child, from a height on. `right` is empty where both owners agreed on the link later."""

    asset: AssetId
    right: bytes
    purpose: str
    rate: Rate
    from_height: Natural


class AbsoluteClaim(Record):
    """What an ancestor takes of every sale of this asset, and of everything made from it."""

    rank: Natural
    bps: BasisPoints
    ceiling_ubeat: Amount | None
    route: Natural


class Lineage(Record):
    """Where an asset comes from, as it was linked; `ancestors` and `claims` name ranks, youngest first.

    An asset without parents has no such record. Links added later to an ancestor do not change those below it.
    """

    parents: tuple[Link, ...]
    ancestors: tuple[Natural, ...]
    depth: Natural
    claims: tuple[AbsoluteClaim, ...]


LINEAGES = Kind(b"lineage/", Lineage)
CHILDREN = Kind(b"child/", Pointer)
"""parent || child."""

_ROOT: Final = Lineage((), (), 0, ())


@dataclass(frozen=True, slots=True)
class Basis:
    """A right to make something of a parent: what it is called, what it permits, what it costs."""

    asset_id: bytes
    right: bytes
    licence: Licence | None
    purpose: str
    terms: Terms
    layers: tuple[str, ...]
    rate: Rate
    route: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a link will write: the child's record, its edges, its counters of ceilings (by ancestor)."""

    lineage: Lineage
    edges: tuple[Edge, ...]
    claims: tuple[Edge, ...]
    ceilings: dict[int, int]
    terms: Terms


# Reading


def lineage_of(view: View, asset: bytes) -> Lineage:
    """Where the asset comes from; empty for one that was made from nothing on this chain."""
    return view.find(LINEAGES, asset) or _ROOT


# Rights


def find_basis(view: View, call: Call, account: bytes, parent: bytes, right: bytes, purpose: str) -> Basis:
    """The right of an account to make something of `parent` for this purpose, now.

    Raises Rejected: no such right, not of this account or asset, over, not for this purpose, the parent unsealed.
    """
    asset = require_asset(view, parent)
    require_rank(view, parent)
    licence = view.find(LICENCES, right)
    if licence is not None:
        offer = _licensed_offer(view, call, account, parent, right, licence)
    else:
        offer = _own_offer(view, account, parent, asset, right)
    if not permits(offer.terms, purpose):
        raise Rejected("licence.wrong_purpose", asset=parent, purpose=purpose)
    rate = offer.upstream or NO_RATE
    return Basis(parent, right, licence, purpose, offer.terms, offer.layers, rate, route_of(view, offer))


def _licensed_offer(view: View, call: Call, account: bytes, parent: bytes, right: bytes, licence: Licence) -> Offer:
    if licence.asset != parent:
        raise Rejected("lineage.right_foreign", right=right, asset=parent)
    if licence.licensee != account:
        raise Rejected("licence.not_yours", licence=right, licensee=licence.licensee)
    require_not_over(right, licence, call.time_ms)
    return view.get(OFFERS, licence.offer)


def _own_offer(view: View, account: bytes, parent: bytes, asset: Asset, right: bytes) -> Offer:
    """Who owns the parent needs no licence: one of his own offers, open or not, says what the child owes."""
    offer = view.find(OFFERS, right)
    if offer is None:
        raise Rejected("lineage.no_right", right=right, asset=parent)
    if offer.asset != parent:
        raise Rejected("lineage.right_foreign", right=right, asset=parent)
    if asset.owner != account:
        raise Rejected("lineage.licence_needed", offer=right, asset=parent, owner=asset.owner)
    return offer


def check_layers(view: View, bases: Sequence[Basis], both: bool) -> None:
    """Raises Rejected("lineage.layer_uncovered") unless every layer of every parent is covered.

    The work behind a recording may be covered by a right of its own, as a parent beside it. `both` layers are needed
    even where the parent does not know its work.
    """
    named = {basis.asset_id for basis in bases}
    for basis in bases:
        parent = require_asset(view, basis.asset_id)
        if parent.kind == "work" or basis.layers == LAYERS:
            continue
        works = [leg.target for leg in parent.legs if leg.target != OWN]
        if works and all(work in named for work in works):
            continue
        if both or view.get(RIGHTS, basis.asset_id).work:
            raise Rejected("lineage.layer_uncovered", asset=basis.asset_id, layer="work")


def use_licence(view: View, basis: Basis, models: int = 0, outputs: int = 0) -> None:
    """Takes up slots of the licence that the right is, if it is one."""
    if basis.licence is not None:
        used = replace(basis.licence, models=basis.licence.models + models, outputs=basis.licence.outputs + outputs)
        view.put(LICENCES, basis.right, used)


def check_slots(basis: Basis, models: int = 0, outputs: int = 0) -> None:
    """Raises Rejected("lineage.slots_used") where the terms permit no further model or output."""
    if basis.licence is None:
        return
    terms, licence = basis.terms, basis.licence
    if models and terms.model_versions_max is not None and licence.models + models > terms.model_versions_max:
        raise Rejected("lineage.slots_used", licence=basis.right, slots=terms.model_versions_max, what="models")
    if outputs and terms.outputs_max is not None and licence.outputs + outputs > terms.outputs_max:
        raise Rejected("lineage.slots_used", licence=basis.right, slots=terms.outputs_max, what="outputs")


# Linking


def plan_links(view: View, bases: Sequence[Basis], terms: Terms, declared: int) -> Plan:
    """What the child of these parents will be. Raises Rejected where a cap, the rates or the terms forbid it."""
    parents = [basis.asset_id for basis in bases]
    if len(set(parents)) != len(parents):
        raise Rejected("lineage.parent_twice", asset=next(one for one in parents if parents.count(one) > 1))
    ranks = [require_rank(view, parent) for parent in parents]
    above = [lineage_of(view, parent) for parent in parents]
    ancestors = set(ranks).union(*(one.ancestors for one in above))
    depth = 1 + max(one.depth for one in above)
    _check_caps(len(ancestors), depth, declared)
    claims = _claims(bases, ranks, above)
    _check_rates(sum(basis.rate.rel_bps for basis in bases), claims)
    links = tuple(Link(basis.asset_id, basis.right, basis.purpose, basis.rate, 0) for basis in bases)
    edges = tuple(
        Edge(rank, basis.rate.rel_bps, basis.route, basis.rate.ceiling_ubeat is not None)
        for rank, basis in zip(ranks, bases, strict=True)
        if basis.rate.rel_bps
    )
    ceilings = {claim.rank: claim.ceiling_ubeat for claim in claims if claim.ceiling_ubeat is not None}
    for rank, basis in zip(ranks, bases, strict=True):
        if basis.rate.ceiling_ubeat is not None:
            ceilings[rank] = max(ceilings.get(rank, 0), basis.rate.ceiling_ubeat)
    return Plan(
        lineage=Lineage(links, tuple(sorted(ancestors, reverse=True)), depth, claims),
        edges=edges,
        claims=tuple(Edge(claim.rank, claim.bps, claim.route, claim.ceiling_ubeat is not None) for claim in claims),
        ceilings=ceilings,
        terms=_child_terms(bases, terms),
    )


def register_child(
    view: View,
    call: Call,
    asset_id: bytes,
    asset: Asset,
    plan: Plan,
    rows: Sequence[tuple[bytes, int]],
) -> list[Event]:
    """Writes a planned child: works and a table of its own, its edges, its terms for both layers; the events."""
    table = royalties.new_table(view, rows)
    own_bps = asset.legs[-1].bps if asset.legs else WHOLE_BPS
    works = [royalties.asset_leg(require_rank(view, leg.target), leg.bps) for leg in asset.legs[:-1]]
    legs = [*works, royalties.table_leg(table, own_bps)]
    rank = royalties.new_asset(view, asset_id, asset.kind, legs, plan.edges, plan.claims)
    for ancestor, ceiling_ubeat in plan.ceilings.items():
        royalties.set_ceiling(view, rank, ancestor, ceiling_ubeat)
    view.put(LINEAGES, asset_id, plan.lineage)
    for link in plan.lineage.parents:
        view.put(CHILDREN, link.asset + asset_id, Pointer(call.height))
    name = put_terms(view, plan.terms)
    view.put(RIGHTS, asset_id, Rights(name, name))
    put_contents(view, asset_id, asset.parts)
    put_registered(view, asset_id, asset, "isrc")
    return [registered_event(asset_id, asset), _linked(asset_id, asset.kind, plan.lineage)]


def check_ancestors(view: View, child: bytes, parent: bytes, declared: int) -> Lineage:
    """The child's lineage with another parent. Raises Rejected where a cap forbids it."""
    mine, above = lineage_of(view, child), lineage_of(view, parent)
    ancestors = {*mine.ancestors, require_rank(view, parent), *above.ancestors}
    depth = max(mine.depth, above.depth + 1)
    _check_caps(len(ancestors), depth, declared)
    if len(mine.parents) >= PARENTS_MAX:
        raise Rejected("lineage.too_many", what="parents", count=len(mine.parents) + 1, count_max=PARENTS_MAX)
    return replace(mine, ancestors=tuple(sorted(ancestors, reverse=True)), depth=depth)


def weigh_links(parents: int, ancestors: int) -> int:
    """A link's records: the list of children, the licence, a ceiling; the ancestors' claims; reading all of it."""
    ancestors = min(ancestors, ANCESTORS_MAX)
    return 1 + 3 * parents + min(ancestors, CLAIMS_MAX) + ancestors * (1 + parents) // 64


def _check_caps(ancestors: int, depth: int, declared: int) -> None:
    if ancestors > ANCESTORS_MAX:
        raise Rejected("lineage.too_many", what="ancestors", count=ancestors, count_max=ANCESTORS_MAX)
    if depth > DEPTH_MAX:
        raise Rejected("lineage.too_many", what="generations", count=depth, count_max=DEPTH_MAX)
    if declared < ancestors:
        raise Rejected("lineage.ancestors_declared", declared=declared, ancestors=ancestors)


def _check_rates(rel_bps: int, claims: Sequence[AbsoluteClaim]) -> None:
    total = rel_bps + sum(claim.bps for claim in claims)
    if total > WHOLE_BPS:
        raise Rejected("lineage.rates_sum", total=total, whole=WHOLE_BPS)


def _claims(bases: Sequence[Basis], ranks: Sequence[int], above: Sequence[Lineage]) -> tuple[AbsoluteClaim, ...]:
    """The parents' own absolute claims and those that they inherited: the highest of each distinct ancestor."""
    found: dict[int, AbsoluteClaim] = {}
    for basis, rank in zip(bases, ranks, strict=True):
        if basis.rate.abs_bps:
            _take(found, AbsoluteClaim(rank, basis.rate.abs_bps, basis.rate.ceiling_ubeat, basis.route))
    for lineage in above:
        for claim in lineage.claims:
            _take(found, claim)
    if len(found) > CLAIMS_MAX:
        raise Rejected("lineage.too_many", what="absolute claims", count=len(found), count_max=CLAIMS_MAX)
    return tuple(found[rank] for rank in sorted(found, reverse=True))


def _take(found: dict[int, AbsoluteClaim], claim: AbsoluteClaim) -> None:
    """Several paths to one ancestor count once, at the best of their rates and ceilings; the first path's route."""
    known = found.get(claim.rank)
    if known is not None:
        open_ended = known.ceiling_ubeat is None or claim.ceiling_ubeat is None
        ceiling = None if open_ended else max(known.ceiling_ubeat or 0, claim.ceiling_ubeat or 0)
        claim = AbsoluteClaim(claim.rank, max(known.bps, claim.bps), ceiling, known.route)
    found[claim.rank] = claim


def _child_terms(bases: Sequence[Basis], own: Terms) -> Terms:
    """The terms under which everything may be used: a denial of any parent wins, the tightest constraint stays."""
    terms = own
    for basis in bases:
        terms = combine(terms, inherited(basis.terms))
    if permits_nothing(terms):
        raise Rejected("lineage.incompatible")
    return terms


def _linked(asset_id: bytes, kind: AssetKind, lineage: Lineage) -> Event:
    return Event(
        "lineage.linked",
        {
            "asset": asset_id,
            "asset_kind": kind,
            "parents": tuple(link.asset for link in lineage.parents),
            "rel_bps": tuple(link.rate.rel_bps for link in lineage.parents),
            "abs_bps": tuple(link.rate.abs_bps for link in lineage.parents),
            "ancestors": len(lineage.ancestors),
            "depth": lineage.depth,
        },
    )
