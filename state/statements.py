"""Statements: what an account was paid in a period, for which sale of which asset, by which share, and when.

A period selects what was *paid* in it, so that opening + earned + other = closing holds with both ends being balances.
Each line is a part of what a settlement paid one row; all lines together are what was paid, to the unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from concento.encoding import decode
from concento.errors import Rejected
from state.accruals import accrued_ubeat
from state.modules.revenue import Line, Paid, lines_prefix, paid_prefix
from state.modules.shares import number_key
from state.provenance import CreditedParts, Part, Tracer, apportion
from state.queries import Chain, account_of, page_size
from state.queries_accounts import balance_after

RATE_PARTS: Final = 1_000_000
"""A rate is told in millionths of the payment."""

_CURSOR: Final = re.compile(r"(\d{1,16})\.(\d{1,16})\.(\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Payout:
    """One payout to the account: everything that the holder's lines owed from height `since` on."""

    height: int
    holder: bytes
    since: int
    amount_ubeat: int


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the statement: the part of one settlement that came from one payment."""

    line: Line
    credit: CreditedParts
    part: Part
    amount_ubeat: int
    paid_height: int


def statement(
    chain: Chain,
    who: str,
    from_height: int | None = None,
    to_height: int | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """The statement of an account over the heights from_height..to_height, both included; all of them if not given."""
    account = account_of(chain, who)
    first, last = period(chain, from_height, to_height)
    opening = balance_after(chain, account, first - 1) if first else 0
    closing = balance_after(chain, account, last)
    payouts = list(payouts_of(chain, account, first, last))
    earned = sum(payout.amount_ubeat for payout in payouts)
    lines, following = _lines(chain, payouts, cursor, page_size(limit))
    accrued = accrued_ubeat(chain, account)
    return {
        "who": who,
        "address": chain.address(account),
        "from_height": first,
        "to_height": last,
        "opening_ubeat": str(opening),
        "earned_ubeat": str(earned),
        "other_ubeat": str(closing - opening - earned),
        "closing_ubeat": str(closing),
        "lines": lines,
        "accrued_ubeat": None if accrued is None else str(accrued),
        "next": following,
        "height": chain.height,
    }


def period(chain: Chain, from_height: int | None, to_height: int | None) -> tuple[int, int]:
    first = from_height or 0
    last = chain.height if to_height is None else min(to_height, chain.height)
    if first > last + 1:
        raise Rejected("statement.period", from_height=first, to_height=last)
    return first, last


def payouts_of(chain: Chain, account: bytes, first: int, last: int) -> Iterator[Payout]:
    """The account's payouts in the period, oldest first."""
    prefix = paid_prefix(account)
    for key, raw in chain.scan_history(prefix, prefix + number_key(first)):
        height, holder = int.from_bytes(key[len(prefix) :][:8], "big"), key[len(prefix) + 8 :]
        if height > last:
            return
        paid = decode(Paid, raw, "history record")
        yield Payout(height, holder, paid.since, paid.amount_ubeat)


def _lines(
    chain: Chain, payouts: list[Payout], cursor: str | None, size: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of lines and the cursor of the next: the paid height, the row's payment in it, and the part of that."""
    start = _position(cursor)
    items: list[dict[str, Any]] = []
    tracer = Tracer(chain)
    height = number = 0
    for payout in payouts:
        if payout.height < start[0]:
            continue
        if payout.height != height:
            height, number = payout.height, 0
        for line in _stored_lines(chain, payout):
            if (height, number) >= start[:2]:
                for part, item in enumerate(_line_items(tracer, line, height)):
                    if (height, number, part) < start:
                        continue
                    if len(items) == size:
                        return items, f"{height}.{number}.{part}"
                    items.append(shown(tracer, item))
            number += 1
    return items, None


def _position(cursor: str | None) -> tuple[int, int, int]:
    if cursor is None:
        return 0, 0, 0
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise Rejected("rpc.cursor_malformed", text=cursor[:40])
    return int(found.group(1)), int(found.group(2)), int(found.group(3))


def payout_items(chain: Chain, tracer: Tracer, payout: Payout) -> Iterator[Item]:
    for line in _stored_lines(chain, payout):
        yield from _line_items(tracer, line, payout.height)


def _stored_lines(chain: Chain, payout: Payout) -> Iterator[Line]:
    prefix = lines_prefix(payout.holder)
    for key, raw in chain.scan_history(prefix, prefix + number_key(payout.since)):
        if int.from_bytes(key[len(prefix) :][:8], "big") > payout.height:
            return
        yield from decode(tuple[Line, ...], raw, "history record")


def _line_items(tracer: Tracer, line: Line, paid_height: int) -> Iterator[Item]:
    """A settlement of one row, told credit by credit and payment by payment; the amounts sum to the line's."""
    frac = line.frac
    for credit in tracer.credits(line.table, line.seen, line.credited):
        amount, frac = divmod(line.shares * (credit.after - credit.before) + frac, line.total)
        for part, share in zip(credit.parts, apportion(credit.parts, amount), strict=True):
            if share:
                yield Item(line, credit, part, share, paid_height)


def shown(tracer: Tracer, item: Item) -> dict[str, Any]:
    """Of what came from one payment the table was credited `keep`, of which the row got `amount`."""
    payee = tracer.payee(tracer.table(item.line.table).rank)
    asset = None if payee is None else payee.asset
    origin, keep_ubeat = item.part.origin, item.part.amount_ubeat
    return {
        "height": origin.height,
        "index": origin.index,
        "time_ms": origin.time_ms,
        "cause": "royalty" if item.part.derived else origin.cause,
        "source": origin.cause,
        "cause_tx": None if origin.tx is None else origin.tx.hex(),
        "payer": None if origin.payer is None else tracer.address(origin.payer),
        "asset": None if asset is None else asset.hex(),
        "title": None if asset is None else tracer.title(asset),
        "layer": "vault" if payee is None else payee.layer,
        "path": [step.hex() for step in item.part.path],
        "shares": str(item.line.shares),
        "shares_total": str(item.line.total),
        "gross_ubeat": str(origin.gross_ubeat),
        "fee_ubeat": str(origin.fee_ubeat),
        "upstream_ubeat": str(item.credit.upstream_ubeat * keep_ubeat // item.credit.keep_ubeat),
        "keep_ubeat": str(keep_ubeat),
        "amount_ubeat": str(item.amount_ubeat),
        "rate": _rate(item.amount_ubeat, origin.gross_ubeat - origin.fee_ubeat),
        "paid_height": item.paid_height,
    }


def _rate(amount_ubeat: int, net_ubeat: int) -> str:
    """The line as a part of what the payment left after the market fee, such as "0.058333"."""
    whole, rest = divmod(amount_ubeat * RATE_PARTS // net_ubeat if net_ubeat else 0, RATE_PARTS)
    return f"{whole}.{rest:06d}"
