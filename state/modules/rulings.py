"""How a dispute ends: a panel rules, somebody concedes, nobody answers, or nobody rules in time.

Every end is one `Ruling`, executed by one function: money and shares that were held go where it says, and the loser's
bond pays. A ruling acts from here on; what was paid stays paid. Rules: docs/protocol/disputes.md.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from concento.encoding import Integer63, Record, encode
from concento.errors import Rejected
from concento.genesis import Params
from concento.hashing import tagged_hash
from concento.messages.assets import AssetId
from concento.messages.disputes import DISMISSED, AnswerDispute, RuleDispute, Ruling
from concento.messages.licences import Rate
from state import wheel
from state.calls import Call, Event, Finalised, Value
from state.modules import derivatives, holds, identity, lineage, royalties, shares, tokens, vaults
from state.modules.assets import ASSETS, check_splits, require_asset, split_rows
from state.modules.cascade import POISONS
from state.modules.disputes import (
    ANSWER_WEIGHT,
    DISPUTES,
    OPEN_OF,
    WHEEL,
    Dispute,
    OpenDisputes,
    State,
    Vote,
    answer_id,
    open_disputes,
    owner_of,
    put_answer,
    require_dispute,
    require_pending,
    stand_in,
    words,
)
from state.modules.holds import held_id
from state.view import Kind, View

ENDED_PER_BLOCK_MAX: Final = 64
"""Disputes whose time is over, treated in one block: each settles up to three pages; the others wait a block."""

VOTES_MAX: Final = 64
"""Arbiters heard in one dispute."""

_WHOLE_BPS: Final = 10_000
_PURSE_WHEEL: Final = b"dispute-purse"


class Alias(Record):
    """The asset is a copy of another one."""

    original: AssetId


class Purse(Record):
    """What the shares of a dispute earned while they were held is divided in these proportions."""

    claimant_shares: Integer63
    shares: Integer63


ALIASES = Kind(b"alias/", Alias)
PURSES = Kind(b"dispute-purse/", Purse)


# Ruling


def check_rule_dispute(view: View, call: Call, message: RuleDispute) -> None:
    identity.require_role(view, call.sender, "arbiter")
    dispute = require_pending(view, message.dispute)
    if dispute.state != "answered":
        raise Rejected("dispute.not_ready", dispute=message.dispute, deadline_ms=dispute.deadline_ms)
    if call.sender in (dispute.claimant, dispute.respondent, owner_of(view, dispute.asset)):
        raise Rejected("dispute.conflict", dispute=message.dispute, account=call.sender)
    if Vote(call.sender, _hash_of(message.ruling)) in dispute.votes:
        raise Rejected("dispute.voted", account=call.sender, dispute=message.dispute)
    if len(dispute.votes) >= VOTES_MAX and all(vote.arbiter != call.sender for vote in dispute.votes):
        raise Rejected("dispute.ruling_form", dispute=message.dispute, reason="the panel is full")
    _check_ruling(view, message.dispute, dispute, message.ruling)


def apply_rule_dispute(view: View, call: Call, message: RuleDispute) -> list[Event]:
    """Counts the vote; executes the ruling where enough arbiters want the very same."""
    dispute = require_dispute(view, message.dispute)
    wanted = _hash_of(message.ruling)
    others = tuple(vote for vote in dispute.votes if vote.arbiter != call.sender)
    dispute = replace(dispute, votes=(*others, Vote(call.sender, wanted)))
    view.put(DISPUTES, message.dispute, dispute)
    agreed = sum(vote.ruling == wanted and identity.has_role(view, vote.arbiter, "arbiter") for vote in dispute.votes)
    needed = call.params.disputes.arbiters_min
    fields: dict[str, Value] = {"arbiter": call.sender, "agreed": agreed, "needed": needed}
    events = [Event("dispute.voted", {**words(message.dispute, dispute), **fields})]
    if agreed >= needed:
        state: State = "upheld" if message.ruling.upheld else "rejected"
        events += execute(view, call.params, message.dispute, message.ruling, state)
        events += _change_asset(view, call, message.dispute, dispute, message.ruling)
    return events


def weigh_rule_dispute(message: RuleDispute) -> int:
    """The vote that decides moves shares and money, and may replace a table or add a parent."""
    return (
        ANSWER_WEIGHT
        + 8
        + 2 * len(message.ruling.splits)
        + (lineage.weigh_links(1, 64) if message.ruling.parent else 0)
    )


def apply_answer_dispute(view: View, call: Call, message: AnswerDispute) -> list[Event]:
    if not message.concede:
        return put_answer(view, call, message)
    dispute = require_dispute(view, message.dispute)
    if call.sender == dispute.claimant:
        return execute(view, call.params, message.dispute, DISMISSED, "rejected")
    return execute(view, call.params, message.dispute, _everything(dispute), "upheld")


def weigh_answer_dispute(_message: AnswerDispute) -> int:
    return ANSWER_WEIGHT


def _everything(dispute: Dispute) -> Ruling:
    """What a claim gets that nobody stands up to: all that is held, and nothing more."""
    return replace(DISMISSED, upheld=True, escrow_bps=_WHOLE_BPS, shares=dispute.shares)


def _check_ruling(view: View, dispute_id: bytes, dispute: Dispute, ruling: Ruling) -> None:
    """Everything that execution relies on. Raises Rejected."""
    if not ruling.upheld and replace(ruling, slash_bps=0) != DISMISSED:
        _refuse(dispute_id, "a claim that is not upheld gets nothing")
    if ruling.shares > dispute.shares:
        _refuse(dispute_id, "more shares than are held")
    if not owner_of(view, dispute.asset) and (ruling.splits or ruling.parent or ruling.original or ruling.delist):
        _refuse(dispute_id, "of a vault only shares can be ruled on")
    if ruling.splits:
        _check_new_splits(view, dispute_id, dispute, ruling)
    if bool(ruling.parent) != bool(ruling.parent_bps):
        _refuse(dispute_id, "a parent needs a rate, and a rate a parent")
    if ruling.parent:
        _check_parent(view, dispute_id, dispute, ruling)
    if ruling.original:
        require_asset(view, ruling.original)
        if ruling.original == dispute.asset:
            _refuse(dispute_id, "nothing is a copy of itself")


def _check_new_splits(view: View, dispute_id: bytes, dispute: Dispute, ruling: Ruling) -> None:
    check_splits("splits", ruling.splits)
    table = royalties.require_table(view, dispute.asset, dispute.leg)
    if not shares.is_single(shares.find_table(view, table)):
        _refuse(dispute_id, "only a split is replaced, not a table of members")
    if require_asset(view, dispute.asset).kind == "dataset" and dispute.leg == 0:
        _refuse(dispute_id, "only a split is replaced, not a table of members")
    for other in open_disputes(view, dispute.asset):
        found = require_dispute(view, other)
        if other != dispute_id and found.holder and found.leg == dispute.leg:
            _refuse(dispute_id, "another dispute holds shares of the same table")


def _check_parent(view: View, dispute_id: bytes, dispute: Dispute, ruling: Ruling) -> None:
    rank = royalties.rank_of(view, ruling.parent)
    if rank is None or rank >= dispute.rank:
        _refuse(dispute_id, "a parent is older than its child")
    if any(link.asset == ruling.parent for link in lineage.lineage_of(view, dispute.asset).parents):
        _refuse(dispute_id, "it is a parent already")
    lineage.check_ancestors(view, dispute.asset, ruling.parent, 2**53)
    left = royalties.rate_left_bps(view, dispute.asset)
    if ruling.parent_bps > left:
        _refuse(dispute_id, f"only {left} bps are left to owe")


def _refuse(dispute_id: bytes, reason: str) -> None:
    raise Rejected("dispute.ruling_form", dispute=dispute_id, reason=reason)


# Executing


def execute(view: View, params: Params, dispute_id: bytes, ruling: Ruling, state: State) -> list[Event]:
    """Ends a dispute: what was held, then the bonds."""
    dispute = require_dispute(view, dispute_id)
    view.put(DISPUTES, dispute_id, replace(dispute, state=state, ruling=ruling))
    left = tuple(one for one in open_disputes(view, dispute.asset) if one != dispute_id)
    if left:
        view.put(OPEN_OF, dispute.asset, OpenDisputes(left))
    else:
        view.delete(OPEN_OF, dispute.asset)
    awarded = returned = 0
    if dispute.holder:
        _return_shares(view, params, dispute_id, dispute, ruling)
    else:
        awarded, returned = _release(view, dispute_id, dispute, ruling)
    burnt = _settle_bonds(view, dispute_id, dispute, ruling, state)
    fields: dict[str, Value] = {
        "state": state,
        "awarded_ubeat": awarded,
        "returned_ubeat": returned,
        "shares": ruling.shares,
        "burnt_ubeat": burnt,
    }
    return [Event("dispute.ended", {**words(dispute_id, dispute), **fields})]


def _release(view: View, dispute_id: bytes, dispute: Dispute, ruling: Ruling) -> tuple[int, int]:
    """(to the claimant, back into the leg) of what was held; what goes back passes no ancestor a second time."""
    holds.lift(view, dispute.rank, dispute.leg, dispute_id)
    held = tokens.escrowed(view, held_id(dispute_id))
    awarded = held * ruling.escrow_bps // _WHOLE_BPS
    if awarded:
        tokens.escrow_out(view, held_id(dispute_id), dispute.claimant, awarded, "dispute")
    if held - awarded:
        tokens.escrow_take(view, held_id(dispute_id), held - awarded)
        royalties.return_to_leg(view, dispute.asset, dispute.leg, held - awarded, dispute_id)
    return awarded, held - awarded


def _return_shares(view: View, params: Params, dispute_id: bytes, dispute: Dispute, ruling: Ruling) -> None:
    """Shares go to whom they belong, and what they earned while they were held goes with them."""
    account = stand_in(dispute_id)
    table = vaults.table_of(view, dispute.asset, dispute.leg)
    source = dispute.page, shares.account_holder(account)
    parts = ((dispute.claimant, ruling.shares), (dispute.holder, dispute.shares - ruling.shares))
    # Whoever has a row needs no new one: in a full table the other takes the row that the dispute leaves.
    for winner, count in sorted(parts, key=lambda part: not _has_row(view, table, dispute.page, part[0])):
        if count:
            target = dispute.page, shares.account_holder(winner)
            royalties.transfer_shares(view, params.revenue.row_threshold, table, source, target, count)
    view.delete(holds.SHARE_HOLDS, account)
    view.put(identity.BINDINGS, account, identity.Binding(_earner_of(view, dispute_id, dispute, ruling)))
    royalties.touch(view, account)


def _has_row(view: View, table: int, page: int, account: bytes) -> bool:
    return shares.shares_on_page(view, table, page, shares.account_holder(account)) > 0


def _earner_of(view: View, dispute_id: bytes, dispute: Dispute, ruling: Ruling) -> bytes:
    """Who is paid what the held shares earned; where both are, it is divided at the end of the block."""
    if ruling.shares == dispute.shares:
        return dispute.claimant
    if not ruling.shares:
        return dispute.holder
    view.put(PURSES, dispute_id, Purse(ruling.shares, dispute.shares))
    wheel.put(view, _PURSE_WHEEL, view.time_ms, dispute_id)
    return _purse(dispute_id)


def _purse(dispute_id: bytes) -> bytes:
    return tagged_hash("dispute/purse", dispute_id)


def _settle_bonds(view: View, dispute_id: bytes, dispute: Dispute, ruling: Ruling, state: State) -> int:
    """The winner gets his bond back and the loser's, less what is burnt of it; without a ruling all go back."""
    stakes = (
        (dispute_id, dispute.claimant, dispute.bond_ubeat),
        (answer_id(dispute_id), dispute.respondent, dispute.answer_bond_ubeat),
    )
    if state == "lapsed":
        for deposit, owner, amount in stakes:
            tokens.escrow_out(view, deposit, owner, amount, "refund")
        return 0
    won, lost = stakes if ruling.upheld else stakes[::-1]
    burnt = lost[2] * ruling.slash_bps // _WHOLE_BPS
    tokens.escrow_out(view, won[0], won[1], won[2], "refund")
    tokens.escrow_out(view, lost[0], won[1], lost[2] - burnt, "dispute")
    tokens.escrow_take(view, lost[0], burnt)
    tokens.bucket_add(view, "burnt", burnt)
    return burnt


def _change_asset(view: View, call: Call, dispute_id: bytes, dispute: Dispute, ruling: Ruling) -> list[Event]:
    """What only a panel can order: another split, a parent, an alias, no more licences."""
    if ruling.splits:
        threshold = call.params.revenue.row_threshold
        royalties.replace_table(view, threshold, dispute.asset, dispute.leg, split_rows(ruling.splits))
    if ruling.parent:
        rate = Rate(ruling.parent_bps, 0, None)
        derivatives.add_parent(view, call, dispute.asset, ruling.parent, rate)
    if ruling.original:
        view.put(ALIASES, dispute.asset, Alias(ruling.original))
    if ruling.delist or ruling.original:
        view.put(ASSETS, dispute.asset, replace(require_asset(view, dispute.asset), retired=True))
    if replace(ruling, escrow_bps=0, shares=0, slash_bps=0) == replace(DISMISSED, upheld=ruling.upheld):
        return []
    fields: dict[str, Value] = {
        "splits": len(ruling.splits),
        "parent": ruling.parent,
        "original": ruling.original,
        "delisted": int(ruling.delist or bool(ruling.original)),
    }
    return [Event("dispute.asset_changed", {"dispute": dispute_id, "asset": dispute.asset, **fields})]


def _hash_of(ruling: Ruling) -> bytes:
    return tagged_hash("ruling", encode(ruling))


# The end of a block


def finalise(view: View, params: Params, _weight: int) -> Finalised:
    """Ends the disputes whose time is over, before the pass: what they held goes on with it."""
    events: list[Event] = []
    for dispute_id in wheel.take(view, WHEEL, view.time_ms, ENDED_PER_BLOCK_MAX):
        dispute = view.find(DISPUTES, dispute_id)
        # A timer reminds only: the deadline may have moved, or the dispute be over.
        if dispute is None or dispute.state not in ("open", "answered") or dispute.deadline_ms > view.time_ms:
            continue
        mark = view.mark()
        try:
            events += _end_late(view, params, dispute_id, dispute)
        except POISONS:
            view.rollback(mark)
    return Finalised([], events)


def _end_late(view: View, params: Params, dispute_id: bytes, dispute: Dispute) -> list[Event]:
    if dispute.state == "open":
        return execute(view, params, dispute_id, _everything(dispute), "defaulted")
    return execute(view, params, dispute_id, DISMISSED, "lapsed")


def divide_purses(view: View, _params: Params, _weight: int) -> Finalised:
    """After the payouts: what held shares earned goes to both who were found to own some of them."""
    for dispute_id in wheel.take(view, _PURSE_WHEEL, view.time_ms, ENDED_PER_BLOCK_MAX):
        _divide_purse(view, dispute_id)
    return Finalised([], [])


def _divide_purse(view: View, dispute_id: bytes) -> None:
    purse, dispute = view.get(PURSES, dispute_id), require_dispute(view, dispute_id)
    view.delete(PURSES, dispute_id)
    amount = tokens.balance(view, _purse(dispute_id))
    part = amount * purse.claimant_shares // purse.shares
    tokens.debit(view, _purse(dispute_id), amount, "dispute")
    tokens.credit(view, dispute.claimant, part, "dispute")
    tokens.credit(view, dispute.holder, amount - part, "dispute")
