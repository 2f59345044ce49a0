"""Disputes: a claim on a part of an income, what it holds back at once, and how long everybody has.

A claim on a leg holds a part of what the leg gets; a claim on a holder moves the disputed shares to an account that
stands for the dispute. Nobody else waits. Who does not answer in time has lost; where the panel does not rule in time
everything goes back. Rulings are in `rulings.py`. Rules: docs/protocol/disputes.md.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec.structs import replace

from concento.accounts import AccountId, placeholder_id
from concento.cids import ContentHash
from concento.encoding import BasisPoints, Bytes32, Integer63, Natural, Record
from concento.errors import Rejected
from concento.hashing import tagged_hash
from concento.messages.assets import AssetId
from concento.messages.disputes import AnswerDispute, DisputeId, MaybeId, OpenDispute, RaiseBond, Reason, Ruling
from concento.transactions import object_id
from concento.units import AMOUNT_UBEAT_MAX, Amount, format_beat
from state import wheel
from state.calls import Call, Event, Value
from state.modules import holds, royalties, shares, tokens, vaults
from state.modules.assets import require_asset
from state.modules.holds import LegHold, ShareHold
from state.modules.identity import require_on_board, require_party
from state.view import Kind, View

WHEEL: Final = b"dispute"

State: TypeAlias = Literal["open", "answered", "upheld", "rejected", "defaulted", "lapsed"]


class Vote(Record):
    """An arbiter's word, by the hash of the ruling that it wants."""

    arbiter: AccountId
    ruling: Bytes32


class Dispute(Record):
    """One claim. Against a leg `holder` is empty; against a holder `bps` is 0 and `page` is where the shares are.

    `asset` may be a vault: then `rank` is 0 and the claim is against a holder. `respondent` is the asset's owner or
    that holder. Bonds and held money are deposits.
    """

    asset: AssetId
    reason: Reason
    claimant: AccountId
    respondent: AccountId
    rank: Natural
    leg: Natural
    bps: BasisPoints
    holder: MaybeId
    page: Natural
    shares: Integer63
    bond_ubeat: Amount
    answer_bond_ubeat: Amount
    evidence: ContentHash
    answer_evidence: MaybeId
    state: State
    opened_ms: Natural
    deadline_ms: Natural
    votes: Annotated[tuple[Vote, ...], Meta(max_length=256)]
    ruling: Ruling | None
    height: Natural
    tx: bytes


class Mark(Record):
    """Points to a dispute."""

    dispute: DisputeId


class OpenDisputes(Record):
    """The disputes of one asset that are not over."""

    disputes: tuple[DisputeId, ...]


DISPUTES = Kind(b"dispute/", Dispute)
DISPUTES_OF = Kind(b"dispute-of/", Mark)
"""asset || dispute."""
OPEN_OF = Kind(b"dispute-open/", OpenDisputes)
EVIDENCE = Kind(b"dispute-evidence/", Mark)
"""asset || evidence: what was brought once is not heard again."""

OPEN_WEIGHT: Final = 24 + 3 * shares.PAGE_ROWS
"""The dispute and its marks, a timer, the bond, and the pages of the shares that change their holder."""

ANSWER_WEIGHT: Final = 24 + 3 * shares.PAGE_ROWS


# Reading


def require_dispute(view: View, dispute: bytes) -> Dispute:
    """The dispute. Raises Rejected("dispute.not_found")."""
    found = view.find(DISPUTES, dispute)
    if found is None:
        raise Rejected("dispute.not_found", text=dispute.hex())
    return found


def require_pending(view: View, dispute_id: bytes) -> Dispute:
    """The dispute, if it is not over. Raises Rejected("dispute.not_open")."""
    dispute = require_dispute(view, dispute_id)
    if not is_pending(dispute):
        raise Rejected("dispute.not_open", dispute=dispute_id, state=dispute.state)
    return dispute


def is_pending(dispute: Dispute) -> bool:
    return dispute.state in ("open", "answered")


def open_disputes(view: View, asset: bytes) -> tuple[bytes, ...]:
    found = view.find(OPEN_OF, asset)
    return () if found is None else found.disputes


def owner_of(view: View, asset: bytes) -> bytes:
    """Whose the disputed asset is; nobody's where it is a vault. Raises Rejected where it is neither."""
    return b"" if view.find(vaults.VAULTS, asset) is not None else require_asset(view, asset).owner


def stand_in(dispute: bytes) -> bytes:
    """The account in whose name disputed shares stand: nobody's, until a ruling says whose."""
    return placeholder_id(b"dispute" + dispute)


def check_not_held(view: View, account: bytes) -> None:
    """Raises Rejected("dispute.not_ready") where the account stands for a dispute that is not over."""
    hold = view.find(holds.SHARE_HOLDS, account)
    if hold is not None:
        deadline_ms = require_dispute(view, hold.dispute).deadline_ms
        raise Rejected("dispute.not_ready", dispute=hold.dispute, deadline_ms=deadline_ms)


def answer_id(dispute: bytes) -> bytes:
    """The deposit of the respondent's bond; the claimant's stands under the dispute's own id."""
    return tagged_hash("dispute/answer", dispute)


def dispute_id_of(call: Call) -> bytes:
    return object_id("dispute", call.sender, call.nonce, call.action_index)


def cap_of(call: Call, bond_ubeat: int) -> int:
    """What may be held for a bond."""
    return min(bond_ubeat * call.params.disputes.hold_factor, AMOUNT_UBEAT_MAX)


# Opening


def check_open_dispute(view: View, call: Call, message: OpenDispute) -> None:
    require_party(view, call.sender)
    params = call.params.disputes
    owner = owner_of(view, message.asset)
    if owner and royalties.rank_of(view, message.asset) is None:
        raise Rejected("asset.not_sealed", asset=message.asset)
    if message.bond_ubeat < params.bond_min_ubeat:
        least = format_beat(params.bond_min_ubeat)
        raise Rejected("dispute.bond_low", bond_beat=format_beat(message.bond_ubeat), bond_min_beat=least)
    before = view.find(EVIDENCE, message.asset + message.evidence)
    if before is not None:
        raise Rejected("dispute.evidence_repeated", dispute=before.dispute)
    count = len(open_disputes(view, message.asset))
    if count >= params.open_max:
        raise Rejected("dispute.too_many", asset=message.asset, count=count)
    if call.sender == (message.holder or owner):
        raise Rejected("dispute.self")
    _check_claim(view, message)
    tokens.require_balance(view, call.sender, message.bond_ubeat)


def _check_claim(view: View, message: OpenDispute) -> None:
    if bool(message.bps) == bool(message.holder) or bool(message.shares) != bool(message.holder):
        raise Rejected("dispute.claim_form")
    if message.bps:
        if not owner_of(view, message.asset):
            raise Rejected("dispute.claim_form")
        royalties.require_leg(view, message.asset, message.leg)
        return
    if len(message.holder) != len(stand_in(b"")):
        raise Rejected("dispute.claim_form")
    require_on_board(message.holder)
    table = vaults.table_of(view, message.asset, message.leg)
    held = shares.shares_on_page(view, table, message.page, shares.account_holder(message.holder))
    if held < message.shares:
        raise Rejected("royalties.shares_short", table=table, shares=held)


def apply_open_dispute(view: View, call: Call, message: OpenDispute) -> list[Event]:
    """The hold begins with the end of this block. Raises Rejected where the disputed shares find no row."""
    dispute_id = dispute_id_of(call)
    rank = royalties.rank_of(view, message.asset) or 0
    page = message.page
    cap = cap_of(call, message.bond_ubeat)
    tokens.escrow_in(view, call.sender, dispute_id, message.bond_ubeat, "bond")
    if message.holder:
        page = _hold_shares(view, call, dispute_id, message, cap)
    else:
        holds.place(view, rank, message.leg, LegHold(dispute_id, message.bps, 0, cap))
    dispute = Dispute(
        asset=message.asset,
        reason=message.reason,
        claimant=call.sender,
        respondent=message.holder or owner_of(view, message.asset),
        rank=rank,
        leg=message.leg,
        bps=message.bps,
        holder=message.holder,
        page=page,
        shares=message.shares,
        bond_ubeat=message.bond_ubeat,
        answer_bond_ubeat=0,
        evidence=message.evidence,
        answer_evidence=b"",
        state="open",
        opened_ms=call.time_ms,
        deadline_ms=call.time_ms + call.params.disputes.answer_ms,
        votes=(),
        ruling=None,
        height=call.height,
        tx=call.tx,
    )
    view.put(DISPUTES, dispute_id, dispute)
    view.put(DISPUTES_OF, message.asset + dispute_id, Mark(dispute_id))
    view.put(EVIDENCE, message.asset + message.evidence, Mark(dispute_id))
    view.put(OPEN_OF, message.asset, OpenDisputes((*open_disputes(view, message.asset), dispute_id)))
    wheel.put(view, WHEEL, dispute.deadline_ms, dispute_id)
    return [
        Event(
            "dispute.opened",
            {
                **words(dispute_id, dispute),
                "leg": dispute.leg,
                "bps": dispute.bps,
                "shares": dispute.shares,
                "bond_ubeat": dispute.bond_ubeat,
                "held_ubeat_max": cap,
                "deadline_ms": dispute.deadline_ms,
            },
        )
    ]


def weigh_open_dispute(_message: OpenDispute) -> int:
    return OPEN_WEIGHT


def _hold_shares(view: View, call: Call, dispute_id: bytes, message: OpenDispute, cap_ubeat: int) -> int:
    """The page on which the disputed shares stand now."""
    table = vaults.table_of(view, message.asset, message.leg)
    account = stand_in(dispute_id)
    source = message.page, shares.account_holder(message.holder)
    target = message.page, shares.account_holder(account)
    threshold = call.params.revenue.row_threshold
    view.put(holds.SHARE_HOLDS, account, ShareHold(dispute_id, message.holder, cap_ubeat))
    return royalties.transfer_shares(view, threshold, table, source, target, message.shares)


# Answering


def check_answer_dispute(view: View, call: Call, message: AnswerDispute) -> None:
    dispute = require_pending(view, message.dispute)
    if call.sender not in (dispute.respondent, dispute.claimant):
        raise Rejected(
            "dispute.not_yours",
            dispute=message.dispute,
            claimant=dispute.claimant,
            respondent=dispute.respondent,
        )
    if message.concede:
        return
    if call.sender != dispute.respondent or dispute.state != "open":
        raise Rejected("dispute.answered", dispute=message.dispute)
    if call.time_ms > dispute.deadline_ms:
        raise Rejected("dispute.late", dispute=message.dispute, deadline_ms=dispute.deadline_ms)
    tokens.require_balance(view, call.sender, dispute.bond_ubeat)


def put_answer(view: View, call: Call, message: AnswerDispute) -> list[Event]:
    """The respondent stands up to it: the panel has the word until the deadline."""
    dispute = require_dispute(view, message.dispute)
    tokens.escrow_in(view, call.sender, answer_id(message.dispute), dispute.bond_ubeat, "bond")
    answered = replace(
        dispute,
        state="answered",
        answer_bond_ubeat=dispute.bond_ubeat,
        answer_evidence=message.evidence,
        deadline_ms=call.time_ms + call.params.disputes.ruling_ms,
    )
    view.put(DISPUTES, message.dispute, answered)
    wheel.put(view, WHEEL, answered.deadline_ms, message.dispute)
    fields: dict[str, Value] = {"bond_ubeat": dispute.bond_ubeat, "deadline_ms": answered.deadline_ms}
    return [Event("dispute.answered", {**words(message.dispute, answered), **fields})]


# Bonds


def check_raise_bond(view: View, call: Call, message: RaiseBond) -> None:
    dispute = require_pending(view, message.dispute)
    if call.sender != dispute.claimant:
        raise Rejected(
            "dispute.not_yours",
            dispute=message.dispute,
            claimant=dispute.claimant,
            respondent=dispute.respondent,
        )
    if message.amount_ubeat == 0:
        raise Rejected("tokens.amount_zero")
    tokens.require_balance(view, call.sender, message.amount_ubeat)


def apply_raise_bond(view: View, call: Call, message: RaiseBond) -> list[Event]:
    dispute = require_dispute(view, message.dispute)
    tokens.escrow_in(view, call.sender, message.dispute, message.amount_ubeat, "bond")
    raised = replace(dispute, bond_ubeat=dispute.bond_ubeat + message.amount_ubeat)
    view.put(DISPUTES, message.dispute, raised)
    cap = cap_of(call, raised.bond_ubeat)
    if dispute.holder:
        account = stand_in(message.dispute)
        view.put(holds.SHARE_HOLDS, account, ShareHold(message.dispute, dispute.holder, cap))
    else:
        holds.raise_cap(view, dispute.rank, dispute.leg, message.dispute, cap)
    fields: dict[str, Value] = {"bond_ubeat": raised.bond_ubeat, "held_ubeat_max": cap}
    return [Event("dispute.bond_raised", {**words(message.dispute, raised), **fields})]


def weigh_raise_bond(_message: RaiseBond) -> int:
    return 6


def words(dispute_id: bytes, dispute: Dispute) -> dict[str, Value]:
    """What every event about a dispute says."""
    return {
        "dispute": dispute_id,
        "asset": dispute.asset,
        "reason": dispute.reason,
        "claimant": dispute.claimant,
        "respondent": dispute.respondent,
    }
