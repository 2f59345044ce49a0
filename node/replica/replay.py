"""The whole chain executed again from genesis: what repairs a store, and what shows that a store tells the truth."""

from __future__ import annotations

from collections.abc import Callable

from concento.batches import decode_batch
from concento.blocks import block_id
from concento.encoding import decode
from concento.errors import Broken, Rejected
from concento.genesis import Genesis
from consensus.signer import Crypto
from node.replica.batches import decode_all
from node.replica.chain import Chain, open_chain
from node.replica.files import Files
from node.replica.outbox import Outbox
from node.replica.segments import FIRST_MARKS, MARKS_KEY, Marks, Segments
from state.ledger import LEDGER, Ledger
from state.store.blockstore import find_block
from state.store.kv import KeyValue, KeyValueView


def replay(
    genesis: Genesis,
    source: KeyValueView,
    files: Files,
    crypto: Crypto,
    target: KeyValue,
    ledger: Ledger = LEDGER,
    advance: Callable[[int], None] = lambda _blocks: None,
) -> Chain:
    """Fills the empty store `target` from the blocks in `source` and their bodies; up to the last block that is whole.

    `advance` is told of each block when it is in the target.
    Raises Rejected where a block does not fit the state that those below it give: then the source lies, or another
    release made it.
    """
    chain = open_chain(genesis, target, crypto, ledger)
    segments = Segments(files, Outbox(), FIRST_MARKS.durable)
    marks = source.get(MARKS_KEY)
    durable = FIRST_MARKS.durable if marks is None else decode(Marks, marks, "segment marks").durable
    while True:
        try:
            record = find_block(source, chain.height)
            if record is None:
                return chain
            bodies = [decode_batch(segments.read(place)) for place in record.bodies]
        except (Broken, Rejected):
            return chain
        if len(bodies) != len(record.block.batches):
            raise Rejected("block.invalid", height=chain.height, reason="its batches are not all here")
        chain.check(record.block)
        chain.check_commit(record.commit, block_id(record.block.header))
        transactions = [
            transaction for batch in bodies for transaction in decode_all(genesis.network, batch.transactions)
        ]
        applied = chain.apply(record.block, record.commit, record.bodies, transactions, Marks(durable, ()))
        target.write(applied.batch)
        chain.records.written()
        advance(1)
