"""Transactions in files: built with a node, signed without one, handed in by anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli import exits
from concento.accounts import address
from concento.development import development_account
from concento.keys import public_key
from support.fake_node import FakeNode
from support.ledger import seed_of
from support.livechain import LiveChain

PAY = ("wallet", "send", "bob", "5", "--memo", "for tea", "--from", "alice")
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pay.json"


def changed(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_a_payment_is_built_signed_without_a_node_and_handed_in(concento, chain: LiveChain, file: Path):
    before = chain.balance("bob")
    built = concento("tx", "build", str(file), *PAY)
    assert built.code == 0, built.err
    assert "alice, tconc1" in built.out
    assert "tokens.transfer" in built.out
    assert "amount_ubeat=5000000" in built.out
    assert "for tea" in built.out
    assert "Nobody has signed it." in built.out
    assert chain.balance("bob") == before

    signed = concento("tx", "sign", str(file), "--yes", "--url", NOWHERE)
    assert signed.code == 0, signed.err
    assert "amount_ubeat=5000000" in signed.err
    assert f"bob ({address(development_account('bob'), True)})" in signed.err.replace("to=", "")
    assert "signed by alice; 1 signature in it" in signed.out

    sent = concento("tx", "send", str(file), "--json")
    assert sent.code == 0, sent.err
    assert sent.document["status"] == "final"
    assert sent.document["memo"] == "for tea"
    assert chain.balance("bob") - before == 5_000_000
    assert concento("tx", "decode", str(file), "--json", "--url", NOWHERE).document["tx"] == sent.document["tx"]
    assert "This is a transaction to be signed or handed in." in concento("explain", str(file)).out


def test_actions_written_as_json_go_the_same_way_with_names_for_accounts(
    concento, chain: LiveChain, file: Path, tmp_path: Path
):
    actions = tmp_path / "actions.json"
    pay = {"kind": "tokens.transfer", "to": "bob", "amount_ubeat": "7"}
    actions.write_text(json.dumps([pay, {**pay, "to": address(development_account("carol"), True)}]))
    before = {name: chain.balance(name) for name in ("bob", "carol")}
    built = concento("tx", "build", "--action", str(actions), "--memo", "two", "--from", "alice", "--json", str(file))
    assert built.code == 0, built.err
    assert len(built.document["actions"]) == 2
    assert (built.document["memo"], built.document["signers"]) == ("two", [])
    assert concento("tx", "sign", str(file), "--yes").code == 0
    assert concento("tx", "send", str(file)).code == 0
    assert {name: chain.balance(name) - before[name] for name in before} == {"bob": 7, "carol": 7}


def test_hex_of_a_transaction_and_of_its_body_are_decoded_without_a_node(concento, chain: LiveChain, file: Path):
    concento("tx", "build", str(file), *PAY)
    body = json.loads(file.read_text())["body"]
    shown = concento("tx", "decode", body, "--url", NOWHERE)
    assert shown.code == 0
    assert "Nobody has signed it." in shown.out
    concento("tx", "sign", str(file), "--yes")
    sent = concento("tx", "send", str(file), "--json").document
    raw = chain.node.body(sent["height"], sent["index"])
    assert raw is not None
    found = concento("tx", "decode", raw.hex(), "--json", "--url", NOWHERE).document
    assert found["tx"] == sent["tx"]
    assert found["signers"] == [public_key(seed_of("alice")).hex()]


def test_the_highest_fee_covers_the_fee_and_the_expiry_is_as_asked(concento, chain: LiveChain, file: Path):
    built = concento("tx", "build", "--valid", "30", str(file), *PAY, "--json").document
    concento("tx", "sign", str(file), "--yes")
    sent = concento("tx", "send", str(file), "--json").document
    assert int(sent["fee_ubeat"]) <= int(built["max_fee_ubeat"])
    assert built["valid_until_ms"] - sent["time_ms"] <= 30_000
    assert concento("tx", "build", "--valid", "100000", str(file), *PAY, "--yes").code == exits.USAGE


def test_a_file_is_not_overwritten_unasked(concento, chain: LiveChain, file: Path):
    assert concento("tx", "build", str(file), *PAY).code == 0
    held = file.read_text()
    assert concento("tx", "build", str(file), *PAY).code == exits.USAGE
    assert file.read_text() == held
    assert concento("tx", "build", str(file), *PAY, "--yes").code == 0
    assert file.read_text() != held


def test_nothing_is_signed_without_a_yes(concento, chain: LiveChain, file: Path):
    concento("tx", "build", str(file), *PAY)
    refused = concento("tx", "sign", str(file))
    assert refused.code == exits.USAGE
    assert "Sign this as alice?" in refused.err
    sent = concento("tx", "send", str(file))
    assert sent.code == exits.REFUSED
    assert "(tx.unsigned)" in sent.err
    assert "concento tx sign" in sent.err


def test_a_signature_that_the_senders_policy_does_not_ask_for_is_refused_before_anything_is_handed_in(
    concento, chain: LiveChain, file: Path
):
    concento("tx", "build", str(file), *PAY)
    signed = concento("tx", "sign", str(file), "--yes", "--from", "carol")
    assert signed.code == 0
    assert "carol is not its sender" in signed.err
    sent = concento("tx", "send", str(file))
    assert sent.code == exits.REJECTED or sent.code == exits.REFUSED
    assert "(tx.authority)" in sent.err


def test_the_same_file_is_not_executed_twice(concento, chain: LiveChain, file: Path):
    concento("tx", "build", str(file), *PAY)
    concento("tx", "sign", str(file), "--yes")
    assert concento("tx", "send", str(file)).code == 0
    again = concento("tx", "send", str(file))
    assert again.code == exits.REJECTED
    assert "(tx.duplicate)" in again.err


def test_what_could_have_no_effect_is_not_built(concento, node: FakeNode, file: Path):
    node.simulated_error = {"kind": "tokens.balance_low", "message": "the balance is too low"}
    built = concento("tx", "build", str(file), *PAY)
    assert built.code == exits.REJECTED
    assert "(tokens.balance_low)" in built.err
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "Say either a COMMAND"),
        (("--action", "x.json", "FILE", "wallet", "send"), "Say either a COMMAND"),
        (("FILE", "--action", "x.json"), "--action stands before FILE"),
        (("FILE", "testnet", "down"), "writes nothing to the chain"),
        (("FILE", "wallet", "balance", "bob"), "wallet balance writes nothing to the chain"),
        (("FILE", "wallet", "sned", "bob"), "There is no command"),
        (("FILE", "wallet", "send", "bob"), "Missing argument 'AMOUNT'"),
        (("--form", "FILE", "wallet", "send", "bob", "5"), "No such option"),
    ],
)
def test_a_build_that_cannot_be_understood_says_why(concento, node: FakeNode, file: Path, arguments, reason):
    named = [str(file) if argument == "FILE" else argument for argument in arguments or ("FILE",)]
    done = concento("tx", "build", *named, "--from", "alice") if "bob" in named else concento("tx", "build", *named)
    assert done.code == exits.USAGE
    assert reason in done.err
    assert not file.exists()
    assert node.called("tx_submit") == []


def test_options_may_stand_behind_the_file_of_an_action(concento, chain: LiveChain, file: Path, tmp_path: Path):
    actions = tmp_path / "actions.json"
    actions.write_text('{"kind": "tokens.transfer", "to": "bob", "amount_ubeat": "7"}')
    built = concento("tx", "build", "--action", str(actions), str(file), "--from", "alice", "--memo", "for tea")
    assert built.code == 0, built.err
    assert "for tea" in built.out
    wrong = concento("tx", "build", "--action", str(actions), str(file), "--form", "alice")
    assert wrong.code == exits.USAGE
    assert "No such option '--form'" in wrong.err
    assert "see: concento tx build --help" in wrong.err


def test_an_action_with_a_wrong_field_is_named(concento, node: FakeNode, file: Path, tmp_path: Path):
    actions = tmp_path / "actions.json"
    actions.write_text('{"kind": "tokens.transfer", "to": "bob", "amount": "7"}')
    built = concento("tx", "build", "--action", str(actions), "--from", "alice", str(file))
    assert built.code == exits.USAGE
    assert "amount" in built.err
    assert "(tx.field_invalid)" in built.err
    actions.write_text("{")
    assert "(json.invalid)" in concento("tx", "build", "--action", str(actions), "--from", "alice", str(file)).err


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"format": "another"}, "not of the format"),
        ({"more": 1}, "not of the format"),
        ({"dev": 1}, "dev is true or false"),
        ({"body": "00"}, "transaction"),
        ({"body": "xyz"}, "hex"),
        ({"body": 7}, "hex"),
        ({"genesis_hash": "00" * 32}, "another genesis"),
        ({"genesis_hash": "00"}, "another genesis"),
        ({"signatures": [{"key": "00" * 32}]}, "a key and a signature"),
        ({"signatures": [{"key": "aa" * 32, "signature": "00" * 64}]}, "does not verify"),
    ],
)
def test_a_file_that_was_changed_is_refused_with_the_reason(concento, node: FakeNode, file: Path, fields, reason):
    assert concento("tx", "build", str(file), *PAY).code == 0
    changed(file, **fields)
    for command in (("sign", "--yes"), ("send",), ("decode",)):
        done = concento("tx", *command, str(file))
        assert done.code == exits.USAGE
        assert reason in done.err
        assert "(tx.file_invalid)" in done.err
    assert node.called("tx_submit") == []


def test_a_signature_of_another_body_is_found_out(concento, chain: LiveChain, file: Path):
    concento("tx", "build", str(file), *PAY)
    concento("tx", "sign", str(file), "--yes")
    signatures = json.loads(file.read_text())["signatures"]
    concento("tx", "build", str(file), "wallet", "send", "bob", "5000", "--from", "alice", "--yes")
    changed(file, signatures=signatures)
    assert "does not verify" in concento("tx", "send", str(file)).err


def test_a_file_that_is_not_there_and_bytes_that_are_no_transaction_are_refused(
    concento, node: FakeNode, tmp_path: Path
):
    assert concento("tx", "sign", str(tmp_path / "none.json")).code == exits.LOCAL
    assert concento("tx", "decode", str(tmp_path / "none.json")).code == exits.LOCAL
    for text in ("", "00", "ab" * 1_000):
        assert concento("tx", "decode", text).code in (exits.USAGE, exits.LOCAL)


def test_a_key_that_is_not_here_signs_nothing(concento, node: FakeNode, file: Path):
    assert concento("tx", "build", str(file), *PAY).code == 0
    missing = concento("tx", "sign", str(file), "--yes", "--from", "nobody")
    assert missing.code == exits.NOT_FOUND
    assert json.loads(file.read_text())["signatures"] == []


def test_a_command_of_several_transactions_says_that_it_cannot_be_built(
    concento, node: FakeNode, file: Path, tmp_path: Path
):
    holders = tmp_path / "holders.csv"
    holders.write_text(f"holder,shares\n{address(development_account('bob'), True)},1\n")
    done = concento("tx", "build", str(file), "vault", "open", str(holders), "--title", "T", "--from", "alice")
    assert done.code == exits.USAGE
    assert "several transactions" in done.err


def test_an_account_of_two_keys_pays_when_both_have_signed_the_file(
    concento, chain: LiveChain, file: Path, tmp_path: Path
):
    keys = sorted(public_key(seed_of(name)).hex() for name in ("alice", "carol"))
    rotate = tmp_path / "rotate.json"
    rotate.write_text(json.dumps({"kind": "identity.rotate_keys", "policy": {"threshold": 2, "keys": keys}}))
    concento("tx", "build", "--action", str(rotate), "--from", "alice", str(file))
    concento("tx", "sign", str(file), "--yes")
    assert concento("tx", "send", str(file)).code == 0

    before = chain.balance("bob")
    assert concento("tx", "build", str(file), *PAY, "--yes").code == 0
    assert concento("tx", "sign", str(file), "--yes").code == 0
    assert "(tx.authority)" in concento("tx", "send", str(file)).err
    both = concento("tx", "sign", str(file), "--yes", "--from", "carol")
    assert "2 signatures in it" in both.out
    assert concento("tx", "send", str(file)).code == 0
    assert chain.balance("bob") - before == 5_000_000
