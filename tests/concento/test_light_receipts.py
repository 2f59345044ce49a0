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
from concento.messages.receipts import ReceiptBody, receipt_id
from concento.statekeys import batch_state_key
from state.modules.receipts import BATCHES, Batch, batch_key
from state.queries import Chain
from state.queries_proofs import claim_of, proof_get
from support.node import DecidedNode
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
