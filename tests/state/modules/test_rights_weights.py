"""A message's weight, which its fee pays for, covers the state records that it writes."""

from __future__ import annotations

from typing import Any

from concento.messages.assets import AddMembers, RetireAsset, SealDataset, UpdateMetadata
from concento.messages.licences import CloseOffer, Rate, RevokeLicence, TopUpLicence, WithdrawDeposit
from concento.terms import make_terms, terms_hash
from state.calls import Call
from state.router import ROUTES
from support.ledger import BEAT, Ledger, account_of
from support.lineage import OPEN, good_messages, own_right, remix_action, remix_of
from support.rights import (
    Reader,
    buy,
    buy_action,
    dataset,
    description,
    offer,
    offer_action,
    recording,
    register,
    splits,
    tracks,
    work,
)

TIMED = make_terms(allow=("train-generative",), duration_ms=60_000)


def written(ledger: Ledger, sender: str, action: Any) -> int:
    """How many records of the state the action alone would write now."""
    view, route = ledger.view(), ROUTES[type(action)]
    view.height, view.time_ms, view.tx = ledger.height + 1, ledger.time_ms + 1, bytes(32)
    call = Call(
        sender=account_of(sender),
        nonce=bytes(16),
        action_index=0,
        tx=bytes(32),
        signers=(),
        height=view.height,
        time_ms=view.time_ms,
        params=ledger.params,
        network=ledger.genesis.network,
    )
    if route.check is not None:
        route.check(view, call, action)
    route.apply(view, call, action)
    return len(view.changes())


def test_a_weight_covers_what_is_written() -> None:
    ledger = Ledger()

    def check(sender: str, action: Any) -> None:
        count = written(ledger, sender, action)
        weight = ROUTES[type(action)].weight(action)
        assert count <= weight, f"{type(action).__name__} writes {count} records for weight {weight}"

    check("alice", work(iswc="T0345246801", terms=TIMED))
    song = register(ledger, "alice", work())
    check("alice", recording("x", song, isrc="USRC17607839", terms=TIMED))
    members = tracks(ledger, 70)
    check("alice", dataset())
    check("alice", dataset(member_bps=5_000, curator_splits=splits(bea=100)))
    asset = register(ledger, "alice", dataset(member_bps=5_000, curator_splits=splits(bea=100)))
    check("alice", AddMembers(asset, (members[0],)))
    check("alice", AddMembers(asset, tuple(members)))
    ledger.run("alice", AddMembers(asset, tuple(members)))
    check("alice", SealDataset(asset))
    ledger.run("alice", SealDataset(asset))
    check("alice", UpdateMetadata(asset, 1, description()))
    check("alice", RetireAsset(asset))
    check("alice", offer_action(asset))
    timed = offer(ledger, asset, terms=TIMED)
    check("alice", CloseOffer(timed))
    check("bob", buy_action(timed, terms_hash=terms_hash(TIMED), deposit_ubeat=BEAT))
    licence = buy(ledger, timed, terms_hash=terms_hash(TIMED), deposit_ubeat=BEAT)
    check("bob", TopUpLicence(licence, 1))
    check("bob", WithdrawDeposit(licence, 1))
    reader = Reader(ledger, licence, asset)
    check("bob", reader.open_action(10))
    ledger.run("bob", reader.open_action(10))
    check("bob", reader.close_action())
    for index in range(10):
        reader.read(members[index], f"track{index}")
    check("gateway1", reader.anchor_action())
    check("alice", RevokeLicence(licence, "why"))


def test_a_weight_covers_what_lineage_writes() -> None:
    ledger = Ledger()
    good, _ = good_messages(ledger)
    for sender, action in good:
        count, weight = written(ledger, sender, action), ROUTES[type(action)].weight(action)
        assert count <= weight, f"{type(action).__name__} writes {count} records for weight {weight}"
        assert ledger.block(ledger.tx(sender, action)).results[0].status == "ok"


def test_a_weight_covers_ceilings_and_claims_of_many_parents() -> None:
    ledger = Ledger()
    parents = [register(ledger, "alice", recording(f"p{number}", terms=OPEN)) for number in range(12)]
    rated = [(one, own_right(ledger, one, "alice", Rate(100, 100, 1_000))) for one in parents]
    action = remix_action(*rated, ancestors=12)
    assert written(ledger, "alice", action) <= ROUTES[type(action)].weight(action)
    younger = remix_of(ledger, "alice", *rated, name="first", ancestors=12)
    heir = remix_action((younger, own_right(ledger, younger, "alice", Rate(1, 1, 5))), name="heir", ancestors=13)
    assert written(ledger, "alice", heir) <= ROUTES[type(heir)].weight(heir)
