"""Licence terms: a closed vocabulary of purposes and constraints, named by the hash of their canonical bytes."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, Literal

from msgspec import Meta

from concento.encoding import Natural, Record, encode
from concento.errors import Rejected
from concento.hashing import tagged_hash

PURPOSES: Final = (
    "search-index",
    "analysis",
    "recognition",
    "train-generative",
    "train-other",
    "fine-tune",
    "retrieval-input",
    "inference-service",
    "derive-remix",
    "sync-display",
    "redistribute",
    "research-only",
)
"""Everything that a licence can be for; the order is the order of `Terms.purposes`."""

Purpose = Literal[
    "search-index",
    "analysis",
    "recognition",
    "train-generative",
    "train-other",
    "fine-tune",
    "retrieval-input",
    "inference-service",
    "derive-remix",
    "sync-display",
    "redistribute",
    "research-only",
]

LAYERS: Final = ("work", "recording")
Layer = Literal["work", "recording"]


class Permission(IntEnum):
    """The owner's word on one purpose; combining two takes the tighter one."""

    DENY = 0
    CONSTRAINED = 1
    ALLOW = 2


PermissionValue = Annotated[int, Meta(ge=0, le=2)]
Territory = Annotated[str, Meta(min_length=2, max_length=2, pattern="^[A-Z]{2}$")]
Limit = Annotated[int, Meta(ge=1, le=2**53 - 1)] | None


class Terms(Record):
    """What a licence under these terms permits. None means: no such limit."""

    purposes: Annotated[tuple[PermissionValue, ...], Meta(min_length=len(PURPOSES), max_length=len(PURPOSES))]
    territories: Annotated[tuple[Territory, ...], Meta(max_length=250)]
    duration_ms: Limit
    accesses_max: Limit
    bytes_max: Limit
    seconds_max: Limit
    model_versions_max: Limit
    outputs_max: Limit
    exclusive: bool
    purge_after_training: bool
    transferable: bool
    sublicensable: bool
    audience_tier: Annotated[int, Meta(ge=0, le=3)]
    attribution: Annotated[str, Meta(max_length=200)]
    text_hash: Annotated[bytes, Meta(max_length=32)]


def make_terms(
    allow: tuple[str, ...] = (),
    constrained: tuple[str, ...] = (),
    duration_ms: int | None = None,
    accesses_max: int | None = None,
) -> Terms:
    """Ordinary terms: the named purposes are permitted, every other one is denied. Raises Rejected for a typo."""
    for name in (*allow, *constrained):
        if name not in PURPOSES:
            raise Rejected("terms.unknown_purpose", purpose=name)
    grants = tuple(
        int(Permission.ALLOW if name in allow else Permission.CONSTRAINED if name in constrained else Permission.DENY)
        for name in PURPOSES
    )
    return Terms(
        purposes=grants,
        territories=(),
        duration_ms=duration_ms,
        accesses_max=accesses_max,
        bytes_max=None,
        seconds_max=None,
        model_versions_max=None,
        outputs_max=None,
        exclusive=False,
        purge_after_training=False,
        transferable=False,
        sublicensable=False,
        audience_tier=0,
        attribution="",
        text_hash=b"",
    )


def terms_hash(terms: Terms) -> bytes:
    """The name of these terms: a buyer signs it, so they cannot change under his hands."""
    return tagged_hash("terms", encode(terms))


def permission(terms: Terms, purpose: str) -> Permission:
    return Permission(terms.purposes[PURPOSES.index(purpose)])


def combine(left: Terms, right: Terms) -> Terms:
    """The terms under which both may be used: any denial wins, the tightest constraint stays."""
    territories = (
        left.territories and right.territories and tuple(t for t in left.territories if t in right.territories)
    )
    return Terms(
        purposes=tuple(min(pair) for pair in zip(left.purposes, right.purposes, strict=True)),
        territories=territories or left.territories or right.territories,
        duration_ms=_tighter(left.duration_ms, right.duration_ms),
        accesses_max=_tighter(left.accesses_max, right.accesses_max),
        bytes_max=_tighter(left.bytes_max, right.bytes_max),
        seconds_max=_tighter(left.seconds_max, right.seconds_max),
        model_versions_max=_tighter(left.model_versions_max, right.model_versions_max),
        outputs_max=_tighter(left.outputs_max, right.outputs_max),
        exclusive=left.exclusive and right.exclusive,
        purge_after_training=left.purge_after_training or right.purge_after_training,
        transferable=left.transferable and right.transferable,
        sublicensable=left.sublicensable and right.sublicensable,
        audience_tier=max(left.audience_tier, right.audience_tier),
        attribution=left.attribution or right.attribution,
        text_hash=left.text_hash or right.text_hash,
    )


def _tighter(left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)


__all__ = [
    "LAYERS",
    "PURPOSES",
    "Layer",
    "Natural",
    "Permission",
    "Purpose",
    "Terms",
    "combine",
    "make_terms",
    "permission",
    "terms_hash",
]
