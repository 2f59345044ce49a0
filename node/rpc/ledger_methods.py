"""account_*, identity_*, asset_*, licence_*, receipt_*, earnings_*: reads of the ledger, straight from the queries."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from concento.limits import DEPTH_MAX
from concento.messages.identity import Role
from concento.terms import Purpose
from node.rpc import ledger_shapes, shapes
from node.rpc.calls import Call
from node.rpc.dispatch import Method, Params
from node.rpc.params import Cursor, HeightNumber, IdText, Limit, Who
from node.rpc.tx_methods import body_reader
from state import queries_accounts, queries_assets, queries_licences, queries_lineage, queries_receipts
from state.evidence import statement_evidence
from state.queries import account_of
from state.queries_assets import Wanted
from state.statements import statement

Word = Annotated[str, Meta(min_length=1, max_length=64)]
UbeatText = Annotated[str, Meta(pattern="^[0-9]{1,19}$", description="integer ubeat")]
LicenceState = Literal["active", "expired", "revoked", "exhausted"]


class OneAccount(Params):
    who: Who


class AccountPage(Params):
    who: Who
    cursor: Cursor | None = None
    limit: Limit | None = None


class PartyPage(Params):
    role: Role | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class OneObject(Params):
    id: IdText


class ObjectPage(Params):
    id: IdText
    cursor: Cursor | None = None
    limit: Limit | None = None


class MemberPage(ObjectPage):
    deep: bool = False


class LineageParams(Params):
    id: IdText
    direction: Literal["ancestors", "descendants"] = "ancestors"
    depth: Annotated[int, Meta(ge=1, le=DEPTH_MAX)] | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class Member(Params):
    id: IdText
    asset: IdText


class AmendmentPage(Params):
    asset: IdText | None = None
    owner: Who | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class Search(Params):
    tag: Word | None = None
    purpose: Purpose | None = None
    owner: Who | None = None
    isrc: Word | None = None
    iswc: Word | None = None
    max_price_ubeat: UbeatText | None = None
    text: Word | None = None
    kind: ledger_shapes.AssetKind | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class AssetPage(Params):
    owner: Who | None = None
    kind: ledger_shapes.AssetKind | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class OfferPage(Params):
    asset: IdText | None = None
    owner: Who | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class LicencePage(Params):
    licensee: Who | None = None
    asset: IdText | None = None
    state: LicenceState | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class Question(Params):
    asset: IdText
    licensee: Who
    purpose: Word


class ReceiptPage(Params):
    licence: IdText | None = None
    licensee: Who | None = None
    gateway: Who | None = None
    asset: IdText | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class Period(Params):
    who: Who
    from_height: HeightNumber | None = None
    to_height: HeightNumber | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


def get_account(call: Call, params: OneAccount) -> dict[str, Any]:
    return queries_accounts.account_get(call.desk.chain, params.who)


async def get_history(call: Call, params: AccountPage) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: queries_accounts.account_history(chain, params.who, params.cursor, params.limit)
    )


def get_party(call: Call, params: OneAccount) -> dict[str, Any]:
    return queries_accounts.party_get(call.desk.chain, params.who)


def list_parties(call: Call, params: PartyPage) -> dict[str, Any]:
    return queries_accounts.party_list(call.desk.chain, params.role, params.cursor, params.limit)


def get_asset(call: Call, params: OneObject) -> dict[str, Any]:
    return queries_assets.asset_get(call.desk.chain, params.id)


async def search_assets(call: Call, params: Search) -> dict[str, Any]:
    chain = call.desk.chain
    wanted = Wanted(
        tag=params.tag,
        purpose=params.purpose,
        owner=None if params.owner is None else account_of(chain, params.owner),
        isrc=params.isrc,
        iswc=params.iswc,
        price_max_ubeat=None if params.max_price_ubeat is None else int(params.max_price_ubeat),
        text=params.text,
        kind=params.kind,
    )
    return await call.desk.aside(lambda then: queries_assets.asset_search(then, wanted, params.cursor, params.limit))


async def list_assets(call: Call, params: AssetPage) -> dict[str, Any]:
    chain = call.desk.chain
    wanted = Wanted(owner=None if params.owner is None else account_of(chain, params.owner), kind=params.kind)
    return await call.desk.aside(lambda then: queries_assets.asset_search(then, wanted, params.cursor, params.limit))


def list_members(call: Call, params: MemberPage) -> dict[str, Any]:
    return queries_assets.member_list(call.desk.chain, params.id, params.cursor, params.limit, params.deep)


async def list_amendments(call: Call, params: AmendmentPage) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: queries_lineage.amendment_list(chain, params.asset, params.owner, params.cursor, params.limit)
    )


def get_lineage(call: Call, params: LineageParams) -> dict[str, Any]:
    chain = call.desk.chain
    return queries_lineage.lineage_get(chain, params.id, params.direction, params.depth, params.cursor, params.limit)


def get_member(call: Call, params: Member) -> dict[str, Any]:
    return queries_assets.member_get(call.desk.chain, params.id, params.asset)


def get_offer(call: Call, params: OneObject) -> dict[str, Any]:
    return queries_assets.offer_get(call.desk.chain, params.id)


async def list_offers(call: Call, params: OfferPage) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: queries_assets.offer_list(chain, params.asset, params.owner, params.cursor, params.limit)
    )


def get_licence(call: Call, params: OneObject) -> dict[str, Any]:
    return queries_licences.licence_get(call.desk.chain, params.id)


async def list_licences(call: Call, params: LicencePage) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: queries_licences.licence_list(
            chain, params.licensee, params.asset, params.state, params.cursor, params.limit
        )
    )


def check_licence(call: Call, params: Question) -> dict[str, Any]:
    return queries_licences.licence_check(call.desk.chain, params.asset, params.licensee, params.purpose)


def get_receipt(call: Call, params: OneObject) -> dict[str, Any]:
    return queries_receipts.receipt_get(call.desk.chain, params.id, body_reader(call))


async def list_receipts(call: Call, params: ReceiptPage) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: queries_receipts.receipt_list(
            chain,
            params.licence,
            params.licensee,
            params.gateway,
            params.asset,
            params.cursor,
            params.limit,
        )
    )


class ProvedPeriod(Period):
    until_height: HeightNumber | None = None


async def get_evidence(call: Call, params: ProvedPeriod) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: statement_evidence(
            chain, params.who, params.from_height, params.to_height, params.until_height, params.cursor, params.limit
        )
    )


async def get_statement(call: Call, params: Period) -> dict[str, Any]:
    return await call.desk.aside(
        lambda chain: statement(chain, params.who, params.from_height, params.to_height, params.cursor, params.limit)
    )


_WHO_ERRORS = ("account.not_found", "id.ambiguous", "address.checksum", "address.malformed", "address.network")
_ASSET_ERRORS = ("asset.not_found", "id.malformed", "id.ambiguous", "cid.malformed")
_LICENCE_ERRORS = ("licence.not_found", "id.malformed", "id.ambiguous")
_PAGE_ERRORS = ("rpc.cursor_malformed",)

ACCOUNT_METHODS = (
    Method(
        "account_get",
        "Balance, party and keys of an account",
        OneAccount,
        shapes.Account,
        get_account,
        _WHO_ERRORS,
        {"who": "@alice"},
    ),
    Method(
        "account_getHistory",
        "Every movement of an account's balance, the newest first",
        AccountPage,
        shapes.Movements,
        get_history,
        (*_WHO_ERRORS, *_PAGE_ERRORS),
        {"who": "@alice", "limit": 2},
    ),
    Method(
        "identity_get",
        "An admitted party: roles, keys, how it is paid",
        OneAccount,
        shapes.PartyInFull,
        get_party,
        (*_WHO_ERRORS, "party.not_found"),
        {"who": "@alice"},
    ),
    Method(
        "identity_list",
        "Everybody who was admitted",
        PartyPage,
        shapes.Parties,
        list_parties,
        _PAGE_ERRORS,
        {"role": "creator"},
    ),
)

ASSET_METHODS = (
    Method(
        "asset_get",
        "One asset by id or CID: description, files, rights, holders, offers",
        OneObject,
        ledger_shapes.Asset,
        get_asset,
        _ASSET_ERRORS,
        {"id": "<dataset>"},
    ),
    Method(
        "asset_search",
        "Assets that fit, with the cheapest offer that does; `complete` says whether all of them were looked at",
        Search,
        ledger_shapes.FoundAssets,
        search_assets,
        (*_WHO_ERRORS, "asset.identifier_invalid", *_PAGE_ERRORS),
        {"tag": "lofi", "purpose": "train-generative"},
    ),
    Method(
        "asset_list",
        "Assets of an owner or of a kind",
        AssetPage,
        ledger_shapes.FoundAssets,
        list_assets,
        (*_WHO_ERRORS, *_PAGE_ERRORS),
        {"owner": "@alice", "kind": "dataset"},
    ),
    Method(
        "asset_getMembers",
        "The members of a dataset (`deep`: and of those inside it) with files; other assets are their own only member",
        MemberPage,
        ledger_shapes.Members,
        list_members,
        (*_ASSET_ERRORS, *_PAGE_ERRORS),
        {"id": "<dataset>", "limit": 1},
    ),
    Method(
        "asset_getMember",
        "One member of a dataset, or of a dataset inside it",
        Member,
        ledger_shapes.OneMember,
        get_member,
        _ASSET_ERRORS,
        {"id": "<dataset>", "asset": "<recording>"},
    ),
    Method(
        "asset_getLineage",
        "What an asset was made from, or what was made from it, link by link with the rates owed",
        LineageParams,
        ledger_shapes.Lineage,
        get_lineage,
        (*_ASSET_ERRORS, *_PAGE_ERRORS),
        {"id": "<dataset>", "direction": "descendants"},
    ),
    Method(
        "asset_listAmendments",
        "Links that one of two owners has proposed: of an asset, of an owner, or all of them",
        AmendmentPage,
        ledger_shapes.Amendments,
        list_amendments,
        (*_WHO_ERRORS, *_ASSET_ERRORS, *_PAGE_ERRORS),
        {"owner": "@bea"},
    ),
)

LICENCE_METHODS = (
    Method(
        "licence_getOffer",
        "What is sold, under which terms, at what price",
        OneObject,
        ledger_shapes.OneOffer,
        get_offer,
        ("offer.not_found", "id.malformed", "id.ambiguous"),
        {"id": "<offer>"},
    ),
    Method(
        "licence_listOffers",
        "Offers of an asset or of an owner",
        OfferPage,
        ledger_shapes.Offers,
        list_offers,
        (*_WHO_ERRORS, *_ASSET_ERRORS, *_PAGE_ERRORS),
        {"asset": "<dataset>"},
    ),
    Method(
        "licence_get",
        "One licence with its quota, its deposit and its lanes",
        OneObject,
        ledger_shapes.LicenceInFull,
        get_licence,
        _LICENCE_ERRORS,
        {"id": "<licence>"},
    ),
    Method(
        "licence_list",
        "Licences of a licensee, of an asset, in a state",
        LicencePage,
        ledger_shapes.Licences,
        list_licences,
        (*_WHO_ERRORS, *_ASSET_ERRORS, *_PAGE_ERRORS),
        {"licensee": "@bob"},
    ),
    Method(
        "licence_check",
        "Whether somebody may use an asset for a purpose now, and if not what would help",
        Question,
        ledger_shapes.Verdict,
        check_licence,
        (*_WHO_ERRORS, *_ASSET_ERRORS, "terms.unknown_purpose"),
        {"asset": "<dataset>", "licensee": "@bob", "purpose": "train-generative"},
    ),
)

RECEIPT_METHODS = (
    Method(
        "receipt_get",
        "One receipt, its path to the anchored head, both signatures",
        OneObject,
        ledger_shapes.ReceiptInFull,
        get_receipt,
        ("receipt.not_found", "id.malformed", "id.ambiguous"),
        {"id": "<receipt>"},
    ),
    Method(
        "receipt_list",
        "Anchored receipts of a licence, a licensee, a gateway or an asset",
        ReceiptPage,
        ledger_shapes.Receipts,
        list_receipts,
        (*_WHO_ERRORS, *_ASSET_ERRORS, *_LICENCE_ERRORS[:1], *_PAGE_ERRORS),
        {"licence": "<licence>", "limit": 2},
    ),
)

EARNINGS_METHODS = (
    Method(
        "earnings_getStatement",
        "What an account was paid in a period, line by line; opening + earned + other = closing",
        Period,
        ledger_shapes.Statement,
        get_statement,
        (*_WHO_ERRORS, "statement.period", *_PAGE_ERRORS),
        {"who": "@alice", "from_height": 1},
    ),
    Method(
        "earnings_getEvidence",
        "What a statement is recomputed from: the account's movements, its lines, the records that tell their source",
        ProvedPeriod,
        ledger_shapes.StatementEvidence,
        get_evidence,
        (*_WHO_ERRORS, "statement.period", *_PAGE_ERRORS),
        {"who": "@alice", "from_height": 1},
    ),
)
