"""Transactions in a file, on their way from who builds them to who signs them and to who hands them in.

The file holds the body's exact bytes, the network that signatures are bound to, and the signatures so far. What a
person is shown is decoded from the body; the file tells nothing beside it that could differ.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from cli.files import read_json, write_json
from cli.session import REFUSED, WritingSession, raise_refusal
from concento.client.fields import told_by_field
from concento.client.rpc import RpcError
from concento.client.session import FEE_MARGIN, Session
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.hashing import Network, signing_bytes
from concento.keys import public_key, sign, verify
from concento.messages import Action
from concento.transactions import Body, Signed, Transaction, decode_transaction, transaction_id

FORMAT: Final = "concento-transaction-1"
_FIELDS: Final = {"format", "genesis_hash", "dev", "body", "signatures"}
_LACKING: Final = ("tx.authority", "tx.signature")


class Drafted(Exception):
    """A command has come to the transaction that it would sign."""

    def __init__(self, actions: tuple[Action, ...], nonce: bytes | None, memo: str) -> None:
        super().__init__()
        self.actions = actions
        self.nonce = nonce
        self.memo = memo


class DraftingSession(WritingSession):
    """Signs nothing: ends the command with what it would have signed."""

    def send(self, actions: Any, nonce: bytes | None = None, memo: str = "") -> dict[str, Any]:
        raise Drafted(tuple(actions), nonce, memo)


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction with the signatures that it has so far, and the network that they are for."""

    network: Network
    dev: bool
    body: Body
    signatures: dict[bytes, bytes]

    @property
    def id(self) -> bytes:
        return transaction_id(encode(self.body))

    def signed_by(self, seeds: tuple[bytes, ...]) -> Draft:
        """With the signatures of these keys too."""
        message = signing_bytes(self.network, "transaction", encode(self.body))
        more = {public_key(seed): sign(seed, message) for seed in seeds}
        return dataclasses.replace(self, signatures=self.signatures | more)

    def transaction(self) -> Transaction:
        """What goes to a node. Raises Rejected where it is too large, or nobody has signed."""
        return _raw(self.body, self.signatures)


def make_draft(session: Session, drafted: Drafted, dev: bool, signers: int) -> Draft:
    """The transaction with the highest fee filled in. Raises RpcError for one that could have no effect."""
    body = session.body(drafted.actions, drafted.nonce, 0, drafted.memo)
    try:
        decode(Body, encode(body), "transaction")
    except Rejected as error:
        raise told_by_field(error, body) from None
    # Each signature weighs the same, whatever it says: a dry run looks at none.
    unsigned = {number.to_bytes(32, "big"): bytes(64) for number in range(max(1, signers))}
    document = session.client.simulate(_raw(body, unsigned).raw)
    try:
        raise_refusal(document)
    except RpcError as error:
        if error.code != REFUSED or error.kind not in _LACKING:
            raise
    body = msgspec.structs.replace(body, max_fee_ubeat=int(document["fee_ubeat"]) * FEE_MARGIN)
    return Draft(session.network, dev, body, {})


def _raw(body: Body, signatures: dict[bytes, bytes]) -> Transaction:
    return decode_transaction(encode(Signed(encode(body), tuple(sorted(signatures.items())))))


def write_draft(path: Path, draft: Draft) -> None:
    """Raises Rejected file.unwritable."""
    signatures = [{"key": key.hex(), "signature": made.hex()} for key, made in sorted(draft.signatures.items())]
    document = {
        "format": FORMAT,
        "genesis_hash": draft.network.genesis_hash.hex(),
        "dev": draft.dev,
        "body": encode(draft.body).hex(),
        "signatures": signatures,
    }
    write_json(path, document)


def read_draft(path: Path) -> Draft:
    """Raises Rejected file.unreadable, json.invalid, tx.file_invalid; every signature in it is checked."""
    document = read_json(path, "transaction file")
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.keys() != _FIELDS:
        _refuse(path, f"it is not of the format {FORMAT}")
    if not isinstance(document["dev"], bool) or not isinstance(document["signatures"], list):
        _refuse(path, "dev is true or false, signatures are a list")
    try:
        body: Body = decode(Body, _bytes(path, document["body"]), "transaction")
    except Rejected as error:
        _refuse(path, str(error))
    network = Network(body.chain_id, _bytes(path, document["genesis_hash"]))
    if len(network.genesis_hash) != 32 or network.genesis_hash[:8] != body.genesis_prefix:
        _refuse(path, "its body is for another genesis")
    message = signing_bytes(network, "transaction", encode(body))
    signatures = {}
    for entry in document["signatures"]:
        if not isinstance(entry, dict) or entry.keys() != {"key", "signature"}:
            _refuse(path, "a signature has a key and a signature")
        key, made = _bytes(path, entry["key"]), _bytes(path, entry["signature"])
        if not verify(key, message, made):
            _refuse(path, f"the signature of key {key.hex()[:16]} does not verify")
        signatures[key] = made
    return Draft(network, document["dev"], body, signatures)


def body_in(raw: bytes) -> tuple[Body, tuple[bytes, ...]]:
    """The body in the bytes of a transaction, or in a body's own, and the keys that have signed. Raises Rejected."""
    try:
        transaction = decode_transaction(raw)
    except Rejected:
        return decode(Body, raw, "transaction"), ()
    return transaction.body, transaction.signers


def _bytes(path: Path, text: Any) -> bytes:
    try:
        return bytes.fromhex(text)
    except (TypeError, ValueError):
        _refuse(path, "bytes are written in hex")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise Rejected("tx.file_invalid", path=str(path), reason=reason)
