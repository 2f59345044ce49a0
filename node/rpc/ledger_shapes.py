"""The shapes of answers about assets, licences, receipts and earnings; see `shapes.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from node.rpc.shapes import Address, Cid, Count, Height, Hex, Id, Page, Shape, Shares, SignedUbeat, TimeMs, Ubeat

State = Literal["open", "sealed", "retired"]
Permission = Literal["allow", "deny", "constrained"]
AssetKind = Literal["work", "recording", "dataset", "model", "output", "remix"]


# Assets


class Registered(Shape):
    height: Height
    time_ms: TimeMs
    tx: Id


class Identifiers(Shape):
    isrc: str | None
    iswc: str | None


class Part(Shape):
    path: str
    media_type: str
    cid: Cid
    chunk_root: Id
    bytes: Count


class Facts(Shape):
    duration_ms: Count
    sample_rate_hz: Count
    channels: Count


class Leg(Shape):
    target: Annotated[str, Meta(description='an asset id, "own", or "members" of a dataset')]
    bps: Count


class Holder(Shape):
    holder: Annotated[str, Meta(description="an address, or the id of an asset that holds shares")]
    name: Annotated[str | None, Meta(description="of the party, or the title of the asset")]
    shares: Shares


class DatasetMembers(Shape):
    count: Count
    weight_rule: Literal["equal", "seconds", "bytes", "usage"]
    member_bps: Count
    root: Id | None
    recordings: Count
    duration_ms: Count
    bytes: Count


class Rate(Shape):
    rel_bps: Annotated[int, Meta(description="of everything that the child earns")]
    abs_bps: Annotated[int, Meta(description="of the sales of the child and of all that is made from it")]
    ceiling_ubeat: Ubeat | None


class Parent(Rate):
    asset: Id
    right: Annotated[str | None, Meta(description="the licence or own offer; null where both owners agreed later")]
    purpose: str | None
    from_height: Height


class Tier(Shape):
    units: Annotated[int, Meta(description="beyond so many units this price counts")]
    price_ubeat: Ubeat


class Price(Shape):
    model: Literal[
        "free", "one-off", "subscription", "guarantee", "per-access", "per-second", "per-output", "revenue-share"
    ]
    price_ubeat: Ubeat
    units: Annotated[int, Meta(description="what the price is for: 1, or 1,000 accesses or seconds")]
    tiers: list[Tier]
    bps: Annotated[int, Meta(description="part of reported revenue")]


class Offer(Shape):
    id: Id
    asset: Id
    owner: Address
    terms_hash: Id
    layers: list[str]
    pricing: list[Price]
    purposes: dict[str, Permission]
    duration_ms: Count | None
    expires_ms: TimeMs | None
    supply: Count | None
    sold: Count
    upstream: Annotated[Rate | None, Meta(description="owed by what a licensee makes of the asset")]
    state: Literal["open", "closed", "expired", "sold-out"]


class OneOffer(Offer):
    height: Height


class Offers(Page):
    items: list[Offer]


class Training(Shape):
    asset: Id
    right: Id
    purpose: str


class Model(Shape):
    service: Address
    weights: Id
    outputs: Rate
    manifest: list[Training]


class Output(Shape):
    model: Id
    licence: Id | None
    parameters: Id


class Reported(Shape):
    until_ms: TimeMs
    gross_ubeat: Ubeat
    reports: Count


class Asset(Shape):
    id: Id
    kind: AssetKind
    title: str
    owner: Address
    owner_name: str | None
    tags: list[str]
    data_type: str
    language: str | None
    created_ms: Annotated[int, Meta(description="when it was made, as its owner says; 0 where he does not")]
    version: Count
    registered: Registered
    state: State
    identifiers: Identifiers
    parts: list[Part]
    facts: Facts | None
    work: Id | None
    legs: list[Leg]
    shares_total: Shares
    holders: list[Holder]
    members: DatasetMembers | None
    parents: list[Parent]
    model: Model | None
    output: Output | None
    offers: list[Offer]
    reported: Annotated[Reported | None, Meta(description="revenue made elsewhere, on the owner's word")]
    height: Height


class Amendment(Shape):
    child: Id
    child_title: str | None
    parent: Id
    parent_title: str | None
    proposed_by: Address
    proposed_by_name: str | None
    waits_for: Annotated[Address | None, Meta(description="the owner who has not said the same yet")]
    rel_bps: Count
    ceiling_ubeat: Ubeat | None
    until_ms: TimeMs
    state: Literal["open", "expired"]


class Amendments(Page):
    items: list[Amendment]


class AbsoluteClaim(Shape):
    asset: Id
    bps: Count
    left_ubeat: Annotated[str | None, Meta(description="what is left of its ceiling, where it has one")]


class LineageStep(Parent):
    child: Id
    parent: Id
    depth: Count
    kind: AssetKind
    title: str
    owner: Address | None
    owner_name: str | None


class Lineage(Page):
    items: list[LineageStep]
    asset: Id
    direction: Literal["ancestors", "descendants"]
    ancestors: Annotated[int, Meta(description="distinct ancestors of the asset")]
    generations: Count
    claims: list[AbsoluteClaim]
    complete: Annotated[bool, Meta(description="whether the walk reached every link")]


class FoundAsset(Shape):
    id: Id
    kind: AssetKind
    title: str
    owner: Address
    owner_name: str | None
    tags: list[str]
    members: Count | None
    duration_ms: Count | None
    price_ubeat: Ubeat | None
    offer: Id | None
    state: State
    registered_height: Height


class FoundAssets(Page):
    items: list[FoundAsset]
    complete: bool


class Member(Shape):
    index: Annotated[int, Meta(description="its place in the dataset that it is in")]
    place: Annotated[int, Meta(description="the place in the dataset asked for, of it or of the dataset that it is in")]
    asset: Id
    kind: str
    title: str
    weight: Shares
    duration_ms: Count | None
    parts: list[Part]


class OneMember(Member):
    height: Height


class Members(Page):
    items: list[Member]


# Licences


class Quota(Shape):
    unit: Literal["access", "second"] | None
    total: Count | None
    left: Count | None


class Lane(Shape):
    gateway: Address
    gateway_name: str | None
    lane: Count
    key: Id
    size: Count
    last_seq: Count | None
    units: Count
    units_open: Count
    head: Id | None
    state: Literal["open", "closing", "closed"]


class LaneTotals(Shape):
    count: Count
    units: Count
    lanes: list[Lane]


class Licence(Shape):
    id: Id
    offer: Id
    asset: Id
    title: str | None
    licensee: Address
    licensee_name: str | None
    layers: list[str]
    purpose: str
    purposes: list[str]
    terms_hash: Id
    price_ubeat: Ubeat
    deposit_ubeat: Ubeat
    unit: Literal["access", "second"] | None
    unit_price_ubeat: Ubeat | None
    tiers: list[Tier]
    advance_ubeat: Annotated[str, Meta(description="what is left of a guarantee, which charges use up first")]
    units_used: Count
    units_locked: Annotated[int, Meta(description="promised to open lanes")]
    deposit_free_ubeat: Annotated[str, Meta(description="what no lane has locked")]
    quota: Quota
    epoch: Count
    starts_ms: TimeMs
    expires_ms: TimeMs | None
    revoked_ms: TimeMs | None
    state: Literal["active", "expired", "revoked", "exhausted"]


class Slots(Shape):
    models: Annotated[int, Meta(description="registered under the licence")]
    outputs: Annotated[int, Meta(description="registered under the licence, remixes included")]
    outputs_authorised: Annotated[int, Meta(description="that a model's service may register in all")]
    outputs_by_service: Annotated[int, Meta(description="that it has registered of them")]


class LicenceInFull(Licence):
    receipts: LaneTotals
    slots: Slots
    reported: Annotated[Reported | None, Meta(description="revenue reported so far")]
    height: Height


class Licences(Page):
    items: list[Licence]


class Verdict(Shape):
    allowed: bool
    licence: Id | None
    kind: str | None
    message: str | None
    hint: str | None
    height: Height


# Receipts


class Anchor(Shape):
    tx: Id
    height: Height
    root: Id
    index: Count
    size: Count


class AnchorWithPath(Anchor):
    path: list[Id] | None


class Signatures(Shape):
    gateway: Hex | None
    voucher: Hex


class _ReceiptFacts(Shape):
    id: Id
    licence: Id
    asset: Id
    member: Id
    part: Count
    gateway: Address
    gateway_name: str | None
    licensee: Address
    licensee_name: str | None
    lane: Count
    seq: Count
    purpose: str
    bytes: Count
    unit: Literal["access", "second"] | None
    units: Count
    amount_ubeat: Ubeat
    cid: Cid


class Receipt(_ReceiptFacts):
    batch: Anchor | None


class ReceiptInFull(_ReceiptFacts):
    batch: AnchorWithPath | None
    signatures: Signatures
    height: Height


class Receipts(Page):
    items: list[Receipt]


# Earnings


class PaymentFacts(Shape):
    """What every line of income says of the payment behind it."""

    height: Height
    index: Count
    time_ms: TimeMs
    cause: Literal["sale", "usage", "declared", "royalty", "reward", "dispute"]
    source: Annotated[
        Literal["sale", "usage", "declared", "reward", "dispute"],
        Meta(description="the payment behind it, also where a royalty came of it"),
    ]
    cause_tx: Id | None
    payer: Address | None
    asset: Id | None
    title: str | None
    path: list[Id]
    gross_ubeat: Ubeat
    fee_ubeat: Ubeat


class StatementLine(PaymentFacts):
    layer: str
    shares: Shares
    shares_total: Shares
    upstream_ubeat: Ubeat
    keep_ubeat: Ubeat
    amount_ubeat: Ubeat
    rate: str
    paid_height: Height


class StatementMovements(Shape):
    height: Height
    movements: str
    lines: list[list[tuple[Height, str]]]


class StatementEvidence(Page):
    items: list[StatementMovements]
    records: list[tuple[str, str]]
    heights: list[Height]


class Statement(Page):
    who: str
    address: Address
    from_height: Height
    to_height: Height
    opening_ubeat: Ubeat
    earned_ubeat: Ubeat
    other_ubeat: SignedUbeat
    closing_ubeat: Ubeat
    lines: list[StatementLine]
    accrued_ubeat: Ubeat | None
