"""Keys from words: BIP-39 seed and SLIP-10 Ed25519 derivation, every index hardened."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import pbkdf2_hmac, sha512
from typing import Final
from unicodedata import normalize

COIN_TYPE: Final = 0x42454154
"""The coin index of this network's paths, until one is registered: the letters BEAT."""

HARDENED: Final = 0x80000000


def seed_of_phrase(phrase: str, passphrase: str = "") -> bytes:
    """The 64-byte seed of a mnemonic phrase (BIP-39); does not check its words."""
    words = normalize("NFKD", " ".join(phrase.split())).encode()
    return pbkdf2_hmac("sha512", words, b"mnemonic" + normalize("NFKD", passphrase).encode(), 2048)


def derive(seed: bytes, path: Sequence[int]) -> bytes:
    """The 32-byte Ed25519 seed at a path of plain indices, each of which is hardened (SLIP-10)."""
    node = hmac.digest(b"ed25519 seed", seed, sha512)
    for index in path:
        message = b"\0" + node[:32] + (index | HARDENED).to_bytes(4, "big")
        node = hmac.digest(node[32:], message, sha512)
    return node[:32]


def account_path(account: int, index: int = 0) -> tuple[int, ...]:
    """m/44'/BEAT'/account'/0'/index'."""
    return 44, COIN_TYPE, account, 0, index
