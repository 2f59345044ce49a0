"""One verifier, one verdict table: a change of library or version that would fork the network fails here."""

import json
from pathlib import Path

import pytest

from concento.errors import Rejected
from concento.keys import check_public_key, public_key, sign, verify, verify_many

VECTORS = Path(__file__).parents[1] / "vectors"
SPECCHECK = json.loads((VECTORS / "ed25519-speccheck.json").read_text())
WYCHEPROOF = json.loads((VECTORS / "wycheproof-ed25519.json").read_text())
ZIP_215 = json.loads((VECTORS / "zip215.json").read_text())

IDENTITY = bytes([1]) + bytes(31)
ORDER_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa")
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def test_rfc_8032_signatures_are_made_and_accepted_exactly() -> None:
    lines = (VECTORS / "rfc8032-sign.input").read_text().splitlines()
    assert len(lines) == 128
    for line in lines:
        secret, key, message, signed = (bytes.fromhex(part) for part in line.split(":")[:4])
        assert public_key(secret[:32]) == key
        assert sign(secret[:32], message) == signed[:64]
        assert verify(key, message, signed[:64])


def test_the_speccheck_verdicts_are_those_of_libsodium() -> None:
    verdicts = [
        verify(bytes.fromhex(case["pub_key"]), bytes.fromhex(case["message"]), bytes.fromhex(case["signature"]))
        for case in SPECCHECK
    ]
    assert verdicts == [number == 3 for number in range(12)]


def test_every_wycheproof_verdict_is_given() -> None:
    wrong, counted = [], {"valid": 0, "invalid": 0}
    for number, key, message, signature, result, comment, _flags in WYCHEPROOF:
        counted[result] += 1
        if verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)) != (result == "valid"):
            wrong.append((number, comment))
    assert wrong == []
    assert counted == {"valid": 88, "invalid": 63}


def test_none_of_the_odd_signatures_that_zip_215_accepts_is_accepted_here() -> None:
    """Points of small order in every spelling: a library that takes one would part from the others on it."""
    assert len(ZIP_215) == 196
    assert not any(verify_many([(bytes.fromhex(key), b"Zcash", bytes.fromhex(signed)) for key, signed in ZIP_215]))


@pytest.mark.parametrize(
    "key",
    [
        IDENTITY,
        bytes(32),
        ORDER_8,
        b"\xff" * 32,
        (2**255 - 18).to_bytes(32, "little"),
        bytes.fromhex("f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43"),
        b"",
        b"short",
        bytes(33),
    ],
    ids=["identity", "zero", "order-8", "not-a-point", "not-canonical", "mixed-order", "empty", "short", "long"],
)
def test_keys_that_are_not_of_the_prime_order_group_are_refused(key: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        check_public_key(key)
    assert refused.value.kind == "key.invalid"


def test_an_ordinary_key_is_accepted() -> None:
    check_public_key(public_key(b"\x07" * 32))


def test_the_identity_key_signs_nothing() -> None:
    assert not verify(IDENTITY, b"any message", IDENTITY + bytes(32))


def test_a_signature_shifted_by_the_group_order_is_refused() -> None:
    key, signature = public_key(b"\x07" * 32), sign(b"\x07" * 32, b"m")
    shifted = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    assert verify(key, b"m", signature)
    assert not verify(key, b"m", signature[:32] + shifted.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_signatures_of_another_length_are_refused_without_an_error(length: int) -> None:
    assert not verify(public_key(b"\x07" * 32), b"m", bytes(length))


def test_many_checks_keep_their_order() -> None:
    key = public_key(b"\x01" * 32)
    good, bad = sign(b"\x01" * 32, b"a"), sign(b"\x01" * 32, b"b")
    assert verify_many([(key, b"a", good), (key, b"a", bad), (key, b"b", bad)]) == [True, False, True]
