"""Who is at the other end: an Ed25519 handshake inside TLS, bound to the certificate of this very connection.

    dialer   -> Hello(protocol, chain, genesis, role, key, nonce)
    listener -> Hello(...)                              or Refusal(reason)
    dialer   -> Proof(signature)                        or Refusal(reason)
    listener -> Proof(signature)                        or Refusal(reason)

Each side signs its own role, both keys, both nonces and the SHA-256 of the listener's certificate, under the chain id
and the genesis hash. So a signature is of no use in another connection (nonces), in the other direction (role), on
another network (genesis), or to somebody between the two (certificate).

This is a machine without sockets or clocks: payloads in, payloads out. The transport limits bytes and time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final, NoReturn, TypeAlias

from msgspec import Meta

from concento.encoding import Bytes32, Bytes64, Natural, Record, decode, encode
from concento.errors import Rejected
from concento.hashing import Network, signing_bytes
from concento.keys import PublicKey, Signature, check_public_key, verify

HANDSHAKE_FRAME_BYTES_MAX: Final = 512
"""The largest of the three messages, with room for the longest chain id and reason."""

NONCE_BYTES: Final = 32


class Role(IntEnum):
    DIALER = 1
    LISTENER = 2

    @property
    def other(self) -> Role:
        return Role.LISTENER if self is Role.DIALER else Role.DIALER


class Hello(Record, tag=1):
    """Who the sender says it is, and of which network."""

    protocol: Natural
    chain_id: Annotated[str, Meta(max_length=64)]
    genesis_hash: Bytes32
    role: Role
    key: PublicKey
    nonce: Bytes32


class Proof(Record, tag=2):
    """The signature over the transcript: the sender holds the key of its Hello."""

    signature: Bytes64


class Refusal(Record, tag=3):
    """Why the sender ends the connection; a sentence for the other operator's log."""

    reason: Annotated[str, Meta(max_length=200)]


HandshakeMessage: TypeAlias = Hello | Proof | Refusal


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node brings to every handshake."""

    network: Network
    protocol: int
    key: PublicKey
    sign: Callable[[bytes], Signature]


class Refused(Rejected):
    """A handshake that ends here; `farewell` is the payload to send before closing, if any."""

    def __init__(self, reason: str, tell: bool = True) -> None:
        super().__init__("peer.refused", reason=reason)
        self.farewell = encode(Refusal(reason)) if tell else None


class Handshake:
    """One side of one handshake. `peer` is the other's key, set when everything has been checked."""

    def __init__(
        self,
        identity: Identity,
        role: Role,
        nonce: bytes,
        certificate_hash: bytes,
        is_allowed: Callable[[bytes], bool],
        expected: bytes | None = None,
    ) -> None:
        self._identity = identity
        self._role = role
        self._certificate_hash = certificate_hash
        self._is_allowed = is_allowed
        self._expected = expected
        self._hello = Hello(
            identity.protocol, identity.network.chain_id, identity.network.genesis_hash, role, identity.key, nonce
        )
        self._theirs: Hello | None = None
        self.peer: bytes | None = None

    def start(self) -> list[bytes]:
        """What to send before anything has arrived: the dialer speaks first."""
        return [encode(self._hello)] if self._role is Role.DIALER else []

    def receive(self, payload: bytes) -> list[bytes]:
        """What to send in answer. Raises Refused; after that, or once `peer` is set, nothing may be received."""
        message = _decoded(payload)
        match message:
            case Refusal():
                raise Refused(f"the other node says: {message.reason}", tell=False)
            case Hello() if self._theirs is None:
                return self._receive_hello(message)
            case Proof() if self._theirs is not None:
                return self._receive_proof(self._theirs, message)
            case _:
                raise Refused("a handshake message came out of turn")

    def _receive_hello(self, hello: Hello) -> list[bytes]:
        self._check_hello(hello)
        self._theirs = hello
        if self._role is Role.LISTENER:
            return [encode(self._hello)]
        return [self._proof(hello)]

    def _receive_proof(self, theirs: Hello, proof: Proof) -> list[bytes]:
        if not verify(theirs.key, self._transcript(theirs, self._role.other), proof.signature):
            raise Refused("the signature does not fit this connection")
        self.peer = theirs.key
        return [self._proof(theirs)] if self._role is Role.LISTENER else []

    def _check_hello(self, hello: Hello) -> None:
        identity = self._identity
        if hello.protocol != identity.protocol:
            raise Refused(f"protocol {hello.protocol} is not protocol {identity.protocol}")
        if hello.chain_id != identity.network.chain_id:
            raise Refused(f"chain {_printable(hello.chain_id)} is not chain {identity.network.chain_id}")
        if hello.genesis_hash != identity.network.genesis_hash:
            raise Refused(
                f"genesis {hello.genesis_hash.hex()[:16]} is not genesis {identity.network.genesis_hash.hex()[:16]}"
            )
        if hello.role is not self._role.other:
            raise Refused("both sides claim the same role")
        if hello.key == identity.key:
            raise Refused("this is the node itself, or another process with its key")
        if self._expected is not None and hello.key != self._expected:
            raise Refused(f"node {hello.key.hex()[:16]} answers where {self._expected.hex()[:16]} was dialled")
        if not self._is_allowed(hello.key):
            raise Refused(f"node {hello.key.hex()[:16]} is neither a validator nor an allowed observer")
        try:
            check_public_key(hello.key)
        except Rejected:
            _refuse_key()

    def _proof(self, theirs: Hello) -> bytes:
        return encode(Proof(self._identity.sign(self._transcript(theirs, self._role))))

    def _transcript(self, theirs: Hello, signer: Role) -> bytes:
        """What the side `signer` signs; equal on both sides."""
        ours = self._hello
        dialer, listener = (ours, theirs) if self._role is Role.DIALER else (theirs, ours)
        payload = encode((int(signer), dialer.key, listener.key, dialer.nonce, listener.nonce, self._certificate_hash))
        return signing_bytes(self._identity.network, "peer", payload)


def _decoded(payload: bytes) -> HandshakeMessage:
    if len(payload) > HANDSHAKE_FRAME_BYTES_MAX:
        raise Refused("a handshake message is too long")
    try:
        message: HandshakeMessage = decode(HandshakeMessage, payload, "handshake message")
    except Rejected:
        raise Refused("a handshake message is malformed") from None
    return message


def _refuse_key() -> NoReturn:
    raise Refused("the key is not a usable Ed25519 key")


def _printable(text: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "?" for character in text[:40])
