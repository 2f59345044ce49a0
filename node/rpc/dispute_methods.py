"""dispute_*: what is claimed, held and decided; the shapes of the answers."""

from __future__ import annotations

from typing import Any, Literal

from node.rpc.calls import Call
from node.rpc.dispatch import Method, Params
from node.rpc.params import Cursor, IdText, Limit
from node.rpc.shapes import Address, Cid, Count, Height, Hex, Id, Page, Shape, Shares, TimeMs, Ubeat
from state import queries_disputes

State = Literal["open", "answered", "upheld", "rejected", "defaulted", "lapsed"]


class OneDispute(Params):
    id: IdText


class DisputePage(Params):
    asset: IdText | None = None
    state: State | Literal["pending"] | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class Dispute(Shape):
    id: Id
    asset: Id
    reason: str
    state: State
    claimant: Address
    respondent: Address
    leg: Count
    bps: Count
    holder: Address | None
    shares: Shares
    bond_ubeat: Ubeat
    held_ubeat: Ubeat
    held_ubeat_max: Ubeat | None
    evidence: Cid
    opened_ms: TimeMs
    deadline_ms: TimeMs
    opened_height: Height


class Vote(Shape):
    arbiter: Address
    ruling: Hex


class SplitRow(Shape):
    holder: Address
    shares: Shares


class Ruling(Shape):
    upheld: bool
    escrow_bps: Count
    shares: Shares
    splits: list[SplitRow]
    parent: Id | None
    parent_bps: Count
    original: Id | None
    delist: bool
    slash_bps: Count


class DisputeInFull(Dispute):
    answer_bond_ubeat: Ubeat
    answer_evidence: Cid | None
    votes: list[Vote]
    ruling: Ruling | None
    original: Id | None
    tx: Id
    height: Height


class Disputes(Page):
    items: list[Dispute]


class TaintedBy(Shape):
    asset: Id
    disputes: list[Id]


class Taint(Shape):
    asset: Id
    tainted_by: list[TaintedBy]
    complete: bool
    height: Height


def get_dispute(call: Call, params: OneDispute) -> dict[str, Any]:
    return queries_disputes.dispute_get(call.desk.chain, params.id)


def list_disputes(call: Call, params: DisputePage) -> dict[str, Any]:
    return queries_disputes.dispute_list(call.desk.chain, params.asset, params.state, params.cursor, params.limit)


def get_taint(call: Call, params: OneDispute) -> dict[str, Any]:
    return queries_disputes.taint(call.desk.chain, params.id)


_ID_ERRORS = ("id.malformed", "id.ambiguous")

DISPUTE_METHODS = (
    Method(
        "dispute_get",
        "One dispute: the claim, both sides, what is held, votes and ruling",
        OneDispute,
        DisputeInFull,
        get_dispute,
        ("dispute.not_found", *_ID_ERRORS),
        {"id": "<dispute>"},
    ),
    Method(
        "dispute_list",
        "Disputes of an asset, in a state, or all of them; state `pending` is open or answered",
        DisputePage,
        Disputes,
        list_disputes,
        ("asset.not_found", "cid.malformed", "rpc.cursor_malformed", *_ID_ERRORS),
        {"asset": "<recording>", "state": "pending"},
    ),
    Method(
        "dispute_getTaint",
        "The open disputes of an asset and of everything that it was made from",
        OneDispute,
        Taint,
        get_taint,
        ("asset.not_found", "cid.malformed", *_ID_ERRORS),
        {"id": "<recording>"},
    ),
)
