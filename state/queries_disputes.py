"""Queries about disputes: what is claimed, held and decided, and which assets rest on disputed ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from concento.cids import cid
from concento.errors import Rejected
from concento.messages.disputes import Ruling
from state.modules.cascade import PAYEES, RANKS, Payee
from state.modules.disputes import DISPUTES, DISPUTES_OF, OPEN_OF, Dispute, is_pending, stand_in
from state.modules.holds import LEG_HOLDS, held_id, leg_key
from state.modules.payout import DUES
from state.modules.rulings import ALIASES
from state.modules.shares import held_asset, number_key
from state.modules.tokens import DEPOSITS
from state.modules.vaults import VAULTS
from state.queries import Chain, cursor_key, id_of, page
from state.queries_lineage import asset_of

ANCESTORS_READ_MAX: Final = 2_048
"""Ancestors that one question looks at: as many as an asset may have when it is linked, and as many amended ones."""


def dispute_get(chain: Chain, text: str) -> dict[str, Any]:
    """One dispute in full."""
    dispute_id = id_of(chain, DISPUTES.prefix, text, "dispute.not_found")
    found = chain.find(DISPUTES, dispute_id)
    if found is None:
        raise LookupError("a dispute that was just found is gone")
    votes = [{"arbiter": chain.address(vote.arbiter), "ruling": vote.ruling.hex()} for vote in found.votes]
    alias = chain.find(ALIASES, found.asset)
    return {
        **_summary(chain, dispute_id, found),
        "answer_bond_ubeat": str(found.answer_bond_ubeat),
        "answer_evidence": cid(found.answer_evidence) if len(found.answer_evidence) == 32 else None,
        "votes": votes,
        "ruling": None if found.ruling is None else _ruling(chain, found.ruling),
        "original": None if alias is None else alias.original.hex(),
        "tx": found.tx.hex(),
        "height": chain.height,
    }


def dispute_list(
    chain: Chain, asset: str | None, state: str | None, cursor: str | None, limit: int | None
) -> dict[str, Any]:
    """Disputes of an asset, or all of them, in the order of their ids; `state` "pending" is open or answered."""

    def shown(key: bytes, _record: Any) -> dict[str, Any] | None:
        dispute_id = key[-32:]
        found = chain.find(DISPUTES, dispute_id)
        if found is None or not (state in (None, found.state) or (state == "pending" and is_pending(found))):
            return None
        return _summary(chain, dispute_id, found)

    after = cursor_key(cursor)
    if asset is None:
        return page(chain, chain.scan(DISPUTES, after=after), limit, shown)
    return page(chain, chain.scan(DISPUTES_OF, prefix=_subject_of(chain, asset), after=after), limit, shown)


def _subject_of(chain: Chain, text: str) -> bytes:
    """The asset or vault of an id. Raises Rejected."""
    try:
        return asset_of(chain, text)
    except Rejected as refusal:
        if refusal.kind != "asset.not_found":
            raise
        return id_of(chain, VAULTS.prefix, text, "asset.not_found")


def taint(chain: Chain, asset: str) -> dict[str, Any]:
    """The open disputes of an asset and of everything that it was made from: computed, never written."""
    asset_id = asset_of(chain, asset)
    tainted: list[dict[str, Any]] = []
    count = 0
    for ancestor in _ancestry(chain, asset_id):
        count += 1
        found = chain.find(OPEN_OF, ancestor)
        if found is not None:
            tainted.append({"asset": ancestor.hex(), "disputes": [one.hex() for one in found.disputes]})
    return {
        "asset": asset_id.hex(),
        "tainted_by": tainted,
        "complete": count < ANCESTORS_READ_MAX,
        "height": chain.height,
    }


def _ancestry(chain: Chain, asset_id: bytes) -> Iterator[bytes]:
    """The asset and what stands above it by edges, claims and legs, youngest first."""
    top = chain.find(RANKS, asset_id)
    waiting = set() if top is None else {top.rank}
    for _ in range(ANCESTORS_READ_MAX):
        if not waiting:
            return
        rank = max(waiting)
        waiting.remove(rank)
        payee = chain.find(PAYEES, number_key(rank))
        if payee is not None:
            waiting |= set(_parents(payee))
            yield payee.asset


def _parents(payee: Payee) -> Iterator[int]:
    yield from (edge.parent for edge in (*payee.edges, *payee.claims))
    yield from (rank for leg in payee.legs if (rank := held_asset(leg.target)) is not None)


def _summary(chain: Chain, dispute_id: bytes, dispute: Dispute) -> dict[str, Any]:
    cap = _cap(chain, dispute_id, dispute)
    return {
        "id": dispute_id.hex(),
        "asset": dispute.asset.hex(),
        "reason": dispute.reason,
        "state": dispute.state,
        "claimant": chain.address(dispute.claimant),
        "respondent": chain.address(dispute.respondent),
        "leg": dispute.leg,
        "bps": dispute.bps,
        "holder": chain.address(dispute.holder) if dispute.holder else None,
        "shares": str(dispute.shares),
        "bond_ubeat": str(dispute.bond_ubeat),
        "held_ubeat": str(_held(chain, dispute_id, dispute)),
        "held_ubeat_max": None if cap is None else str(cap),
        "evidence": cid(dispute.evidence),
        "opened_ms": dispute.opened_ms,
        "deadline_ms": dispute.deadline_ms,
        "opened_height": dispute.height,
    }


def _held(chain: Chain, dispute_id: bytes, dispute: Dispute) -> int:
    if dispute.holder:
        due = chain.find(DUES, stand_in(dispute_id))
        return 0 if due is None else due.amount_ubeat
    deposit = chain.find(DEPOSITS, held_id(dispute_id))
    return 0 if deposit is None else deposit.amount_ubeat


def _cap(chain: Chain, dispute_id: bytes, dispute: Dispute) -> int | None:
    """What may be held; None once it is over. Of shares held the genesis factor tells."""
    if not is_pending(dispute):
        return None
    found = chain.find(LEG_HOLDS, leg_key(dispute.rank, dispute.leg))
    for hold in () if found is None else found.holds:
        if hold.dispute == dispute_id:
            return hold.cap_ubeat
    return dispute.bond_ubeat * chain.genesis.params.disputes.hold_factor


def _ruling(chain: Chain, ruling: Ruling) -> dict[str, Any]:
    return {
        "upheld": ruling.upheld,
        "escrow_bps": ruling.escrow_bps,
        "shares": str(ruling.shares),
        "splits": [{"holder": chain.address(row.holder), "shares": str(row.shares)} for row in ruling.splits],
        "parent": ruling.parent.hex() or None,
        "parent_bps": ruling.parent_bps,
        "original": ruling.original.hex() or None,
        "delist": ruling.delist,
        "slash_bps": ruling.slash_bps,
    }
