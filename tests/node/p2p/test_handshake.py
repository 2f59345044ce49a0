"""The handshake: two nodes of one network that know each other, and everybody who is not."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.encoding import decode, encode
from concento.hashing import Network
from concento.keys import public_key, sign
from node.p2p.handshake import Handshake, Hello, Identity, Proof, Refusal, Refused, Role

NETWORK = Network("testing-1", bytes(range(32)))
CERTIFICATE = b"c" * 32
ALICE, BOB, MALLORY = (bytes([number]) * 32 for number in (1, 2, 3))


def identity(seed: bytes, network: Network = NETWORK, protocol: int = 1) -> Identity:
    return Identity(network, protocol, public_key(seed), lambda message: sign(seed, message))


@dataclass
class Side:
    """How one side of a handshake is made in these tests."""

    seed: bytes
    role: Role
    network: Network = NETWORK
    protocol: int = 1
    nonce: bytes = b""
    certificate: bytes = CERTIFICATE
    allowed: list[bytes] = field(default_factory=lambda: [ALICE, BOB])
    expected: bytes | None = None

    def make(self) -> Handshake:
        keys = [public_key(seed) for seed in self.allowed]
        expected = None if self.expected is None else public_key(self.expected)
        return Handshake(
            identity(self.seed, self.network, self.protocol),
            self.role,
            self.nonce or bytes([self.seed[0] + 100]) * 32,
            self.certificate,
            keys.__contains__,
            expected,
        )


def dialer(seed: bytes = ALICE, **changes: object) -> Handshake:
    return Side(seed, Role.DIALER, **changes).make()  # type: ignore[arg-type]


def listener(seed: bytes = BOB, **changes: object) -> Handshake:
    return Side(seed, Role.LISTENER, **changes).make()  # type: ignore[arg-type]


def shake(left: Handshake, right: Handshake) -> list[bytes]:
    """Runs both to the end and returns all that was said; raises what either raises."""
    said: list[bytes] = []
    queue = [(right, payload) for payload in left.start()] + [(left, payload) for payload in right.start()]
    while queue:
        to, payload = queue.pop(0)
        said.append(payload)
        other = left if to is right else right
        queue += [(other, answer) for answer in to.receive(payload)]
    return said


def reason_of(left: Handshake, right: Handshake) -> str:
    with pytest.raises(Refused) as caught:
        shake(left, right)
    assert left.peer is None or right.peer is None
    return str(caught.value.numbers["reason"])


def test_two_members_learn_each_others_keys() -> None:
    left, right = dialer(expected=BOB), listener()
    assert len(shake(left, right)) == 4
    assert (left.peer, right.peer) == (public_key(BOB), public_key(ALICE))


def test_what_an_unknown_peer_may_send_fits_the_limit() -> None:
    said = shake(dialer(), listener())
    assert sum(4 + len(payload) for payload in said) < 1024


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"network": Network("other-1", bytes(range(32)))}, "chain testing-1 is not chain other-1"),
        ({"network": Network("testing-1", bytes(32))}, "is not genesis"),
        ({"protocol": 2}, "protocol 1 is not protocol 2"),
        ({"allowed": [MALLORY]}, "neither a validator nor an allowed observer"),
    ],
)
def test_a_stranger_is_told_why_it_is_refused(changes: dict[str, object], reason: str) -> None:
    right = listener(**changes)
    with pytest.raises(Refused) as caught:
        right.receive(dialer().start()[0])
    assert reason in str(caught.value)
    farewell = decode(Refusal, caught.value.farewell or b"", "refusal")
    with pytest.raises(Refused, match="the other node says"):
        dialer().receive(encode(farewell))


def test_a_node_does_not_connect_to_itself() -> None:
    assert "the node itself" in reason_of(dialer(ALICE), listener(ALICE))


def test_a_dialer_refuses_whoever_answers_in_the_place_of_the_one_it_dialled() -> None:
    left = dialer(expected=BOB, allowed=[ALICE, BOB, MALLORY])
    assert "was dialled" in reason_of(left, listener(MALLORY, allowed=[ALICE, BOB, MALLORY]))


def test_a_reflected_hello_is_refused() -> None:
    left = dialer()
    with pytest.raises(Refused, match="same role"):
        left.receive(left.start()[0])


def test_a_reflected_hello_with_the_role_swapped_is_refused() -> None:
    left = dialer()
    hello = decode(Hello, left.start()[0], "hello")
    swapped = Hello(hello.protocol, hello.chain_id, hello.genesis_hash, Role.LISTENER, hello.key, hello.nonce)
    with pytest.raises(Refused, match="the node itself"):
        left.receive(encode(swapped))


def test_a_reflected_proof_is_refused() -> None:
    left, right = dialer(), listener()
    proof = left.receive(right.receive(left.start()[0])[0])[0]
    with pytest.raises(Refused, match="does not fit"):
        left.receive(proof)


def test_a_recorded_handshake_is_refused_when_replayed() -> None:
    said = shake(dialer(), listener())
    again = listener(nonce=b"a fresh nonce of the listener..."[:32])
    again.receive(said[0])
    with pytest.raises(Refused, match="does not fit"):
        again.receive(said[2])


def test_a_handshake_relayed_through_another_certificate_is_refused() -> None:
    """Somebody between the two ends TLS with a certificate of its own and passes everything on."""
    assert "does not fit" in reason_of(dialer(certificate=b"m" * 32), listener())


def test_a_proof_made_for_the_other_role_is_refused() -> None:
    """Mallory dials Bob as Alice, and has Alice, whom it lets dial itself, sign as a dialer or listener."""
    right = listener()
    hello = decode(Hello, dialer().start()[0], "hello")
    right.receive(encode(hello))
    alice_as_listener = Side(ALICE, Role.LISTENER, nonce=hello.nonce).make()
    theirs = decode(Hello, dialer(BOB).start()[0], "hello")
    alice_as_listener.receive(encode(theirs))
    proof = alice_as_listener.receive(dialer_proof(BOB, theirs, hello))
    with pytest.raises(Refused, match="does not fit"):
        right.receive(proof[0])


def dialer_proof(seed: bytes, ours: Hello, theirs: Hello) -> bytes:
    """What the dialer with this hello answers to a listener's hello."""
    left = Side(seed, Role.DIALER, nonce=ours.nonce).make()
    as_listener = Hello(theirs.protocol, theirs.chain_id, theirs.genesis_hash, Role.LISTENER, theirs.key, theirs.nonce)
    return left.receive(encode(as_listener))[0]


def test_a_claimed_key_without_its_secret_is_refused() -> None:
    right = listener()
    hello = decode(Hello, dialer().start()[0], "hello")
    right.receive(encode(hello))
    with pytest.raises(Refused, match="does not fit"):
        right.receive(encode(Proof(sign(MALLORY, b"anything"))))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    fields = (1, NETWORK.chain_id, NETWORK.genesis_hash, 1, bytes(size), bytes(32))
    with pytest.raises(Refused, match="malformed"):
        listener().receive(encode((1, *fields)))


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    right = listener()
    right.receive(dialer().start()[0])
    with pytest.raises(Refused, match="malformed"):
        right.receive(encode((2, bytes(size))))


def test_a_small_order_key_is_refused_even_where_it_is_allowed() -> None:
    hello = Hello(1, NETWORK.chain_id, NETWORK.genesis_hash, Role.DIALER, bytes(32), bytes(32))
    right = Handshake(identity(BOB), Role.LISTENER, bytes(32), CERTIFICATE, lambda key: True)
    with pytest.raises(Refused, match="not a usable"):
        right.receive(encode(hello))


def test_messages_out_of_turn_are_refused() -> None:
    right = listener()
    with pytest.raises(Refused, match="out of turn"):
        right.receive(encode(Proof(bytes(64))))
    right.receive(dialer().start()[0])
    with pytest.raises(Refused, match="out of turn"):
        right.receive(dialer().start()[0])


@given(st.binary(max_size=600))
def test_garbage_gives_one_named_error(garbage: bytes) -> None:
    for side in (listener(), dialer()):
        with pytest.raises(Refused):
            side.receive(garbage)


@given(st.integers(min_value=0, max_value=3), st.data())
def test_no_changed_byte_leads_to_a_connection(which: int, data: st.DataObject) -> None:
    left, right = dialer(), listener()
    sides = [right, left, right, left]
    payload = left.start()[0]
    for turn in range(4):
        if turn == which:
            at = data.draw(st.integers(min_value=0, max_value=len(payload) - 1))
            flip = data.draw(st.integers(min_value=1, max_value=255))
            payload = payload[:at] + bytes((payload[at] ^ flip,)) + payload[at + 1 :]
        try:
            answers = sides[turn].receive(payload)
        except Refused:
            return
        payload = answers[0] if answers else b""
    pytest.fail("both sides took a handshake with a changed byte")
