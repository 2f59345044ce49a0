"""Messages about assets: works, recordings and datasets; their parts, their splits, the terms their owner allows."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from concento.accounts import AccountId
from concento.cids import ContentHash
from concento.encoding import BasisPoints, Bytes32, Natural, Record
from concento.limits import (
    LEGS_MAX,
    MEMBERS_PER_ACTION_MAX,
    PARTS_MAX,
    PATH_BYTES_MAX,
    SPLIT_ROWS_MAX,
    TAG_BYTES_MAX,
    TAGS_MAX,
    TITLE_BYTES_MAX,
)
from concento.terms import Terms

AssetId = Bytes32
WeightRule = Literal["equal", "seconds", "bytes", "usage"]
Title = Annotated[str, Meta(min_length=1, max_length=TITLE_BYTES_MAX)]
Tag = Annotated[str, Meta(min_length=1, max_length=TAG_BYTES_MAX)]
Tags = Annotated[tuple[Tag, ...], Meta(max_length=TAGS_MAX)]
ShareCount = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Language = Annotated[str, Meta(max_length=35)]
Identifier = Annotated[str, Meta(max_length=15)]

OWN: Literal[b""] = b""
"""The target of a leg that stays with the asset's own table."""


class Split(Record):
    """One row of a split: `shares` of the table's total belong to an account."""

    holder: AccountId
    shares: ShareCount


class Leg(Record):
    """A part of what an asset keeps: to an older asset (its id), or to its own table (the empty string)."""

    target: Annotated[bytes, Meta(max_length=32)]
    bps: BasisPoints


class Part(Record):
    """One file of an asset: off-chain bytes, named by their hash; `chunk_root` lets a range be checked alone."""

    path: Annotated[str, Meta(min_length=1, max_length=PATH_BYTES_MAX)]
    media_type: Annotated[str, Meta(min_length=1, max_length=100)]
    content: ContentHash
    chunk_root: Bytes32
    bytes: Natural


class AudioFacts(Record):
    """What a full decode of the audio found."""

    duration_ms: Natural
    sample_rate_hz: Natural
    channels: Natural


Splits = Annotated[tuple[Split, ...], Meta(min_length=1, max_length=SPLIT_ROWS_MAX)]
Legs = Annotated[tuple[Leg, ...], Meta(min_length=1, max_length=LEGS_MAX)]


class Description(Record):
    """What people search by."""

    title: Title
    tags: Tags
    data_type: Annotated[str, Meta(max_length=32)]
    language: Language
    created_ms: Natural


class RegisterWork(Record, tag="assets.register_work"):
    """A composition: the writers' and publishers' layer. `iswc` is empty or T-123456789-C without punctuation."""

    description: Description
    iswc: Identifier
    splits: Splits
    terms: Terms


class RegisterRecording(Record, tag="assets.register_recording"):
    """A recording: the performers' and labels' layer over its works; `isrc` is empty or 12 characters.

    `legs` ends with its own table; the works come before it. Weights sum to 10,000.
    """

    description: Description
    isrc: Identifier
    legs: Legs
    splits: Splits
    terms: Terms
    parts: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=PARTS_MAX)]
    facts: AudioFacts | None


class RegisterDataset(Record, tag="assets.register_dataset"):
    """A dataset version, still open: members are added in chunks until it is sealed.

    `member_bps` of what it keeps goes to the member table, the rest to the curator's splits (empty where 10,000).
    Weight "usage" is "equal" for one-off prices, and divides metered money by what readers say that they used.
    """

    description: Description
    weight_rule: WeightRule
    member_bps: BasisPoints
    curator_splits: Annotated[tuple[Split, ...], Meta(max_length=SPLIT_ROWS_MAX)]
    previous: Annotated[bytes, Meta(max_length=32)]


class AddMembers(Record, tag="assets.add_members"):
    """Recordings (or older sealed datasets) that belong to an open dataset; the chain computes their weights."""

    dataset: AssetId
    members: Annotated[tuple[AssetId, ...], Meta(min_length=1, max_length=MEMBERS_PER_ACTION_MAX)]


class SealDataset(Record, tag="assets.seal_dataset"):
    """The dataset is complete: its members, weights and effective terms are fixed and it may be sold."""

    dataset: AssetId


class UpdateMetadata(Record, tag="assets.update_metadata"):
    """The owner corrects what people search by; rights and content stay."""

    asset: AssetId
    version: Natural
    description: Description


class RetireAsset(Record, tag="assets.retire"):
    """No new licences and no new memberships; what was sold stays valid and what it earns is still paid."""

    asset: AssetId
