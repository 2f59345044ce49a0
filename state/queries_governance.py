"""Queries about governance: proposals and who is for them, observers, protocol versions."""

from __future__ import annotations

from typing import Any

from concento.validators import ValidatorSet
from state.modules.governance import PROPOSALS, Proposal, approval_count, is_open
from state.modules.governance_changes import observers_of, protocol_at, switches_of
from state.queries import Chain, cursor_key, id_of, page
from state.queries_tx import record_json
from state.validators import newest_set


def proposal_get(chain: Chain, text: str) -> dict[str, Any]:
    """One proposal, with every validator's word."""
    proposal_id = id_of(chain, PROPOSALS.prefix, text, "governance.not_found")
    found = chain.view().get(PROPOSALS, proposal_id)
    validators = newest_set(chain.view())
    approving = dict.fromkeys(found.approvals)
    voices = [
        {
            "name": member.name,
            "account": chain.address(member.rewards_to),
            "approves": member.rewards_to in approving,
        }
        for member in validators.members
    ]
    return {
        **_summary(chain, proposal_id, found, validators),
        "voices": voices,
        "reason": found.reason or None,
        "tx": found.tx.hex(),
        "height": chain.height,
    }


def proposal_list(chain: Chain, state: str | None, cursor: str | None, limit: int | None) -> dict[str, Any]:
    """Proposals in the order of their ids, or only those in one state."""
    validators = newest_set(chain.view())

    def shown(key: bytes, proposal: Proposal) -> dict[str, Any] | None:
        item = _summary(chain, key, proposal, validators)
        return item if state in (None, item["state"]) else None

    return page(chain, chain.scan(PROPOSALS, after=cursor_key(cursor)), limit, shown)


def observer_list(chain: Chain) -> dict[str, Any]:
    """The nodes that may connect without a vote."""
    items = [
        {"name": observer.name, "key": observer.key.hex(), "account": chain.address(observer.account)}
        for observer in observers_of(chain.view())
    ]
    return {"items": items, "next": None, "height": chain.height}


def protocol_get(chain: Chain) -> dict[str, Any]:
    """The version of the next block, and every switch there was or will be."""
    switches = switches_of(chain.view())
    return {
        "protocol": protocol_at(switches, chain.height + 1),
        "switches": [{"height": entry.height, "protocol": entry.protocol} for entry in switches],
        "height": chain.height,
    }


def _summary(chain: Chain, proposal_id: bytes, proposal: Proposal, validators: ValidatorSet) -> dict[str, Any]:
    is_over = proposal.state == "open" and not is_open(proposal, chain.time_ms)
    return {
        "id": proposal_id.hex(),
        "change": record_json("", proposal.change, chain.dev),
        "state": "expired" if is_over else proposal.state,
        "proposer": chain.address(proposal.proposer),
        "approvals": approval_count(proposal, validators),
        "needed": validators.quorum,
        "validators": len(validators),
        "proposed_ms": proposal.time_ms,
        "expires_ms": proposal.expires_ms,
        "proposed_height": proposal.height,
        "decided_height": proposal.decided_height or None,
    }
