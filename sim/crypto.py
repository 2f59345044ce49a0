"""The keys of simulated nodes and clients: real Ed25519, or a keyed hash that is a hundred times cheaper.

Both give the same bytes for the same message. A stub signature proves nothing, which is no matter here: simulated liars
sign with their own keys only, and everything that checks a signature checks it through the same seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol

from concento.encoding import encode
from concento.hashing import Network, signing_bytes
from concento.keys import Check, public_key, sign, verify
from concento.transactions import Body, Signed, Transaction, decode_transaction


class Key(Protocol):
    """A secret seed, its public key, and the `Crypto` seam of the replica."""

    @property
    def seed(self) -> bytes: ...

    @property
    def public(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    seed: bytes
    public: bytes

    def sign(self, message: bytes) -> bytes:
        return sign(self.seed, message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return verify(key, message, signature)


@dataclass(frozen=True, slots=True)
class StubKey:
    seed: bytes
    public: bytes

    def sign(self, message: bytes) -> bytes:
        return stub_signature(self.public, message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return signature == stub_signature(key, message)


def stub_signature(key: bytes, message: bytes) -> bytes:
    return blake2b(message, key=key, digest_size=64).digest()


@dataclass(frozen=True, slots=True)
class Signing:
    """One way to sign, for nodes and clients alike."""

    name: str
    make: Callable[[bytes, bytes], Key]

    def key(self, seed: bytes) -> Key:
        return self.make(seed, public_key(seed))

    def verdicts(self, checks: Iterable[Check]) -> tuple[bool, ...]:
        """What the threads of a real node answer to these checks."""
        judge = self.make(b"", b"").verify
        return tuple(judge(*check) for check in checks)

    def transaction(self, network: Network, body: Body, seeds: Iterable[bytes]) -> Transaction:
        """The transaction with one signature per seed."""
        body_bytes = encode(body)
        message = signing_bytes(network, "transaction", body_bytes)
        pairs = sorted((key.public, key.sign(message)) for key in map(self.key, seeds))
        return decode_transaction(encode(Signed(body_bytes, tuple(pairs))))


ED25519: Final = Signing("ed25519", Ed25519Key)
STUB: Final = Signing("stub", StubKey)
