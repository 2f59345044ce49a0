"""Key files and names: what is kept, who may read it, and how each kind of damage is told apart."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from concento.accounts import account_of_key, address
from concento.client import keyfile
from concento.client.wallet import Wallet, check_phrase, entry_document
from concento.derivation import account_path, derive, seed_of_phrase
from concento.errors import Rejected
from concento.keys import public_key, sign, verify

SCRYPT_N = 2**12
PASSWORD = "correct horse"

BIP39_PHRASE = "abandon " * 23 + "art"
"""The first of the English test vectors with 256 bits of entropy (all zeros)."""


@pytest.fixture
def wallet(tmp_path: Path) -> Wallet:
    return Wallet(tmp_path, SCRYPT_N)


def refusal(act: Callable[[], Any]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        act()
    return caught.value


def the_password(name: str) -> str:
    return PASSWORD


def test_new_key_signs_under_its_name(wallet):
    entry, phrase = wallet.new("eve", PASSWORD)
    signer = wallet.signer("eve", False, the_password)
    assert signer.account == entry.account
    (seed,) = signer.seeds
    assert verify(public_key(seed), b"message", sign(seed, b"message"))
    assert len(phrase.split()) == 24
    assert check_phrase(phrase) == phrase


def test_two_new_keys_differ(wallet):
    assert wallet.new("eve", PASSWORD)[0].account != wallet.new("ivy", PASSWORD)[0].account


def test_phrase_derives_by_bip39_and_slip10_at_the_path_in_the_file(wallet):
    wallet.restore("eve", BIP39_PHRASE, PASSWORD)
    entropy_seed = seed_of_phrase(BIP39_PHRASE)
    assert entropy_seed.hex().startswith("408b285c123836004f4b8842c89324c1f01382450c0d439af345ba7fc49acf70")
    seed = derive(entropy_seed, account_path(0))
    assert wallet.signer("eve", False, the_password).seeds == (seed,)
    document = json.loads(wallet.export("eve"))
    assert document["path"] == "m/44'/1111834964'/0'/0'/0'"
    assert document["pubkey"] == public_key(seed).hex()


def test_words_may_be_typed_in_any_case_and_spacing(wallet):
    first = wallet.restore("eve", BIP39_PHRASE, PASSWORD)
    second = wallet.restore("ivy", "  " + BIP39_PHRASE.upper().replace(" ", "\n "), PASSWORD)
    assert first.account == second.account


@pytest.mark.parametrize(
    ("phrase", "reason"),
    [
        ("abandon " * 24, "checksum"),
        ("abandon " * 22 + "art", "23 words"),
        ("abandon " * 23 + "artt", "'artt'"),
        ("", "0 words"),
    ],
)
def test_wrong_words_are_refused_with_what_is_wrong(wallet, phrase, reason):
    error = refusal(lambda: wallet.restore("eve", phrase, PASSWORD))
    assert error.kind == "wallet.phrase_invalid"
    assert reason in error.message
    assert wallet.key_names() == []


def test_file_has_the_shape_of_eip_2335_and_says_nothing_of_the_secret(wallet):
    wallet.restore("eve", BIP39_PHRASE, PASSWORD)
    text = wallet.export("eve")
    document = json.loads(text)
    assert set(document) == {"crypto", "description", "path", "pubkey", "uuid", "version"}
    assert document["version"] == 4
    assert set(document["crypto"]) == {"kdf", "checksum", "cipher"}
    assert document["crypto"]["kdf"]["function"] == "scrypt"
    assert document["crypto"]["cipher"]["function"] == "chacha20-poly1305"
    seed = derive(seed_of_phrase(BIP39_PHRASE), account_path(0))
    assert seed.hex() not in text


def test_same_secret_and_password_never_give_the_same_file(wallet):
    wallet.restore("eve", BIP39_PHRASE, PASSWORD)
    wallet.restore("ivy", BIP39_PHRASE, PASSWORD)
    first, second = (json.loads(wallet.export(name))["crypto"] for name in ("eve", "ivy"))
    assert first["cipher"] != second["cipher"]
    assert first["kdf"]["params"]["salt"] != second["kdf"]["params"]["salt"]


def test_only_the_owner_can_read_files_and_folder(wallet):
    wallet.new("eve", PASSWORD)
    assert stat.S_IMODE((wallet.folder / "eve.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(wallet.folder.stat().st_mode) == 0o700
    assert [path.name for path in wallet.folder.iterdir()] == ["eve.json"]


def test_default_cost_is_that_of_eip_2335():
    assert keyfile.SCRYPT_N == 2**18


def test_wrong_password_is_no_damage(wallet):
    wallet.new("eve", PASSWORD)
    assert refusal(lambda: wallet.signer("eve", False, lambda name: "battery")).kind == "wallet.password_wrong"


def test_password_is_normalised_and_stripped_of_control_characters(wallet):
    """As EIP-2335 has it: its example password, typed in another normal form and with a stray DEL."""
    assert keyfile.password_bytes("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑").hex() == "7465737470617373776f7264f09f9491"
    wallet.new("eve", "café\x7f")
    assert wallet.signer("eve", False, lambda name: "cafe\u0301").name == "eve"


@pytest.mark.parametrize("password", ["", "\x7f\x00\x85"])
def test_password_of_nothing_is_refused(wallet, password):
    assert refusal(lambda: wallet.new("eve", password)).kind == "wallet.password_empty"
    assert wallet.key_names() == []


def damaged(wallet: Wallet, change: Callable[[dict[str, Any]], None]) -> Rejected:
    """What a key file says after a change to its document."""
    wallet.new("eve", PASSWORD)
    path = wallet.folder / "eve.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return refusal(lambda: wallet.signer("eve", False, the_password))


def test_every_changed_hex_digit_is_found_without_the_password(wallet):
    wallet.new("eve", PASSWORD)
    path = wallet.folder / "eve.json"
    text = path.read_text()
    places = [
        at
        for at, character in enumerate(text)
        if character in "0123456789abcdef" and text[at - 1] in "0123456789abcdef"
    ]
    asked = []
    for at in places[::7]:
        path.write_text(text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :])
        error = refusal(lambda: wallet.signer("eve", False, lambda name: asked.append(name) or PASSWORD))
        assert error.kind in ("wallet.file_damaged", "wallet.file_version"), (at, error)
    assert asked == []


@pytest.mark.parametrize("kept", [0, 1, 60, -3])
def test_cut_file_is_called_cut(wallet, kept):
    wallet.new("eve", PASSWORD)
    path = wallet.folder / "eve.json"
    path.write_text(path.read_text()[:kept])
    assert refusal(lambda: wallet.signer("eve", False, the_password)).kind == "wallet.file_cut"


def test_other_version_is_called_so_before_its_fields_are_judged(wallet):
    error = damaged(wallet, lambda document: document.update(version=5, pubkey=None))
    assert (error.kind, error.numbers["found"]) == ("wallet.file_version", "5")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n", b"[]", b'"text"', b'{"a": 1}'])
def test_file_of_another_kind_is_called_foreign(wallet, tmp_path, content):
    other = tmp_path / "other.json"
    other.write_bytes(content)
    assert refusal(lambda: wallet.adopt("eve", other, the_password)).kind == "wallet.file_foreign"


def _resealed(document: dict[str, Any]) -> None:
    """Give a changed document a checksum that fits, as somebody who meant the change would."""
    crypto = {**document["crypto"], "checksum": {"function": "sha256", "params": {}, "message": ""}}
    text = json.dumps({**document, "crypto": crypto}, separators=(",", ":"), sort_keys=True)
    document["crypto"]["checksum"]["message"] = sha256(text.encode()).hexdigest()


def test_public_key_of_somebody_else_is_not_taken_even_with_a_fitting_checksum(wallet):
    def change(document: dict[str, Any]) -> None:
        document["pubkey"] = public_key(bytes(32)).hex()
        _resealed(document)

    assert damaged(wallet, change).kind == "wallet.password_wrong"


@pytest.mark.parametrize("params", [{"n": 2**22}, {"n": 2**12 + 2}, {"n": 2**20, "r": 32}, {"p": 0}, {"dklen": 16}])
def test_file_cannot_make_us_spend_memory_or_crash(wallet, params):
    def change(document: dict[str, Any]) -> None:
        document["crypto"]["kdf"]["params"].update(params)
        _resealed(document)

    assert damaged(wallet, change).kind == "wallet.file_damaged"


def test_export_and_adoption_keep_the_account(wallet, tmp_path):
    entry, _ = wallet.new("eve", PASSWORD)
    out = tmp_path / "eve.key"
    out.write_text(wallet.export("eve"))
    assert wallet.adopt("ivy", out, the_password).account == entry.account
    assert refusal(lambda: wallet.adopt("mia", out, lambda name: "battery")).kind == "wallet.password_wrong"
    assert wallet.key_names() == ["eve", "ivy"]


def test_no_key_is_ever_overwritten(wallet):
    entry, _ = wallet.new("eve", PASSWORD)
    wallet.add_contact("shop", address(entry.account, dev=False), dev=False)
    for name in ("eve", "shop"):
        assert refusal(lambda name=name: wallet.new(name, PASSWORD)).kind == "wallet.name_taken"
    assert (
        refusal(lambda: wallet.add_contact("eve", address(bytes(32), dev=False), dev=False)).kind == "wallet.name_taken"
    )


@pytest.mark.parametrize("name", ["", "Eve", "../eve", "eve/..", ".eve", "contacts", "a" * 64, "évé"])
def test_names_are_safe_file_names(wallet, name):
    assert refusal(lambda: wallet.new(name, PASSWORD)).kind == "wallet.name_invalid"
    assert not wallet.folder.exists()


def test_failed_write_leaves_neither_key_nor_scrap(wallet, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert refusal(lambda: wallet.new("eve", PASSWORD)).kind == "file.unwritable"
    assert list(wallet.folder.iterdir()) == []


def test_key_file_goes_before_the_development_account_of_its_name(wallet):
    development = wallet.find("alice", dev=True)
    assert development is not None
    assert development.kind == "dev"
    entry, _ = wallet.new("alice", PASSWORD)
    assert wallet.find("alice", dev=True) == entry
    assert wallet.signer("alice", True, the_password).account == entry.account != development.account
    assert [found.kind for found in wallet.entries(dev=True) if found.name == "alice"] == ["key"]


def test_development_accounts_sign_without_password_and_only_on_development_networks(wallet):
    signer = wallet.signer("bob", True, lambda name: pytest.fail("no password is needed"))
    assert signer.account == account_of_key(public_key(signer.seeds[0]))
    assert refusal(lambda: wallet.signer("bob", False, the_password)).kind == "wallet.dev_refused"
    assert wallet.find("bob", dev=False) is None


def test_unknown_name_says_how_to_make_it(wallet):
    error = refusal(lambda: wallet.signer("nobody", True, the_password))
    assert error.kind == "wallet.key_not_found"
    assert "concento wallet new nobody" in str(error.hint)


def test_contacts_belong_to_a_kind_of_network(wallet):
    wallet.add_contact("shop", address(bytes(32), dev=True), dev=True)
    assert [entry.name for entry in wallet.entries(dev=False)] == []
    found = wallet.find("shop", dev=True)
    assert found is not None
    assert entry_document(found, dev=True) == {
        "name": "shop",
        "address": address(bytes(32), dev=True),
        "kind": "contact",
        "file": None,
    }
    assert (
        refusal(lambda: wallet.add_contact("shop", address(bytes(32), dev=True), dev=False)).kind == "address.network"
    )


def test_damaged_address_book_is_named_and_nothing_is_lost(wallet):
    wallet.new("eve", PASSWORD)
    (wallet.folder / "contacts.json").write_text("[1")
    assert refusal(lambda: wallet.entries(dev=False)).kind == "wallet.contacts_damaged"
    assert wallet.signer("eve", False, the_password).name == "eve"
