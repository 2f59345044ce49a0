"""Assets: works and recordings, what they are made of, what their owners allow, who finds them under which name.

A work is an asset of its own; a recording earns for its works and for its own table. Registration fixes rights and
content for ever; only the description can be corrected. Datasets are in `datasets.py`; money is in `royalties.py`.
The audio itself never comes here: a file is its SHA-256. Rules: docs/protocol/assets.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import Natural, Record
from concento.errors import Rejected
from concento.identifiers import check_isrc, check_iswc
from concento.limits import PATH_BYTES_MAX, TAG_BYTES_MAX, TITLE_BYTES_MAX
from concento.messages.assets import (
    OWN,
    AssetId,
    AudioFacts,
    Description,
    Leg,
    Part,
    RegisterRecording,
    RegisterWork,
    RetireAsset,
    Split,
    UpdateMetadata,
)
from concento.terms import Terms, check_terms, combine, terms_hash
from concento.texts import check_text, mixes_scripts
from concento.transactions import object_id
from state.calls import Call, Event
from state.modules import royalties
from state.modules.identity import require_role
from state.view import Kind, View

BPS: Final = 10_000
"""The whole of what legs share out."""

_DATA_TYPE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""The shape of a BCP 47 tag; whether a language has that code is not the chain's affair."""
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")


AssetKind: TypeAlias = Literal["work", "recording", "dataset", "model", "output", "remix"]


class Asset(Record):
    """Anything that can be licensed. `identifier` is a work's ISWC or a recording's ISRC, or empty.

    `sealed` once it has its rank among the assets: works and recordings from registration on, datasets when complete.
    """

    kind: AssetKind
    owner: AccountId
    description: Description
    version: Natural
    identifier: str
    legs: tuple[Leg, ...]
    parts: tuple[Part, ...]
    facts: AudioFacts | None
    sealed: bool
    retired: bool
    height: Natural
    time_ms: Natural
    tx: bytes


class Rights(Record):
    """The terms that bound every licence of a layer, as hashes into TERMS; empty where the asset lacks the layer."""

    work: bytes
    recording: bytes


class Content(Record):
    """Which part of which asset a file is."""

    asset: AssetId
    part: Natural


class IdentifierClaim(Record):
    """That an asset claims a number; several may, until somebody decides whose it is."""

    height: Natural


ASSETS = Kind(b"asset/", Asset)
RIGHTS = Kind(b"rights/", Rights)
TERMS = Kind(b"terms/", Terms)
"""Terms by their hash: most assets of a label share them."""
CONTENTS = Kind(b"content/", Content)
IDENTIFIERS = Kind(b"identifier/", IdentifierClaim)


# Reading


def require_asset(view: View, asset: bytes) -> Asset:
    """The asset. Raises Rejected("asset.not_found")."""
    found = view.find(ASSETS, asset)
    if found is None:
        raise Rejected("asset.not_found", text=asset.hex())
    return found


def require_owned(view: View, asset: bytes, account: bytes) -> Asset:
    """The asset, if the account owns it. Raises Rejected asset.not_found or asset.not_owner."""
    found = require_asset(view, asset)
    if found.owner != account:
        raise Rejected("asset.not_owner", asset=asset, owner=found.owner)
    return found


def require_not_retired(asset_id: bytes, asset: Asset) -> None:
    if asset.retired:
        raise Rejected("asset.retired", asset=asset_id)


def state_of(asset: Asset) -> str:
    """What people call it: "open" while a dataset takes members, "retired", else "sealed"."""
    if asset.retired:
        return "retired"
    return "sealed" if asset.sealed else "open"


def effective_terms(view: View, asset: bytes, layers: Sequence[str]) -> Terms | None:
    """The tightest terms over these layers of a sealed asset; None where it lacks one of them."""
    rights = view.find(RIGHTS, asset)
    if rights is None:
        return None
    terms: Terms | None = None
    for layer in layers:
        name = rights.work if layer == "work" else rights.recording
        if not name:
            return None
        bounds = view.get(TERMS, name)
        terms = bounds if terms is None else combine(terms, bounds)
    return terms


def combine_named(view: View, names: Sequence[bytes]) -> bytes:
    """The name of the terms under which all may be used; empty where one is missing. Writes them if they are new."""
    distinct = list(dict.fromkeys(names))
    if not distinct or not all(distinct):
        return b""
    if len(distinct) == 1:
        return distinct[0]
    terms = view.get(TERMS, distinct[0])
    for name in distinct[1:]:
        terms = combine(terms, view.get(TERMS, name))
    return put_terms(view, terms)


def put_terms(view: View, terms: Terms) -> bytes:
    """The hash under which the terms can be read."""
    name = terms_hash(terms)
    if view.find(TERMS, name) is None:
        view.put(TERMS, name, terms)
    return name


def identifier_key(scheme: str, number: str, asset: bytes) -> bytes:
    """Claims of one number stand side by side: `scheme` is "isrc" or "iswc"."""
    return f"{scheme}/{number}/".encode() + asset


# Registering a work


def check_register_work(view: View, call: Call, message: RegisterWork) -> None:
    require_role(view, call.sender, "creator")
    new_asset_id(view, call)
    check_description(message.description)
    check_iswc(message.iswc)
    check_splits("splits", message.splits)
    check_terms(message.terms)


def apply_register_work(view: View, call: Call, message: RegisterWork) -> list[Event]:
    asset_id = new_asset_id(view, call)
    table = royalties.new_table(view, split_rows(message.splits))
    royalties.new_asset(view, asset_id, "work", [royalties.table_leg(table, BPS)])
    name = put_terms(view, message.terms)
    view.put(RIGHTS, asset_id, Rights(name, b""))
    asset = new_record(call, "work", message.description, message.iswc, (Leg(OWN, BPS),))
    put_registered(view, asset_id, asset, "iswc")
    return [registered_event(asset_id, asset)]


def weigh_register_work(message: RegisterWork) -> int:
    """Asset, rights, terms, table, rank in both directions, two counters; its rows; the claim of its number."""
    return 8 + len(message.splits) + bool(message.iswc)


# Registering a recording


def check_register_recording(view: View, call: Call, message: RegisterRecording) -> None:
    require_role(view, call.sender, "creator")
    new_asset_id(view, call)
    check_description(message.description)
    check_isrc(message.isrc)
    check_splits("splits", message.splits)
    check_terms(message.terms)
    _check_legs(view, call, message.legs)
    check_parts(view, message.parts)


def apply_register_recording(view: View, call: Call, message: RegisterRecording) -> list[Event]:
    asset_id = new_asset_id(view, call)
    works = message.legs[:-1]
    table = royalties.new_table(view, split_rows(message.splits))
    legs = [royalties.asset_leg(require_rank(view, leg.target), leg.bps) for leg in works]
    royalties.new_asset(view, asset_id, "recording", [*legs, royalties.table_leg(table, message.legs[-1].bps)])
    work_terms = combine_named(view, [view.get(RIGHTS, leg.target).work for leg in works])
    view.put(RIGHTS, asset_id, Rights(work_terms, put_terms(view, message.terms)))
    put_contents(view, asset_id, message.parts)
    asset = new_record(call, "recording", message.description, message.isrc, message.legs, message.parts, message.facts)
    put_registered(view, asset_id, asset, "isrc")
    return [registered_event(asset_id, asset)]


def weigh_register_recording(message: RegisterRecording) -> int:
    """As a work, and each file's entry in the index of contents; combined terms of several works are a record each."""
    return 8 + len(message.splits) + bool(message.isrc) + len(message.parts) + len(message.legs)


def _check_legs(view: View, call: Call, legs: tuple[Leg, ...]) -> None:
    """Works first, each once, then the own table; the chain has no leg that carries nothing."""
    total = sum(leg.bps for leg in legs)
    if total != BPS or any(leg.bps == 0 for leg in legs):
        raise Rejected("asset.legs_sum", total=total, expected=BPS)
    targets = [leg.target for leg in legs]
    if targets[-1] != OWN or OWN in targets[:-1] or len(set(targets)) != len(targets):
        raise Rejected("asset.legs_order")
    for target in targets[:-1]:
        _check_work(view, call, target)


def _check_work(view: View, call: Call, target: bytes) -> None:
    """A work of somebody else may stand behind a recording if its terms let others license it on."""
    work = require_asset(view, target)
    if work.kind != "work":
        raise Rejected("asset.leg_not_a_work", asset=target, asset_kind=work.kind)
    require_not_retired(target, work)
    if work.owner == call.sender:
        return
    terms = effective_terms(view, target, ("work",))
    if terms is None or not terms.sublicensable:
        raise Rejected("asset.not_sublicensable", asset=target, owner=work.owner)


def check_parts(view: View, parts: tuple[Part, ...]) -> None:
    paths: set[str] = set()
    contents: set[bytes] = set()
    for part in parts:
        _check_path(part.path)
        if _MEDIA_TYPE.fullmatch(part.media_type) is None:
            raise Rejected("asset.part_invalid", path=part.path, reason="the media type is not like audio/flac")
        if part.bytes == 0:
            raise Rejected("asset.part_invalid", path=part.path, reason="the file is empty")
        if part.path in paths or part.content in contents:
            raise Rejected("asset.part_invalid", path=part.path, reason="its path or its bytes are named twice")
        paths.add(part.path)
        contents.add(part.content)
        known = view.find(CONTENTS, part.content)
        if known is not None:
            owner = view.get(ASSETS, known.asset).owner
            raise Rejected("asset.duplicate_content", asset=known.asset, owner=owner, path=part.path)


def _check_path(path: str) -> None:
    """A relative path that no file system can read as anything else."""
    check_text("path", path)
    if len(path.encode()) > PATH_BYTES_MAX:
        raise Rejected("asset.part_invalid", path=path, reason=f"the path has more than {PATH_BYTES_MAX} bytes")
    if "\\" in path or ":" in path or any(step in ("", ".", "..") for step in path.split("/")):
        raise Rejected("asset.part_invalid", path=path, reason="the path must be relative, with plain steps")


# What the owner may change


def check_update_metadata(view: View, call: Call, message: UpdateMetadata) -> None:
    asset = require_owned(view, message.asset, call.sender)
    require_not_retired(message.asset, asset)
    if message.version != asset.version + 1:
        raise Rejected("asset.version_stale", asset=message.asset, version=asset.version, given=message.version)
    check_description(message.description)


def apply_update_metadata(view: View, _call: Call, message: UpdateMetadata) -> list[Event]:
    asset = view.get(ASSETS, message.asset)
    view.put(ASSETS, message.asset, replace(asset, description=message.description, version=message.version))
    return [
        Event(
            "asset.updated",
            {
                "asset": message.asset,
                "owner": asset.owner,
                "version": message.version,
                "title": message.description.title,
                "tags": message.description.tags,
            },
        )
    ]


def check_retire_asset(view: View, call: Call, message: RetireAsset) -> None:
    require_not_retired(message.asset, require_owned(view, message.asset, call.sender))


def apply_retire_asset(view: View, _call: Call, message: RetireAsset) -> list[Event]:
    asset = view.get(ASSETS, message.asset)
    view.put(ASSETS, message.asset, replace(asset, retired=True))
    return [Event("asset.retired", {"asset": message.asset, "owner": asset.owner, "title": asset.description.title})]


def weigh_one(_message: Record) -> int:
    """One record written."""
    return 1


# What every registration asks


def new_asset_id(view: View, call: Call) -> bytes:
    """The id of what this action registers. Raises Rejected where it is taken: the nonce was used before."""
    asset_id = object_id("asset", call.sender, call.nonce, call.action_index)
    if view.find(ASSETS, asset_id) is not None:
        raise Rejected("asset.exists", asset=asset_id)
    return asset_id


def check_description(description: Description) -> None:
    """Raises Rejected unless every text has its one spelling; tags are lower case, sorted and distinct."""
    check_text("title", description.title)
    if len(description.title.encode()) > TITLE_BYTES_MAX:
        raise Rejected("asset.description_invalid", field="title", reason=f"more than {TITLE_BYTES_MAX} bytes")
    for tag in description.tags:
        check_text("tag", tag)
        if tag != tag.lower() or mixes_scripts(tag):
            raise Rejected("asset.description_invalid", field="tags", reason=f"{tag} is not lower case of one alphabet")
        if len(tag.encode()) > TAG_BYTES_MAX:
            raise Rejected(
                "asset.description_invalid", field="tags", reason=f"{tag} has more than {TAG_BYTES_MAX} bytes"
            )
    if any(left >= right for left, right in pairwise(description.tags)):
        raise Rejected("asset.description_invalid", field="tags", reason="must be sorted and distinct")
    if _DATA_TYPE.fullmatch(description.data_type) is None:
        raise Rejected("asset.description_invalid", field="data_type", reason="write a word such as audio")
    if description.language and _LANGUAGE.fullmatch(description.language) is None:
        raise Rejected("asset.description_invalid", field="language", reason="write a tag such as en or pt-BR")


def check_splits(field: str, splits: tuple[Split, ...]) -> None:
    """Raises Rejected unless holders are sorted and distinct and the shares sum to exactly 1,000,000."""
    if any(left.holder >= right.holder for left, right in pairwise(splits)):
        raise Rejected("asset.split_order", field=field)
    total = sum(split.shares for split in splits)
    if total != royalties.SPLIT_SHARES:
        raise Rejected("asset.split_sum", field=field, total=total, expected=royalties.SPLIT_SHARES)


def split_rows(splits: tuple[Split, ...]) -> list[tuple[bytes, int]]:
    """The rows of a split as `royalties` keeps them."""
    return [(royalties.account_holder(split.holder), split.shares) for split in splits]


def new_record(
    call: Call,
    kind: AssetKind,
    description: Description,
    identifier: str,
    legs: tuple[Leg, ...],
    parts: tuple[Part, ...] = (),
    facts: AudioFacts | None = None,
    owner: AccountId | None = None,
) -> Asset:
    """The record of what is registered for its owner, who is the sender if nobody else; it is sealed from the start."""
    return Asset(
        kind=kind,
        owner=call.sender if owner is None else owner,
        description=description,
        version=0,
        identifier=identifier,
        legs=legs,
        parts=parts,
        facts=facts,
        sealed=True,
        retired=False,
        height=call.height,
        time_ms=call.time_ms,
        tx=call.tx,
    )


def put_contents(view: View, asset_id: bytes, parts: tuple[Part, ...]) -> None:
    """Every file is found by its hash."""
    for index, part in enumerate(parts):
        view.put(CONTENTS, part.content, Content(asset_id, index))


def put_registered(view: View, asset_id: bytes, asset: Asset, scheme: str) -> None:
    view.put(ASSETS, asset_id, asset)
    if asset.identifier:
        view.put(IDENTIFIERS, identifier_key(scheme, asset.identifier, asset_id), IdentifierClaim(asset.height))


def registered_event(asset_id: bytes, asset: Asset) -> Event:
    return Event(
        "asset.registered",
        {
            "asset": asset_id,
            "asset_kind": asset.kind,
            "owner": asset.owner,
            "title": asset.description.title,
            "tags": asset.description.tags,
            "identifier": asset.identifier,
            "works": tuple(leg.target for leg in asset.legs if leg.target != OWN),
            "content": tuple(part.content for part in asset.parts),
        },
    )


def require_rank(view: View, asset: bytes) -> int:
    """The asset's rank. Raises Rejected("asset.not_sealed")."""
    rank = royalties.rank_of(view, asset)
    if rank is None:
        raise Rejected("asset.not_sealed", asset=asset)
    return rank
