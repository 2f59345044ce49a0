"""Pots: the members' part of metered money, until the use of each member that the reader signed is posted.

A pot is filled by the pass. Rows of usage empty it in order; what nobody posted in time goes to the members by
weight. Rules: docs/protocol/shares.md. The messages are in `usage.py`.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta
from msgspec.structs import replace

from concento.encoding import Bytes32, Natural, Record
from concento.errors import Rejected
from concento.units import Amount
from state import wheel
from state.modules.revenue import Tally, pot_route
from state.modules.settlement import credit_table
from state.modules.shares import next_number, number_key
from state.view import Kind, View


class Pot(Record):
    """The members' part of the batch of `units` that begins at receipt `first`; `usage_root` says who used what.

    `rows` and `used` count what is posted, `paid_ubeat` what it was paid. `generation` is when the pass filled it (0:
    on its way). `closed`: the deadline has passed, or everything is posted; what is left, or comes yet, goes by weight.
    """

    asset: Bytes32
    rank: Natural
    table: Natural
    first: Natural
    usage_root: Annotated[bytes, Meta(max_length=32)]
    units: Natural
    amount_ubeat: Amount
    paid_ubeat: Amount
    rows: Natural
    used: Natural
    generation: Natural
    deadline_ms: Natural
    closed: bool


POTS = Kind(b"pot/", Pot)

WHEEL: Final = b"usage"

CLOSED_PER_BLOCK_MAX: Final = 64
"""Pots whose time is over, treated in one block: a table is credited for each; the others wait a block."""


def find_pot(view: View, pot: int) -> Pot:
    """The pot. Raises Rejected("usage.no_pot")."""
    found = view.find(POTS, number_key(pot))
    if found is None:
        raise Rejected("usage.no_pot", pot=pot)
    return found


def fill(view: View, tally: Tally, pot: int, amount_ubeat: int, generation: int) -> None:
    """The pass has brought the members' part. Too late for posting, it goes by weight."""
    filled = replace(find_pot(view, pot), amount_ubeat=amount_ubeat, generation=generation)
    view.put(POTS, number_key(pot), filled)
    if filled.closed:
        _pay_rest(view, tally, pot, generation)


def open_pot(view: View, pot: Pot) -> int:
    """A pot on whose route a payment is about to be made; returns its number."""
    number = next_number(view, b"pot")
    view.put(POTS, number_key(number), pot)
    wheel.put(view, WHEEL, pot.deadline_ms, number_key(number))
    return number


def close_due(view: View, tally: Tally, generation: int) -> None:
    """Closes the pots whose deadline has come; like the sweep it has a bound of its own, apart from the pass."""
    before = tally.work
    for item in wheel.take(view, WHEEL, view.time_ms, CLOSED_PER_BLOCK_MAX):
        _close(view, tally, int.from_bytes(item, "big"), generation)
    tally.work = before


def _close(view: View, tally: Tally, pot: int, generation: int) -> None:
    """No more rows: what is left goes to all members by weight, now or when the pass brings it."""
    found = view.find(POTS, number_key(pot))
    if found is None or found.closed:
        return
    view.put(POTS, number_key(pot), replace(found, closed=True))
    if found.generation:
        _pay_rest(view, tally, pot, generation)


def _pay_rest(view: View, tally: Tally, pot: int, generation: int) -> None:
    """Credits what is left to the members' table; assets' parts go to `generation`. The pot is gone."""
    found = find_pot(view, pot)
    rest = found.amount_ubeat - found.paid_ubeat
    view.delete(POTS, number_key(pot))
    if rest:
        credit_table(view, tally, found.table, rest, generation, (found.rank, pot_route(pot), found.generation))
