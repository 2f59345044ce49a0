"""gov_*: what validators propose and approve, who observes, which protocol is spoken; the shapes of the answers."""

from __future__ import annotations

from typing import Any, Literal

from node.rpc.calls import Call
from node.rpc.dispatch import Method, Params
from node.rpc.params import Cursor, IdText, Limit
from node.rpc.shapes import Address, Count, Height, Hex, Id, Page, Shape, TimeMs
from state import queries_governance

State = Literal["open", "accepted", "failed", "expired"]


class NoParams(Params):
    """No parameters."""


class OneProposal(Params):
    id: IdText


class ProposalPage(Params):
    state: State | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


class Proposal(Shape):
    id: Id
    change: dict[str, Any]
    state: State
    proposer: Address
    approvals: Count
    needed: Count
    validators: Count
    proposed_ms: TimeMs
    expires_ms: TimeMs
    proposed_height: Height
    decided_height: Height | None


class Voice(Shape):
    name: str
    account: Address
    approves: bool


class ProposalInFull(Proposal):
    voices: list[Voice]
    reason: str | None
    tx: Id
    height: Height


class Proposals(Page):
    items: list[Proposal]


class Observer(Shape):
    name: str
    key: Hex
    account: Address


class Observers(Page):
    items: list[Observer]


class Switch(Shape):
    height: Height
    protocol: Count


class Protocol(Shape):
    protocol: Count
    switches: list[Switch]
    height: Height


def get_proposal(call: Call, params: OneProposal) -> dict[str, Any]:
    return queries_governance.proposal_get(call.desk.chain, params.id)


def list_proposals(call: Call, params: ProposalPage) -> dict[str, Any]:
    return queries_governance.proposal_list(call.desk.chain, params.state, params.cursor, params.limit)


def list_observers(call: Call, _params: NoParams) -> dict[str, Any]:
    return queries_governance.observer_list(call.desk.chain)


def get_protocol(call: Call, _params: NoParams) -> dict[str, Any]:
    return queries_governance.protocol_get(call.desk.chain)


GOVERNANCE_METHODS = (
    Method(
        "gov_getProposal",
        "One proposal: the change, and which validators are for it",
        OneProposal,
        ProposalInFull,
        get_proposal,
        ("governance.not_found", "id.malformed", "id.ambiguous"),
        {"id": "<proposal>"},
    ),
    Method(
        "gov_listProposals",
        "Proposals, in a state or all of them",
        ProposalPage,
        Proposals,
        list_proposals,
        ("rpc.cursor_malformed",),
        {"state": "open"},
    ),
    Method("gov_listObservers", "The nodes that may connect without a vote", NoParams, Observers, list_observers),
    Method("gov_getProtocol", "The protocol in force, and when it switches", NoParams, Protocol, get_protocol),
)
