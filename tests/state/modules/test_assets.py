"""Works and recordings: who may register what, and which texts, numbers, splits and files are accepted."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from concento.messages.assets import OWN, AudioFacts, Leg, Part, RetireAsset, Split, UpdateMetadata
from concento.terms import make_terms
from concento.transactions import object_id
from state.modules import royalties
from state.modules.assets import (
    ASSETS,
    CONTENTS,
    IDENTIFIERS,
    TERMS,
    effective_terms,
    identifier_key,
    require_asset,
    state_of,
)
from support.ledger import Ledger, account_of
from support.rights import (
    ALICE_AND_BEA,
    TRAINING,
    album,
    dataset,
    description,
    offer_action,
    part,
    recording,
    register,
    splits,
    tracks,
    work,
)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def song(ledger: Ledger) -> bytes:
    return register(ledger, "alice", work())


def refused(ledger: Ledger, *actions: Any, sender: str = "alice") -> str:
    return ledger.refusal(sender, *actions)


def test_a_work_is_an_asset_with_its_own_table(ledger: Ledger) -> None:
    song = register(ledger, "alice", work("Song", iswc="T0345246801"))
    asset = require_asset(ledger.view(), song)
    assert (asset.kind, asset.owner, asset.identifier) == ("work", account_of("alice"), "T0345246801")
    assert (asset.height, asset.time_ms, state_of(asset)) == (ledger.height, ledger.time_ms, "sealed")
    assert royalties.rank_of(ledger.view(), song) is not None


def test_ids_are_known_before_signing(ledger: Ledger) -> None:
    """One transaction registers a work and the recording over it."""
    nonce = 99
    song = object_id("asset", account_of("alice"), nonce.to_bytes(16, "big"), 0)
    transaction = ledger.tx("alice", work(), recording("one", song), nonce=nonce)
    assert ledger.block(transaction).results[0].status == "ok"
    track = object_id("asset", account_of("alice"), nonce.to_bytes(16, "big"), 1)
    assert require_asset(ledger.view(), track).legs[0] == Leg(song, 5_000)


def test_a_recording_is_found_by_its_content(ledger: Ledger, song: bytes) -> None:
    track = register(ledger, "alice", recording("one", song))
    found = ledger.view().get(CONTENTS, part("one").content)
    assert (found.asset, found.part) == (track, 0)


def test_an_older_asset_has_a_lower_rank(ledger: Ledger, song: bytes) -> None:
    track = register(ledger, "alice", recording("one", song))
    ranks = [royalties.rank_of(ledger.view(), asset) for asset in (song, track)]
    assert ranks == sorted(ranks, key=lambda rank: rank or 0)


def test_registering_needs_role_creator(ledger: Ledger, song: bytes) -> None:
    for action in (work(), recording("one"), dataset()):
        assert refused(ledger, action, sender="bob") == "identity.role_required"


def test_a_nonce_names_one_asset(ledger: Ledger) -> None:
    nonces = [ledger.tx("alice", work("first"), nonce=7), ledger.tx("alice", work("second"), nonce=7)]
    outcomes = [ledger.block(transaction).results[0] for transaction in nonces]
    assert [outcome.kind for outcome in outcomes] == ["", "asset.exists"]


# Content


def test_content_is_registered_once(ledger: Ledger, song: bytes) -> None:
    track = register(ledger, "alice", recording("one", song))
    transaction = ledger.tx("bea", recording("one"))
    result = ledger.block(transaction).results[0]
    assert result.kind == "asset.duplicate_content"
    assert require_asset(ledger.view(), track).owner == account_of("alice")


def test_content_is_registered_once_within_a_transaction(ledger: Ledger) -> None:
    assert refused(ledger, recording("one"), recording("one")) == "asset.duplicate_content"
    register(ledger, "alice", recording("one"))


@pytest.mark.parametrize(
    "parts",
    [
        (part("one"), part("one")),
        (part("one"), Part("one.flac", "audio/flac", bytes(32), bytes(32), 1)),
        (Part("../one.flac", "audio/flac", bytes(32), bytes(32), 1),),
        (Part("/one.flac", "audio/flac", bytes(32), bytes(32), 1),),
        (Part("a//one.flac", "audio/flac", bytes(32), bytes(32), 1),),
        (Part("a\\one.flac", "audio/flac", bytes(32), bytes(32), 1),),
        (Part("C:one.flac", "audio/flac", bytes(32), bytes(32), 1),),
        (Part("é" * 200, "audio/flac", bytes(32), bytes(32), 1),),
        (Part("one.flac", "FLAC", bytes(32), bytes(32), 1),),
        (Part("one.flac", "audio/flac", bytes(32), bytes(32), 0),),
    ],
)
def test_a_file_has_a_plain_path_a_type_and_bytes(ledger: Ledger, parts: tuple[Part, ...]) -> None:
    assert refused(ledger, recording("x", parts=parts)) == "asset.part_invalid"


def test_a_path_cannot_hide_characters(ledger: Ledger) -> None:
    parts = (Part("one\u200b.flac", "audio/flac", bytes(32), bytes(32), 1),)
    assert refused(ledger, recording("x", parts=parts)) == "text.invalid"


def test_a_recording_may_have_several_files(ledger: Ledger) -> None:
    track = register(ledger, "alice", recording("x", parts=(part("mix"), part("stems/drums"))))
    assert [ledger.view().get(CONTENTS, part(name).content).part for name in ("mix", "stems/drums")] == [0, 1]
    assert require_asset(ledger.view(), track).facts == AudioFacts(180_000, 44_100, 2)


# Numbers


def test_identifiers_are_claims_that_several_may_make(ledger: Ledger) -> None:
    ids = [register(ledger, owner, recording(owner, isrc="USRC17607839")) for owner in ("alice", "bea")]
    for asset in ids:
        assert ledger.view().find(IDENTIFIERS, identifier_key("isrc", "USRC17607839", asset)) is not None


def test_malformed_numbers_are_refused(ledger: Ledger) -> None:
    assert refused(ledger, recording("one", isrc="US-RC1-76-078")) == "asset.identifier_invalid"
    assert refused(ledger, work(iswc="T0345246802")) == "asset.identifier_invalid"


# Splits and legs


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (tuple(reversed(ALICE_AND_BEA)), "asset.split_order"),
        ((Split(account_of("alice"), 500_000),) * 2, "asset.split_order"),
        (splits(alice=70, bea=29), "asset.split_sum"),
        (splits(alice=70, bea=31), "asset.split_sum"),
    ],
)
def test_a_split_is_sorted_distinct_and_whole(ledger: Ledger, rows: tuple[Split, ...], kind: str) -> None:
    assert refused(ledger, work(rows=rows)) == kind
    assert refused(ledger, recording("one", splits=rows)) == kind


def test_legs_sum_to_the_whole(ledger: Ledger, song: bytes) -> None:
    for bps in ((5_000, 4_999), (5_000, 5_001), (10_000, 0), (0, 10_000)):
        legs = (Leg(song, bps[0]), Leg(OWN, bps[1]))
        assert refused(ledger, recording("one", legs=legs)) == "asset.legs_sum"


def test_legs_are_distinct_works_and_then_the_own_table(ledger: Ledger, song: bytes) -> None:
    for legs in (
        (Leg(OWN, 5_000), Leg(song, 5_000)),
        (Leg(song, 10_000),),
        (Leg(OWN, 5_000), Leg(OWN, 5_000)),
        (Leg(song, 2_500), Leg(song, 2_500), Leg(OWN, 5_000)),
    ):
        assert refused(ledger, recording("one", legs=legs)) == "asset.legs_order"


def test_a_leg_names_an_older_work(ledger: Ledger, song: bytes) -> None:
    assert refused(ledger, recording("one", bytes(32))) == "asset.not_found"
    track = register(ledger, "alice", recording("one", song))
    assert refused(ledger, recording("two", track)) == "asset.leg_not_a_work"
    ledger.run("alice", RetireAsset(song))
    assert refused(ledger, recording("two", song)) == "asset.retired"


def test_somebody_elses_work_is_recorded_if_it_may_be_licensed_on(ledger: Ledger, song: bytes) -> None:
    assert refused(ledger, recording("one", song), sender="bea") == "asset.not_sublicensable"
    open_terms = make_open(TRAINING)
    shared = register(ledger, "alice", work("Shared", terms=open_terms))
    register(ledger, "bea", recording("one", shared))


def make_open(terms: Any, **changes: Any) -> Any:
    return replace(terms, sublicensable=True, **changes)


# Terms


def test_terms_of_both_layers_bound_a_recording(ledger: Ledger) -> None:
    song = register(ledger, "alice", work(terms=make_terms(allow=("analysis", "train-other"), duration_ms=1_000)))
    track = register(ledger, "alice", recording("one", song))
    view = ledger.view()
    assert effective_terms(view, track, ("recording",)) == TRAINING
    both = effective_terms(view, track, ("work", "recording"))
    assert both == make_terms(allow=("analysis",), duration_ms=1_000)


def test_two_works_bound_the_work_layer_together(ledger: Ledger) -> None:
    songs = [
        register(ledger, "alice", work(terms=make_terms(allow=allowed)))
        for allowed in (("analysis", "train-other"), ("analysis", "fine-tune"))
    ]
    track = register(ledger, "alice", recording("one", *songs))
    assert effective_terms(ledger.view(), track, ("work",)) == make_terms(allow=("analysis",))


def test_a_layer_that_is_missing_has_no_terms(ledger: Ledger, song: bytes) -> None:
    track = register(ledger, "alice", recording("one"))
    view = ledger.view()
    assert effective_terms(view, track, ("work", "recording")) is None
    assert effective_terms(view, song, ("recording",)) is None
    assert effective_terms(view, bytes(32), ("work",)) is None


def test_equal_terms_are_kept_once(ledger: Ledger) -> None:
    tracks(ledger, 3)
    assert sum(key.startswith(TERMS.prefix) for key in ledger.state()) == 1


def test_terms_are_checked_at_registration(ledger: Ledger) -> None:
    bad = make_open(TRAINING, territories=("SE", "NO"))
    assert refused(ledger, work(terms=bad)) == "terms.invalid"
    assert refused(ledger, recording("one", terms=bad)) == "terms.invalid"


# Descriptions


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"title": "Night\u200bBus"}, "text.invalid"),
        ({"title": "Cafe\u0301"}, "text.invalid"),
        ({"title": "é" * 150}, "asset.description_invalid"),
        ({"tags": ("Lofi",)}, "asset.description_invalid"),
        ({"tags": ("lofi", "lofi")}, "asset.description_invalid"),
        ({"tags": ("lofi", "beats")}, "asset.description_invalid"),
        ({"tags": ("l\u043efi",)}, "asset.description_invalid"),
        ({"tags": ("lo\u202efi",)}, "text.invalid"),
        ({"tags": ("é" * 20,)}, "asset.description_invalid"),
        ({"data_type": "Audio!"}, "asset.description_invalid"),
        ({"language": "english"}, "asset.description_invalid"),
    ],
)
def test_texts_have_one_spelling(ledger: Ledger, changes: dict[str, Any], kind: str) -> None:
    described = replace(description(), **changes)
    assert refused(ledger, recording("one", description=described)) == kind


def test_the_owner_corrects_a_description_in_order(ledger: Ledger, song: bytes) -> None:
    ledger.run("alice", UpdateMetadata(song, 1, description("Right")))
    asset = ledger.view().get(ASSETS, song)
    assert (asset.description.title, asset.version) == ("Right", 1)
    assert refused(ledger, UpdateMetadata(song, 1, description())) == "asset.version_stale"
    assert refused(ledger, UpdateMetadata(song, 2, description()), sender="bea") == "asset.not_owner"
    assert refused(ledger, UpdateMetadata(song, 2, description(tags=("B",)))) == "asset.description_invalid"
    assert refused(ledger, UpdateMetadata(bytes(32), 1, description())) == "asset.not_found"


def test_a_retired_asset_takes_part_in_nothing_new(ledger: Ledger) -> None:
    track = tracks(ledger, 1)[0]
    asset = album(ledger, [track])
    ledger.run("alice", RetireAsset(track))
    assert state_of(require_asset(ledger.view(), track)) == "retired"
    assert refused(ledger, RetireAsset(track)) == "asset.retired"
    assert refused(ledger, UpdateMetadata(track, 1, description())) == "asset.retired"
    assert refused(ledger, offer_action(track)) == "asset.retired"
    ledger.run("alice", offer_action(asset))
    assert refused(ledger, RetireAsset(asset), sender="bea") == "asset.not_owner"
