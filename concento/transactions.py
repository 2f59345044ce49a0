"""Transactions: a list of messages executed as a whole, signed by as many keys as the sender's policy asks.

The id covers the body and not the signatures, so nobody can give a transaction another name. `nonce` is random: there
are no sequence numbers, a transaction is valid while block time lies in the window before `valid_until_ms`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta, Struct

from concento.accounts import AccountId
from concento.encoding import Bytes8, Bytes16, Natural, Record, decode, encode
from concento.errors import Rejected
from concento.hashing import Network, signing_bytes, tagged_hash
from concento.keys import Check, PublicKey, Signature, public_key, sign
from concento.limits import (
    MEMO_BYTES_MAX,
    TRANSACTION_ACTIONS_MAX,
    TRANSACTION_BYTES_MAX,
    TRANSACTION_SIGNATURES_MAX,
)
from concento.messages import Action, signatures
from concento.units import Amount

IDS_CACHED: Final = 1 << 10
"""Ids of recent actions: the check of an action names what its execution makes, and names it again."""


class Body(Record):
    """What the sender asks for."""

    chain_id: Annotated[str, Meta(max_length=64)]
    genesis_prefix: Bytes8
    sender: AccountId
    nonce: Bytes16
    valid_until_ms: Natural
    max_fee_ubeat: Amount
    actions: Annotated[tuple[Action, ...], Meta(min_length=1, max_length=TRANSACTION_ACTIONS_MAX)]
    memo: Annotated[str, Meta(max_length=MEMO_BYTES_MAX)]


class Signed(Record):
    """The wire form: the body's exact bytes, and (key, signature) pairs sorted by key."""

    body: bytes
    signatures: Annotated[
        tuple[tuple[PublicKey, Signature], ...], Meta(min_length=1, max_length=TRANSACTION_SIGNATURES_MAX)
    ]


class Transaction(Struct, frozen=True, gc=False):
    """A decoded transaction and the bytes that it came from.

    `id` names it for ever; `digest` is the id with all signatures behind it, and keys the cache of checked signatures:
    the same body with other signatures is another thing to check.
    """

    raw: bytes
    id: bytes
    digest: bytes
    body: Body
    body_bytes: bytes
    signatures: tuple[tuple[bytes, bytes], ...]
    signers: tuple[bytes, ...]


def transaction_id(body: bytes) -> bytes:
    return tagged_hash("transaction", body)


def sign_transaction(network: Network, body: Body, seeds: Iterable[bytes]) -> Transaction:
    """The transaction with one signature per seed. Raises Rejected where it would be too large."""
    body_bytes = encode(body)
    message = signing_bytes(network, "transaction", body_bytes)
    pairs = sorted((public_key(seed), sign(seed, message)) for seed in seeds)
    return decode_transaction(encode(Signed(body_bytes, tuple(pairs))))


def decode_transaction(raw: bytes) -> Transaction:
    """The transaction in these bytes; says nothing about its signatures. Raises Rejected."""
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise Rejected("encoding.too_large", what="transaction", bytes=len(raw), bytes_max=TRANSACTION_BYTES_MAX)
    signed = decode(Signed, raw, "transaction")
    body = decode(Body, signed.body, "transaction")
    signers = tuple([key for key, _ in signed.signatures])
    if len(signers) > 1 and any(left >= right for left, right in pairwise(signers)):
        raise Rejected("tx.malformed", reason="signatures unsorted or repeated")
    if body.memo and len(body.memo.encode()) > MEMO_BYTES_MAX:
        raise Rejected("tx.malformed", reason="the memo is too long")
    identity = transaction_id(signed.body)
    return Transaction(
        raw=raw,
        id=identity,
        digest=b"".join([identity, *[part for pair in signed.signatures for part in pair]]),
        body=body,
        body_bytes=signed.body,
        signatures=signed.signatures,
        signers=signers,
    )


def check_network(network: Network, transaction: Transaction) -> None:
    """Raises Rejected unless the transaction was made for this chain and this genesis."""
    body = transaction.body
    if body.chain_id != network.chain_id or body.genesis_prefix != network.genesis_hash[:8]:
        raise Rejected("tx.wrong_chain", chain_id=body.chain_id)


def signature_checks(network: Network, transaction: Transaction) -> list[Check]:
    """Every signature of a transaction, those inside its messages too: check 1, done once per node."""
    message = signing_bytes(network, "transaction", transaction.body_bytes)
    checks: list[Check] = [(key, message, signature) for key, signature in transaction.signatures]
    for action in transaction.body.actions:
        checks += signatures(network, action)
    return checks


@lru_cache(maxsize=IDS_CACHED)
def object_id(kind: str, sender: bytes, nonce: bytes, action_index: int) -> bytes:
    """The id of what an action creates, known before signing. `kind` is its name, such as "asset"."""
    return tagged_hash("id/" + kind, sender, nonce, action_index.to_bytes(2, "big"))


def licence_id(transaction: bytes, action_index: int) -> bytes:
    """The id of the licence that an action buys: a chain has a transaction once, so this id is new without a look."""
    return tagged_hash("id/licence", transaction, action_index.to_bytes(2, "big"))
