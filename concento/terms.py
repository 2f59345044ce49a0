"""Licence terms: a closed vocabulary of purposes and constraints, named by the hash of their canonical bytes."""

from __future__ import annotations

from enum import IntEnum
from itertools import pairwise
from typing import Annotated, Final, Literal, TypeVar, get_args

from msgspec import Meta
from msgspec.structs import replace

from concento.encoding import Natural, Record, encode
from concento.errors import Rejected
from concento.hashing import tagged_hash
from concento.texts import check_text

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

PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)
"""Everything that a licence can be for; the order is the order of `Terms.purposes`."""

_PLACES: Final[dict[str, int]] = {purpose: place for place, purpose in enumerate(PURPOSES)}

ATTRIBUTION_BYTES_MAX: Final = 200
"""A line of credits."""

NOWHERE: Final = ("ZZ",)
"""The territories of terms that have no place in common; no country has this code."""

EACH_ITS_OWN: Final = "as each member asks"
"""The attribution of members that ask for different ones: a licensee looks it up per member."""

SEVERAL_TEXTS: Final = bytes(32)
"""The legal text of members that have different ones."""

Layer = Literal["work", "recording"]
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)


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
    return Permission(terms.purposes[_PLACES[purpose]])


def permits(terms: Terms, purpose: str) -> bool:
    """Whether a licence under these terms may be used for this, with or without constraints."""
    return terms.purposes[_PLACES[purpose]] != Permission.DENY


def check_terms(terms: Terms) -> None:
    """Raises Rejected("terms.invalid") or text.invalid unless the terms are written in their one form."""
    check_text("attribution", terms.attribution)
    if len(terms.attribution.encode()) > ATTRIBUTION_BYTES_MAX:
        raise Rejected("terms.invalid", field="attribution", reason=f"more than {ATTRIBUTION_BYTES_MAX} bytes")
    if any(left >= right for left, right in pairwise(terms.territories)):
        raise Rejected("terms.invalid", field="territories", reason="must be sorted and distinct")
    if NOWHERE[0] in terms.territories:
        raise Rejected("terms.invalid", field="territories", reason=f"{NOWHERE[0]} is no territory")
    if len(terms.text_hash) not in (0, 32):
        raise Rejected("terms.invalid", field="text_hash", reason="must be empty or a hash")


def combine(left: Terms, right: Terms) -> Terms:
    """The terms under which both may be used: any denial wins, the tightest constraint stays.

    Order and grouping do not matter. Where the territories have no common place nothing is permitted at all.
    """
    territories = _common_places(left.territories, right.territories)
    purposes = tuple(min(pair) for pair in zip(left.purposes, right.purposes, strict=True))
    return Terms(
        purposes=purposes if territories != NOWHERE else (int(Permission.DENY),) * len(PURPOSES),
        territories=territories,
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
        attribution=_both(left.attribution, right.attribution, "", EACH_ITS_OWN),
        text_hash=_both(left.text_hash, right.text_hash, b"", SEVERAL_TEXTS),
    )


def inherited(terms: Terms) -> Terms:
    """What binds whatever a licensee makes under these terms: all but the counts, which bind his own use alone."""
    return replace(
        terms, accesses_max=None, bytes_max=None, seconds_max=None, model_versions_max=None, outputs_max=None
    )


def permits_nothing(terms: Terms) -> bool:
    return not any(terms.purposes)


def excess(terms: Terms, bounds: Terms) -> str | None:
    """The first field in which `terms` permit more, or ask for less, than `bounds` do; None where they stay within."""
    for index, purpose in enumerate(PURPOSES):
        if terms.purposes[index] > bounds.purposes[index]:
            return purpose
    for name in _LIMIT_FIELDS:
        most, given = getattr(bounds, name), getattr(terms, name)
        if most is not None and (given is None or given > most):
            return name
    if bounds.territories and not (terms.territories and set(terms.territories) <= set(bounds.territories)):
        return "territories"
    for name in ("exclusive", "transferable", "sublicensable"):
        if getattr(terms, name) and not getattr(bounds, name):
            return name
    if bounds.purge_after_training and not terms.purge_after_training:
        return "purge_after_training"
    if terms.audience_tier < bounds.audience_tier:
        return "audience_tier"
    if not _honours(terms.attribution, bounds.attribution, EACH_ITS_OWN):
        return "attribution"
    return None if _honours(terms.text_hash, bounds.text_hash, SEVERAL_TEXTS) else "text_hash"


_LIMIT_FIELDS: Final = ("duration_ms", "accesses_max", "bytes_max", "seconds_max", "model_versions_max", "outputs_max")

_Text = TypeVar("_Text", str, bytes)


def _common_places(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    """The territories of both; the empty list means everywhere."""
    if not left or not right:
        return left or right
    return tuple(place for place in left if place in right) or NOWHERE


def _both(left: _Text, right: _Text, nothing: _Text, several: _Text) -> _Text:
    if left == right or right == nothing:
        return left
    return right if left == nothing else several


def _honours(given: _Text, asked: _Text, several: _Text) -> bool:
    """Whether a text is what is asked for; where several are asked for, one that is not empty may speak for them."""
    return not asked or given == asked or (asked == several and bool(given))


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
    "check_terms",
    "combine",
    "excess",
    "inherited",
    "make_terms",
    "permission",
    "permits",
    "permits_nothing",
    "terms_hash",
]
