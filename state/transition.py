"""What a decided block does to the state. Start here to read the ledger.

    apply_block: every transaction in order - skipped, failed or ok - then finalisation, then the books are checked.

Whatever a block contains, the outcome is defined: a transaction that may not run is skipped without a trace, one that
is refused while it runs keeps its fee and nothing else. The only exception that leaves this file is Broken: one of our
own beliefs was wrong, and the node must stop rather than go on with a state that nobody can explain.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from concento.accounts import account_of_key
from concento.blocks import TransactionResult, results_root
from concento.encoding import encode
from concento.errors import Broken, ConcentoError, Rejected
from concento.genesis import Genesis, Params
from concento.hashing import NO_HASH, Network
from concento.transactions import Transaction, check_network
from concento.validators import ValidatorSet
from state.calls import Call, Event
from state.events import NO_EVENTS, encode_events
from state.fees import distribute, transaction_fee
from state.modules import governance, governance_changes, identity, tokens
from state.refusals import keep_refusal
from state.replay import check_window, remember
from state.router import STAGES, route_of, weight_of
from state.validators import changes_set, newest_set, punish, write_set
from state.view import View


class BlockContext(Struct, frozen=True):
    """A decided block as the ledger sees it: no rounds, batches or headers.

    `validators` is the set of this height. `evidence` is (offender's key, height of the offence), already checked.
    Signatures of the transactions, and those inside their messages, are already checked.
    """

    height: int
    time_ms: int
    proposer: bytes
    validators: ValidatorSet
    evidence: Sequence[tuple[bytes, int]]
    transactions: Sequence[Transaction]
    params: Params
    network: Network


class BlockOutcome(Struct, frozen=True):
    """What applying a block gave.

    `results` has one entry per transaction and `rows` are the encoded rows of finalisation; `leaves` are both as bytes,
    and `results_root` is their root. `closing` are the events of finalisation and `closing_events` the same as bytes;
    those of a transaction stand in its result, as bytes alone. `validators` is the set of height + 2. `changes` and
    `history` go to the store, keyed without the prefix of their space.
    """

    results: list[TransactionResult]
    rows: list[bytes]
    leaves: list[bytes]
    results_root: bytes
    closing: list[Event]
    closing_events: bytes
    validators: ValidatorSet
    changes: dict[bytes, bytes | None]
    history: dict[bytes, bytes]
    weight: int


class Bill(Struct, frozen=True, gc=False):
    """What a transaction weighs and costs: known from its bytes alone."""

    weight: int
    fee_ubeat: int


@dataclass(slots=True)
class Progress:
    """The transactions of a block so far. `ids` are those included, in order."""

    fees_before_ubeat: int
    results: list[TransactionResult] = field(default_factory=list)
    closing: list[Event] = field(default_factory=list)
    ids: dict[bytes, None] = field(default_factory=dict)
    valid_until_ms_max: int = 0
    fees_ubeat: int = 0
    weight: int = 0

    def include(self, transaction: Transaction, bill: Bill) -> None:
        self.ids[transaction.id] = None
        self.valid_until_ms_max = max(self.valid_until_ms_max, transaction.body.valid_until_ms)
        self.fees_ubeat += bill.fee_ubeat
        self.weight += bill.weight

    def skip(self, transaction: Transaction, refusal: Rejected) -> None:
        self.results.append(TransactionResult(transaction.id, "skipped", refusal.kind, 0, NO_EVENTS))

    def fail(self, transaction: Transaction, bill: Bill, refusal: Rejected) -> None:
        self.results.append(TransactionResult(transaction.id, "failed", refusal.kind, bill.fee_ubeat, NO_EVENTS))

    def succeed(self, transaction: Transaction, bill: Bill, events: list[Event]) -> None:
        self.results.append(TransactionResult(transaction.id, "ok", "", bill.fee_ubeat, encode_events(events)))


def bill_of(transaction: Transaction, params: Params) -> Bill:
    weight = weight_of(transaction.body)
    return Bill(weight, transaction_fee(params.fees, len(transaction.raw), weight))


def write_genesis(view: View, genesis: Genesis) -> None:
    """The state before block 1."""
    view.height, view.time_ms, view.tx = 0, genesis.time_ms, b""
    for entry in genesis.balances:
        tokens.credit(view, entry.account, entry.amount_ubeat, "genesis")
    tokens.write_movements(view)
    tokens.write_supply(view, genesis.supply_ubeat)
    for party in genesis.parties:
        record = identity.Party(party.name, party.kind, party.roles, NO_HASH, 0)
        identity.admit(view, account_of_key(party.key), record)
    write_set(view, 1, genesis.validators)
    governance_changes.write_first_protocol(view, genesis.protocol)


def apply_block(view: View, context: BlockContext) -> BlockOutcome:
    """Executes a block on a fresh view. Defined for every input; Broken where the ledger itself is wrong."""
    view.height, view.time_ms, view.tx = context.height, context.time_ms, b""
    progress = Progress(fees_before_ubeat=tokens.bucket(view, "fees"))
    for transaction in context.transactions:
        _execute(view, context, progress, transaction)
    view.tx = b""
    if progress.ids:
        remember(view, list(progress.ids), progress.valid_until_ms_max)
        tokens.bucket_add(view, "fees", progress.fees_ubeat)
    rows = _finalise(view, context, progress)
    tokens.write_movements(view)
    check_conservation(view)
    leaves = [*map(encode, progress.results), *rows]
    return BlockOutcome(
        results=progress.results,
        rows=rows,
        leaves=leaves,
        results_root=results_root(leaves),
        closing=progress.closing,
        closing_events=encode_events(progress.closing),
        validators=newest_set(view),
        changes=view.changes(),
        history=view.history(),
        weight=progress.weight,
    )


def _execute(view: View, context: BlockContext, progress: Progress, transaction: Transaction) -> None:
    """The next transaction: skipped without a trace, failed for its fee, or ok."""
    params, network = context.params, context.network
    bill = bill_of(transaction, params)
    view.tx = transaction.id
    try:
        _check_head(view, transaction, bill, context.time_ms, params, network, progress.ids)
        if progress.weight + bill.weight > params.limits.block_weight:
            raise Rejected("block.full", height=context.height)
        tokens.debit(view, transaction.body.sender, bill.fee_ubeat, "fee")
    except Rejected as refusal:
        progress.skip(transaction, refusal)
        return
    progress.include(transaction, bill)
    mark = view.mark()
    try:
        events = _run_actions(view, transaction, context.height, context.time_ms, params, network)
    except Rejected as refusal:
        view.rollback(mark)
        keep_refusal(view, transaction.id, refusal)
        progress.fail(transaction, bill, refusal)
    else:
        progress.succeed(transaction, bill, events)


def _check_head(
    view: View,
    transaction: Transaction,
    bill: Bill,
    time_ms: int,
    params: Params,
    network: Network,
    earlier: Container[bytes],
) -> None:
    """Everything that must hold before a transaction pays its fee, in the order in which it is judged."""
    body = transaction.body
    check_network(network, transaction)
    check_window(body, time_ms, params.consensus.replay_window_ms)
    if transaction.id in earlier or view.is_included(transaction.id):
        raise Rejected("tx.duplicate", tx=transaction.id)
    if not identity.has_authority(view, body.sender, transaction.signers):
        raise Rejected("tx.authority", account=body.sender)
    if bill.fee_ubeat > body.max_fee_ubeat:
        raise Rejected("tx.fee_too_low", fee=bill.fee_ubeat, max_fee=body.max_fee_ubeat)


def _run_actions(
    view: View, transaction: Transaction, height: int, time_ms: int, params: Params, network: Network
) -> list[Event]:
    """Executes every action in order. Raises Rejected from the first that may not be; the caller rolls back."""
    body, signers = transaction.body, transaction.signers
    events: list[Event] = []
    try:
        for index, action in enumerate(body.actions):
            call = Call(body.sender, body.nonce, index, transaction.id, signers, height, time_ms, params, network)
            route = route_of(action)
            if route.check is not None:
                route.check(view, call, action)
            events += route.apply(view, call, action)
    except ConcentoError:
        raise
    except Exception as error:
        raise Broken("transaction {tx} broke the ledger: {reason}", tx=transaction.id, reason=repr(error)) from error
    return events


def _finalise(view: View, context: BlockContext, progress: Progress) -> list[bytes]:
    """The stages of finalisation in their order, then misbehaviour, proposals and fees. Returns the rows."""
    rows: list[bytes] = []
    for name, finalise in STAGES:
        try:
            finalised = finalise(view, context.params, progress.weight)
        except Exception as error:
            raise Broken("finalisation of {name} failed: {reason}", name=name, reason=repr(error)) from error
        rows += finalised.rows
        progress.closing += finalised.events
    progress.closing += punish(view, context.evidence, context.params.consensus.validators_min)
    progress.closing += governance.finalise(view, context.params, changes_set(view))
    collected = tokens.bucket(view, "fees") - progress.fees_before_ubeat
    burn_bps = context.params.fees.burn_bps
    progress.closing += distribute(view, collected, context.validators, burn_bps)
    return rows


def check_conservation(view: View) -> None:
    """Broken unless what the block wrote moved money without losing any, or making any but what it minted."""
    delta = 0
    for account_before, account in view.written(identity.ACCOUNTS):
        delta += (account.balance_ubeat if account else 0) - (account_before.balance_ubeat if account_before else 0)
    for name in tokens.BUCKET_NAMES:
        before = view.committed(tokens.BUCKETS, name.encode())
        delta += tokens.bucket(view, name) - (before.total_ubeat if before else 0)
    supply, supply_before = view.find(tokens.SUPPLY, b""), view.committed(tokens.SUPPLY, b"")
    delta -= (supply.minted_ubeat if supply else 0) - (supply_before.minted_ubeat if supply_before else 0)
    if delta:
        raise Broken("block {height} made {delta} ubeat out of nothing", height=view.height, delta=delta)


# Before inclusion


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transaction would do now. `error` is why it would fail or be skipped."""

    status: Literal["ok", "failed", "skipped"]
    fee_ubeat: int
    error: Rejected | None
    events: list[Event]


def check_transaction(
    view: View, transaction: Transaction, height: int, time_ms: int, params: Params, network: Network
) -> None:
    """Raises Rejected unless the transaction would succeed, alone in a block of this height and time; no trace."""
    bill = bill_of(transaction, params)
    if bill.weight > params.limits.block_weight:
        raise Rejected("tx.too_heavy", weight=bill.weight, weight_max=params.limits.block_weight)
    _check_head(view, transaction, bill, time_ms, params, network, ())
    _try_actions(view, transaction, bill, height, time_ms, params, network)


def simulate(
    view: View, transaction: Transaction, height: int, time_ms: int, params: Params, network: Network
) -> Simulation:
    """What the transaction would do, alone in a block of this height and time; leaves no trace.

    The actions are tried even where authority or max_fee is lacking, and the fee is always told, so that a client can
    ask before it signs: what the actions say goes before what the signatures lack.
    """
    bill = bill_of(transaction, params)
    try:
        events = _try_actions(view, transaction, bill, height, time_ms, params, network)
    except Rejected as error:
        return Simulation("failed", bill.fee_ubeat, error, [])
    try:
        _check_head(view, transaction, bill, time_ms, params, network, ())
    except Rejected as error:
        return Simulation("skipped", bill.fee_ubeat, error, [])
    return Simulation("ok", bill.fee_ubeat, None, events)


def _try_actions(
    view: View,
    transaction: Transaction,
    bill: Bill,
    height: int,
    time_ms: int,
    params: Params,
    network: Network,
) -> list[Event]:
    view.height, view.time_ms, view.tx = height, time_ms, transaction.id
    mark = view.mark()
    try:
        tokens.debit(view, transaction.body.sender, bill.fee_ubeat, "fee")
        return _run_actions(view, transaction, height, time_ms, params, network)
    finally:
        view.rollback(mark)
