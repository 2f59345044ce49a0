"""A transaction enters the chain at most once, although there are no sequence numbers.

It may enter while block time lies in the window that ends at its `valid_until_ms`. Which ids are in the chain is plain
data of the store (where each transaction lies); the state holds one record per height that has ids, which binds them:
a node that starts from a snapshot knows that it was given all the ids that could still come back, and no others.
Rules: docs/protocol/transactions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from concento.encoding import Bytes32, Natural, Record
from concento.errors import Rejected
from concento.hashing import tagged_hash
from concento.limits import IDS_FORGOTTEN_PER_BLOCK_MAX
from concento.transactions import Body
from state.view import Kind, View


class Remembered(Record):
    """The ids of one height: a hash over them in the order of the block, and the last time any of them is valid."""

    height: Natural
    valid_until_ms: Natural
    ids_hash: Bytes32


class Span(Record):
    """The numbers of the records held: `first` up to but not including `next`."""

    first: Natural
    next: Natural


REMEMBERED = Kind(b"replay/", Remembered)
SPANS = Kind(b"replay-span/", Span)
SPAN_KEY: Final = b""


def check_window(body: Body, time_ms: int, window_ms: int) -> None:
    """Raises Rejected unless block time lies in the window; both of its ends belong to it."""
    if body.valid_until_ms < time_ms:
        raise Rejected("tx.expired", valid_until_ms=body.valid_until_ms, time_ms=time_ms)
    if body.valid_until_ms > time_ms + window_ms:
        raise Rejected("tx.too_early", valid_until_ms=body.valid_until_ms, time_ms=time_ms, window_ms=window_ms)


def remember(view: View, ids: Sequence[bytes], valid_until_ms: int) -> None:
    """Binds the ids of this height and forgets heights whose ids have all expired, a few at a time.

    Only blocks that bring ids forget: an idle chain changes nothing, and a busy one forgets faster than it learns.
    """
    span = span_of(view)
    first = _forget(view, span)
    view.put(REMEMBERED, number_key(span.next), Remembered(view.height, valid_until_ms, ids_hash(ids)))
    view.put(SPANS, SPAN_KEY, Span(first, span.next + 1))


def ids_hash(ids: Sequence[bytes]) -> bytes:
    """What the state says of the ids of a height."""
    return tagged_hash("ids", *ids)


def span_of(view: View) -> Span:
    return view.find(SPANS, SPAN_KEY) or Span(0, 0)


def is_remembered(view: View, height: int) -> bool:
    """Whether the state still binds the ids of a height that brought some."""
    span = span_of(view)
    return span.first < span.next and view.get(REMEMBERED, number_key(span.first)).height <= height


def number_key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _forget(view: View, span: Span) -> int:
    """The first number that stays; a height that lives on keeps the younger ones behind it."""
    first = span.first
    last = min(span.next, span.first + IDS_FORGOTTEN_PER_BLOCK_MAX)
    while first < last and view.get(REMEMBERED, number_key(first)).valid_until_ms < view.time_ms:
        view.delete(REMEMBERED, number_key(first))
        first += 1
    return first
