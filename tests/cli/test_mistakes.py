"""What people do wrong: each mistake gives its exit code, one error object, a sentence, and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from concento.accounts import address
from support.canned import ASSET, LICENCE, WHO
from support.fake_node import FakeNode

BUY = ("licence", "buy", ASSET, "--purpose", "train-generative", "--max-price", "40")
ADD = ("asset", "add", "{folder}", "--title", "T", "--split", "alice=100", "--allow", "analysis", "--from", "alice")
BROKEN_ADDRESS = WHO["alice"][:-1] + "q"
OTHER_NETWORK = "conc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj2jqn"

MISTAKES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "a noun that does not exist": (("walet", "list"), 2, "usage.invalid"),
    "a verb that does not exist": (("wallet", "lisst"), 2, "usage.invalid"),
    "an option that does not exist": (("wallet", "list", "--jsom"), 2, "usage.invalid"),
    "an argument too few": (("wallet", "send", "bob"), 2, "usage.invalid"),
    "an argument too many": (("wallet", "send", "bob", "1", "2", "--from", "alice"), 2, "usage.invalid"),
    "nobody acts": (("wallet", "send", "bob", "1"), 2, "usage.invalid"),
    "somebody unknown acts": (("wallet", "send", "bob", "1", "--from", "alicce"), 6, "wallet.key_not_found"),
    "a name for a file outside": (("wallet", "send", "bob", "1", "--from", "../x"), 2, "wallet.name_invalid"),
    "an amount in words": (("wallet", "send", "bob", "ten", "--from", "alice"), 2, "amount.malformed"),
    "an amount below zero": (("wallet", "send", "bob", "--from", "alice", "--", "-5"), 2, "amount.malformed"),
    "seven decimals": (("wallet", "send", "bob", "1.0000001", "--from", "alice"), 2, "amount.decimals"),
    "more than there can be": (("wallet", "send", "bob", "9999999999999", "--from", "alice"), 2, "amount.range"),
    "a typo in an address": (("wallet", "send", BROKEN_ADDRESS, "1", "--from", "alice"), 2, "address.checksum"),
    "a name that nobody has": (("wallet", "send", "bobb", "1", "--from", "alice"), 6, "account.not_found"),
    "the balance of nobody": (("wallet", "balance", "alicce"), 6, "account.not_found"),
    "a timeout in words": (("node", "status", "--timeout", "soon"), 2, "usage.invalid"),
    "an URL that is none": (("node", "status", "--url", "localhost"), 2, "url.malformed"),
    "no node there": (("node", "status", "--url", "http://127.0.0.1:1"), 3, "node.unreachable"),
    "an id that is no id": (("asset", "show", "nightbus"), 2, "id.malformed"),
    "an id in capitals": (("asset", "show", ASSET.upper()), 2, "id.malformed"),
    "an id too short": (("asset", "show", "a5a5a5a"), 2, "id.malformed"),
    "an asset that does not exist": (("asset", "show", "0" * 64), 6, "asset.not_found"),
    "a licence that does not exist": (("licence", "show", "0" * 64), 6, "licence.not_found"),
    "a name for an id that was never given": (("asset", "show", "@nightbus"), 6, "label.not_found"),
    "a purpose with a typo": ((*BUY[:4], "train-generativ", *BUY[5:], "--from", "bob"), 2, "terms.unknown_purpose"),
    "a purpose that is not offered": (
        (*BUY[:4], "redistribute", *BUY[5:], "--from", "bob"),
        8,
        "licence.wrong_purpose",
    ),
    "a price above the maximum": ((*BUY[:6], "39", "--from", "bob"), 4, "licence.price_above_max"),
    "an offer of another asset": ((*BUY, "--offer", "0" * 64, "--from", "bob"), 6, "offer.not_found"),
    "an offer without a price": (
        ("licence", "offer", ASSET, "--allow", "analysis", "--from", "alice"),
        2,
        "usage.invalid",
    ),
    "an offer that permits nothing": (
        ("licence", "offer", ASSET, "--price", "1", "--from", "alice"),
        2,
        "usage.invalid",
    ),
    "a purpose both allowed and denied": (
        ("licence", "offer", ASSET, "--allow", "analysis", "--deny", "analysis", "--price", "1", "--from", "alice"),
        2,
        "usage.invalid",
    ),
    "revoking without a word": (("licence", "revoke", LICENCE, "--cause", "x", "--from", "alice"), 2, "usage.invalid"),
    "a role that does not exist": (
        ("identity", "admit", "bob", "--role", "king", "--from", "issuer"),
        2,
        "usage.invalid",
    ),
    "a folder that does not exist": ((*ADD[:2], "{folder}/none", *ADD[3:]), 6, "dataset.no_folder"),
    "a folder without audio": (ADD, 9, "dataset.no_audio"),
    "a split of 99 %": ((*ADD[:6], "alice=69,bea=30", *ADD[7:]), 2, "split.sum"),
    "a split of letters": ((*ADD[:6], "alice=x", *ADD[7:]), 2, "split.malformed"),
    "a split without a number": ((*ADD[:6], "alice", *ADD[7:]), 2, "split.malformed"),
    "a split with a share of nothing": ((*ADD[:6], "alice=100,bea=0", *ADD[7:]), 2, "split.nothing"),
    "a split with a name twice": ((*ADD[:6], "alice=50,alice=50", *ADD[7:]), 2, "split.repeated"),
    "layers that do not sum": ((*ADD, "--layers", "work=50,recording=60"), 2, "split.layers_malformed"),
    "layers of one": ((*ADD, "--layers", "work=100,recording=0"), 2, "split.layers"),
    "two prices for use": ((*ADD, "--per-access", "1", "--per-second", "1"), 2, "usage.invalid"),
    "a statement that is not there": (("earnings", "verify", "{folder}/none"), 9, "file.unreadable"),
    "a statement that is no JSON": (("earnings", "verify", "{folder}/scrap"), 2, "json.invalid"),
    "a proof without a genesis": (("proof", "verify", "{folder}/empty.json"), 9, "genesis.missing"),
    "a proof of nothing": (("proof", "verify", "{folder}/empty.json", "--genesis", "genesis.json"), 8, "proof.invalid"),
    "a genesis that is none": (
        ("proof", "verify", "{folder}/empty.json", "--genesis", "{folder}/empty.json"),
        9,
        "genesis.invalid",
    ),
    "a password file that is not there": (
        ("wallet", "new", "eve", "--password-file", "{folder}/none"),
        9,
        "file.unreadable",
    ),
    "a password file with nothing in it": (
        ("wallet", "new", "eve", "--password-file", "{folder}/blank"),
        8,
        "wallet.password_empty",
    ),
    "no password and no terminal": (("wallet", "new", "eve"), 8, "wallet.password_missing"),
    "a key file that is none": (("wallet", "import", "eve", "{folder}/scrap"), 8, "wallet.file_foreign"),
    "a method that does not exist": (("rpc", "asset_gett", "id=1"), 2, "rpc.method_unknown"),
    "a parameter without a value": (("rpc", "asset_get", "id"), 2, "usage.invalid"),
    "a parameter that is no JSON": (("rpc", "asset_get", "id:={"), 2, "usage.invalid"),
    "something that is nothing": (("explain", "?!"), 6, "explain.unknown"),
    "a transaction that never was": (("tx", "show", "0" * 64), 6, "tx.not_found"),
    "a node without a home": (("node", "run", "--node-home", "{folder}/none"), 9, "node.home_empty"),
    "a setting that does not exist": (
        ("node", "run", "--node-home", "{folder}", "--set", "colour=red"),
        9,
        "node.config_invalid",
    ),
    "a gateway that is down": (("gateway", "status", "--gateway", "http://127.0.0.1:1"), 3, "gateway.unreachable"),
    "a shell that is none": (("completion", "cmd"), 2, "usage.invalid"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "scrap").write_bytes(b"\x00\x01")
    (folder / "blank").write_bytes(b"\n")
    (folder / "empty.json").write_text("{}")
    (folder / "node.toml").write_text("")
    return folder


def test_table_is_long_enough_to_mean_something():
    assert len(MISTAKES) >= 40


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gives_its_code_its_kind_and_no_traceback(concento, node: FakeNode, folder: Path, mistake):
    words, code, kind = MISTAKES[mistake]
    words = tuple(word.replace("{folder}", str(folder)) for word in words)
    text = concento(*words)
    assert text.code == code, text
    assert text.out == ""
    assert text.err.startswith("Error: ")
    assert f"({kind})" in text.err
    assert "Traceback" not in text.err
    assert "<" not in text.err.replace("<asset>", "")

    as_json = concento("--json", *words)
    assert as_json.code == code
    document = json.loads(as_json.out)
    assert document["exit"] == code
    assert document["error"]["data"]["kind"] == kind
    assert set(document["error"]["data"]) == {"kind", "hint", "retryable", "field", "tx", "height", "numbers"}
    assert node.submitted() == []


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("walet", "list"), "wallet"),
        (("wallet", "lisst"), "list"),
        (("wallet", "list", "--jsom"), "--json"),
        (("wallet", "send", "bob", "1", "--from", "alicce"), "alice"),
        (("wallet", "send", "bobb", "1", "--from", "alice"), "bob"),
        (("wallet", "balance", "alicce"), "alice"),
        (("licence", "check", ASSET, "--purpose", "train-generativ", "--licensee", "bob"), "train-generative"),
        (("rpc", "asset_gett"), "asset_get"),
        (("explain", "licence.require"), "licence.required"),
    ],
)
def test_did_you_mean(concento, words, meant):
    refused = concento(*words)
    assert "id you mean" in refused.err
    assert meant in refused.err.partition("id you mean")[2]


def test_address_of_another_network_names_both(concento):
    refused = concento("wallet", "send", address(bytes(32), dev=False), "1", "--from", "alice")
    assert refused.code == 2
    assert "prefix conc, this one uses tconc" in refused.err


def test_peer_of_a_new_node_that_is_none_names_the_command_that_was_typed(concento, tmp_path: Path):
    genesis = Path(__file__).parents[2] / "genesis.json"
    home = tmp_path / "node"
    refused = concento("node", "init", "--node-home", str(home), "--genesis", str(genesis), "--peer", "alone")
    assert refused.code == 9
    assert "alone is not name@host:port" in refused.err
    assert "concento node init --help" in refused.err
    assert not home.exists()


def test_an_amount_with_a_minus_is_not_taken_for_an_option_in_silence(concento, node: FakeNode):
    text = concento("wallet", "send", "bob", "-5", "--from", "alice")
    assert (text.code, "an amount is greater than 0" in text.err) == (2, True)
