"""Use and wide ownership on a real network, by commands alone: who was read is paid, and the crowd behind a vault."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
import pytest
import soundfile

from concento.accounts import address
from support.localnetwork import Network, wait_for

pytestmark = pytest.mark.e2e

TERMS = ("--allow", "train-generative", "--price", "1")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    found = Network(tmp_path_factory.mktemp("network"))
    found.up()
    yield found
    found.command("testnet", "down")


def recorded(network: Network, folder: Path, owner: str, pitch: int) -> list[dict[str, Any]]:
    """Two recordings that belong to somebody alone."""
    folder.mkdir()
    for number in range(2):
        tone = numpy.sin(numpy.arange(8_000) * (pitch + number) / 90).astype("float32") * 0.4
        soundfile.write(folder / f"{owner} {number}.wav", tone, 8_000)
    line = ("asset", "add", str(folder), "--title", owner, "--split", f"{owner}=100", *TERMS, "--from", "alice")
    found: list[dict[str, Any]] = network.done(*line)["recordings"]
    return found


def test_readers_sign_what_they_use_and_the_gateway_has_it_paid(network: Network, tmp_path: Path) -> None:
    bea, carol = (recorded(network, tmp_path / name, name, pitch) for name, pitch in (("bea", 3), ("carol", 11)))
    listed = tmp_path / "tracks.csv"
    listed.write_text("asset\n" + "".join(f"{track['id']}\n" for track in (*bea, *carol)))
    opened = network.done(
        "dataset", "open", str(listed), "--title", "By use", "--weight", "usage", "--name", "use", "--from", "alice"
    )
    assert (opened["members"], opened["state"], opened["weight_rule"]) == (4, "sealed", "usage")
    pricing = ("--price", "1", "--per-access", "0.1", "--tier", "3=0.05", "--guarantee", "0.1")
    network.done("licence", "offer", "@use", "--allow", "train-generative", *pricing, "--from", "alice")
    network.done("licence", "buy", "@use", "--purpose", "train-generative", "--max-price", "1.1", "--from", "bob")
    # bea's files are here already: only carol's are read and paid.
    target = tmp_path / "data"
    for track in bea:
        (target / track["path"]).parent.mkdir(parents=True, exist_ok=True)
        (target / track["path"]).write_bytes((tmp_path / "bea" / track["path"]).read_bytes())
    before = {name: int(network.done("wallet", "balance", name)["balance_ubeat"]) for name in ("bea", "carol")}
    fetched = network.done("fetch", "@use", str(target), "--from", "bob")
    assert (len(fetched["files"]), fetched["units"]) == (2, 2)
    # Two at 0.1, of which the guarantee has paid for one.
    assert fetched["cost_ubeat"] == "100000"
    assert network.done("usage", "list")["items"] == []
    after = {name: int(network.done("wallet", "balance", name)["balance_ubeat"]) for name in ("bea", "carol")}
    assert after["carol"] - before["carol"] == 99_000
    assert after["bea"] == before["bea"]
    lines = network.done("earnings", "carol")["lines"]
    assert "usage" in {line["cause"] for line in lines}


def test_a_crowd_behind_a_vault_is_paid(network: Network, tmp_path: Path) -> None:
    (track, _) = recorded(network, tmp_path / "crowd", "alice", 29)
    fans = [address(sha256(b"fan %d" % number).digest(), True) for number in range(1_500)]
    listed = tmp_path / "fans.jsonl"
    listed.write_text("".join(f'{{"holder": "{fan}", "shares": 10}}\n' for fan in fans))
    found = network.command("vault", "open", str(listed), "--title", "Crowd", "--name", "crowd", "--from", "alice")
    assert found.returncode == 0, found.stderr
    assert "1,500 of 1,500 rows are on the chain." in found.stderr
    moved = ("shares", "transfer", track["id"], "--to", "vault:@crowd", "--percent", "50", "--from", "alice")
    network.done(*moved)
    network.done("licence", "offer", track["id"], *TERMS[:2], "--price", "400", "--from", "alice")
    network.done("licence", "buy", track["id"], "--purpose", "train-generative", "--max-price", "400", "--from", "bob")
    wait_for(lambda: network.done("vault", "show", "@crowd")["waiting_ubeat"] == "0")
    # Half of the recording's half, by 1,500.
    assert network.done("vault", "statement", "@crowd")["credited_ubeat"] == "99000000"
    assert network.done("wallet", "balance", fans[1_499])["balance_ubeat"] == "66000"
    # What a fan was paid through the vault is recomputed with nothing but the genesis file.
    told = tmp_path / "fan.json"
    network.done("earnings", fans[1_499], "--out", str(told))
    assert network.done("earnings", "verify", str(told))["ok"]
