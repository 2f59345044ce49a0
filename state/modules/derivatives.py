"""Derivatives: remixes and other recordings made from others, and parents that were found later."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import BasisPoints, Natural, Record
from concento.errors import Rejected
from concento.identifiers import check_isrc
from concento.limits import ANCESTORS_MAX
from concento.messages.assets import Leg
from concento.messages.licences import Rate
from concento.messages.lineage import AmendProvenance, RegisterDerivative
from concento.terms import check_terms
from concento.units import Amount
from state.calls import Call, Event
from state.modules import royalties
from state.modules.assets import (
    check_description,
    check_parts,
    check_splits,
    new_asset_id,
    new_record,
    require_asset,
    require_rank,
    split_rows,
)
from state.modules.identity import require_role
from state.modules.lineage import (
    CHILDREN,
    LINEAGES,
    Basis,
    Lineage,
    Link,
    check_ancestors,
    check_layers,
    check_slots,
    find_basis,
    lineage_of,
    plan_links,
    register_child,
    use_licence,
    weigh_links,
)
from state.modules.offers import Pointer
from state.modules.royalties import ALL, Edge
from state.modules.works import inherited_legs
from state.view import Kind, View

PROPOSAL_MS: Final = 30 * 86_400_000
"""How long one owner's word waits for the other's: a month."""


class Amendment(Record):
    """One owner's proposal of a link between two assets; the other's same words make it so."""

    account: AccountId
    rel_bps: BasisPoints
    ceiling_ubeat: Amount | None
    until_ms: Natural


AMENDMENTS = Kind(b"amendment/", Amendment)
"""child || parent."""


# Derivatives


def check_register_derivative(view: View, call: Call, message: RegisterDerivative) -> None:
    require_role(view, call.sender, "creator")
    new_asset_id(view, call)
    check_description(message.description)
    check_isrc(message.isrc)
    check_splits("splits", message.splits)
    check_terms(message.terms)
    check_parts(view, message.parts)
    bases = _parents(view, call, message)
    check_layers(view, bases, both=False)
    for basis in bases:
        check_slots(basis, outputs=1)
    plan_links(view, bases, message.terms, message.ancestors)
    _legs(view, message)


def apply_register_derivative(view: View, call: Call, message: RegisterDerivative) -> list[Event]:
    asset_id = new_asset_id(view, call)
    bases = _parents(view, call, message)
    plan = plan_links(view, bases, message.terms, message.ancestors)
    for basis in bases:
        use_licence(view, basis, outputs=1)
    legs = _legs(view, message)
    asset = new_record(call, "remix", message.description, message.isrc, legs, message.parts, message.facts)
    return register_child(view, call, asset_id, asset, plan, split_rows(message.splits))


def weigh_register_derivative(message: RegisterDerivative) -> int:
    """As a recording; its links. The works behind each parent are read, and are a leg in the record of its rank."""
    own = 8 + len(message.splits) + bool(message.isrc) + len(message.parts) + len(message.parents)
    return own + weigh_links(len(message.parents), message.ancestors)


def _legs(view: View, message: RegisterDerivative) -> tuple[Leg, ...]:
    return inherited_legs(view, [parent.asset for parent in message.parents])


def _parents(view: View, call: Call, message: RegisterDerivative) -> list[Basis]:
    return [
        find_basis(view, call, call.sender, parent.asset, parent.right, "derive-remix") for parent in message.parents
    ]


# Parents found later


def check_amend_provenance(view: View, call: Call, message: AmendProvenance) -> None:
    child, parent = require_asset(view, message.child), require_asset(view, message.parent)
    if call.sender not in (child.owner, parent.owner):
        raise Rejected("lineage.not_concerned", child=message.child, parent=message.parent)
    if message.rel_bps or view.find(AMENDMENTS, message.child + message.parent) is None:
        check_parent(view, message.child, message.parent, message.rel_bps, message.ancestors)


def apply_amend_provenance(view: View, call: Call, message: AmendProvenance) -> list[Event]:
    """One person who owns both needs no second word."""
    owners = {require_asset(view, message.child).owner, require_asset(view, message.parent).owner}
    key = message.child + message.parent
    words = {"asset": message.child, "parent": message.parent, "sender": call.sender}
    if message.rel_bps == 0:
        view.delete(AMENDMENTS, key)
        return [Event("lineage.amendment_withdrawn", {**words})]
    if owners != {call.sender} and not _agrees(view, call, message):
        proposal = Amendment(call.sender, message.rel_bps, message.ceiling_ubeat, call.time_ms + PROPOSAL_MS)
        view.put(AMENDMENTS, key, proposal)
        return [Event("lineage.amendment_proposed", {**words, "rel_bps": message.rel_bps})]
    view.delete(AMENDMENTS, key)
    from_height = call.height + 1
    add_parent(view, call, message.child, message.parent, Rate(message.rel_bps, 0, message.ceiling_ubeat))
    return [Event("lineage.amended", {**words, "rel_bps": message.rel_bps, "from_height": from_height})]


def weigh_amend_provenance(message: AmendProvenance) -> int:
    """The proposal, or the link: the child's rank and lineage, a ceiling, the list of children."""
    return 5 + weigh_links(1, message.ancestors)


def check_parent(view: View, child: bytes, parent: bytes, rel_bps: int, ancestors: int = ANCESTORS_MAX) -> Lineage:
    """The child's lineage with a parent found later, which is older and takes no more than the child still keeps.

    Raises Rejected where that cannot be.
    """
    if require_rank(view, parent) >= require_rank(view, child):
        raise Rejected("lineage.parent_younger", child=child, parent=parent)
    if any(link.asset == parent for link in lineage_of(view, child).parents):
        raise Rejected("lineage.parent_twice", asset=parent)
    if rel_bps == 0:
        raise Rejected("lineage.rate_zero")
    left = royalties.rate_left_bps(view, child)
    if rel_bps > left:
        raise Rejected("lineage.rate_high", child=child, left=left, rel_bps=rel_bps)
    return check_ancestors(view, child, parent, ancestors)


def add_parent(view: View, call: Call, child: bytes, parent: bytes, rate: Rate) -> None:
    """Links a parent from the next height on, as both owners or a ruling want it. Raises Rejected as the check does."""
    lineage = check_parent(view, child, parent, rate.rel_bps)
    link = Link(parent, b"", "", rate, call.height + 1)
    view.put(LINEAGES, child, replace(lineage, parents=(*lineage.parents, link)))
    view.put(CHILDREN, parent + child, Pointer(call.height))
    rank = require_rank(view, parent)
    limited = rate.ceiling_ubeat is not None
    royalties.add_edge(view, child, Edge(rank, rate.rel_bps, ALL, limited, call.height + 1))
    if rate.ceiling_ubeat is not None:
        royalties.set_ceiling(view, require_rank(view, child), rank, rate.ceiling_ubeat)


def _agrees(view: View, call: Call, message: AmendProvenance) -> bool:
    """Whether the other owner said the same before, and not too long ago."""
    proposal = view.find(AMENDMENTS, message.child + message.parent)
    return (
        proposal is not None
        and proposal.account != call.sender
        and call.time_ms <= proposal.until_ms
        and (proposal.rel_bps, proposal.ceiling_ubeat) == (message.rel_bps, message.ceiling_ubeat)
    )
