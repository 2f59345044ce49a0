"""Receipt proofs: that somebody read something is shown to outsiders, with both signatures, and cannot be forged."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.light import BatchValue, verify_proof, verify_receipt_proof
from concento.merkle import inclusion_path
from concento.messages.receipts import ReceiptBody, receipt_id
from concento.statekeys import batch_state_key
from state.modules.receipts import BATCHES, Batch, batch_key
from state.queries import Chain
from state.queries_proofs import claim_of, proof_get
from state.queries_receipts import receipt_get
from state.store.blockstore import Place
from support.ledger import BEAT
from support.node import DecidedNode
from support.rights import Reader, album, buy, offer, tracks
from support.story import Scene, play

Document = dict[str, Any]


@pytest.fixture(scope="module")
def scene() -> tuple[DecidedNode, Scene]:
    node = DecidedNode()
    return node, play(node)


def proof_of(node: DecidedNode, receipt: bytes) -> Document:
    claim = claim_of(Chain(node.store, node.tree, node.genesis), f"receipt/{receipt.hex()}")
    node.block()
    return proof_get(Chain(node.store, node.tree, node.genesis), claim)


@pytest.fixture(scope="module")
def document(scene: tuple[DecidedNode, Scene]) -> Document:
    node, played = scene
    return proof_of(node, played.receipts[1])


def test_a_receipt_convinces_with_the_genesis_alone(scene: tuple[DecidedNode, Scene], document: Document) -> None:
    node, played = scene
    proved = verify_receipt_proof(document, node.genesis)
    assert proved.key == f"receipt/{played.receipts[1].hex()}"
    assert (proved.signers, proved.validators) == (3, 4)
    assert (proved.body.seq, proved.body.member) == (1, played.recordings[1])


def test_every_receipt_of_a_batch_has_its_own_path(scene: tuple[DecidedNode, Scene]) -> None:
    node, played = scene
    for receipt in played.receipts:
        assert verify_receipt_proof(proof_of(node, receipt), node.genesis).key.endswith(receipt.hex())


def test_a_receipt_behind_a_batch_without_bodies_has_a_path_from_its_anchoring_transaction() -> None:
    """Above 64 receipts no bodies ride along: those of the next batch stand on the peaks that its proof tells."""
    node = DecidedNode()
    (song,) = tracks(node, 1)
    dataset = album(node, [song])
    licence = buy(node, offer(node, dataset), deposit_ubeat=20 * BEAT)
    reader = Reader(node, licence, dataset)
    node.run("bob", reader.open_action(200))
    for count in (70, 5, 3):
        for _ in range(count):
            reader.read(song, "track0")
        reader.anchor()
    chain = Chain(node.store, node.tree, node.genesis)

    def body(place: Place) -> bytes | None:
        return node.body(place.height, place.index)

    node.block()
    for seq in (70, 74, 75, 77):
        claim = claim_of(chain, f"receipt/{receipt_id(reader.log[seq]).hex()}", body)
        proved = verify_receipt_proof(proof_get(_later(node), claim), node.genesis)
        assert (proved.body.seq, proved.body.member) == (seq, song)
    shown = receipt_get(chain, receipt_id(reader.log[77]).hex(), body)
    assert shown["batch"]["path"] == [item.hex() for item in inclusion_path(reader.log, 77)]
    with pytest.raises(Rejected, match="is on the chain, so it has no path"):
        claim_of(chain, f"receipt/{receipt_id(reader.log[70]).hex()}", lambda _: None)
    with pytest.raises(Rejected, match="no receipt"):
        claim_of(chain, f"receipt/{receipt_id(reader.log[0]).hex()}", body)


def _later(node: DecidedNode) -> Chain:
    node.block()
    return Chain(node.store, node.tree, node.genesis)


def test_the_batch_record_is_read_as_the_ledger_writes_it(scene: tuple[DecidedNode, Scene], document: Document) -> None:
    raw = base64.b64decode(document["value"])
    ours, theirs = decode(BatchValue, raw), decode(Batch, raw)
    assert msgspec.structs.astuple(ours) == msgspec.structs.astuple(theirs)
    assert BatchValue.__struct_fields__ == Batch.__struct_fields__
    licence, gateway = b"\x01" * 32, b"\x02" * 32
    assert batch_state_key(licence, gateway, 7, 9) == BATCHES.key(batch_key(licence, gateway, 7, 9))


def test_the_proof_of_a_receipt_is_not_the_proof_of_a_record(
    scene: tuple[DecidedNode, Scene], document: Document
) -> None:
    with pytest.raises(Rejected):
        verify_proof(document, scene[0].genesis)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def with_another_body(**changes: Any) -> Callable[[Document], None]:
    """Somebody writes himself a receipt, and names it by its true id."""

    def forge(document: Document) -> None:
        body = decode(ReceiptBody, base64.b64decode(document["receipt"]["body"]))
        raw = encode(msgspec.structs.replace(body, **changes))
        document["receipt"]["body"] = _text(raw)
        document["key"] = f"receipt/{receipt_id(raw).hex()}"

    return forge


def with_receipt(**changes: Any) -> Callable[[Document], None]:
    return lambda document: document["receipt"].update(changes)


def with_batch(**changes: Any) -> Callable[[Document], None]:
    def forge(document: Document) -> None:
        batch = decode(BatchValue, base64.b64decode(document["value"]))
        document["value"] = _text(encode(msgspec.structs.replace(batch, **changes)))

    return forge


def with_another_id(document: Document) -> None:
    document["key"] = "receipt/" + "00" * 32


def without_receipt(document: Document) -> None:
    document["receipt"] = None


def without_value(document: Document) -> None:
    document["value"] = None


@pytest.mark.parametrize(
    "forge",
    [
        with_another_body(units=1_000),
        with_another_body(seq=0),
        with_another_body(member=bytes(32)),
        with_another_body(licence=bytes(32)),
        with_receipt(path=[]),
        with_receipt(path=["00" * 32]),
        with_receipt(first=1),
        with_receipt(first=-1),
        with_receipt(first=True),
        with_receipt(body="!"),
        with_batch(head=bytes(32)),
        with_batch(count=1),
        with_another_id,
        without_receipt,
        without_value,
    ],
)
def test_a_forged_receipt_is_refused(
    forge: Callable[[Document], None], scene: tuple[DecidedNode, Scene], document: Document
) -> None:
    forged = copy.deepcopy(document)
    forge(forged)
    assert forged != document
    with pytest.raises(Rejected) as refusal:
        verify_receipt_proof(forged, scene[0].genesis)
    assert refusal.value.kind in ("proof.invalid", "encoding.invalid", "id.malformed")
