"""Queries about lineage: what an asset was made from, what was made from it, link by link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from concento.cids import parse_cid
from concento.errors import Rejected
from concento.limits import DEPTH_MAX
from concento.messages.licences import Rate
from state.modules.assets import ASSETS, CONTENTS
from state.modules.cascade import CEILINGS, PAYEES, RANKS, ceiling_key
from state.modules.derivatives import AMENDMENTS, Amendment
from state.modules.lineage import CHILDREN, LINEAGES, Link
from state.modules.models import MODELS, OUTPUTS
from state.modules.shares import number_key
from state.queries import Chain, account_of, cursor_key, id_of, page_size

LINKS_MAX: Final = 4_096
"""Links that one walk follows: every ancestor of an asset and some of its descendants, in about 50 ms."""

AMENDMENTS_SCANNED_MAX: Final = 1_000
"""Proposals that one request looks at."""

Direction = Literal["ancestors", "descendants"]


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a walk, `depth` generations from where it began."""

    child: bytes
    parent: bytes
    depth: int
    link: Link


def lineage_get(
    chain: Chain,
    text: str,
    direction: Direction = "ancestors",
    depth: int | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """The links above or below an asset, nearest generation first; `complete` where the walk reached every one.

    An asset that several paths lead to is met once for each link, and gone on from once.
    """
    asset_id = asset_of(chain, text)
    behind = cursor_key(cursor)
    start = 0 if behind is None else int.from_bytes(behind[:4], "big")
    size = page_size(limit)
    steps = list(islice(_walk(chain, asset_id, direction, DEPTH_MAX if depth is None else depth), LINKS_MAX + 1))
    complete = len(steps) <= LINKS_MAX
    steps = steps[:LINKS_MAX]
    end = start + size
    return {
        "asset": asset_id.hex(),
        "direction": direction,
        **_summary(chain, asset_id),
        "items": [_step(chain, step, direction) for step in steps[start:end]],
        "next": end.to_bytes(4, "big").hex() if end < len(steps) else None,
        "complete": complete,
        "height": chain.height,
    }


def amendment_list(
    chain: Chain,
    asset: str | None = None,
    owner: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Links that one owner has proposed and the other has not agreed to: of an asset, of an owner, or all of them."""
    asset_id = None if asset is None else asset_of(chain, asset)
    account = None if owner is None else account_of(chain, owner)
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last, scanned = b"", 0
    for key, proposal in chain.scan(AMENDMENTS, after=cursor_key(cursor)):
        if len(items) == size or scanned == AMENDMENTS_SCANNED_MAX:
            return {"items": items, "next": last.hex(), "height": chain.height}
        last, scanned = key, scanned + 1
        child, parent = key[:32], key[32:]
        owners = [found.owner for found in (chain.find(ASSETS, child), chain.find(ASSETS, parent)) if found is not None]
        if asset_id in (None, child, parent) and (account is None or account in owners):
            items.append(_amendment(chain, child, parent, proposal, owners))
    return {"items": items, "next": None, "height": chain.height}


def _amendment(chain: Chain, child: bytes, parent: bytes, proposal: Amendment, owners: list[bytes]) -> dict[str, Any]:
    other = next((owner for owner in owners if owner != proposal.account), None)
    return {
        "child": child.hex(),
        "child_title": _title(chain, child),
        "parent": parent.hex(),
        "parent_title": _title(chain, parent),
        "proposed_by": chain.address(proposal.account),
        "proposed_by_name": chain.name(proposal.account),
        "waits_for": None if other is None else chain.address(other),
        "rel_bps": proposal.rel_bps,
        "ceiling_ubeat": None if proposal.ceiling_ubeat is None else str(proposal.ceiling_ubeat),
        "until_ms": proposal.until_ms,
        "state": "open" if chain.time_ms <= proposal.until_ms else "expired",
    }


def _title(chain: Chain, asset_id: bytes) -> str | None:
    asset = chain.find(ASSETS, asset_id)
    return None if asset is None else asset.description.title


def asset_of(chain: Chain, text: str) -> bytes:
    """The asset of an id, of a unique beginning of one, or of a CID. Raises Rejected."""
    if text.startswith("bafkrei") and len(text) == 59:
        found = chain.find(CONTENTS, parse_cid(text))
        if found is None:
            raise Rejected("asset.not_found", text=text)
        return found.asset
    return id_of(chain, ASSETS.prefix, text, "asset.not_found")


def parents_json(chain: Chain, asset_id: bytes) -> list[dict[str, Any]]:
    """The parents of an asset and what it owes them."""
    found = chain.find(LINEAGES, asset_id)
    return [_link(chain, link) for link in (() if found is None else found.parents)]


def model_json(chain: Chain, asset_id: bytes) -> dict[str, Any] | None:
    """What is special to a model; None for any other asset."""
    model = chain.find(MODELS, asset_id)
    if model is None:
        return None
    return {
        "service": chain.address(model.service),
        "weights": model.weights.hex(),
        "outputs": rate_json(model.outputs),
        "manifest": [
            {"asset": line.asset.hex(), "right": line.right.hex(), "purpose": line.purpose} for line in model.manifest
        ],
    }


def output_json(chain: Chain, asset_id: bytes) -> dict[str, Any] | None:
    """What is special to an output of a model; None for any other asset."""
    output = chain.find(OUTPUTS, asset_id)
    if output is None:
        return None
    return {
        "model": output.model.hex(),
        "licence": output.licence.hex() or None,
        "parameters": output.parameters.hex(),
    }


def rate_json(rate: Rate) -> dict[str, Any]:
    ceiling = None if rate.ceiling_ubeat is None else str(rate.ceiling_ubeat)
    return {"rel_bps": rate.rel_bps, "abs_bps": rate.abs_bps, "ceiling_ubeat": ceiling}


def _walk(chain: Chain, asset_id: bytes, direction: Direction, depth_max: int) -> Iterator[Step]:
    """Links by generation; within one in the order of their assets' discovery."""
    known = {asset_id}
    edge = [asset_id]
    for depth in range(1, depth_max + 1):
        found: list[bytes] = []
        for one in edge:
            for step in _steps(chain, one, direction, depth):
                yield step
                far = step.parent if direction == "ancestors" else step.child
                if far not in known:
                    known.add(far)
                    found.append(far)
        if not found:
            return
        edge = found


def _steps(chain: Chain, asset_id: bytes, direction: Direction, depth: int) -> Iterator[Step]:
    if direction == "ancestors":
        lineage = chain.find(LINEAGES, asset_id)
        yield from (Step(asset_id, link.asset, depth, link) for link in (() if lineage is None else lineage.parents))
        return
    for key, _ in chain.scan(CHILDREN, asset_id):
        child = key[len(asset_id) :]
        lineage = chain.find(LINEAGES, child)
        for link in () if lineage is None else lineage.parents:
            if link.asset == asset_id:
                yield Step(child, asset_id, depth, link)


def _summary(chain: Chain, asset_id: bytes) -> dict[str, Any]:
    lineage, rank = chain.find(LINEAGES, asset_id), chain.find(RANKS, asset_id)
    claims = [
        {
            "asset": _asset_at(chain, claim.rank),
            "bps": claim.bps,
            "left_ubeat": None if claim.ceiling_ubeat is None or rank is None else _left(chain, rank.rank, claim.rank),
        }
        for claim in (() if lineage is None else lineage.claims)
    ]
    return {
        "ancestors": 0 if lineage is None else len(lineage.ancestors),
        "generations": 0 if lineage is None else lineage.depth,
        "claims": claims,
    }


def _step(chain: Chain, step: Step, direction: Direction) -> dict[str, Any]:
    far = step.parent if direction == "ancestors" else step.child
    asset = chain.find(ASSETS, far)
    return {
        **_link(chain, step.link),
        "asset": far.hex(),
        "child": step.child.hex(),
        "parent": step.parent.hex(),
        "depth": step.depth,
        "kind": "recording" if asset is None else asset.kind,
        "title": "" if asset is None else asset.description.title,
        "owner": None if asset is None else chain.address(asset.owner),
        "owner_name": None if asset is None else chain.name(asset.owner),
    }


def _link(chain: Chain, link: Link) -> dict[str, Any]:
    return {
        "asset": link.asset.hex(),
        **rate_json(link.rate),
        "right": link.right.hex() or None,
        "purpose": link.purpose or None,
        "from_height": link.from_height,
    }


def _asset_at(chain: Chain, rank: int) -> str:
    payee = chain.find(PAYEES, number_key(rank))
    return "" if payee is None else payee.asset.hex()


def _left(chain: Chain, child: int, parent: int) -> str | None:
    ceiling = chain.find(CEILINGS, ceiling_key(child, parent))
    return None if ceiling is None else str(ceiling.left)
