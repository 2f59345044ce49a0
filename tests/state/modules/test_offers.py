"""Offers: only the owner's, only within what everybody behind the asset allows, at a price that makes sense."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from concento.messages.identity import RevokeRoles
from concento.messages.licences import CloseOffer, Price
from concento.terms import make_terms, terms_hash
from concento.transactions import object_id
from state.modules.offers import OFFERS, OFFERS_OF, offer_state, require_offer
from support.ledger import BEAT, Ledger, account_of
from support.rights import (
    TRAINING,
    album,
    buy,
    buy_action,
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


@pytest.fixture
def track(ledger: Ledger) -> bytes:
    return tracks(ledger, 1)[0]


def refused(ledger: Ledger, action: Any, sender: str = "alice") -> str:
    return ledger.refusal(sender, action)


def test_an_offer_is_kept_as_written(ledger: Ledger, track: bytes) -> None:
    offer_id = offer(ledger, track, supply=3)
    found = require_offer(ledger.view(), offer_id)
    assert (found.asset, found.owner, found.supply, found.sold) == (track, account_of("alice"), 3, 0)
    assert found.terms_hash == terms_hash(TRAINING)
    assert offer_state(found, ledger.time_ms) == "open"
    assert ledger.view().find(OFFERS_OF, track + offer_id) is not None


def test_only_the_owner_offers(ledger: Ledger, track: bytes) -> None:
    assert refused(ledger, offer_action(track), sender="bea") == "asset.not_owner"
    assert refused(ledger, offer_action(bytes(32))) == "asset.not_found"


def test_offering_needs_a_party(ledger: Ledger, track: bytes) -> None:
    ledger.run("issuer", RevokeRoles(account_of("alice"), ("creator",)))
    assert refused(ledger, offer_action(track)) == "identity.party_required"


def test_an_open_dataset_is_not_offered(ledger: Ledger) -> None:
    assert refused(ledger, offer_action(register(ledger, "alice", dataset()))) == "asset.not_sealed"


def test_a_nonce_names_one_offer(ledger: Ledger, track: bytes) -> None:
    kinds = [ledger.block(ledger.tx("alice", offer_action(track, supply=n), nonce=9)).results[0].kind for n in (1, 2)]
    assert kinds == ["", "offer.exists"]
    offer_id = object_id("offer", account_of("alice"), (9).to_bytes(16, "big"), 0)
    assert require_offer(ledger.view(), offer_id).supply == 1


@pytest.mark.parametrize(
    "pricing",
    [
        (Price("free", 0), Price("one-off", 1)),
        (Price("free", 1),),
        (Price("one-off", 0),),
        (Price("one-off", 1), Price("one-off", 2)),
        (Price("per-access", 1), Price("per-second", 1)),
        (Price("one-off", 1), Price("per-access", 0)),
    ],
)
def test_pricing_that_makes_no_sense_is_refused(ledger: Ledger, track: bytes, pricing: tuple[Price, ...]) -> None:
    assert refused(ledger, offer_action(track, pricing=pricing)) == "offer.pricing_invalid"


@pytest.mark.parametrize(
    "pricing",
    [
        (Price("free", 0),),
        (Price("one-off", 1),),
        (Price("per-second", 1),),
        (Price("per-access", 1), Price("one-off", 1)),
    ],
)
def test_pricing_that_makes_sense_is_taken(ledger: Ledger, track: bytes, pricing: tuple[Price, ...]) -> None:
    offer(ledger, track, pricing=pricing)


@pytest.mark.parametrize(
    "terms",
    [
        make_terms(allow=("train-generative", "redistribute")),
        make_terms(allow=("train-generative",), constrained=("fine-tune",)),
        replace(TRAINING, sublicensable=True),
        replace(TRAINING, transferable=True),
    ],
)
def test_an_offer_stays_within_what_the_owners_allow(ledger: Ledger, track: bytes, terms: Any) -> None:
    assert refused(ledger, offer_action(track, terms=terms)) == "offer.terms_exceed"


def test_an_offer_may_be_tighter(ledger: Ledger, track: bytes) -> None:
    offer(ledger, track, terms=make_terms(constrained=("train-generative",), duration_ms=1_000))


def test_an_offer_of_nothing_is_refused(ledger: Ledger, track: bytes) -> None:
    assert refused(ledger, offer_action(track, terms=make_terms())) == "offer.permits_nothing"


def test_terms_of_an_offer_are_checked(ledger: Ledger, track: bytes) -> None:
    bad = replace(TRAINING, territories=("SE", "SE"))
    assert refused(ledger, offer_action(track, terms=bad)) == "terms.invalid"


def test_nothing_is_offered_exclusively(ledger: Ledger) -> None:
    exclusive = replace(TRAINING, exclusive=True)
    track = tracks(ledger, 1, terms=exclusive)[0]
    assert refused(ledger, offer_action(track, terms=exclusive)) == "offer.exclusive"


def test_a_limit_that_nobody_counts_is_refused(ledger: Ledger, track: bytes) -> None:
    seconds = make_terms(allow=("train-generative",), accesses_max=5)
    per_second = (Price("per-second", 1),)
    assert refused(ledger, offer_action(track, terms=seconds, pricing=per_second)) == "offer.limit_unmetered"
    both = replace(seconds, seconds_max=5)
    assert refused(ledger, offer_action(track, terms=both, pricing=(Price("free", 0),))) == "offer.limit_unmetered"


def test_layers_are_those_that_the_asset_has(ledger: Ledger, track: bytes) -> None:
    song = register(ledger, "alice", work("other"))
    alone = register(ledger, "alice", recording("alone"))
    offer(ledger, song, layers=("work",))
    offer(ledger, alone, layers=("recording",))
    assert refused(ledger, offer_action(song)) == "offer.layer_missing"
    assert refused(ledger, offer_action(alone)) == "offer.layer_missing"
    assert refused(ledger, offer_action(track, layers=("work",))) == "offer.layer_missing"
    assert refused(ledger, offer_action(track, layers=("recording", "work"))) == "offer.layers_order"
    assert refused(ledger, offer_action(track, layers=("work", "work"))) == "offer.layers_order"


def test_an_offer_of_the_recording_alone_leaves_the_work_out(ledger: Ledger) -> None:
    song = register(ledger, "alice", work(rows=splits(alice=100)))
    track = register(ledger, "alice", recording("one", song, splits=splits(bea=100)))
    one_off = (Price("one-off", 10 * BEAT),)
    alone = offer(ledger, track, layers=("recording",), pricing=one_off)
    both = offer(ledger, track, pricing=one_off)
    paid = []
    for offer_id in (alone, both):
        before = ledger.balance("alice"), ledger.balance("bea")
        buy(ledger, offer_id)
        paid.append((ledger.balance("alice") - before[0], ledger.balance("bea") - before[1]))
    assert paid == [(0, 9_900_000), (4_950_000, 4_950_000)]


def test_a_dataset_whose_members_have_works_is_not_offered_without_them(ledger: Ledger) -> None:
    """What it earns reaches the works through its members: nobody is sold a layer less and pays it all the same."""
    wrapped = album(ledger, [album(ledger, tracks(ledger, 2, prefix="w"))])
    assert refused(ledger, offer_action(wrapped, layers=("recording",))) == "offer.works_left_out"
    offer(ledger, wrapped)
    offer(ledger, album(ledger, [register(ledger, "alice", recording("alone"))]), layers=("recording",))


def test_an_offer_is_closed_by_its_owner_once(ledger: Ledger, track: bytes) -> None:
    offer_id = offer(ledger, track)
    assert refused(ledger, CloseOffer(offer_id), sender="bea") == "offer.not_yours"
    ledger.run("alice", CloseOffer(offer_id))
    assert offer_state(ledger.view().get(OFFERS, offer_id), ledger.time_ms) == "closed"
    assert refused(ledger, CloseOffer(offer_id)) == "offer.closed"
    assert refused(ledger, CloseOffer(bytes(32))) == "offer.not_found"
    assert refused(ledger, buy_action(offer_id), sender="bob") == "offer.closed"


def test_an_offer_ends_in_the_future(ledger: Ledger, track: bytes) -> None:
    assert refused(ledger, offer_action(track, expires_ms=ledger.time_ms)) == "offer.expiry_past"
    offer(ledger, track, expires_ms=ledger.time_ms + 1_000)


def test_offers_of_a_dataset_are_bounded_by_every_member(ledger: Ledger, track: bytes) -> None:
    other = tracks(ledger, 1, prefix="other", terms=make_terms(allow=("analysis",)))[0]
    asset = album(ledger, [track, other])
    assert refused(ledger, offer_action(asset)) == "offer.terms_exceed"
    offer(ledger, asset, terms=make_terms(allow=("analysis",)))
