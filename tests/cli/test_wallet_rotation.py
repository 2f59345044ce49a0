"""An account that changes its key by commands, on a chain that answers."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from concento.errors import Unavailable


@pytest.fixture
def eve(chain, concento, password_file, monkeypatch) -> str:
    """The address of a key with some money, beside the key that is to follow it."""
    monkeypatch.setenv("CONCENTO_PASSWORD_FILE", str(password_file))
    made = concento("wallet", "new", "eve", "--json").document
    assert concento("wallet", "new", "eve2").code == 0
    assert concento("wallet", "send", "eve", "100", "--from", "treasury").code == 0
    return made["address"]


def lose_power(*_: object) -> Path:
    raise Unavailable("tx.outcome_unknown", tx=bytes(32))


def test_an_account_takes_another_key_and_keeps_address_and_money(concento, home, eve):
    old = (home / "wallet" / "eve.json").read_text()
    done = concento("wallet", "rotate", "eve2", "--from", "eve", "--json")
    assert done.code == 0, done.err
    assert done.document["status"] == "final"
    assert done.document["address"] == eve
    kept = Path(done.document["kept"])
    assert kept.read_text() == old
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    assert concento("wallet", "show", "eve", "--json").document["address"] == eve
    policy = concento("wallet", "balance", "eve", "--json").document["policy"]
    assert policy == {"threshold": 1, "keys": [done.document["key"]]}
    sent = concento("wallet", "send", "bob", "1", "--from", "eve", "--json")
    assert sent.code == 0
    assert sent.document["sender"] == eve
    assert [
        item["name"] for item in concento("wallet", "list", "--json").document["items"] if item["kind"] == "key"
    ] == [
        "eve",
        "eve2",
    ]


def test_the_old_key_signs_for_nothing_any_more(concento, eve, tmp_path):
    out = tmp_path / "old.key"
    concento("wallet", "export", "eve", "--out", str(out))
    assert concento("wallet", "rotate", "eve2", "--from", "eve").code == 0
    assert concento("wallet", "import", "old", str(out)).code == 0
    refused = concento("wallet", "send", "bob", "1", "--from", "old", "--json")
    assert refused.code == 8
    assert refused.document["error"]["data"]["kind"] == "tx.authority"


def test_a_rotation_that_was_broken_off_goes_on_where_it_ended(concento, eve, home, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("concento.client.wallet.Wallet.replace", lose_power)
        assert concento("wallet", "rotate", "eve2", "--from", "eve").code == 7
    assert concento("wallet", "send", "bob", "1", "--from", "eve").code == 8
    again = concento("wallet", "rotate", "eve2", "--from", "eve", "--json")
    assert again.code == 0
    assert again.document["tx"] is None
    assert concento("wallet", "send", "bob", "1", "--from", "eve").code == 0


def test_a_key_changes_several_times_and_every_old_file_is_kept(concento, eve, home):
    concento("wallet", "new", "eve3")
    assert concento("wallet", "rotate", "eve2", "--from", "eve").code == 0
    assert concento("wallet", "rotate", "eve3", "--from", "eve").code == 0
    assert concento("wallet", "show", "eve", "--json").document["address"] == eve
    assert len(list((home / "wallet").glob("eve.json.before-*"))) == 2
    assert concento("wallet", "send", "bob", "1", "--from", "eve").code == 0


def test_the_file_of_a_rotated_key_says_for_whom_it_signs(concento, eve, tmp_path):
    concento("wallet", "rotate", "eve2", "--from", "eve")
    out = tmp_path / "eve.key"
    concento("wallet", "export", "eve", "--out", str(out))
    again = concento("wallet", "import", "elsewhere", str(out), "--json")
    assert again.document["address"] == eve
    assert concento("wallet", "send", "bob", "1", "--from", "elsewhere").code == 0


def test_the_words_of_the_new_key_restore_it_for_the_old_address(concento, eve, monkeypatch):
    made = concento("wallet", "new", "eve3", "--json").document
    concento("wallet", "rotate", "eve3", "--from", "eve")
    monkeypatch.setattr("sys.stdin", io.StringIO(made["phrase"] + "\n"))
    restored = concento("wallet", "import", "again", "--address", eve, "--json")
    assert restored.document["address"] == eve
    assert concento("wallet", "send", "bob", "1", "--from", "again").code == 0


def test_a_key_whose_password_is_not_known_is_not_rotated_to(concento, eve, home, tmp_path):
    other = tmp_path / "other"
    other.write_text("battery staple\n")
    concento("wallet", "new", "lost", "--password-file", str(other))
    before = (home / "wallet" / "eve.json").read_text()
    refused = concento("wallet", "rotate", "lost", "--from", "eve", "--json")
    assert refused.code == 8
    assert refused.document["error"]["data"]["kind"] == "wallet.password_wrong"
    assert (home / "wallet" / "eve.json").read_text() == before


def test_a_development_account_keeps_its_key(concento, eve):
    refused = concento("wallet", "rotate", "eve2", "--from", "alice", "--json")
    assert refused.code == 8
    assert refused.document["error"]["data"]["kind"] == "wallet.rotate_development"


def test_without_waiting_the_wallet_keeps_the_old_key_until_it_is_asked_again(concento, eve, chain, home):
    chain.node.holding = True
    before = (home / "wallet" / "eve.json").read_text()
    handed_in = concento("wallet", "rotate", "eve2", "--from", "eve", "--no-wait")
    assert handed_in.code == 0
    assert "run the same command again" in handed_in.err
    assert (home / "wallet" / "eve.json").read_text() == before


def test_a_key_is_not_rotated_to_itself(concento, eve):
    assert concento("wallet", "rotate", "eve", "--from", "eve").code == 2
