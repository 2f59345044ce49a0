"""Datasets: recordings, and older datasets, that are licensed as one.

A dataset is filled in chunks by its owner while it is open; the chain computes every member's weight and, on the way,
the terms under which all members may be used. Sealing fixes both and gives it its rank: only then it can be sold.
Who owns a member may pool it; anybody else may where the member's terms let others license it on.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.encoding import NUMBER_MAX, BasisPoints, Integer63, Natural, Record
from concento.errors import Rejected
from concento.merkle import Frontier
from concento.messages.assets import AddMembers, AssetId, RegisterDataset, SealDataset, WeightRule
from state.calls import Call, Event
from state.modules import royalties
from state.modules.assets import (
    ASSETS,
    BPS,
    RIGHTS,
    Asset,
    Rights,
    check_description,
    check_splits,
    combine_named,
    effective_terms,
    new_asset_id,
    require_asset,
    require_not_retired,
    require_owned,
    split_rows,
)
from state.modules.identity import require_role
from state.view import Kind, View

NESTED_MAX: Final = 16
"""Datasets inside a dataset, at any depth: whether a recording belongs to it takes so many look-ups at most."""


class Dataset(Record):
    """What is special to a dataset: its members so far. `table` is theirs, `curator_table` the owner's, if any.

    `recordings`, `duration_ms` and `bytes_total` count those of nested datasets too. `peaks` go on with the RFC 6962
    list of members. `rights` are those of all members together.
    """

    weight_rule: WeightRule
    member_bps: BasisPoints
    table: Natural
    curator_table: Natural | None
    previous: bytes
    count: Natural
    recordings: Natural
    duration_ms: Natural
    bytes_total: Natural
    weight_total: Integer63
    nested: tuple[AssetId, ...]
    peaks: tuple[bytes, ...]
    rights: Rights


class Member(Record):
    """A member's place in the list, and its weight."""

    index: Natural
    weight: Integer63


class MemberAt(Record):
    """The member at a place."""

    asset: AssetId


DATASETS = Kind(b"dataset/", Dataset)
MEMBERS = Kind(b"member/", Member)
MEMBERS_AT = Kind(b"member-at/", MemberAt)


# Reading


def member_key(dataset: bytes, member: bytes) -> bytes:
    return dataset + member


def member_at_key(dataset: bytes, index: int) -> bytes:
    """Members stand in the order in which they were added."""
    return dataset + index.to_bytes(8, "big")


def members_root(dataset: Dataset) -> bytes:
    """The RFC 6962 root over `member_leaf` of every member, in order."""
    return Frontier(dataset.count, dataset.peaks).root


def member_leaf(member: bytes, weight: int) -> bytes:
    """One member in the list under `members_root`."""
    return member + weight.to_bytes(8, "big")


def covers(view: View, asset: bytes, member: bytes) -> bool:
    """Whether a licence of `asset` covers this recording: it is the asset, a member, or in a dataset inside."""
    if asset == member:
        return True
    dataset = view.find(DATASETS, asset)
    if dataset is None:
        return False
    return any(view.find(MEMBERS, member_key(one, member)) is not None for one in (asset, *dataset.nested))


# Opening


def check_register_dataset(view: View, call: Call, message: RegisterDataset) -> None:
    require_role(view, call.sender, "creator")
    new_asset_id(view, call)
    check_description(message.description)
    if message.member_bps == 0 or (message.member_bps == BPS) != (message.curator_splits == ()):
        raise Rejected("dataset.curator_splits", member_bps=message.member_bps)
    if message.curator_splits:
        check_splits("curator_splits", message.curator_splits)
    if message.previous and require_owned(view, message.previous, call.sender).kind != "dataset":
        raise Rejected("dataset.not_a_dataset", asset=message.previous)


def apply_register_dataset(view: View, call: Call, message: RegisterDataset) -> list[Event]:
    asset_id = new_asset_id(view, call)
    curator = royalties.new_table(view, split_rows(message.curator_splits)) if message.curator_splits else None
    dataset = Dataset(
        weight_rule=message.weight_rule,
        member_bps=message.member_bps,
        table=royalties.open_table(view),
        curator_table=curator,
        previous=message.previous,
        count=0,
        recordings=0,
        duration_ms=0,
        bytes_total=0,
        weight_total=0,
        nested=(),
        peaks=(),
        rights=Rights(b"", b""),
    )
    asset = Asset(
        kind="dataset",
        owner=call.sender,
        description=message.description,
        version=0,
        identifier="",
        legs=(),
        parts=(),
        facts=None,
        sealed=False,
        retired=False,
        height=call.height,
        time_ms=call.time_ms,
        tx=call.tx,
    )
    view.put(DATASETS, asset_id, dataset)
    view.put(ASSETS, asset_id, asset)
    return [
        Event(
            "dataset.opened",
            {
                "asset": asset_id,
                "owner": call.sender,
                "title": message.description.title,
                "tags": message.description.tags,
                "weight_rule": message.weight_rule,
                "member_bps": message.member_bps,
                "previous": message.previous,
            },
        )
    ]


def weigh_register_dataset(message: RegisterDataset) -> int:
    """Asset, dataset, the member table and its counter; the curator's table and its rows."""
    return 4 + bool(message.curator_splits) + len(message.curator_splits)


# Filling


def check_add_members(view: View, call: Call, message: AddMembers) -> None:
    dataset = _require_open(view, message.dataset, call.sender)
    if len(set(message.members)) != len(message.members):
        raise Rejected("dataset.member_twice", dataset=message.dataset, member=_first_repeated(message.members))
    totals = _Totals(dataset)
    for member_id in message.members:
        member = _check_member(view, call, message.dataset, member_id)
        totals.add(view, member_id, member, _weight(view, dataset.weight_rule, member_id, member))
    if len(totals.nested) > NESTED_MAX:
        raise Rejected("dataset.nested_many", count=len(totals.nested), count_max=NESTED_MAX)
    # The weights of each rule sum to one of these, so that the member table's total fits too.
    if max(totals.recordings, totals.duration_ms, totals.bytes_total) > NUMBER_MAX:
        raise Rejected("dataset.too_large", recordings=totals.recordings, duration_ms=totals.duration_ms)


def apply_add_members(view: View, _call: Call, message: AddMembers) -> list[Event]:
    dataset = view.get(DATASETS, message.dataset)
    frontier = Frontier(dataset.count, dataset.peaks)
    totals = _Totals(dataset)
    rows: list[tuple[bytes, int]] = []
    for member_id in message.members:
        member = view.get(ASSETS, member_id)
        weight = _weight(view, dataset.weight_rule, member_id, member)
        view.put(MEMBERS, member_key(message.dataset, member_id), Member(frontier.size, weight))
        view.put(MEMBERS_AT, member_at_key(message.dataset, frontier.size), MemberAt(member_id))
        frontier.append(member_leaf(member_id, weight))
        rows.append((royalties.asset_holder(_rank(view, member_id)), weight))
        totals.add(view, member_id, member, weight)
    royalties.add_rows(view, dataset.table, rows)
    view.put(DATASETS, message.dataset, totals.dataset(view, dataset, frontier))
    return [
        Event(
            "dataset.members_added",
            {"asset": message.dataset, "added": len(message.members), "members": frontier.size},
        )
    ]


def weigh_add_members(message: AddMembers) -> int:
    """Two records and a sixty-fourth of a page for each member, the dataset, its table, combined terms."""
    return 4 + 2 * len(message.members) + len(message.members) // 32


class _Totals:
    """What a chunk of members adds to a dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self.recordings = dataset.recordings
        self.duration_ms = dataset.duration_ms
        self.bytes_total = dataset.bytes_total
        self.weight = dataset.weight_total
        self.nested = dataset.nested
        self.rights = [dataset.rights] if dataset.count else []

    def add(self, view: View, member_id: bytes, member: Asset, weight: int) -> None:
        recordings, duration_ms, size = _measures(view, member_id, member)
        self.recordings += recordings
        self.duration_ms += duration_ms
        self.bytes_total += size
        self.weight += weight
        self.nested = _with_nested(view, self.nested, member_id, member)
        self.rights.append(view.get(RIGHTS, member_id))

    def dataset(self, view: View, before: Dataset, frontier: Frontier) -> Dataset:
        return Dataset(
            weight_rule=before.weight_rule,
            member_bps=before.member_bps,
            table=before.table,
            curator_table=before.curator_table,
            previous=before.previous,
            count=frontier.size,
            recordings=self.recordings,
            duration_ms=self.duration_ms,
            bytes_total=self.bytes_total,
            weight_total=self.weight,
            nested=self.nested,
            peaks=frontier.peaks,
            rights=Rights(
                combine_named(view, [rights.work for rights in self.rights]),
                combine_named(view, [rights.recording for rights in self.rights]),
            ),
        )


def _check_member(view: View, call: Call, dataset_id: bytes, member_id: bytes) -> Asset:
    """The member, if it may be pooled here by the sender."""
    member = require_asset(view, member_id)
    if member.kind in ("work", "model"):
        raise Rejected("dataset.member_kind", member=member_id, asset_kind=member.kind)
    if not member.sealed:
        raise Rejected("asset.not_sealed", asset=member_id)
    require_not_retired(member_id, member)
    if view.find(MEMBERS, member_key(dataset_id, member_id)) is not None:
        raise Rejected("dataset.member_twice", dataset=dataset_id, member=member_id)
    if member.owner != call.sender and not _sublicensable(view, member_id):
        raise Rejected("asset.not_sublicensable", asset=member_id, owner=member.owner)
    return member


def _sublicensable(view: View, asset: bytes) -> bool:
    """Whether every layer that the asset has may be licensed on by others."""
    layers = [layer for layer in ("work", "recording") if effective_terms(view, asset, (layer,)) is not None]
    terms = effective_terms(view, asset, layers)
    return terms is not None and terms.sublicensable


def _measures(view: View, member_id: bytes, member: Asset) -> tuple[int, int, int]:
    """(recordings, milliseconds, bytes) of a member."""
    if member.kind == "dataset":
        inner = view.get(DATASETS, member_id)
        return inner.recordings, inner.duration_ms, inner.bytes_total
    duration_ms = member.facts.duration_ms if member.facts else 0
    return 1, duration_ms, sum(part.bytes for part in member.parts)


def _weight(view: View, rule: str, member_id: bytes, member: Asset) -> int:
    """What a member counts: each recording 1, or its milliseconds, or its bytes; never nothing."""
    recordings, duration_ms, size = _measures(view, member_id, member)
    match rule:
        case "equal" | "usage":
            return recordings
        case "seconds":
            if duration_ms == 0:
                raise Rejected("dataset.member_without_duration", member=member_id)
            return duration_ms
        case _:
            return size


def _with_nested(view: View, nested: tuple[bytes, ...], member_id: bytes, member: Asset) -> tuple[bytes, ...]:
    if member.kind != "dataset":
        return nested
    inner = (member_id, *view.get(DATASETS, member_id).nested)
    return nested + tuple(one for one in inner if one not in nested)


def _first_repeated(members: tuple[bytes, ...]) -> bytes:
    return next(member for index, member in enumerate(members) if member in members[:index])


# Sealing


def check_seal_dataset(view: View, call: Call, message: SealDataset) -> None:
    dataset = _require_open(view, message.dataset, call.sender)
    if dataset.count == 0:
        raise Rejected("dataset.empty", dataset=message.dataset)


def apply_seal_dataset(view: View, _call: Call, message: SealDataset) -> list[Event]:
    dataset = view.get(DATASETS, message.dataset)
    asset = view.get(ASSETS, message.dataset)
    legs = [royalties.table_leg(dataset.table, dataset.member_bps)]
    if dataset.curator_table is not None:
        legs.append(royalties.table_leg(dataset.curator_table, BPS - dataset.member_bps))
    royalties.new_asset(view, message.dataset, "members", legs)
    view.put(RIGHTS, message.dataset, dataset.rights)
    view.put(ASSETS, message.dataset, replace(asset, sealed=True))
    return [
        Event(
            "dataset.sealed",
            {
                "asset": message.dataset,
                "owner": asset.owner,
                "title": asset.description.title,
                "tags": asset.description.tags,
                "members": dataset.count,
                "recordings": dataset.recordings,
                "duration_ms": dataset.duration_ms,
                "bytes": dataset.bytes_total,
                "members_root": members_root(dataset),
            },
        )
    ]


def weigh_seal_dataset(_message: SealDataset) -> int:
    """Asset, rights, its rank in both directions and its counter, the two tables."""
    return 7


def _require_open(view: View, dataset_id: bytes, account: bytes) -> Dataset:
    asset = require_owned(view, dataset_id, account)
    if asset.kind != "dataset":
        raise Rejected("dataset.not_a_dataset", asset=dataset_id)
    if asset.sealed:
        raise Rejected("dataset.sealed", dataset=dataset_id)
    require_not_retired(dataset_id, asset)
    return view.get(DATASETS, dataset_id)


def _rank(view: View, asset: bytes) -> int:
    rank = royalties.rank_of(view, asset)
    if rank is None:
        raise Rejected("asset.not_sealed", asset=asset)
    return rank
