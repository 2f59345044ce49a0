"""The same history gives the same state: on every node, and executed again whatever order Python's hashes give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import soundfile

from concento.client import Client
from support.localnetwork import PATIENCE_S, ROOT, Network

pytestmark = pytest.mark.e2e

ROAD = (
    "asset add {album} --title Album --split alice=70,bea=30 --allow train-generative --price 40 --per-access 0.05"
    " --from alice --name album",
    "licence buy @album --purpose train-generative --max-price 40 --from bob",
    "fetch @album {music} --from bob",
    "identity admit dana --role gateway --from issuer",
    "wallet send carol 1.5 --from bob",
)


def album(folder: Path) -> Path:
    folder.mkdir()
    for number in range(1, 5):
        soundfile.write(folder / f"{number}.flac", numpy.sin(numpy.arange(8_000) * number / 7) * 0.3, 8_000)
    return folder


def hashes_of(network: Network, name: str, last: int) -> list[str]:
    """The app hash that each block up to `last` led to, as one node tells it."""
    with Client(network.url(name)) as client:
        return [client.block(height=height)["app_hash"] for height in range(1, last + 1)]


def replayed(home: Path, hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "support.replayed", str(home)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    hashes: list[str] = json.loads(done.stdout)
    return hashes


def test_every_node_and_every_replay_has_the_same_app_hash_at_every_height(tmp_path: Path) -> None:
    network = Network(tmp_path / "home")
    album(tmp_path / "album")
    names = ("node1", "node2", "node3", "node4")
    network.up()
    try:
        for line in ROAD:
            done = network.done(*line.format(album=tmp_path / "album", music=tmp_path / "music").split())
        last = done["height"] + 2
        network.until_level(last)
        told = {name: hashes_of(network, name, last) for name in names}
    finally:
        network.command("testnet", "down")
    assert all(hashes == told["node1"] for hashes in told.values())
    assert len(set(told["node1"])) > len(ROAD)
    home = network.home / "testnet" / "node2"
    for seed in ("0", "4242"):
        assert replayed(home, seed)[:last] == told["node1"]
