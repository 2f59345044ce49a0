"""The stories that `make testnet` plays, on real processes: every line is there, every OK is an OK."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.localnetwork import ROOT, Network

pytestmark = pytest.mark.e2e

LIMIT_S = 300


def played(home: Path, story: str, *options: str) -> str:
    """What a story says on a network of its own; it must end well."""
    network = Network(home)
    found = subprocess.run(
        [sys.executable, f"examples/{story}.py", "--base-port", str(network.base_port), *options],
        cwd=ROOT,
        env=network.environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=LIMIT_S,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "FAILED" not in found.stdout
    assert "Traceback" not in found.stderr
    return found.stdout


def test_everybody_behind_a_remix_is_paid_and_a_dispute_moves_only_its_part(tmp_path: Path) -> None:
    for run in (1, 2):
        told = played(tmp_path, "lineage")
        amounts = dict(re.findall(r"^ +(\w+) +(\d+\.\d{6})  \d+ % of", told, re.MULTILINE))
        assert amounts == {
            "fay": "29.700000",
            "gus": "42.075000",
            "hana": "12.375000",
            "dana": "11.880000",
            "bob": "2.079000",
            "alice": "0.561330",
            "bea": "0.240570",
            "erin": "0.089100",
        }
        assert f"Harbour Tapes {run}" in told
        assert "refused without a licence: lineage.no_right" in told
        assert "11.880000 of fay's wait" in told
        assert len(re.findall(r" OK$", told, re.MULTILINE)) == 4


def test_the_whole_story_ends_with_the_remix(tmp_path: Path) -> None:
    told = played(tmp_path, "story", "--for", "0")
    lines = told.splitlines()
    steps = [
        "[1 upload]",
        "[3 licence]",
        "[6 payout]",
        "node3 is killed",
        "Minted ",
        "[7 lineage]",
        "[9 dispute]",
        "Look: ",
    ]
    places = [next(number for number, line in enumerate(lines) if line.startswith(step)) for step in steps]
    assert places == sorted(places)
    assert len(re.findall(r" OK$", told, re.MULTILINE)) >= 9
