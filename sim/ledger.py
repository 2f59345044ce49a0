"""A ledger that does almost nothing: for runs in which only the order of transactions matters.

It stands at the seam of `state/ledger.py`. Whoever is new, in time and of this chain is included, free of charge; one
record sums up everything that was included, so that two nodes that differ in anything differ in their app hash.
Validators and their punishment are those of the production ledger.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from concento.blocks import results_root
from concento.encoding import Bytes32, Record, encode
from concento.errors import Rejected
from concento.genesis import Genesis, Params
from concento.hashing import NO_HASH, Network
from concento.transactions import Transaction, check_network
from state.events import encode_events
from state.ledger import Ledger
from state.replay import check_window
from state.transition import Bill, BlockContext, BlockOutcome, Progress
from state.validators import newest_set, punish, write_set
from state.view import Kind, View


class Digest(Record):
    """Everything included so far, in order."""

    digest: Bytes32


DIGEST: Final = Kind(b"digest/", Digest)
_FREE: Final = Bill(1, 0)
_RICH_UBEAT: Final = 1 << 60


def _write_genesis(view: View, genesis: Genesis) -> None:
    view.height, view.time_ms, view.tx = 0, genesis.time_ms, b""
    view.put(DIGEST, b"", Digest(NO_HASH))
    write_set(view, 1, genesis.validators)


def _apply_block(view: View, context: BlockContext) -> BlockOutcome:
    view.height, view.time_ms, view.tx = context.height, context.time_ms, b""
    progress = Progress(fees_before_ubeat=0)
    for transaction in context.transactions:
        try:
            _check(view, transaction, context.time_ms, context.params, context.network)
            if transaction.id in progress.ids:
                raise Rejected("tx.duplicate", tx=transaction.id)
        except Rejected as refusal:
            progress.skip(transaction, refusal)
            continue
        progress.include(transaction, _FREE)
        progress.succeed(transaction, _FREE, [])
    if progress.ids:
        summed = sha256(view.get(DIGEST, b"").digest + b"".join(progress.ids)).digest()
        view.put(DIGEST, b"", Digest(summed))
    progress.closing += punish(view, context.evidence, context.params.consensus.validators_min)
    leaves = [encode(result) for result in progress.results]
    return BlockOutcome(
        results=progress.results,
        rows=[],
        leaves=leaves,
        results_root=results_root(leaves),
        closing=progress.closing,
        closing_events=encode_events(progress.closing),
        validators=newest_set(view),
        changes=view.changes(),
        history=view.history(),
        weight=progress.weight,
    )


def _check(view: View, transaction: Transaction, time_ms: int, params: Params, network: Network) -> None:
    check_network(network, transaction)
    check_window(transaction.body, time_ms, params.consensus.replay_window_ms)
    if view.is_included(transaction.id):
        raise Rejected("tx.duplicate", tx=transaction.id)


def _check_transaction(
    view: View, transaction: Transaction, _height: int, time_ms: int, params: Params, network: Network
) -> None:
    _check(view, transaction, time_ms, params, network)


def _balance(_view: View, _account: bytes) -> int:
    return _RICH_UBEAT


STUB_LEDGER: Final = Ledger(_write_genesis, _apply_block, _check_transaction, _balance)
