"""Ed25519 as libsodium judges it: the one verifier of the network, and this project's only user of PyNaCl.

Other libraries accept signatures and keys that libsodium refuses (small-order points, non-canonical encodings);
a network that mixed them could fork. So every signature that consensus depends on passes through this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

from concento.encoding import Bytes32, Bytes64
from concento.errors import Rejected

PublicKey = Bytes32
Signature = Bytes64
Check: TypeAlias = tuple[bytes, bytes, bytes]
"""One signature to check: (public key, message, signature)."""

SEED_BYTES = 32


def public_key(seed: bytes) -> bytes:
    """The public key of a 32-byte secret seed (RFC 8032)."""
    key: bytes = bindings.crypto_sign_seed_keypair(seed)[0]
    return key


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature of `message`; the same input gives the same bytes (RFC 8032)."""
    signed: bytes = bindings.crypto_sign(message, _secret(seed))
    return signed[:64]


@lru_cache(maxsize=256)
def _secret(seed: bytes) -> bytes:
    """The seed as libsodium signs with it, its public key behind it: deriving that costs as much as signing."""
    secret: bytes = bindings.crypto_sign_seed_keypair(seed)[1]
    return secret


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether libsodium accepts the signature; False for anything malformed."""
    if len(key) != 32 or len(signature) != 64:
        return False
    try:
        bindings.crypto_sign_open(signature + message, key)
    except (BadSignatureError, CryptoError, ValueError):
        return False
    return True


def verify_many(checks: Sequence[Check]) -> list[bool]:
    """The verdict on each check, in order. Releases the interpreter lock inside each one."""
    return [verify(key, message, signature) for key, message, signature in checks]


def check_public_key(key: bytes) -> None:
    """Raises Rejected unless `key` is a canonical point of the prime-order group."""
    if len(key) != 32 or not bindings.crypto_core_ed25519_is_valid_point(key):
        raise Rejected("key.invalid", key=key)
