"""Streams, exit codes, errors: what holds for every command."""

from __future__ import annotations

import pytest

from cli import exits
from cli.app import NOUNS
from cli.main import run
from cli.printer import Table, display_width, plain_table, shown
from concento.errors import KINDS, UNAVAILABLE, Broken, Rejected, Unavailable
from support.canned import ASSET, WHO, Refusal
from support.fake_node import FakeNode

SEND = ("wallet", "send", "bob", "5", "--from", "alice")


def test_every_kind_of_error_has_an_exit_code_of_the_table():
    for kind in KINDS:
        assert exits.exit_of(Rejected(kind)) in exits.MEANINGS
    for kind in UNAVAILABLE:
        assert exits.exit_of(Unavailable(kind)) in (exits.UNREACHABLE, exits.UNKNOWN_OUTCOME)
    assert exits.exit_of(Broken("x")) == exits.BUG


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("amount.decimals", exits.USAGE),
        ("store.corrupt", exits.LOCAL),
        ("port.in_use", exits.LOCAL),
        ("offer.closed", exits.REJECTED),
        ("receipt.replayed", exits.REJECTED),
        ("asset.not_found", exits.NOT_FOUND),
        ("tx.pruned", exits.NOT_FOUND),
        ("identity.role_required", exits.REFUSED),
        ("wallet.password_wrong", exits.REFUSED),
        ("proof.invalid", exits.REFUSED),
    ],
)
def test_kind_tells_the_exit_code(kind, code):
    assert exits.exit_of(Rejected(kind)) == code


@pytest.mark.parametrize(
    ("fate", "kind", "code"),
    [
        ("failed", "tokens.balance_low", 5),
        ("skipped", "block.full", 5),
        ("expired", "tx.expired", 4),
    ],
)
def test_a_write_without_effect_says_so_and_exits_with_its_code(concento, node: FakeNode, fate, kind, code):
    node.fate, node.fate_error = fate, {"kind": kind, "message": "there is a reason"}
    text = concento(*SEND)
    assert text.code == code
    assert text.out == ""
    assert f"was {fate}" in text.err
    assert f"Error: there is a reason ({kind})" in text.err
    document = concento(*SEND, "--json")
    assert document.code == code
    assert document.document["status"] == fate
    assert document.document["error"]["kind"] == kind


def test_what_a_dry_run_refuses_is_not_handed_in_and_costs_nothing(concento, node: FakeNode):
    node.simulated_error = {"kind": "tokens.balance_low", "message": "balance 1 is less than the 2 ubeat needed"}
    refused = concento(*SEND, "--json")
    assert refused.code == 4
    assert refused.document["error"]["data"]["kind"] == "tokens.balance_low"
    assert node.submitted() == []


def test_missing_role_exits_8_with_the_command_that_helps(concento, node: FakeNode):
    node.simulated_error = {"kind": "identity.party_required", "message": "account is not an admitted party"}
    refused = concento(*SEND)
    assert refused.code == 8
    assert "Next:  ask an issuer for: concento identity admit WHO --role ROLE" in refused.err


def test_waiting_ends_at_the_timeout_with_code_7_and_the_next_command(concento, node: FakeNode):
    node.fate = "pending"
    unknown = concento(*SEND, "--timeout", "0", "--json")
    assert unknown.code == 7
    data = unknown.document["error"]["data"]
    (transaction,) = node.submitted()
    assert data["hint"] == f"ask again: concento tx wait {transaction.id.hex()}"
    assert data["retryable"] is True


def test_node_that_refuses_to_take_a_transaction_is_quoted_word_for_word(concento, node: FakeNode):
    def refuse(params):
        raise Refusal(-32003, "tx.duplicate", "it is in the chain already", hint="concento tx show", tx="ab" * 32)

    node.answers["tx_submit"] = refuse
    refused = concento(*SEND, "--json")
    assert refused.code == 4
    error = refused.document["error"]
    assert (error["code"], error["message"]) == (-32003, "it is in the chain already")
    assert set(error["data"]) == {"kind", "hint", "retryable", "field", "tx", "height", "numbers"}
    assert error["data"]["tx"] == "ab" * 32


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        (-32001, "asset.not_found", 6),
        (-32002, "node.syncing", 3),
        (-32003, "offer.closed", 4),
        (-32005, "node.busy", 4),
        (-32602, "rpc.param_invalid", 2),
        (-32603, "internal", 1),
    ],
)
def test_codes_of_a_nodes_answers(concento, node: FakeNode, code, kind, expected):
    def refuse(params):
        raise Refusal(code, kind)

    node.answers["asset_get"] = refuse
    assert concento("asset", "show", ASSET).code == expected


def test_unreachable_node_exits_3_and_names_the_command_that_starts_one(concento):
    dead = concento("node", "status", "--url", "http://127.0.0.1:1")
    assert dead.code == 3
    assert dead.out == ""
    assert "no node answers at http://127.0.0.1:1" in dead.err
    assert "Next:  start one with: concento testnet up" in dead.err


def test_next_node_of_the_list_answers_where_the_first_is_silent(concento, node: FakeNode):
    assert concento("node", "status", "--url", f"http://127.0.0.1:1,{node.url}", "--json").code == 0


def test_bug_is_one_line_without_a_traceback(concento, node: FakeNode):
    node.answers["node_getStatus"] = {"dev": True}
    broken = concento("node", "status")
    assert broken.code == 1
    assert broken.err.startswith("Error: this program has a bug: KeyError")
    assert "Traceback" not in broken.err
    assert len(broken.err.strip().splitlines()) == 2


def test_ctrl_c_exits_130(concento, node: FakeNode, monkeypatch):
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("concento.client.client.Client.call", interrupt)
    assert concento("node", "status").code == 130


def test_quiet_leaves_errors_and_data(concento, node: FakeNode):
    node.events = [{"lagged": True, "resume_from": "8"}, {"cursor": "9.0", "height": 9, "event": {}, "text": "on"}]
    assert concento("watch", "--count", "1", "--quiet").err == ""
    assert concento("asset", "show", "zz", "--quiet").err != ""


@pytest.mark.parametrize("place", range(3))
def test_global_options_stand_anywhere(concento, place):
    words = ["wallet", "balance", "alice"]
    words[place:place] = ["--json", "--timeout", "5"]
    answer = concento(*words)
    assert answer.code == 0
    assert answer.document["address"] == WHO["alice"]
    assert concento(*words).out == concento("wallet", "balance", "alice", "--json").out


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_every_noun_and_verb_has_help(noun, capsys):
    assert run([noun, "--help"]) == 0
    assert "Usage: concento" in capsys.readouterr().out


def test_version_is_the_packages(capsys):
    assert run(["--version"]) == 0
    assert run(["node", "--help"]) == 0
    assert capsys.readouterr().out.startswith("concento 0.1.0\n")


def test_plain_tables_are_aligned_and_have_no_trailing_spaces():
    table = Table(("NAME", "AMOUNT", "X"), [("a", "1.5", ""), ("bcd", "10.25", "y")], frozenset({"AMOUNT"}))
    assert plain_table(table) == ["NAME  AMOUNT  X", "a        1.5", "bcd    10.25  y"]


def test_columns_stay_aligned_with_wide_and_combining_characters():
    lines = plain_table(Table(("TITLE", "X"), [("夜のバス", "1"), ("Noe\u0308l", "2"), ("Depot", "3")]))
    assert {display_width(line) for line in lines} == {len("夜のバス") * 2 + 3}


def test_texts_of_strangers_cannot_steer_the_terminal(concento, node: FakeNode):
    assert shown("a\x1b[2Jb\u202ec\x9bd\ne") == "a\ufffd[2Jb\ufffdc\ufffdd\ne"
    node.answers["asset_get"] = lambda params: _refuse("\x1b]0;title\x07")
    refused = concento("asset", "show", ASSET)
    assert "\x1b" not in refused.err
    assert "\x07" not in refused.err


def _refuse(message: str) -> None:
    raise Refusal(-32003, "offer.closed", message, hint="\x1b[31m")


def test_the_bare_command_shows_its_help_and_exits_2(capsys):
    assert run([]) == exits.USAGE
    shown = capsys.readouterr().err
    assert shown.startswith("Usage: concento")
    assert "Error" not in shown
