"""A block that CometBFT has decided, as our ledger and our store know it.

The store's header is derived: the same fields as under the own engine, filled from what CometBFT says, so that queries
read one kind of record. Nobody signs it. What CometBFT's validators sign is CometBFT's header, whose hash stands as
the only entry of the block's list of batches, and whose app hash is the same root of the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from concento.blocks import Block, Header, commit_root, content_root, evidence_root, results_root
from concento.blocks import block_id as id_of
from concento.cometlight import address_of
from concento.encoding import decode, encode
from concento.errors import Broken, Damaged, Rejected
from concento.genesis import PROTOCOL, Genesis
from concento.hashing import NO_HASH
from concento.transactions import Transaction
from concento.validators import ValidatorSet
from concento.votes import EMPTY_COMMIT, Commit
from node.comet.messages import FinalizeBlock, Misbehavior
from state.modules.governance_changes import protocol_at, switches_of
from state.store.blockstore import BlockRecord, StoredBlock, find_block, find_results
from state.store.kv import REPLICA, STATE, KeyValueView, number_key
from state.store.opening import OpenStore, advance
from state.transition import BlockContext, BlockOutcome, apply_block
from state.validators import SETS, SetRecord, height_key
from state.view import open_view

BODIES: Final = REPLICA + b"comet/bodies/"


@dataclass(frozen=True, slots=True)
class Decided:
    """A block that was executed and is not written yet: `next` is the store after it, `batch` what to write."""

    request: FinalizeBlock
    stored: StoredBlock
    outcome: BlockOutcome
    transactions: tuple[Transaction, ...]
    validators_before: ValidatorSet
    next: OpenStore
    batch: dict[bytes, bytes | None]


def tip_time_ms(genesis: Genesis, view: KeyValueView, height: int) -> int:
    """The time of a committed height; that of genesis below the first."""
    record = find_block(view, height) if height else None
    return genesis.time_ms if record is None else record.block.header.time_ms


def validators_at(view: KeyValueView, height: int) -> ValidatorSet:
    """The set that decides this height: the newest that begins at it or below."""
    prefix = STATE + SETS.prefix
    for _, value in view.scan(prefix, after=prefix + height_key(height + 1), reverse=True):
        return ValidatorSet(decode(SetRecord, value, "validator set").members)
    raise Broken("the state has no validators for height {height}", height=height)


def find_bodies(view: KeyValueView, height: int) -> tuple[bytes, ...] | None:
    """The transactions of a height, as bytes, in order; None where there is no such block."""
    found = view.get(BODIES + number_key(height))
    try:
        return None if found is None else decode(tuple[bytes, ...], found, "bodies")
    except Rejected as error:
        raise Damaged(str(error), "concento node resync") from None


def decide(
    genesis: Genesis, store: OpenStore, request: FinalizeBlock, transactions: tuple[Transaction, ...]
) -> Decided:
    """Executes a decided block on the committed state and changes nothing: the same answer however often it is asked.

    `transactions` are those of the request that decode and whose signatures are good, in order.
    """
    kv, height = store.kv, request.height
    protocol = protocol_at(switches_of(open_view(kv)), height)
    if protocol > PROTOCOL:
        raise Rejected("node.protocol_new", height=height, protocol=protocol, protocol_max=PROTOCOL)
    # CometBFT's time, cut to milliseconds; it grows by at least one, as the ledger expects.
    time_ms = max(request.time.ms if request.time else 0, tip_time_ms(genesis, kv, height - 1) + 1)
    validators = validators_at(kv, height)
    context = BlockContext(
        height=height,
        time_ms=time_ms,
        proposer=_proposer(validators, request.proposer_address),
        validators=validators,
        evidence=_evidence(kv, request.misbehavior),
        transactions=transactions,
        params=genesis.params,
        network=genesis.network,
    )
    outcome = apply_block(open_view(kv), context)
    stored = _stored(genesis, store, request, context, outcome, protocol)
    following = OpenStore(kv, store.tree.fork(outcome.changes), store.commit)
    batch = advance(following, stored, outcome.changes, outcome.history)
    batch[BODIES + number_key(height)] = encode(tuple(transaction.raw for transaction in transactions))
    before = validators_at(kv, height + 1)
    return Decided(request, stored, outcome, transactions, before, following, batch)


def _stored(
    genesis: Genesis,
    store: OpenStore,
    request: FinalizeBlock,
    context: BlockContext,
    outcome: BlockOutcome,
    protocol: int,
) -> StoredBlock:
    height = context.height
    batches = (request.hash,) if request.hash else ()
    header = Header(
        chain_id=genesis.chain_id,
        height=height,
        round=0,
        time_ms=context.time_ms,
        proposer=context.proposer,
        parent_id=store.commit.block_id if height > 1 else NO_HASH,
        content_root=content_root(batches),
        last_commit_root=commit_root(EMPTY_COMMIT),
        evidence_root=evidence_root(()),
        validators_hash=context.validators.hash,
        next_validators_hash=validators_at(store.kv, height + 1).hash,
        app_hash=store.commit.app_hash,
        results_root=results_root(find_results(store.kv, height - 1) or () if height > 1 else ()),
        missed_hash=NO_HASH,
        protocol=protocol,
    )
    ids = tuple(transaction.id for transaction in context.transactions)
    commit = Commit(height, 0, id_of(header), ())
    return StoredBlock(
        BlockRecord(Block(header, batches, EMPTY_COMMIT, ()), commit, (), ids),
        tuple(outcome.results),
        tuple(outcome.leaves),
        outcome.closing_events,
    )


def _proposer(validators: ValidatorSet, address: bytes) -> bytes:
    for key in validators.keys:
        if address_of(key) == address:
            return key
    raise Broken("the proposer {address} is no validator of its height", address=address)


def _evidence(kv: KeyValueView, listed: Sequence[Misbehavior]) -> list[tuple[bytes, int]]:
    """(key, height of the offence): CometBFT tells an address, and the state knows who had it at that height."""
    found: dict[tuple[bytes, int], None] = {}
    for entry in listed:
        address = entry.validator.address if entry.validator else b""
        for key in validators_at(kv, max(entry.height, 1)).keys:
            if address_of(key) == address:
                found[key, entry.height] = None
    return list(found)
