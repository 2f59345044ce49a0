"""The whole road by commands alone, on a real network: register, find, buy, fetch, be paid, prove."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest
import soundfile

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
OFFSETS = (0, 1, 2, 3, 20, 21, 22, 23, 40)
PURPOSE = ("--purpose", "train-generative")
TERMS = ("--allow", "train-generative", "--deny", "redistribute", "--price", "40", "--per-access", "0.05")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Road:
    """A home with a running network; runs `concento` as a person does."""

    def __init__(self, home: Path, base_port: int) -> None:
        self.home = home
        self.base_port = base_port
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CONCENTO_")},
            "CONCENTO_HOME": str(home),
            "CONCENTO_URL": f"http://127.0.0.1:{base_port}",
        }

    def __call__(self, *words: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str) -> Any:
        """The document of a command that must succeed."""
        done = self(*words, "--json")
        assert done.code == 0, done.out + done.err
        return done.document


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    home = tmp_path_factory.mktemp("home")
    road = Road(home, _free_base_port())
    up = road("testnet", "up", "--detach", "--base-port", str(road.base_port))
    assert up.code == 0, up.out + up.err
    try:
        yield road
    finally:
        road("testnet", "down")


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    for number, kind in enumerate(("wav", "flac", "ogg"), 1):
        tone = numpy.sin(numpy.arange(16_000) * number / 9).astype("float32") * 0.4
        soundfile.write(folder / f"0{number} Piece.{kind}", tone, 8_000)
    return folder


def _free_base_port() -> int:
    random = Random(os.getpid())
    while True:
        base = random.randrange(20_000, 30_000, 50)
        try:
            for offset in OFFSETS:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base


def test_music_goes_from_registration_to_proved_payment(road: Road, album: Path, tmp_path: Path):
    add = ("asset", "add", str(album), "--title", "Road", "--split", "alice=70,bea=30", *TERMS, "--tag", "road")
    planned = road.json(*add, "--from", "alice", "--dry-run")
    added = road.json(*add, "--from", "alice", "--name", "road")
    assert added["dataset"] == planned["dataset"]
    assert [entry["state"] for entry in added["recordings"]] == ["registered"] * 3
    assert [tx["status"] for tx in added["txs"]] == ["final"]

    again = road.json(*add, "--from", "alice")
    assert (again["dataset"], again["txs"]) == (added["dataset"], [])

    found = road.json("asset", "search", "--tag", "road", *PURPOSE)
    assert [item["id"] for item in found["items"]] == [added["dataset"]]
    assert road("licence", "check", "@road", *PURPOSE, "--licensee", "bob").code == 8
    refused = road("fetch", "@road", str(tmp_path / "early"), "--from", "bob", "--json")
    assert (refused.code, refused.document["error"]["data"]["kind"]) == (8, "licence.required")

    bought = road.json("licence", "buy", "@road", *PURPOSE, "--max-price", "40", "--from", "bob")
    assert road("licence", "check", "@road", *PURPOSE, "--licensee", "bob").code == 0
    assert road("licence", "check", "@road", "--purpose", "redistribute", "--licensee", "bob").code == 8
    licence = road.json("licence", "show", bought["licence"][:12])
    assert (licence["id"], licence["state"]) == (bought["licence"], "active")

    fetched = road.json("fetch", "@road", str(tmp_path / "music"), "--from", "bob")
    assert fetched["cost_ubeat"] == "150000"
    for entry in added["recordings"]:
        assert (tmp_path / "music" / entry["path"]).read_bytes() == (album / entry["path"]).read_bytes()
    assert road.json("fetch", "@road", str(tmp_path / "music"), "--from", "bob")["files"] == []
    receipts = road.json("receipt", "list", "--licence", bought["licence"])["items"]
    assert sorted(item["id"] for item in receipts) == sorted(entry["receipt"] for entry in fetched["files"])

    assert road.json("receipt", "verify", receipts[0]["id"][:12])["receipt"] == receipts[0]["id"]
    proof = tmp_path / "receipt.json"
    assert road("proof", "get", f"receipt/{receipts[1]['id']}", "--out", str(proof)).code == 0
    assert road.json("proof", "verify", str(proof))["ok"] is True
    document = json.loads(proof.read_text())
    proof.write_text(json.dumps({**document, "key": f"receipt/{receipts[0]['id']}"}))
    assert road("proof", "verify", str(proof)).code == 8
    assert road.json("tx", "show", bought["tx"][:10])["tx"] == bought["tx"]

    out = tmp_path / "statement.json"
    statement = road.json("earnings", "alice", "--out", str(out))
    # 70 % of 40 BEAT and of 3 times 0.05 BEAT, each less one per cent.
    assert statement["earned_ubeat"] == str(27_720_000 + 103_950)
    opening, earned, other = (int(statement[f"{name}_ubeat"]) for name in ("opening", "earned", "other"))
    assert opening + earned + other == int(statement["closing_ubeat"])
    assert statement["closing_ubeat"] == road.json("wallet", "balance", "alice")["balance_ubeat"]
    assert road.json("earnings", "verify", str(out))["earned_ubeat"] == statement["earned_ubeat"]
    assert json.loads(out.read_text())["statement"]["to_height"] == statement["to_height"]


def test_balance_is_proved_with_the_genesis_file_alone(road: Road, tmp_path: Path):
    out = tmp_path / "proof.json"
    assert road("proof", "get", "account/carol", "--out", str(out)).code == 0
    genesis = road.home / "testnet" / "genesis.json"
    verdict = road.json("proof", "verify", str(out), "--genesis", str(genesis), "--url", "http://127.0.0.1:1")
    assert (verdict["ok"], verdict["validators"]) == (True, 4)
    document = json.loads(out.read_text())
    out.write_text(json.dumps({**document, "value": "AAAA"}))
    assert road("proof", "verify", str(out), "--genesis", str(genesis)).code == 8
    other = road("proof", "verify", str(out), "--genesis", "genesis.json")
    assert other.code == 8


def test_new_key_is_funded_admitted_and_pays(road: Road, tmp_path: Path):
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    made = road.json("wallet", "new", "eve", "--password-file", str(password))
    road.json("wallet", "send", "eve", "100", "--from", "treasury")
    admitted = road.json("identity", "admit", "eve", "--role", "creator", "--from", "issuer")
    assert admitted["status"] == "final"
    assert road.json("identity", "show", "eve")["roles"] == ["creator"]
    paid = road.json("wallet", "send", "bob", "1", "--from", "eve", "--password-file", str(password))
    shown = road.json("tx", "show", paid["tx"])
    assert (shown["status"], shown["sender"]) == ("final", made["address"])
    assert road.json("tx", "wait", paid["tx"])["height"] == paid["height"]
    poor = road("wallet", "send", "bob", "1000", "--from", "eve", "--password-file", str(password), "--json")
    assert (poor.code, poor.document["error"]["data"]["kind"]) == (4, "tokens.balance_low")
    other = road("identity", "admit", "bob", "--role", "gateway", "--from", "alice", "--json")
    assert (other.code, other.document["error"]["data"]["kind"]) == (8, "identity.role_required")


def test_events_explanations_and_health_of_a_living_network(road: Road):
    lines = [json.loads(line) for line in road("watch", "--since", "0", "--count", "2", "--json").out.splitlines()]
    assert len({line["cursor"] for line in lines}) == 2
    assert road.json("explain", "1")["is"] == "block"
    assert road.json("explain", "asset_get")["is"] == "method"
    assert road.json("rpc", "chain_getBlock", "height=1")["height"] == 1
    assert road("doctor").code == 0
    assert road("gateway", "status").code == 0
    assert road.json("node", "peers")
