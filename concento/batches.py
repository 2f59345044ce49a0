"""Batches: transactions signed as a whole by the validator that cut them; a block names them by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta, Raw, Struct

from concento.encoding import Bytes32, Natural, Record, decode, encode
from concento.errors import Rejected
from concento.hashing import Network, signing_bytes, tagged_hash
from concento.keys import Check, PublicKey, Signature, sign
from concento.limits import BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX


class BatchHeader(Record):
    """What the batch id covers. `number` grows with every batch of its author; `bytes` sums the transactions."""

    author: PublicKey
    number: Natural
    count: Annotated[int, Meta(ge=1, le=BATCH_TRANSACTIONS_MAX)]
    bytes: Annotated[int, Meta(ge=1, le=BATCH_BYTES_MAX)]
    content_hash: Bytes32


class Batch(Record):
    """A header, its author's signature, and the transactions in order."""

    header: BatchHeader
    signature: Signature
    transactions: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=BATCH_TRANSACTIONS_MAX)]


class _Unopened(Struct, array_like=True, forbid_unknown_fields=True, frozen=True, gc=False):
    """A batch as it is read where one of its transactions is looked for: they are left as they are."""

    header: BatchHeader
    signature: Signature
    transactions: Raw


def batch_id(header: BatchHeader) -> bytes:
    return tagged_hash("batch", encode(header))


def batch_check(network: Network, batch: Batch) -> Check:
    """The check of the author's signature."""
    return batch.header.author, signing_bytes(network, "batch", batch_id(batch.header)), batch.signature


def batch_header(author: bytes, number: int, transactions: Sequence[bytes]) -> BatchHeader:
    """The header of a batch of these encoded transactions."""
    return BatchHeader(author, number, len(transactions), sum(map(len, transactions)), content_hash(transactions))


def content_hash(transactions: Sequence[bytes]) -> bytes:
    """What the header says of the transactions: one hash over all of them, each with its length."""
    return tagged_hash("transactions", encode(transactions))


def cut_batch(network: Network, seed: bytes, author: bytes, number: int, transactions: tuple[bytes, ...]) -> Batch:
    """A signed batch of these encoded transactions."""
    header = batch_header(author, number, transactions)
    return Batch(header, sign(seed, signing_bytes(network, "batch", batch_id(header))), transactions)


def decode_batch(raw: bytes) -> Batch:
    """The batch in these bytes, its header checked against its transactions. Raises Rejected."""
    batch = decode(Batch, raw, "batch")
    header = batch.header
    found = len(batch.transactions), sum(map(len, batch.transactions))
    if found != (header.count, header.bytes) or content_hash(batch.transactions) != header.content_hash:
        raise Rejected("batch.invalid", reason="its header does not describe its transactions")
    return batch


def pick(raws: Iterable[bytes], index: int) -> bytes | None:
    """The transaction at this position of these batches of our own, counted through; None behind the last.

    Their bytes were checked when they came. Raises Rejected where they are no batches.
    """
    for raw in raws:
        batch = decode(_Unopened, raw, "batch")
        if index < batch.header.count:
            return decode(tuple[bytes, ...], bytes(batch.transactions), "batch")[index]
        index -= batch.header.count
    return None
