"""What is made from what: models, their outputs, remixes, parents found later.

Rates and rights stand in licences; this finds those that one holds, counts the ancestors that a fee depends on, and
tells the id of what was made before it is final.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from concento.client.audio import AudioFile
from concento.client.session import Session
from concento.errors import Rejected
from concento.limits import ANCESTORS_MAX
from concento.messages import Action
from concento.messages.assets import Description, Part, Split
from concento.messages.licences import Rate
from concento.messages.lineage import (
    AmendProvenance,
    AuthoriseOutputs,
    Parent,
    RegisterDerivative,
    RegisterModel,
    RegisterOutput,
    Training,
)
from concento.terms import Terms
from concento.transactions import object_id

_PAGE: Final = 200

NO_RATE: Final = Rate(0, 0, None)


@dataclass(frozen=True, slots=True)
class Made:
    """What was registered, and the Tx document that says whether it was."""

    asset: bytes
    tx: dict[str, Any]


def register_model(
    session: Session,
    description: Description,
    manifest: Sequence[Training],
    splits: tuple[Split, ...],
    terms: Terms,
    weights: bytes,
    service: bytes,
    outputs: Rate = NO_RATE,
) -> Made:
    """A model version and what it learnt from. `weights` commits to it; `service` will register its outputs."""
    ancestors = count_ancestors(session, (line.asset for line in manifest))
    message = RegisterModel(description, splits, terms, weights, service, tuple(manifest), outputs, ancestors)
    return make(session, message)


def register_output(
    session: Session,
    description: Description,
    model: bytes,
    licence: bytes,
    parameters: bytes,
    audio: AudioFile,
    terms: Terms,
    splits: tuple[Split, ...] = (),
) -> Made:
    """A track of a model whose service the sender is: the licensee's, or without a licence the model's owner's."""
    ancestors = count_ancestors(session, [model])
    message = RegisterOutput(
        description, model, licence, parameters, splits, terms, (part_of(audio),), audio.facts, ancestors
    )
    return make(session, message)


def authorise_outputs(session: Session, licence: bytes, outputs: int) -> dict[str, Any]:
    """So many outputs may a model's service register under one's licence, in all; 0 stops it."""
    return session.send([AuthoriseOutputs(licence, outputs)])


def register_remix(
    session: Session,
    description: Description,
    parents: Sequence[Parent],
    splits: tuple[Split, ...],
    terms: Terms,
    audio: AudioFile,
    isrc: str = "",
) -> Made:
    """A remix or another recording made from others, each with the right that it rests on."""
    ancestors = count_ancestors(session, (parent.asset for parent in parents))
    message = RegisterDerivative(
        description, isrc, tuple(parents), splits, terms, (part_of(audio),), audio.facts, ancestors
    )
    return make(session, message)


def amend(
    session: Session, child: bytes, parent: bytes, rel_bps: int, ceiling_ubeat: int | None = None
) -> dict[str, Any]:
    """One owner's word that the child was made from the parent; the other's same word links them."""
    ancestors = count_ancestors(session, [child, parent])
    return session.send([AmendProvenance(child, parent, rel_bps, ceiling_ubeat, ancestors)])


def make(session: Session, message: Action) -> Made:
    """Registers one asset."""
    nonce = secrets.token_bytes(16)
    return Made(object_id("asset", session.signer.account, nonce, 0), session.send([message], nonce=nonce))


def find_right(session: Session, asset: str, purpose: str) -> bytes:
    """A licence that one holds of the asset for this purpose, or an offer of one's own where the asset is one's own.

    Raises Rejected licence.required, with the command that buys one.
    """
    client = session.client
    document = client.asset(asset)
    if document["owner"] == session.address:
        for offer in document["offers"]:
            if offer["purposes"].get(purpose, "deny") != "deny":
                return bytes.fromhex(offer["id"])
        raise Rejected("lineage.own_offer_needed", asset=document["id"], purpose=purpose)
    held = client.call("licence_list", licensee=session.address, asset=document["id"], limit=_PAGE)
    for licence in held["items"]:
        if licence["state"] in ("active", "exhausted") and purpose in licence["purposes"]:
            return bytes.fromhex(licence["id"])
    error = Rejected("licence.required", asset=document["id"], purpose=purpose, price="BEAT")
    error.hint = client.check_licence(document["id"], session.address, purpose)["hint"] or error.hint
    raise error


def count_ancestors(session: Session, parents: Iterable[bytes]) -> int:
    """Distinct assets above what is made from these: the parents and everything above them."""
    found: set[str] = set()
    for parent in parents:
        found.add(parent.hex())
        cursor: str | None = None
        while True:
            page = session.client.call("asset_getLineage", id=parent.hex(), cursor=cursor, limit=_PAGE)
            found.update(step["parent"] for step in page["items"])
            cursor = page["next"]
            if cursor is None or len(found) > ANCESTORS_MAX:
                break
    return min(len(found), ANCESTORS_MAX)


def part_of(audio: AudioFile) -> Part:
    """A file as its asset names it."""
    return Part(audio.name, audio.media_type, audio.content, audio.chunk_root, audio.bytes)
