"""`asset add`: a folder of real audio becomes recordings, a dataset and an offer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
import soundfile

from concento.accounts import parse_address
from concento.cids import cid
from concento.client.audio import hash_file
from concento.messages.assets import RegisterDataset, RegisterRecording, RegisterWork, SealDataset, Split
from concento.messages.licences import CreateOffer, Price
from concento.terms import Permission, permission
from support.canned import WHO, Refusal
from support.fake_node import FakeNode

TERMS = ("--split", "alice=70,bea=30", "--allow", "train-generative", "--deny", "redistribute")
PRICES = ("--price", "40", "--per-access", "0.05")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for number, kind in enumerate(("wav", "flac"), 1):
        tone = numpy.sin(numpy.arange(8_000) * number / 10).astype("float32") * 0.5
        soundfile.write(folder / f"0{number} Song.{kind}", tone, 8_000)
    whole = (folder / "01 Song.wav").read_bytes()
    (folder / "03 Cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "cover.jpg").write_bytes(b"no audio")
    return folder


@pytest.fixture
def empty_chain(node: FakeNode) -> FakeNode:
    def nothing(params):
        raise Refusal(-32001, "asset.not_found")

    node.answers["asset_get"] = nothing
    return node


def add(concento, album: Path, *more: str):
    return concento(
        "asset", "add", str(album), "--title", "Night Bus", *TERMS, *PRICES, "--tag", "lofi", "--from", "alice", *more
    )


def test_folder_becomes_one_transaction_with_the_terms_that_were_typed(concento, album, empty_chain: FakeNode):
    done = add(concento, album, "--work-split", "bea=100", "--layers", "work=40,recording=60", "--json")
    assert done.code == 0
    (transaction,) = empty_chain.submitted()
    actions = transaction.body.actions
    works = [action for action in actions if isinstance(action, RegisterWork)]
    recordings = [action for action in actions if isinstance(action, RegisterRecording)]
    alice, bea = (parse_address(WHO[name], dev=True) for name in ("alice", "bea"))
    assert {work.splits for work in works} == {(Split(bea, 1_000_000),)}
    assert {recording.splits for recording in recordings} == {
        tuple(sorted((Split(alice, 700_000), Split(bea, 300_000)), key=lambda row: row.holder))
    }
    assert [leg.bps for leg in recordings[0].legs] == [4_000, 6_000]
    (offer,) = [action for action in actions if isinstance(action, CreateOffer)]
    assert offer.pricing == (Price("one-off", 40_000_000), Price("per-access", 50_000_000))
    assert permission(offer.terms, "train-generative") is Permission.ALLOW
    assert permission(offer.terms, "redistribute") is Permission.DENY
    assert [type(action) for action in actions if isinstance(action, RegisterDataset | SealDataset)] == [
        RegisterDataset,
        SealDataset,
    ]


def test_json_has_every_field_of_the_documentation(concento, album, empty_chain: FakeNode):
    document = add(concento, album, "--json").document
    assert set(document) == {"dataset", "offer", "recordings", "skipped", "txs", "fee_ubeat"}
    first = document["recordings"][0]
    content, root, size = hash_file(album / "01 Song.wav")
    assert first == {
        "id": first["id"],
        "work": first["work"],
        "title": "Song",
        "path": "01 Song.wav",
        "cid": cid(content),
        "chunk_root": root.hex(),
        "bytes": size,
        "media_type": "audio/wav",
        "duration_ms": 1_000,
        "sample_rate_hz": 8_000,
        "channels": 1,
        "state": "registered",
    }
    created = {entry["id"] for entry in document["txs"][0]["created"]}
    assert {document["dataset"], document["offer"], first["id"], first["work"]} <= created
    assert document["fee_ubeat"] == document["txs"][0]["fee_ubeat"]
    assert [(skipped["path"], skipped["kind"]) for skipped in document["skipped"]] == [
        ("03 Cut.wav", "audio.truncated")
    ]


def test_text_names_what_was_left_out_and_the_next_command(concento, album, empty_chain: FakeNode):
    done = add(concento, album, "--name", "nb")
    assert done.code == 0
    assert '"Night Bus" is registered: 2 recordings, 0:02 of music.' in done.out
    assert "1 file could not be taken." in done.out
    assert "Next: concento asset show @nb" in done.out
    assert "Skipped 03 Cut.wav" in done.err


def test_name_is_remembered_for_later_commands(concento, album, home: Path, empty_chain: FakeNode):
    document = add(concento, album, "--name", "nb", "--json").document
    assert json.loads((home / "names.json").read_text()) == {"nb": document["dataset"]}


def test_dry_run_tells_the_fee_and_hands_nothing_in(concento, album, home: Path, empty_chain: FakeNode):
    planned = add(concento, album, "--name", "nb", "--dry-run", "--json")
    assert planned.code == 0
    assert int(planned.document["fee_ubeat"]) > 0
    assert planned.document["txs"] == []
    assert empty_chain.submitted() == []
    assert not (home / "names.json").exists()
    assert "Nothing was sent." in add(concento, album, "--dry-run").out


def test_files_are_copied_to_the_gateway_by_cid(concento, album, home: Path, tmp_path: Path, empty_chain: FakeNode):
    (home / "testnet" / "gateway").mkdir(parents=True)
    document = add(concento, album, "--json").document
    content = home / "testnet" / "gateway" / "content"
    assert sorted(path.name for path in content.iterdir()) == sorted(entry["cid"] for entry in document["recordings"])
    for entry in document["recordings"]:
        assert (content / entry["cid"]).read_bytes() == (album / entry["path"]).read_bytes()
    elsewhere = tmp_path / "elsewhere"
    add(concento, album, "--content", str(elsewhere))
    assert len(list(elsewhere.iterdir())) == 2


def test_without_a_price_there_is_no_offer(concento, album, empty_chain: FakeNode):
    done = concento("asset", "add", str(album), "--title", "T", *TERMS, "--from", "alice", "--json")
    assert done.document["offer"] is None
    assert not [action for action in empty_chain.submitted()[0].body.actions if isinstance(action, CreateOffer)]


def test_somebody_elses_file_is_refused_before_anything_is_sent(concento, album, node: FakeNode):
    content, _, _ = hash_file(album / "01 Song.wav")

    def theirs(params):
        if params["id"] == cid(content):
            return {"id": "11" * 32, "work": None, "owner": WHO["bob"]}
        raise Refusal(-32001, "asset.not_found")

    node.answers["asset_get"] = theirs
    refused = add(concento, album, "--json")
    assert refused.code == 4
    assert refused.document["error"]["data"]["kind"] == "asset.duplicate_content"
    assert node.submitted() == []


def test_failed_registration_exits_5_and_keeps_no_name(concento, album, home: Path, empty_chain: FakeNode):
    empty_chain.fate, empty_chain.fate_error = "failed", {"kind": "asset.exists", "message": "it exists"}
    done = add(concento, album, "--name", "nb")
    assert done.code == 5
    assert "Error: it exists (asset.exists)" in done.err
    assert not (home / "names.json").exists()


def test_somebody_elses_file_is_named_with_its_owner(concento, album, node: FakeNode):
    node.answers["asset_get"] = lambda params: _theirs(params["id"], album)
    refused = add(concento, album)
    assert "01 Song.wav is registered already, as asset 11111111" in refused.err
    assert " of bob " in refused.err


def _theirs(identity: str, album: Path):
    if identity == cid(hash_file(album / "01 Song.wav")[0]):
        return {"id": "11" * 32, "work": None, "owner": WHO["bob"], "owner_name": "bob"}
    raise Refusal(-32001, "asset.not_found")


def test_dry_run_of_what_is_registered_in_full_costs_nothing(concento, album, node: FakeNode):
    ours = {"id": "11" * 32, "work": "22" * 32, "owner": WHO["alice"], "state": "sealed", "offers": []}
    node.answers["asset_get"] = lambda params: {**ours, "members": {"count": 2, "root": "33" * 32}}
    planned = concento("asset", "add", str(album), "--title", "T", *TERMS, "--from", "alice", "--dry-run", "--json")
    assert planned.code == 0
    assert (planned.document["transactions"], planned.document["fee_ubeat"]) == (0, "0")
    assert {entry["state"] for entry in planned.document["recordings"]} == {"known"}
