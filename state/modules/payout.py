"""Payout: what the pass and the sweep owe accounts reaches their balances at the end of the block.

By each account's policy: at once (unless it said otherwise), from an amount on, or once every so often. A holder that
is not on board yet keeps its money in `due` until an issuer says which account stands behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from concento.accounts import is_placeholder
from concento.encoding import Bytes32, Natural, Record, encode
from concento.hashing import NO_HASH
from concento.units import Amount
from state import wheel
from state.modules import identity, tokens
from state.modules.holds import SHARE_HOLDS
from state.modules.revenue import Line, Paid, Payout, Tally, paid_key, write_lines
from state.view import Kind, View

WHEEL: Final = b"payout"


class Due(Record):
    """Earned, not yet paid, by lines from height `since` on; `timer_ms` is when the wheel looks at it (0: never).

    `head` commits to those lines.
    """

    amount_ubeat: Amount
    since: Natural
    timer_ms: Natural
    head: Bytes32 = NO_HASH


DUES = Kind(b"due/", Due)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payout, and the lines of this block in it; the rest was due before."""

    payout: Payout
    lines: Sequence[Line]


def pay_out(view: View, tally: Tally, timers_max: int) -> list[Payment]:
    """Pays whoever the block touched and whose time has come, in address order; returns what reached balances."""
    fired = wheel.take(view, WHEEL, view.time_ms, timers_max)
    owed: dict[bytes, list[Line]] = {}
    for account, line in tally.lines:
        earner = _earner(view, account, line, owed) if is_placeholder(account) else account
        lines_owed = owed.get(earner)
        if lines_owed is None:
            lines_owed = owed[earner] = []
        lines_owed.append(line)
    payments: list[Payment] = []
    claimants, timed = frozenset(tally.claimants), frozenset(fired)
    looked_at = claimants.union(timed, tally.touched)
    for holder in sorted({*owed, *looked_at}):
        lines = owed.get(holder, [])
        if holder not in looked_at and _is_plain(view, holder):
            paid: Payout | None = _pay_at_once(view, holder, lines)
        else:
            paid = _pay_holder(view, holder, lines, holder in timed, holder in claimants)
        if paid is not None:
            payments.append(Payment(paid, lines))
    tokens.bucket_add(view, "royalties", -sum([payment.payout.amount_ubeat for payment in payments]))
    return payments


def _is_plain(view: View, holder: bytes) -> bool:
    """Whether the holder is an account that is paid at once: where nothing happened to it, nothing waits for it."""
    return identity.on_board(holder) and identity.payout_of(view, holder) is identity.PAYOUT_NOW


def _pay_at_once(view: View, account: bytes, lines: list[Line]) -> Payout:
    amount = sum([line.amount_ubeat for line in lines])
    _credit(view, account, account, view.height, amount, write_lines(view, account, lines, NO_HASH))
    return Payout(account, account, amount)


def _credit(view: View, account: bytes, holder: bytes, since: int, amount: int, head: bytes) -> None:
    tokens.credit(view, account, amount, "royalty", b"" if holder == account else holder, head)
    view.put_history(paid_key(account, view.height, holder), encode(Paid(since, amount)))


def _earner(view: View, account: bytes, line: Line, owed: Mapping[bytes, Sequence[Line]]) -> bytes:
    """To whom a placeholder's line is owed: what disputed shares earn beyond the dispute's cap is their holder's."""
    hold = view.find(SHARE_HOLDS, account)
    if hold is None:
        return account
    due = view.find(DUES, account)
    held = (due.amount_ubeat if due else 0) + sum(before.amount_ubeat for before in owed.get(account, ()))
    return account if held + line.amount_ubeat <= hold.cap_ubeat else hold.holder


def _pay_holder(view: View, holder: bytes, lines: list[Line], fired: bool, claimed: bool) -> Payout | None:
    before = view.find(DUES, holder) or Due(0, 0, 0)
    amount = before.amount_ubeat + sum(line.amount_ubeat for line in lines)
    since = before.since if before.amount_ubeat else view.height
    timer_ms = 0 if fired else before.timer_ms
    head = write_lines(view, holder, lines, before.head if before.amount_ubeat else NO_HASH)
    account = identity.bound_account(view, holder)
    if amount and _may_pay(view, account, amount, fired, claimed):
        _credit(view, account, holder, since, amount, head)
        _keep(view, holder, Due(0, 0, timer_ms))
        return Payout(account, holder, amount)
    _keep(view, holder, _with_timer(view, holder, Due(amount, since, timer_ms, head)))
    return None


def _may_pay(view: View, account: bytes, amount: int, fired: bool, claimed: bool) -> bool:
    if not identity.on_board(account):
        return False
    policy = identity.payout_of(view, account)
    match policy.mode:
        case "min":
            return claimed or amount >= policy.amount_ubeat
        case "every":
            return claimed or fired
        case _:
            return True


def _with_timer(view: View, holder: bytes, due: Due) -> Due:
    """Sets the timer of a holder that is paid every so often, at the next multiple of its period."""
    policy = identity.payout_of(view, identity.bound_account(view, holder))
    if policy.mode != "every" or due.timer_ms or not due.amount_ubeat:
        return due
    timer_ms = (view.time_ms // policy.period_ms + 1) * policy.period_ms
    wheel.put(view, WHEEL, timer_ms, holder)
    return replace(due, timer_ms=timer_ms)


def _keep(view: View, holder: bytes, due: Due) -> None:
    if due.amount_ubeat or due.timer_ms:
        view.put(DUES, holder, due)
    elif view.find(DUES, holder) is not None:
        view.delete(DUES, holder)
