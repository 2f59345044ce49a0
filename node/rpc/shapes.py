"""The shape of every answer, as types: OpenRPC's schemas are made from them and tests hold every answer against them.

Answers themselves are plain dictionaries made by `state.queries*`. No key is ever left out: `| None` is null.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from concento.genesis import Params

Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})+$", description="lower-case hex")]
Id = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="32 bytes as lower-case hex")]
Address = Annotated[str, Meta(pattern="^t?conc1[02-9ac-hj-np-z]+$", description="bech32m account address")]
Ubeat = Annotated[str, Meta(pattern="^[0-9]{1,19}$", description="integer ubeat; 1 BEAT = 1,000,000 ubeat")]
SignedUbeat = Annotated[str, Meta(pattern="^-?[0-9]{1,19}$", description="integer ubeat, negative where money left")]
Shares = Annotated[str, Meta(pattern="^[0-9]{1,19}$", description="a count of shares")]
Cid = Annotated[str, Meta(pattern="^bafkrei[a-z2-7]{52}$", description="CIDv1, raw, sha2-256")]
Base64 = Annotated[str, Meta(description="base64 with padding")]
Height = Annotated[int, Meta(ge=0)]
TimeMs = Annotated[int, Meta(ge=0, description="unix time in milliseconds")]
Count = Annotated[int, Meta(ge=0)]


class Shape(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A JSON object with exactly these keys."""


class Page(Shape):
    """What every list has beside its items."""

    next: str | None
    height: Height


# Errors


class ErrorData(Shape):
    kind: str
    hint: str | None
    retryable: bool
    field: str | None
    tx: Id | None
    height: Height | None
    numbers: dict[str, int | str | None]


class Error(Shape):
    code: int
    message: str
    data: ErrorData


class Reason(Shape):
    kind: str
    message: str
    hint: str | None
    numbers: dict[str, int | str | None]


# Nodes


class Status(Shape):
    chain_id: str
    genesis_hash: Id
    dev: bool
    name: str
    role: Literal["validator", "observer"]
    version: str
    protocol: int
    height: Height
    block_id: Id
    app_hash: Id
    time_ms: TimeMs
    round: Count
    step: str
    proposer: str | None
    peers: Count
    pool: Count
    syncing: bool
    ready: bool
    tip_age_ms: Count
    oldest_height: Height


class Items(Page):
    """A list whose items are described in words."""

    items: list[dict[str, Any]]


# Chain


class BatchInfo(Shape):
    digest: Id
    author: Id | None
    count: Count | None
    bytes: Count | None


class BlockTransaction(Shape):
    tx: Id
    status: Literal["final", "failed", "skipped"]
    kinds: list[str]


class Payment(Shape):
    asset: Id | None
    party: str | None
    layer: str | None
    amount_ubeat: Ubeat


class CommitInfo(Shape):
    round: Count
    signers: list[Id]
    signer_names: list[str]
    validators: Count


class BlockSummary(Shape):
    height: Height
    id: Id
    time_ms: TimeMs
    round: Count
    proposer: Id
    proposer_name: str
    app_hash: Id
    transactions: Count


class Block(BlockSummary):
    parent: Id
    results_root: Id
    batches: list[BatchInfo]
    txs: list[BlockTransaction]
    paid: list[Payment]
    commit: CommitInfo


class Blocks(Page):
    items: list[BlockSummary]


class Commit(CommitInfo):
    height: Height
    block_id: Id
    header: Base64
    commit: Base64
    evidence: Count


class ValidatorInfo(Shape):
    name: str
    key: Id
    rewards_to: Address


class Validators(Page):
    items: list[ValidatorInfo]
    hash: Id
    quorum: Count


class HandoverInfo(Shape):
    height: Height
    header: Base64
    commit: Base64
    validators: Base64


class Handovers(Page):
    items: list[HandoverInfo]


Parameters = msgspec.defstruct(
    "Parameters",
    [*((name, dict[str, Any]) for name in Params.__struct_fields__), ("height", Height)],
    bases=(Shape,),
    kw_only=True,
)
"""The parts of the parameters as genesis has them."""


class GenesisText(Shape):
    json: str
    hash: Id
    height: Height


class Supply(Shape):
    minted_ubeat: Ubeat
    balances_ubeat: Ubeat
    escrow_ubeat: Ubeat
    pools_ubeat: Ubeat
    burnt_ubeat: Ubeat
    height: Height


class ResultRow(Shape):
    index: Count
    row: Base64
    path: list[Id]


class ProvedResult(Shape):
    index: Count
    result: Annotated[Base64, Meta(description="id, status, kind, fee and events of a transaction")]
    path: list[Id]


class ResultRows(Shape):
    height: Height
    count: Count
    rows: list[ResultRow]
    transactions: list[ProvedResult]
    block: Annotated[Base64, Meta(description="the header of the height itself")]
    header: Annotated[Base64, Meta(description="the next header, which proves both")]
    commit: Base64


class Subscription(Shape):
    subscription: str


class Unsubscribed(Shape):
    unsubscribed: bool


class StreamEvent(Shape):
    """What a subscriber gets, or the notice {lagged: true, resume_from}."""

    cursor: Annotated[str, Meta(pattern=r"^\d+\.\d+$")]
    height: Height
    index: Count
    time_ms: TimeMs
    topic: str
    event: dict[str, Any]
    text: str


# Accounts


class PartyInfo(Shape):
    id: Id
    kind: str
    roles: list[str]


class Policy(Shape):
    threshold: Count
    keys: list[Id]


class Account(Shape):
    address: Address
    name: str | None
    party: PartyInfo | None
    balance_ubeat: Ubeat
    escrow_ubeat: Ubeat
    accrued_ubeat: Ubeat | None
    policy: Policy | None
    height: Height


class Movement(Shape):
    height: Height
    index: Count
    time_ms: TimeMs
    tx: Id | None
    cause: str
    counterparty: Address | None
    amount_ubeat: SignedUbeat
    balance_ubeat: Ubeat


class Movements(Page):
    items: list[Movement]


class Party(Shape):
    address: Address
    name: str
    id: Id
    kind: str
    roles: list[str]
    issuer: Annotated[Address | None, Meta(description="null for parties of genesis")]
    admitted_height: Height


class Payout(Shape):
    mode: Literal["now", "min", "every"]
    amount_ubeat: Ubeat
    period_ms: Count


class PartyInFull(Party):
    policy: Policy | None
    payout: Payout
    height: Height


class Parties(Page):
    items: list[Party]


# Transactions


class Created(Shape):
    kind: str
    id: Id


class Tx(Shape):
    tx: Id
    status: Literal["pending", "shared", "final", "failed", "skipped", "expired", "unknown"]
    known: bool
    sender: Address | None
    height: Height | None
    index: Count | None
    time_ms: TimeMs | None
    fee_ubeat: Ubeat
    valid_until_ms: TimeMs | None
    memo: str | None
    error: Reason | None
    actions: list[dict[str, Any]]
    events: list[dict[str, Any]]
    created: list[Created]
    raw: Base64 | None


class BatchItem(Shape):
    tx: Id | None
    status: str | None
    known: bool
    error: Error | None


class BatchItems(Page):
    items: list[BatchItem]


# Proofs


class ReceiptPath(Shape):
    """Where a receipt lies below the batch record that the proof is about."""

    body: Base64
    first: Annotated[int, Meta(ge=0, description="the first receipt of the batch")]
    index: Count
    size: Count
    path: list[Hex]


class Proof(Shape):
    format: Literal["concento-proof-1"]
    engine: Literal["own", "comet"]
    chain_id: str
    genesis_hash: Id
    height: Height
    key: str
    value: Base64 | None
    nodes: list[Hex]
    header: Base64
    commit: Base64
    handovers: list[dict[str, Base64]]
    receipt: ReceiptPath | None
