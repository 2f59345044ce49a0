"""Queries about assets: one in full, the members of a dataset, the catalogue.

The catalogue is searched by reading it: a request looks at a bounded number of assets, says whether that was all of
them, and gives a cursor to go on from. Exact look-ups (an id, a CID, an ISRC) do not search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from concento.cids import cid
from concento.errors import Rejected
from concento.identifiers import check_isrc, check_iswc, plain
from concento.messages.assets import Part
from concento.terms import PURPOSES, Permission, Terms, permits
from state.modules.assets import ASSETS, IDENTIFIERS, Asset, identifier_key, state_of
from state.modules.cascade import PAYEES, RANKS, Payee
from state.modules.charges import REPORTED
from state.modules.datasets import DATASETS, MEMBERS, MEMBERS_AT, Dataset, covers, member_key, members_root
from state.modules.offers import METERS, OFFERS, OFFERS_OF, Offer, offer_state, one_off_ubeat
from state.modules.shares import (
    PAGES,
    TABLES,
    Row,
    held_account,
    held_asset,
    held_table,
    is_single,
    number_key,
    page_key,
)
from state.queries import Chain, account_of, cursor_key, id_of, page_size
from state.queries_lineage import asset_of, model_json, output_json, parents_json, rate_json

SCANNED_MAX: Final = 1_000
"""Assets that one search looks at: some 20 ms of the event loop."""

OFFERS_MAX: Final = 64
"""Offers of one asset that are looked at: the newest ids mean nothing, so a seller keeps few of them open."""

_PERMISSIONS: Final = {Permission.DENY: "deny", Permission.CONSTRAINED: "constrained", Permission.ALLOW: "allow"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search asks for; None asks for nothing."""

    tag: str | None = None
    purpose: str | None = None
    owner: bytes | None = None
    isrc: str | None = None
    iswc: str | None = None
    price_max_ubeat: int | None = None
    text: str | None = None
    kind: str | None = None


def asset_get(chain: Chain, text: str) -> dict[str, Any]:
    """Everything about one asset; its holders are those of the first page of its own table."""
    asset_id = asset_of(chain, text)
    asset = _asset(chain, asset_id)
    dataset = chain.find(DATASETS, asset_id)
    payee = _payee(chain, asset_id)
    shares_total, holders = _holders(chain, dataset, payee)
    isrc = asset.identifier or None if asset.kind != "work" else None
    iswc = asset.identifier or None if asset.kind == "work" else None
    return {
        "id": asset_id.hex(),
        "kind": asset.kind,
        "title": asset.description.title,
        "owner": chain.address(asset.owner),
        "owner_name": chain.name(asset.owner),
        "tags": list(asset.description.tags),
        "data_type": asset.description.data_type,
        "language": asset.description.language or None,
        "created_ms": asset.description.created_ms,
        "version": asset.version,
        "registered": {"height": asset.height, "time_ms": asset.time_ms, "tx": asset.tx.hex()},
        "state": state_of(asset),
        "identifiers": {"isrc": isrc, "iswc": iswc},
        "parts": [_part(part) for part in asset.parts],
        "facts": _facts(asset),
        "work": next((leg.target.hex() for leg in asset.legs if leg.target), None),
        "legs": _legs(chain, dataset, payee),
        "shares_total": str(shares_total),
        "holders": holders,
        "members": None if dataset is None else _members(asset, dataset),
        "parents": parents_json(chain, asset_id),
        "model": model_json(chain, asset_id),
        "output": output_json(chain, asset_id),
        "offers": [offer_json(chain, offer_id, offer) for offer_id, offer in offers_of(chain, asset_id)],
        "reported": reported_json(chain, asset_id),
        "height": chain.height,
    }


def asset_search(chain: Chain, wanted: Wanted, cursor: str | None = None, limit: int | None = None) -> dict[str, Any]:
    """Assets that fit, with the cheapest open offer that does; `complete` where the whole catalogue was looked at."""
    size = page_size(limit)
    time_ms = chain.time_ms
    items: list[dict[str, Any]] = []
    last, scanned = b"", 0
    for asset_id, asset in _candidates(chain, wanted, cursor_key(cursor)):
        if len(items) == size or scanned == SCANNED_MAX:
            return {"items": items, "next": last.hex(), "complete": False, "height": chain.height}
        last, scanned = asset_id, scanned + 1
        if _fits(wanted, asset):
            offer = _best_offer(chain, asset_id, wanted, time_ms)
            if offer is not None or (wanted.purpose is None and wanted.price_max_ubeat is None):
                items.append(_listed(chain, asset_id, asset, offer))
    return {"items": items, "next": None, "complete": True, "height": chain.height}


def member_list(
    chain: Chain, text: str, cursor: str | None = None, limit: int | None = None, deep: bool = False
) -> dict[str, Any]:
    """The members of a dataset in their order; any other asset is its own only member.

    `deep` gives the members of datasets inside it in their stead, each under the dataset's own `place`.
    """
    asset_id = asset_of(chain, text)
    if chain.find(DATASETS, asset_id) is None:
        return {"items": [_member(chain, asset_id, 0, 1, 0)], "next": None, "height": chain.height}
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last = b""
    for path, record in _walk_members(chain, asset_id, cursor_key(cursor) or b"", deep):
        if len(items) == size:
            return {"items": items, "next": last.hex(), "height": chain.height}
        last, place = path, int.from_bytes(path[:8], "big")
        items.append(_member(chain, record.asset, int.from_bytes(path[-8:], "big"), record.weight, place))
    return {"items": items, "next": None, "height": chain.height}


def member_get(chain: Chain, text: str, member_text: str) -> dict[str, Any]:
    """One member of a dataset, or of a dataset inside it; an asset is its own. Raises Rejected("asset.not_found")."""
    asset_id, member_id = asset_of(chain, text), asset_of(chain, member_text)
    dataset = chain.find(DATASETS, asset_id)
    if asset_id == member_id and dataset is None:
        return {**_member(chain, member_id, 0, 1, 0), "height": chain.height}
    for inside in (asset_id, *(() if dataset is None else dataset.nested)):
        member = chain.find(MEMBERS, member_key(inside, member_id))
        place = None if member is None else place_of(chain, asset_id, member_id)
        if member is not None and place is not None:
            return {**_member(chain, member_id, member.index, member.weight, place), "height": chain.height}
    raise Rejected("asset.not_found", text=f"{member_id.hex()} in {asset_id.hex()[:12]}")


def place_of(chain: Chain, dataset_id: bytes, asset_id: bytes) -> int | None:
    """The first place in a dataset at which an asset is, itself or inside another dataset; None where it is not."""
    direct = chain.find(MEMBERS, member_key(dataset_id, asset_id))
    places = [] if direct is None else [direct.index]
    dataset = chain.find(DATASETS, dataset_id)
    view = chain.view()
    for inner in () if dataset is None else dataset.nested:
        member = chain.find(MEMBERS, member_key(dataset_id, inner))
        if member is not None and covers(view, inner, asset_id):
            places.append(member.index)
    return min(places, default=None)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A member and its weight where it stands."""

    asset: bytes
    weight: int


def _walk_members(chain: Chain, dataset_id: bytes, behind: bytes, deep: bool) -> Iterator[tuple[bytes, _Placed]]:
    """(path, member) in order: a path is the place in the dataset, then, if `deep`, in the dataset standing there."""
    start, rest = behind[:8], behind[8:]
    if start and rest:
        # The page ended inside a dataset: its remaining members come first.
        record = chain.find(MEMBERS_AT, dataset_id + start)
        if record is not None:
            yield from ((start + path, member) for path, member in _walk_members(chain, record.asset, rest, deep))
    for key, record in chain.scan(MEMBERS_AT, dataset_id, dataset_id + start if start else None):
        place = key[len(dataset_id) :]
        if deep and chain.find(DATASETS, record.asset) is not None:
            yield from ((place + path, member) for path, member in _walk_members(chain, record.asset, b"", deep))
            continue
        member = chain.find(MEMBERS, member_key(dataset_id, record.asset))
        yield place, _Placed(record.asset, 0 if member is None else member.weight)


# Offers


def offers_of(chain: Chain, asset_id: bytes) -> Iterator[tuple[bytes, Offer]]:
    """The asset's offers that are not closed."""
    for number, (key, _) in enumerate(chain.scan(OFFERS_OF, asset_id)):
        if number == OFFERS_MAX:
            return
        offer_id = key[len(asset_id) :]
        offer = chain.find(OFFERS, offer_id)
        if offer is not None and not offer.closed:
            yield offer_id, offer


def offer_json(chain: Chain, offer_id: bytes, offer: Offer) -> dict[str, Any]:
    """An offer; metered prices are for 1,000 units."""
    return {
        "id": offer_id.hex(),
        "asset": offer.asset.hex(),
        "owner": chain.address(offer.owner),
        "terms_hash": offer.terms_hash.hex(),
        "layers": list(offer.layers),
        "pricing": [
            {
                "model": price.model,
                "price_ubeat": str(price.amount_ubeat),
                "units": 1_000 if price.model in METERS else 1,
                "tiers": [{"units": tier.units, "price_ubeat": str(tier.amount_ubeat)} for tier in price.tiers],
                "bps": price.bps,
            }
            for price in offer.pricing
        ],
        "purposes": purposes_json(offer.terms),
        "duration_ms": offer.terms.duration_ms,
        "expires_ms": offer.expires_ms,
        "supply": offer.supply,
        "sold": offer.sold,
        "upstream": None if offer.upstream is None else rate_json(offer.upstream),
        "state": offer_state(offer, chain.time_ms),
    }


def offer_get(chain: Chain, text: str) -> dict[str, Any]:
    offer_id = id_of(chain, OFFERS.prefix, text, "offer.not_found")
    offer = chain.find(OFFERS, offer_id)
    if offer is None:
        raise Rejected("offer.not_found", text=text)
    return {**offer_json(chain, offer_id, offer), "height": chain.height}


def offer_list(
    chain: Chain,
    asset: str | None = None,
    owner: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Offers, closed ones too, of an asset, of an owner, or all of them."""
    seller = None if owner is None else account_of(chain, owner)
    size = page_size(limit)
    items: list[dict[str, Any]] = []
    last, scanned = b"", 0
    for offer_id in _offer_ids(chain, asset, cursor_key(cursor)):
        if len(items) == size or scanned == SCANNED_MAX:
            return {"items": items, "next": last.hex(), "height": chain.height}
        last, scanned = offer_id, scanned + 1
        offer = chain.find(OFFERS, offer_id)
        if offer is not None and seller in (None, offer.owner):
            items.append(offer_json(chain, offer_id, offer))
    return {"items": items, "next": None, "height": chain.height}


def purposes_json(terms: Terms) -> dict[str, str]:
    """Every purpose of the vocabulary and what the terms say to it."""
    return {name: _PERMISSIONS[Permission(value)] for name, value in zip(PURPOSES, terms.purposes, strict=True)}


def _offer_ids(chain: Chain, asset: str | None, after: bytes | None) -> Iterator[bytes]:
    if asset is None:
        yield from (offer_id for offer_id, _ in chain.scan(OFFERS, after=after))
        return
    asset_id = asset_of(chain, asset)
    behind = None if after is None else asset_id + after
    yield from (key[len(asset_id) :] for key, _ in chain.scan(OFFERS_OF, asset_id, behind))


def reported_json(chain: Chain, subject: bytes) -> dict[str, Any] | None:
    """What was reported so far of revenue made elsewhere, under a licence or by an asset's owner."""
    found = chain.find(REPORTED, subject)
    if found is None:
        return None
    return {"until_ms": found.until_ms, "gross_ubeat": str(found.gross_ubeat), "reports": found.reports}


# Searching


def _candidates(chain: Chain, wanted: Wanted, after: bytes | None) -> Iterator[tuple[bytes, Asset]]:
    prefix = _identifier_prefix(wanted)
    if prefix is None:
        yield from chain.scan(ASSETS, after=after)
        return
    for key, _ in chain.scan(IDENTIFIERS, prefix, None if after is None else prefix + after):
        asset_id = key[len(prefix) :]
        yield asset_id, _asset(chain, asset_id)


def _identifier_prefix(wanted: Wanted) -> bytes | None:
    """Where the claims of the number that was asked for stand. Raises Rejected for one that is none."""
    if wanted.iswc is not None:
        number = plain(wanted.iswc)
        check_iswc(number)
        return identifier_key("iswc", number, b"")
    if wanted.isrc is not None:
        number = plain(wanted.isrc)
        check_isrc(number)
        return identifier_key("isrc", number, b"")
    return None


def _fits(wanted: Wanted, asset: Asset) -> bool:
    described = asset.description
    return (
        (wanted.owner is None or asset.owner == wanted.owner)
        and (wanted.tag is None or wanted.tag.lower() in described.tags)
        and (wanted.kind is None or asset.kind == wanted.kind)
        and (wanted.text is None or wanted.text.casefold() in described.title.casefold())
    )


def _best_offer(chain: Chain, asset_id: bytes, wanted: Wanted, time_ms: int) -> tuple[bytes, Offer] | None:
    """The cheapest open offer that permits the purpose within the price."""
    fitting = [
        (one_off_ubeat(offer.pricing), offer_id, offer)
        for offer_id, offer in offers_of(chain, asset_id)
        if offer_state(offer, time_ms) == "open" and (wanted.purpose is None or permits(offer.terms, wanted.purpose))
    ]
    if not fitting:
        return None
    price, offer_id, offer = min(fitting, key=lambda entry: entry[:2])
    return (offer_id, offer) if wanted.price_max_ubeat is None or price <= wanted.price_max_ubeat else None


def _listed(chain: Chain, asset_id: bytes, asset: Asset, offer: tuple[bytes, Offer] | None) -> dict[str, Any]:
    dataset = chain.find(DATASETS, asset_id)
    facts_ms = None if asset.facts is None else asset.facts.duration_ms
    return {
        "id": asset_id.hex(),
        "kind": asset.kind,
        "title": asset.description.title,
        "owner": chain.address(asset.owner),
        "owner_name": chain.name(asset.owner),
        "tags": list(asset.description.tags),
        "members": None if dataset is None else dataset.count,
        "duration_ms": facts_ms if dataset is None else dataset.duration_ms,
        "price_ubeat": None if offer is None else str(one_off_ubeat(offer[1].pricing)),
        "offer": None if offer is None else offer[0].hex(),
        "state": state_of(asset),
        "registered_height": asset.height,
    }


# Parts of an answer


def _asset(chain: Chain, asset_id: bytes) -> Asset:
    found = chain.find(ASSETS, asset_id)
    if found is None:
        raise Rejected("asset.not_found", text=asset_id.hex())
    return found


def _payee(chain: Chain, asset_id: bytes) -> Payee | None:
    """How an asset passes income on; None for a dataset that is still open."""
    rank = chain.find(RANKS, asset_id)
    return None if rank is None else chain.find(PAYEES, number_key(rank.rank))


def _legs(chain: Chain, dataset: Dataset | None, payee: Payee | None) -> list[dict[str, Any]]:
    legs = []
    for leg in () if payee is None else payee.legs:
        rank, table = held_asset(leg.target), held_table(leg.target)
        target = "members" if dataset is not None and table == dataset.table else "own"
        older = None if rank is None else chain.find(PAYEES, number_key(rank))
        legs.append({"target": target if older is None else older.asset.hex(), "bps": leg.weight})
    return legs


def _holders(chain: Chain, dataset: Dataset | None, payee: Payee | None) -> tuple[int, list[dict[str, Any]]]:
    """Total shares and first rows of the asset's own table, or of its members' where it has no other."""
    number = _own_table(dataset, payee)
    table = None if number is None else chain.find(TABLES, number_key(number))
    if number is None or table is None:
        return 0, []
    page = None if is_single(table) else chain.find(PAGES, page_key(number, 0))
    rows = table.page if page is None else page.rows
    return table.total, [_holder(chain, row) for row in rows if row.shares]


def _own_table(dataset: Dataset | None, payee: Payee | None) -> int | None:
    if dataset is not None:
        return dataset.table if dataset.curator_table is None else dataset.curator_table
    return None if payee is None else held_table(payee.legs[-1].target)


def _holder(chain: Chain, row: Row) -> dict[str, Any]:
    account, rank = held_account(row.holder), held_asset(row.holder)
    if account is not None:
        shown, name = chain.address(account), chain.name(account)
    else:
        payee = None if rank is None else chain.find(PAYEES, number_key(rank))
        asset = None if payee is None else chain.find(ASSETS, payee.asset)
        shown = row.holder[1:].hex() if payee is None else payee.asset.hex()
        name = None if asset is None else asset.description.title
    return {"holder": shown, "name": name, "shares": str(row.shares)}


def _members(asset: Asset, dataset: Dataset) -> dict[str, Any]:
    return {
        "count": dataset.count,
        "weight_rule": dataset.weight_rule,
        "member_bps": dataset.member_bps,
        "root": members_root(dataset).hex() if asset.sealed else None,
        "recordings": dataset.recordings,
        "duration_ms": dataset.duration_ms,
        "bytes": dataset.bytes_total,
    }


def _member(chain: Chain, asset_id: bytes, index: int, weight: int, place: int) -> dict[str, Any]:
    asset = _asset(chain, asset_id)
    return {
        "index": index,
        "place": place,
        "asset": asset_id.hex(),
        "kind": asset.kind,
        "title": asset.description.title,
        "weight": str(weight),
        "duration_ms": None if asset.facts is None else asset.facts.duration_ms,
        "parts": [_part(part) for part in asset.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "path": part.path,
        "media_type": part.media_type,
        "cid": cid(part.content),
        "chunk_root": part.chunk_root.hex(),
        "bytes": part.bytes,
    }


def _facts(asset: Asset) -> dict[str, Any] | None:
    facts = asset.facts
    if facts is None:
        return None
    return {
        "duration_ms": facts.duration_ms,
        "sample_rate_hz": facts.sample_rate_hz,
        "channels": facts.channels,
    }
