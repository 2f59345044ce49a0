"""Decided blocks as a store keeps them, with unsigned commits: for tests that never look at signatures."""

from __future__ import annotations

from hashlib import sha256

from concento.blocks import Block, Header, TransactionResult, block_id
from concento.encoding import encode
from concento.hashing import NO_HASH, Network
from concento.votes import EMPTY_COMMIT, Commit
from state.store.blockstore import BlockRecord, BodyPlace, StoredBlock

NETWORK = Network("concento-test", sha256(b"genesis").digest())


def transaction_id(height: int, index: int) -> bytes:
    return sha256(b"%d.%d" % (height, index)).digest()


def stored_block(height: int, statuses: tuple[str, ...] = ("ok", "failed", "skipped")) -> StoredBlock:
    """A block of this height with one transaction per status."""
    header = Header(
        chain_id=NETWORK.chain_id,
        height=height,
        round=0,
        time_ms=1_000 * height,
        proposer=bytes(32),
        parent_id=NO_HASH,
        content_root=NO_HASH,
        last_commit_root=NO_HASH,
        evidence_root=NO_HASH,
        validators_hash=NO_HASH,
        next_validators_hash=NO_HASH,
        app_hash=NO_HASH,
        results_root=NO_HASH,
        missed_hash=NO_HASH,
        protocol=1,
    )
    block = Block(header, (sha256(b"batch %d" % height).digest(),), EMPTY_COMMIT, ())
    ids = tuple(transaction_id(height, index) for index in range(len(statuses)))
    outcomes = [
        TransactionResult(identity, status, "" if status == "ok" else "test.reason", 5, encode(("event", index)))
        for index, (identity, status) in enumerate(zip(ids, statuses, strict=True))
    ]
    return StoredBlock(
        BlockRecord(block, Commit(height, 0, block_id(header), ()), (BodyPlace(0, 100 * height, 100),), ids),
        outcomes,
        (*map(encode, outcomes), b"finalisation row"),
        encode(()),
    )
