from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from concento.accounts import parse_address
from concento.messages.tokens import Transfer
from support.canned import WHO
from support.fake_node import FakeNode


def test_new_key_shows_its_words_once_and_pays_with_its_password(concento, home, password_file, node):
    made = concento("wallet", "new", "eve", "--password-file", str(password_file), "--json")
    assert made.code == 0
    assert len(made.document["phrase"].split()) == 24
    assert made.document["address"].startswith("tconc1")
    assert made.document["kind"] == "key"
    file = Path(made.document["file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    shown = concento("wallet", "show", "eve", "--json")
    assert shown.document == {key: made.document[key] for key in ("name", "address", "kind", "file")}

    sent = concento("wallet", "send", "bob", "1", "--from", "eve", "--password-file", str(password_file), "--json")
    assert sent.code == 0
    assert sent.document["sender"] == made.document["address"]


def test_words_restore_the_same_key_under_another_name(concento, password_file, monkeypatch):
    made = concento("wallet", "new", "eve", "--password-file", str(password_file), "--json").document
    monkeypatch.setattr("sys.stdin", io.StringIO(made["phrase"] + "\n"))
    restored = concento("wallet", "import", "eve2", "--password-file", str(password_file), "--json").document
    assert restored["address"] == made["address"]


def test_exported_file_is_imported_with_its_password(concento, password_file, tmp_path):
    made = concento("wallet", "new", "eve", "--password-file", str(password_file), "--json").document
    out = tmp_path / "eve.key"
    assert concento("wallet", "export", "eve", "--out", str(out)).code == 0
    assert json.loads(concento("wallet", "export", "eve").out) == json.loads(out.read_text())
    again = concento("wallet", "import", "eve3", str(out), "--password-file", str(password_file), "--json")
    assert again.document["address"] == made["address"]


def test_wrong_password_is_told_apart_and_exits_8(concento, password_file, tmp_path):
    concento("wallet", "new", "eve", "--password-file", str(password_file))
    wrong = tmp_path / "wrong"
    wrong.write_text("battery staple\n")
    refused = concento("wallet", "send", "bob", "1", "--from", "eve", "--password-file", str(wrong), "--json")
    assert refused.code == 8
    assert refused.document["error"]["data"]["kind"] == "wallet.password_wrong"


def test_without_terminal_or_file_the_password_is_asked_for_in_words(concento, password_file):
    concento("wallet", "new", "eve", "--password-file", str(password_file))
    refused = concento("wallet", "send", "bob", "1", "--from", "eve")
    assert refused.code == 8
    assert "--password-file" in refused.err


def test_password_file_may_stand_in_the_environment(concento, password_file, monkeypatch):
    monkeypatch.setenv("CONCENTO_PASSWORD_FILE", str(password_file))
    assert concento("wallet", "new", "eve").code == 0
    assert concento("wallet", "send", "bob", "1", "--from", "eve").code == 0


def test_list_names_development_accounts_keys_and_contacts(concento, password_file):
    concento("wallet", "new", "eve", "--password-file", str(password_file))
    concento("wallet", "contact", "shop", WHO["carol"])
    items = concento("wallet", "list", "--json").document["items"]
    kinds = {item["name"]: item["kind"] for item in items}
    assert kinds["eve"] == "key"
    assert kinds["alice"] == "dev"
    assert kinds["shop"] == "contact"
    text = concento("wallet", "list").out
    assert text.splitlines()[0].split() == ["NAME", "ADDRESS", "KIND"]


def test_development_accounts_are_unknown_where_genesis_is_not_for_development(concento, node):
    node.answers["node_getStatus"] = {**node.answers["node_getStatus"], "dev": False}
    assert concento("wallet", "list", "--json").document["items"] == []
    refused = concento("wallet", "send", "bob", "1", "--from", "alice", "--json")
    assert refused.code == 8
    assert refused.document["error"]["data"]["kind"] == "wallet.dev_refused"


def test_balance_is_the_nodes_answer_as_json_and_a_sentence_as_text(concento, node):
    answer = concento("wallet", "balance", "alice", "--json")
    assert answer.code == 0
    assert answer.document["balance_ubeat"] == "10000000000"
    assert node.called("account_get")[-1] == {"who": WHO["alice"]}
    assert "alice has 10000.000000 BEAT at height 118." in concento("wallet", "balance", "alice").out


def test_send_signs_a_transfer_and_says_block_time_fee_and_next_command(concento, node: FakeNode):
    sent = concento("wallet", "send", "bob", "12.50", "--from", "alice", "--memo", "rent")
    assert sent.code == 0
    (transaction,) = node.submitted()
    assert transaction.body.actions == (Transfer(parse_address(WHO["bob"], dev=True), 12_500_000),)
    assert transaction.body.memo == "rent"
    assert "alice pays bob 12.500000 BEAT." in sent.out
    assert "Block 118, final in" in sent.out
    assert "Next: concento wallet balance bob" in sent.out
    assert sent.err == ""


def test_send_as_json_is_the_transaction_with_its_time_to_finality(concento):
    document = concento("--json", "wallet", "send", "bob", "5", "--from", "alice").document
    assert document["status"] == "final"
    assert isinstance(document["finality_ms"], int)


def test_fee_that_is_signed_leaves_a_margin_above_the_simulated_one(concento, node: FakeNode):
    concento("wallet", "send", "bob", "5", "--from", "alice")
    (transaction,) = node.submitted()
    assert transaction.body.max_fee_ubeat >= len(transaction.raw)


def test_no_wait_leaves_after_handing_in(concento, node: FakeNode):
    node.fate = "pending"
    sent = concento("wallet", "send", "bob", "5", "--from", "alice", "--no-wait")
    assert sent.code == 0
    assert "Handed in" in sent.out
    assert "concento tx wait" in sent.out
    assert node.called("tx_get") == []


def test_history_names_causes_and_the_next_page(concento):
    shown = concento("wallet", "history", "alice")
    assert "transfer" in shown.out
    assert "-5.000000" in shown.out
    assert "--cursor 117.0" in shown.out
    assert concento("wallet", "history", "alice", "--json").document["next"] == "117.0"


def test_only_key_of_the_wallet_acts_without_from(concento, password_file, node: FakeNode):
    concento("wallet", "new", "eve", "--password-file", str(password_file))
    assert concento("wallet", "send", "bob", "5", "--password-file", str(password_file)).code == 0
    assert concento("wallet", "new", "mallory", "--password-file", str(password_file)).code == 0
    assert concento("wallet", "send", "bob", "5", "--password-file", str(password_file)).code == 2


@pytest.mark.parametrize("name", ["Alice", "../eve", "", "contacts", "a" * 64])
def test_bad_names_are_refused_before_a_password_is_asked(concento, name):
    assert concento("wallet", "new", name).code == 2


def test_a_spoilt_key_file_hides_no_other_name(concento, home, password_file):
    for name in ("eve", "sam"):
        concento("wallet", "new", name, "--password-file", str(password_file))
    (home / "wallet" / "eve.json").write_text("garbage")
    listed = concento("wallet", "list")
    assert listed.code == 0
    named = [line.split()[0] for line in listed.out.splitlines()]
    assert ("sam" in named, "eve" in named) == (True, False)
    assert "eve.json is not a key file (wallet.file_foreign)" in listed.err
