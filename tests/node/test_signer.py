"""The key file: written whole, readable by one user, refused when anything about it is off."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from concento.errors import Rejected
from concento.keys import public_key, verify
from node.signer import node_key, read_key, write_key, write_private

SEED = bytes(range(32))


def test_a_written_key_signs_as_its_seed_does(tmp_path: Path) -> None:
    write_key(tmp_path / "home" / "node.key", SEED)
    key = read_key(tmp_path / "home" / "node.key")
    assert key.public == public_key(SEED)
    assert verify(key.public, b"a vote", key.sign(b"a vote"))


def test_the_key_file_is_its_owners_alone_and_no_draft_stays(tmp_path: Path) -> None:
    write_key(tmp_path / "node.key", SEED)
    assert stat.S_IMODE((tmp_path / "node.key").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["node.key"]


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    write_key(tmp_path / "node.key", SEED)
    with pytest.raises(Rejected, match="there is a key"):
        write_key(tmp_path / "node.key", bytes(32))
    assert read_key(tmp_path / "node.key").seed == SEED


def test_a_key_never_shows_its_seed() -> None:
    assert SEED.hex() not in repr(node_key(SEED))


def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    write_key(path, SEED)
    path.chmod(0o644)
    with pytest.raises(Rejected, match="mode 0644") as caught:
        read_key(path)
    assert caught.value.hint == f"run: chmod 600 {path}"


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        read_key(tmp_path / "node.key")
    assert caught.value.kind == "node.key_missing"


@pytest.mark.parametrize(
    "change",
    [
        {"format": "concento-node-key-9"},
        {"seed": "00"},
        {"seed": "zz" * 32},
        {"seed": None},
        {"key": "00" * 32},
    ],
)
def test_a_key_file_that_was_changed_is_refused(tmp_path: Path, change: dict[str, str | None]) -> None:
    path = tmp_path / "node.key"
    write_key(path, SEED)
    document = {**json.loads(path.read_text()), **change}
    write_private(path, json.dumps(document).encode())
    with pytest.raises(Rejected) as caught:
        read_key(path)
    assert caught.value.kind == "node.key_invalid"
    assert SEED.hex() not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"seed": 1}'])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    write_private(tmp_path / "node.key", text.encode())
    with pytest.raises(Rejected) as caught:
        read_key(tmp_path / "node.key")
    assert caught.value.kind == "node.key_invalid"
