"""Governance: validators propose changes to who runs the network and approve them; more than two thirds decide.

What is decided takes effect at the end of the block with the approval that was missing; a new set of validators holds
two heights later. Votes are counted against the newest set, so whoever leaves it no longer counts. Nothing is written
for a proposal that nobody decides: that it has expired is told by comparison. Rules: docs/protocol/governance.md.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import Natural, Record
from concento.errors import Rejected
from concento.genesis import Params
from concento.limits import PROPOSAL_MS_MAX, PROPOSALS_OPEN_MAX, VALIDATORS_MAX
from concento.messages.governance import Approve, Change, ProposalId, Propose, change_kind
from concento.transactions import object_id
from concento.validators import ValidatorSet
from state.calls import Call, Event, Value
from state.modules.governance_changes import apply_change, check_change
from state.validators import newest_set
from state.view import Kind, View

State: TypeAlias = Literal["open", "accepted", "failed"]

WEIGHT: Final = 64
"""A proposal or an approval reads the open proposals, and the deciding one writes a whole set."""


class Proposal(Record):
    """A change that somebody wants. `reason` is why it failed where it was decided and could not be made any more."""

    change: Change
    proposer: AccountId
    approvals: Annotated[tuple[AccountId, ...], Meta(max_length=4 * VALIDATORS_MAX)]
    state: State
    reason: str
    expires_ms: Natural
    time_ms: Natural
    height: Natural
    decided_height: Natural
    tx: bytes


class Listed(Record):
    """Ids of proposals."""

    proposals: tuple[ProposalId, ...]


PROPOSALS = Kind(b"proposal/", Proposal)
OPEN_OF = Kind(b"proposals-open/", Listed)
"""By proposer: those that were not decided when he last proposed; some may have expired since."""
DUE = Kind(b"proposals-due/", Listed)
"""Under one name: those that this block has approvals for. Gone at its end."""
_ONLY: Final = b""


# Reading


def require_proposal(view: View, proposal: bytes) -> Proposal:
    """The proposal. Raises Rejected("governance.not_found")."""
    found = view.find(PROPOSALS, proposal)
    if found is None:
        raise Rejected("governance.not_found", text=proposal.hex())
    return found


def is_open(proposal: Proposal, time_ms: int) -> bool:
    return proposal.state == "open" and time_ms <= proposal.expires_ms


def approval_count(proposal: Proposal, validators: ValidatorSet) -> int:
    """How many validators are for it: those whose account has said so."""
    approving = dict.fromkeys(proposal.approvals)
    return sum(member.rewards_to in approving for member in validators.members)


def require_voice(view: View, account: bytes) -> None:
    """Raises Rejected unless the account speaks for a validator."""
    if not any(member.rewards_to == account for member in newest_set(view).members):
        raise Rejected("governance.not_a_validator", account=account)


def _open_of(view: View, account: bytes) -> tuple[bytes, ...]:
    """The proposals of an account that are open now."""
    found = view.find(OPEN_OF, account)
    listed = () if found is None else found.proposals
    return tuple(one for one in listed if is_open(require_proposal(view, one), view.time_ms))


def _all_open(view: View) -> list[bytes]:
    """Every open proposal of those who validate, in the order of their accounts."""
    accounts = dict.fromkeys(sorted(member.rewards_to for member in newest_set(view).members))
    return [proposal for account in accounts for proposal in _open_of(view, account)]


# Proposing


def check_propose(view: View, call: Call, message: Propose) -> None:
    require_voice(view, call.sender)
    if not call.time_ms < message.expires_ms <= call.time_ms + PROPOSAL_MS_MAX:
        raise Rejected("governance.expiry", expires_ms=message.expires_ms, time_ms=call.time_ms)
    check_change(view, call.params, message.change)
    if len(_open_of(view, call.sender)) >= PROPOSALS_OPEN_MAX:
        raise Rejected("governance.too_many", count=PROPOSALS_OPEN_MAX)
    for other in _all_open(view):
        if require_proposal(view, other).change == message.change:
            raise Rejected("governance.proposed_already", proposal=other)


def apply_propose(view: View, call: Call, message: Propose) -> list[Event]:
    proposal_id = object_id("proposal", call.sender, call.nonce, call.action_index)
    proposal = Proposal(
        change=message.change,
        proposer=call.sender,
        approvals=(call.sender,),
        state="open",
        reason="",
        expires_ms=message.expires_ms,
        time_ms=call.time_ms,
        height=call.height,
        decided_height=0,
        tx=call.tx,
    )
    view.put(PROPOSALS, proposal_id, proposal)
    view.put(OPEN_OF, call.sender, Listed((*_open_of(view, call.sender), proposal_id)))
    _make_due(view, proposal_id)
    return [
        Event(
            "governance.proposed",
            {
                "proposal": proposal_id,
                "change": change_kind(message.change),
                "sender": call.sender,
                "expires_ms": message.expires_ms,
            },
        )
    ]


# Approving


def check_approve(view: View, call: Call, message: Approve) -> None:
    require_voice(view, call.sender)
    proposal = require_proposal(view, message.proposal)
    if not is_open(proposal, call.time_ms):
        state = "expired" if proposal.state == "open" else proposal.state
        raise Rejected("governance.not_open", proposal=message.proposal, state=state)
    if call.sender in proposal.approvals:
        raise Rejected("governance.approved_already", proposal=message.proposal, account=call.sender)


def apply_approve(view: View, call: Call, message: Approve) -> list[Event]:
    proposal = require_proposal(view, message.proposal)
    validators = newest_set(view)
    # Of those who have left since nothing is kept: the list never outgrows what validates.
    voices = dict.fromkeys(member.rewards_to for member in validators.members)
    kept = tuple(account for account in proposal.approvals if account in voices)
    approved = replace(proposal, approvals=(*kept, call.sender))
    view.put(PROPOSALS, message.proposal, approved)
    _make_due(view, message.proposal)
    return [
        Event(
            "governance.approved",
            {
                "proposal": message.proposal,
                "change": change_kind(proposal.change),
                "sender": call.sender,
                "approvals": approval_count(approved, validators),
                "needed": validators.quorum,
            },
        )
    ]


def _make_due(view: View, proposal: bytes) -> None:
    due = view.find(DUE, _ONLY)
    listed = () if due is None else due.proposals
    if proposal not in listed:
        view.put(DUE, _ONLY, Listed((*listed, proposal)))


def weigh(_message: Record) -> int:
    return WEIGHT


# Deciding


def finalise(view: View, params: Params, set_changed: bool) -> list[Event]:
    """The end of a block: makes every change that more than two thirds of the newest set are for by now."""
    due = view.find(DUE, _ONLY)
    if due is None and not set_changed:
        return []
    waiting = list(due.proposals) if due is not None else []
    if due is not None:
        view.delete(DUE, _ONLY)
    if set_changed:
        waiting += [proposal for proposal in _all_open(view) if proposal not in waiting]
    events: list[Event] = []
    while waiting:
        identity = waiting.pop(0)
        proposal, validators = require_proposal(view, identity), newest_set(view)
        if not is_open(proposal, view.time_ms) or approval_count(proposal, validators) < validators.quorum:
            continue
        events += _decide(view, params, identity, proposal)
        if newest_set(view) != validators:
            # Others may have enough approvals now that fewer are needed.
            waiting += [other for other in _all_open(view) if other not in waiting]
    return events


def _decide(view: View, params: Params, identity: bytes, proposal: Proposal) -> list[Event]:
    """Enough have approved: the change is made, or fails for what has come between."""
    fields: dict[str, Value] = {"proposal": identity, "change": change_kind(proposal.change)}
    decided = replace(proposal, decided_height=view.height)
    try:
        check_change(view, params, proposal.change)
    except Rejected as refusal:
        view.put(PROPOSALS, identity, replace(decided, state="failed", reason=refusal.kind))
        return [Event("governance.failed", {**fields, "reason": refusal.kind})]
    view.put(PROPOSALS, identity, replace(decided, state="accepted"))
    return [Event("governance.accepted", fields), *apply_change(view, proposal.change)]
