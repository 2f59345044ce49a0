"""What open disputes hold back: a part of what a leg gets, or what the disputed shares of one holder earn.

Held money is a deposit of its dispute and never more than ten times the bond; past that it flows as if nobody had
complained. What is upstream, and all other legs and holders, are paid on. Rules: docs/protocol/disputes.md.
"""

from __future__ import annotations

from msgspec.structs import replace

from concento.accounts import AccountId
from concento.encoding import BasisPoints, Bytes32, Record
from concento.hashing import tagged_hash
from concento.units import Amount
from state.modules import inbox, tokens
from state.modules.shares import number_key
from state.view import Kind, View


class LegHold(Record):
    """One dispute's hold: `bps` of what the leg gets, until `held_ubeat` is `cap_ubeat`."""

    dispute: Bytes32
    bps: BasisPoints
    held_ubeat: Amount
    cap_ubeat: Amount


class LegHolds(Record):
    """The holds on one leg of an asset, in the order of their disputes."""

    holds: tuple[LegHold, ...]


class ShareHold(Record):
    """Shares stand in the name of a dispute; what they earn waits, and beyond `cap_ubeat` goes to the holder."""

    dispute: Bytes32
    holder: AccountId
    cap_ubeat: Amount


LEG_HOLDS = Kind(b"hold/", LegHolds)
SHARE_HOLDS = Kind(b"hold-shares/", ShareHold)
"""Keyed by the account that stands for the dispute."""


def held_id(dispute: bytes) -> bytes:
    """The deposit of what a dispute holds of a leg."""
    return tagged_hash("dispute/held", dispute)


def place(view: View, rank: int, leg: int, hold: LegHold) -> None:
    """Holds back from the end of this block on."""
    found = _find(view, rank, leg)
    if not found:
        _count(view, 1)
    view.put(LEG_HOLDS, leg_key(rank, leg), LegHolds((*found, hold)))


def raise_cap(view: View, rank: int, leg: int, dispute: bytes, cap_ubeat: int) -> None:
    holds = _find(view, rank, leg)
    changed = tuple(replace(hold, cap_ubeat=cap_ubeat) if hold.dispute == dispute else hold for hold in holds)
    view.put(LEG_HOLDS, leg_key(rank, leg), LegHolds(changed))


def lift(view: View, rank: int, leg: int, dispute: bytes) -> None:
    """Ends a hold; what is held stays in its deposit."""
    left = tuple(hold for hold in _find(view, rank, leg) if hold.dispute != dispute)
    if left:
        view.put(LEG_HOLDS, leg_key(rank, leg), LegHolds(left))
    else:
        view.delete(LEG_HOLDS, leg_key(rank, leg))
        _count(view, -1)


def hold_back(view: View, rank: int, leg: int, amount_ubeat: int) -> int:
    """Takes what disputes hold of an amount on its way into a leg; returns how much that is.

    Nobody has to ask while no leg at all is held (`Flow.holds`).
    """
    if not amount_ubeat:
        return 0
    holds = _find(view, rank, leg)
    left, after = amount_ubeat, []
    for hold in holds:
        taken = min(amount_ubeat * hold.bps // 10_000, left, hold.cap_ubeat - hold.held_ubeat)
        left -= taken
        after.append(replace(hold, held_ubeat=hold.held_ubeat + taken))
        tokens.escrow_put(view, held_id(hold.dispute), taken)
    held = amount_ubeat - left
    if held:
        view.put(LEG_HOLDS, leg_key(rank, leg), LegHolds(tuple(after)))
        tokens.bucket_add(view, "royalties", -held)
    return held


def leg_key(rank: int, leg: int) -> bytes:
    return number_key(rank) + leg.to_bytes(2, "big")


def _find(view: View, rank: int, leg: int) -> tuple[LegHold, ...]:
    found = view.find(LEG_HOLDS, leg_key(rank, leg))
    return () if found is None else found.holds


def _count(view: View, delta: int) -> None:
    flow = inbox.flow(view)
    inbox.put_flow(view, replace(flow, holds=flow.holds + delta))
