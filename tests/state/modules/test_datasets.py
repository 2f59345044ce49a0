"""Datasets: filling in chunks, weights, what may be pooled, and sealing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from concento.merkle import merkle_root
from concento.messages.assets import AddMembers, RetireAsset, SealDataset
from concento.terms import LAYERS, make_terms
from state.modules import datasets, royalties
from state.modules.assets import TERMS, effective_terms, require_asset, state_of
from state.modules.datasets import (
    DATASETS,
    MEMBERS,
    MEMBERS_AT,
    covers,
    member_at_key,
    member_key,
    member_leaf,
    members_root,
)
from support.ledger import BEAT, Ledger
from support.rights import (
    PRICING,
    TRAINING,
    album,
    buy,
    dataset,
    offer,
    offer_action,
    recording,
    register,
    splits,
    tracks,
    work,
)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def refused(ledger: Ledger, *actions: Any, sender: str = "alice") -> str:
    return ledger.refusal(sender, *actions)


def weights(ledger: Ledger, asset: bytes, members: list[bytes]) -> list[int]:
    return [ledger.view().get(MEMBERS, member_key(asset, member)).weight for member in members]


def test_members_are_added_in_chunks_and_fixed_by_the_seal(ledger: Ledger) -> None:
    members = tracks(ledger, 5)
    asset = register(ledger, "alice", dataset())
    ledger.run("alice", AddMembers(asset, tuple(members[:2])))
    assert state_of(require_asset(ledger.view(), asset)) == "open"
    assert royalties.rank_of(ledger.view(), asset) is None
    ledger.run("alice", AddMembers(asset, tuple(members[2:])), SealDataset(asset))
    view = ledger.view()
    assert state_of(require_asset(view, asset)) == "sealed"
    found = view.get(DATASETS, asset)
    assert (found.count, found.recordings, found.duration_ms, found.bytes_total) == (5, 5, 900_000, 5_000)
    assert members_root(found) == merkle_root([member_leaf(member, 1) for member in members])
    assert [view.get(MEMBERS_AT, member_at_key(asset, index)).asset for index in range(5)] == members
    rank = royalties.rank_of(view, asset)
    assert rank is not None
    assert all((royalties.rank_of(view, member) or 0) < rank for member in members)


@pytest.mark.parametrize(("rule", "expected"), [("equal", [1, 1]), ("seconds", [60_000, 90_500]), ("bytes", [7, 9])])
def test_the_chain_computes_weights(ledger: Ledger, rule: str, expected: list[int]) -> None:
    members = [
        register(ledger, "alice", recording("one", duration_ms=60_000, size=7)),
        register(ledger, "alice", recording("two", duration_ms=90_500, size=9)),
    ]
    asset = album(ledger, members, rule=rule)
    assert weights(ledger, asset, members) == expected


def test_a_member_without_duration_has_no_weight_in_seconds(ledger: Ledger) -> None:
    track = register(ledger, "alice", recording("one", facts=None))
    asset = register(ledger, "alice", dataset(rule="seconds"))
    assert refused(ledger, AddMembers(asset, (track,))) == "dataset.member_without_duration"


def test_a_nested_dataset_weighs_what_it_holds(ledger: Ledger) -> None:
    members = tracks(ledger, 3)
    inner = album(ledger, members[:2])
    outer = album(ledger, [inner, members[2]])
    assert weights(ledger, outer, [inner, members[2]]) == [2, 1]
    found = ledger.view().get(DATASETS, outer)
    assert (found.count, found.recordings, found.nested) == (2, 3, (inner,))


def test_a_licence_covers_nested_members(ledger: Ledger) -> None:
    members = tracks(ledger, 3)
    inner = album(ledger, members[:1])
    middle = album(ledger, [inner, members[1]])
    outer = album(ledger, [middle])
    view = ledger.view()
    assert [covers(view, outer, member) for member in members] == [True, True, False]
    assert covers(view, members[2], members[2])


def test_a_dataset_inside_twice_is_looked_up_once(ledger: Ledger) -> None:
    core = album(ledger, tracks(ledger, 1))
    first, second = album(ledger, [core]), album(ledger, [core])
    outer = album(ledger, [first, second])
    assert ledger.view().get(DATASETS, outer).nested == (first, core, second)


def test_datasets_nest_up_to_sixteen(ledger: Ledger) -> None:
    track = tracks(ledger, 1)[0]
    inner = [album(ledger, [track]) for _ in range(17)]
    outer = register(ledger, "alice", dataset())
    assert refused(ledger, AddMembers(outer, tuple(inner))) == "dataset.nested_many"
    ledger.run("alice", AddMembers(outer, tuple(inner[:16])))


def test_each_member_counts_once(ledger: Ledger) -> None:
    track = tracks(ledger, 1)[0]
    asset = register(ledger, "alice", dataset())
    assert refused(ledger, AddMembers(asset, (track, track))) == "dataset.member_twice"
    ledger.run("alice", AddMembers(asset, (track,)))
    assert refused(ledger, AddMembers(asset, (track,))) == "dataset.member_twice"


def test_members_are_sealed_recordings_or_datasets(ledger: Ledger) -> None:
    song = register(ledger, "alice", work())
    asset = register(ledger, "alice", dataset())
    unsealed = register(ledger, "alice", dataset())
    assert refused(ledger, AddMembers(asset, (song,))) == "dataset.member_kind"
    assert refused(ledger, AddMembers(asset, (unsealed,))) == "asset.not_sealed"
    assert refused(ledger, AddMembers(asset, (asset,))) == "asset.not_sealed"
    assert refused(ledger, AddMembers(asset, (bytes(32),))) == "asset.not_found"
    track = tracks(ledger, 1)[0]
    ledger.run("alice", RetireAsset(track))
    assert refused(ledger, AddMembers(asset, (track,))) == "asset.retired"


def test_others_pool_what_may_be_licensed_on(ledger: Ledger) -> None:
    own = tracks(ledger, 1)[0]
    shared_terms = replace(TRAINING, sublicensable=True)
    shared = tracks(ledger, 1, prefix="shared", terms=shared_terms)[0]
    closed_work = register(ledger, "alice", work())
    half = register(ledger, "alice", recording("half", closed_work, terms=shared_terms))
    asset = register(ledger, "bea", dataset())
    assert refused(ledger, AddMembers(asset, (own,)), sender="bea") == "asset.not_sublicensable"
    assert refused(ledger, AddMembers(asset, (half,)), sender="bea") == "asset.not_sublicensable"
    ledger.run("bea", AddMembers(asset, (shared,)), SealDataset(asset))
    ledger.run("bea", offer_action(asset))


def test_only_the_owner_fills_and_seals_an_open_dataset(ledger: Ledger) -> None:
    track = tracks(ledger, 1)[0]
    asset = register(ledger, "alice", dataset())
    assert refused(ledger, AddMembers(asset, (track,)), sender="bea") == "asset.not_owner"
    assert refused(ledger, SealDataset(asset)) == "dataset.empty"
    ledger.run("alice", AddMembers(asset, (track,)), SealDataset(asset))
    assert refused(ledger, AddMembers(asset, (track,))) == "dataset.sealed"
    assert refused(ledger, SealDataset(asset)) == "dataset.sealed"
    assert refused(ledger, SealDataset(track)) == "dataset.not_a_dataset"


def test_a_retired_dataset_is_not_finished(ledger: Ledger) -> None:
    asset = register(ledger, "alice", dataset())
    ledger.run("alice", RetireAsset(asset))
    assert refused(ledger, SealDataset(asset)) == "asset.retired"


def test_the_terms_of_all_members_bound_the_dataset(ledger: Ledger) -> None:
    first = tracks(ledger, 1, terms=make_terms(allow=("analysis", "train-other")))
    second = tracks(ledger, 1, prefix="b", terms=make_terms(allow=("analysis", "fine-tune"), duration_ms=9))
    asset = register(ledger, "alice", dataset())
    ledger.run("alice", AddMembers(asset, tuple(first)))
    assert effective_terms(ledger.view(), asset, LAYERS) is None
    ledger.run("alice", AddMembers(asset, tuple(second)), SealDataset(asset))
    assert effective_terms(ledger.view(), asset, LAYERS) == make_terms(allow=("analysis",), duration_ms=9)


def test_one_member_without_a_work_takes_the_layer_from_all(ledger: Ledger) -> None:
    members = [*tracks(ledger, 1), register(ledger, "alice", recording("free"))]
    for order in (members, members[::-1]):
        asset = album(ledger, order)
        assert effective_terms(ledger.view(), asset, ("work",)) is None
        assert effective_terms(ledger.view(), asset, ("recording",)) == TRAINING


def test_a_curator_takes_the_rest(ledger: Ledger) -> None:
    track = register(ledger, "alice", recording("one", splits=splits(alice=100)))
    asset = album(ledger, [track], member_bps=7_500, curator_splits=splits(bea=100))
    offer_id = offer(ledger, asset, layers=("recording",), pricing=(PRICING[0],))
    alice, bea = ledger.balance("alice"), ledger.balance("bea")
    buy(ledger, offer_id)
    assert (ledger.balance("alice") - alice, ledger.balance("bea") - bea) == (297 * BEAT // 10, 99 * BEAT // 10)


@pytest.mark.parametrize(
    ("member_bps", "rows", "kind"),
    [
        (10_000, splits(bea=100), "dataset.curator_splits"),
        (7_500, (), "dataset.curator_splits"),
        (0, splits(bea=100), "dataset.curator_splits"),
        (7_500, splits(bea=99), "asset.split_sum"),
    ],
)
def test_the_curators_part_is_whole_or_absent(ledger: Ledger, member_bps: int, rows: Any, kind: str) -> None:
    assert refused(ledger, dataset(member_bps=member_bps, curator_splits=rows)) == kind


def test_a_new_version_follows_ones_own_dataset(ledger: Ledger) -> None:
    track = tracks(ledger, 1)[0]
    first = album(ledger, [track])
    register(ledger, "alice", dataset(previous=first))
    assert refused(ledger, dataset(previous=first), sender="bea") == "asset.not_owner"
    assert refused(ledger, dataset(previous=track)) == "dataset.not_a_dataset"
    assert refused(ledger, dataset(previous=bytes(32))) == "asset.not_found"


def test_a_thousand_members_are_one_action(ledger: Ledger) -> None:
    songs = register(ledger, "alice", work())
    members: list[bytes] = []
    for start in range(0, 1_000, 50):
        events = ledger.run("alice", *(recording(f"t{start + index}", songs) for index in range(50)))
        members += [event.fields["asset"] for event in events]  # type: ignore[misc]
    asset = album(ledger, members)
    found = ledger.view().get(datasets.DATASETS, asset)
    assert (found.count, found.weight_total) == (1_000, 1_000)


def test_members_with_many_terms_leave_one_combination_a_chunk(ledger: Ledger) -> None:
    members = [
        register(ledger, "alice", recording(f"r{days}", terms=make_terms(allow=("analysis",), duration_ms=days)))
        for days in range(20, 10, -1)
    ]
    asset = register(ledger, "alice", dataset())
    before = sum(key.startswith(TERMS.prefix) for key in ledger.state())
    ledger.run("alice", AddMembers(asset, tuple(members)), SealDataset(asset))
    assert sum(key.startswith(TERMS.prefix) for key in ledger.state()) - before <= 1
    assert effective_terms(ledger.view(), asset, ("recording",)) == make_terms(allow=("analysis",), duration_ms=11)


def test_totals_stay_countable(ledger: Ledger) -> None:
    members = [register(ledger, "alice", recording(name, duration_ms=2**53 - 1)) for name in ("one", "two")]
    asset = register(ledger, "alice", dataset())
    assert refused(ledger, AddMembers(asset, tuple(members))) == "dataset.too_large"
    ledger.run("alice", AddMembers(asset, (members[0],)))
    assert refused(ledger, AddMembers(asset, (members[1],))) == "dataset.too_large"
