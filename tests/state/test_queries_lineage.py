"""Walks through lineage as people ask for them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from concento.encoding import encode
from concento.errors import Rejected
from concento.messages.licences import Rate
from concento.messages.lineage import AmendProvenance, AuthoriseOutputs
from state.queries import Chain
from state.queries_assets import asset_get
from state.queries_licences import licence_get
from state.queries_lineage import lineage_get
from state.store.kv import META, MemoryKeyValue
from state.store.opening import create_store
from support.ledger import Ledger
from support.lineage import OPEN, licence, model_action, output_action, own_right, rel, remix_of
from support.rights import album, recording, register, tracks


def read(ledger: Ledger) -> Chain:
    """The ledger as a node would show it now."""
    store = MemoryKeyValue()
    opened = create_store(store, ledger.genesis.network, ledger.state(), ledger.history())
    store.write({META + b"commit": encode(replace(opened.commit, height=ledger.height))})
    return Chain(store, opened.tree, ledger.genesis)


def walk(ledger: Ledger, asset: bytes, direction: Any, limit: int = 2, **more: Any) -> dict[str, Any]:
    """All pages put together."""
    chain, cursor, items = read(ledger), None, []
    while True:
        page = lineage_get(chain, asset.hex(), direction, cursor=cursor, limit=limit, **more)
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return {**page, "items": items}


def family() -> tuple[Ledger, dict[str, bytes]]:
    """dataset -> model -> track -> remix, which also has a song."""
    ledger = Ledger()
    data = album(ledger, tracks(ledger, 1, terms=OPEN), title="Data")
    model = register(ledger, "bob", model_action((data, licence(ledger, data, "alice", "bob", Rate(3_000, 100, 777)))))
    track = register(ledger, "dana", output_action(model, "track"))
    song = register(ledger, "alice", recording("song", terms=OPEN))
    parents = [
        (track, licence(ledger, track, "bob", "alice", rel(1_500))),
        (song, own_right(ledger, song, "alice", rel(2_500))),
    ]
    remix = remix_of(ledger, "alice", *parents)
    return ledger, {"data": data, "model": model, "track": track, "song": song, "remix": remix}


def test_ancestors_come_nearest_first_with_what_they_are_owed() -> None:
    ledger, ids = family()
    found = walk(ledger, ids["remix"], "ancestors")
    steps = [(item["depth"], item["asset"], item["rel_bps"], item["kind"]) for item in found["items"]]
    assert steps == [
        (1, ids["track"].hex(), 1_500, "output"),
        (1, ids["song"].hex(), 2_500, "recording"),
        (2, ids["model"].hex(), 2_000, "model"),
        (3, ids["data"].hex(), 3_000, "dataset"),
    ]
    assert (found["ancestors"], found["generations"], found["complete"]) == (4, 3, True)
    assert found["claims"] == [{"asset": ids["data"].hex(), "bps": 100, "left_ubeat": "777"}]


def test_descendants_come_nearest_first_and_depth_bounds_the_walk() -> None:
    ledger, ids = family()
    found = walk(ledger, ids["data"], "descendants")
    assert [item["asset"] for item in found["items"]] == [ids[name].hex() for name in ("model", "track", "remix")]
    assert [item["title"] for item in found["items"]] == ["Model", "track", "remix"]
    near = walk(ledger, ids["data"], "descendants", depth=2)
    assert [item["depth"] for item in near["items"]] == [1, 2]


def test_an_asset_tells_its_parents_its_model_and_its_manifest() -> None:
    ledger, ids = family()
    chain = read(ledger)
    remix, model, track = (asset_get(chain, ids[name].hex()) for name in ("remix", "model", "track"))
    assert [(parent["asset"], parent["rel_bps"]) for parent in remix["parents"]] == [
        (ids["track"].hex(), 1_500),
        (ids["song"].hex(), 2_500),
    ]
    assert (remix["model"], remix["output"]) == (None, None)
    assert [line["asset"] for line in model["model"]["manifest"]] == [ids["data"].hex()]
    assert (track["output"]["model"], track["output"]["licence"]) == (ids["model"].hex(), None)


def test_a_parent_found_later_says_from_which_height() -> None:
    ledger, ids = family()
    other = register(ledger, "alice", recording("other", terms=OPEN))
    younger = register(ledger, "alice", recording("younger", terms=OPEN))
    ledger.run("alice", AmendProvenance(younger, other, 700, None, 1))
    (item,) = walk(ledger, younger, "ancestors")["items"]
    assert (item["asset"], item["right"], item["from_height"]) == (other.hex(), None, ledger.height + 1)
    assert ids["song"] not in (other, younger)


def test_an_unknown_asset_has_no_lineage() -> None:
    with pytest.raises(Rejected, match="no asset"):
        lineage_get(read(Ledger()), bytes(32).hex())


def test_a_licence_of_a_model_tells_what_its_service_may_still_register() -> None:
    ledger, ids = family()
    right = licence(ledger, ids["model"], "bob", "bea", rel(1_000), purpose="inference-service")
    slots = licence_get(read(ledger), right.hex())["slots"]
    assert slots == {"models": 0, "outputs": 0, "outputs_authorised": 0, "outputs_by_service": 0}
    ledger.run("bea", AuthoriseOutputs(right, 3))
    register(ledger, "dana", output_action(ids["model"], "ordered", licence=right, splits=()))
    slots = licence_get(read(ledger), right.hex())["slots"]
    assert slots == {"models": 0, "outputs": 1, "outputs_authorised": 3, "outputs_by_service": 1}
