"""What is written down of every movement of income: rows that the results root proves, and records for statements.

Rows are leaves of a block's results list. History records are never read by execution; they say where each amount
came from, so that `state/statements.py` can follow a payment back to the sales behind it.

History keys (all numbers big-endian, so that keys sort as they do):
    inflow/ rank route generation height chunk      -> tuple of Inflow: what a node was handed, and by whom
    node/   rank route generation                   -> NodeRow
    credit/ table K                                 -> Credit     K is the table's after the credit
    holder/ account table page row height number    -> (empty)    the account held this row from then on
    lines/  account height chunk                    -> tuple of Line
    paid/   account height holder                   -> Paid
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from msgspec import Struct

from concento.accounts import AccountId
from concento.encoding import Bytes32, Integer63, Natural, Record, decode, encode
from concento.hashing import tagged_hash
from concento.units import Amount
from state.modules.shares import number_key
from state.view import View

ALL: Final = 0
"""The ordinary route: every leg of the asset."""
OWN: Final = 1
"""The last leg only: what the recording layer earns without the work."""
_LEG_ROUTES: Final = 16
"""What was held back from a leg and is released goes into this leg alone: its ancestors were paid before."""
_POT_ROUTES: Final = 2**32
"""Metered money of a dataset: the members' leg goes to the pot of its batch."""

_TWO_NUMBERS: Final = struct.Struct(">QQ").pack
_THREE_NUMBERS: Final = struct.Struct(">QQQ").pack
"""As `number_key`, one after the other."""

FROM_SOURCE: Final = 0
FROM_LEG: Final = 1
FROM_ROW: Final = 2
FROM_EDGE: Final = 3
FROM_POT: Final = 4
"""Kinds of inflow."""

LINES_PER_RECORD: Final = 1_000
"""Lines of one account and height under one key: a record stays below 100 kB."""

INFLOWS_PER_RECORD: Final = 256
"""What one asset was handed in a block under one key: payments are some 300 bytes each."""

PAYOUTS_PER_ROW: Final = 256
"""Payouts in one leaf of the results list: a block that pays a whole table stays within an array's length."""


class LegCredit(Record):
    """What one leg put into a table: K before and after."""

    leg: Natural
    table: Natural
    before: Integer63
    after: Integer63


class NodeRow(Record, tag="node"):
    """One asset passed income on: `src` + `rel` came in since generation `since`, `keep` went through its legs."""

    height: Natural
    generation: Natural
    rank: Natural
    route: Natural
    since: Natural
    src: Amount
    rel: Amount
    abs_out: Amount
    rel_out: Amount
    keep: Amount
    held: Amount
    credits: tuple[LegCredit, ...]


class SettlementRow(Record, tag="settlement"):
    """One page was settled from `seen` to `credited`."""

    table: Natural
    page: Natural
    seen: Integer63
    credited: Integer63


class StuckRow(Record, tag="stuck"):
    """A node or page whose records make no sense: its income stays where it is until an upgrade mends it."""

    rank: Natural
    table: Natural
    page: Natural


class Payout(Record):
    """Income reached a balance; `holder` is the account that earned it, another one only for placeholders."""

    account: AccountId
    holder: AccountId
    amount_ubeat: Amount


class PayoutRow(Record, tag="payout"):
    """Payouts of one block, in the order of the holders' addresses."""

    payouts: tuple[Payout, ...]


class LedgerPaymentRow(Record, tag="payment"):
    """The ledger paid an asset itself, outside of any transaction: a reward, or what an unruled dispute gives back."""

    rank: Natural
    route: Natural
    cause: str
    cause_id: Bytes32
    amount_ubeat: Amount


FinalisationRow: TypeAlias = NodeRow | SettlementRow | StuckRow | PayoutRow | LedgerPaymentRow


def decode_row(data: bytes) -> FinalisationRow:
    """One row of a block's finalisation. Raises Rejected where the bytes are none."""
    row: FinalisationRow = decode(FinalisationRow, data, "row")
    return row


class Source(Record):
    """One payment to an asset: `net_ubeat` of it entered the pass of its block or, under load, a later one.

    `number` orders the payments of a block.
    """

    number: Natural
    time_ms: Natural
    tx: Bytes32
    action_index: Natural
    cause: str
    cause_id: Bytes32
    payer: AccountId
    asset: Bytes32
    rank: Natural
    route: Natural
    gross_ubeat: Amount
    fee_ubeat: Amount
    net_ubeat: Amount


class Inflow(Record):
    """A part of a node's income, or what a vault got of a row.

    `origin` is the encoded Source of a payment, else it names the edge, leg, row or pot. From a row also: what its
    table was settled from, and the row's shares then.
    """

    kind: Natural
    origin: bytes
    amount_ubeat: Amount
    seen: Integer63 = 0
    shares: Integer63 = 0
    frac: Integer63 = 0


class Handed(Struct, frozen=True, gc=False):
    """Income for the asset of a rank, on its way to the inbox of a generation."""

    generation: int
    rank: int
    route: int
    inflow: Inflow


class Credit(Record):
    """A table was credited, from K = `before`: by a leg of a node, or as a vault by a row of another table."""

    height: Natural
    before: Integer63
    rank: Natural
    route: Natural
    generation: Natural
    inflow: Inflow | None


class Line(Record):
    """What a settlement owed one row of an account: divmod(shares * (credited - seen) + frac, total)."""

    table: Natural
    page: Natural
    row: Natural
    seen: Integer63
    credited: Integer63
    shares: Integer63
    total: Integer63
    frac: Integer63
    amount_ubeat: Amount


class Paid(Record):
    """Everything the holder's lines owed from height `since` up to the key's height went to the account."""

    since: Natural
    amount_ubeat: Amount


@dataclass(slots=True)
class Tally:
    """What settling has done so far: rows to publish, what is owed to accounts, what assets were handed, the work.

    Rows are encoded. `touched` are accounts to look at; claimants are paid whatever their payout policy says, and what
    is parked at the ranks in `claimed` is passed on however little it is.
    """

    row_threshold: int
    rows: list[bytes] = field(default_factory=list)
    lines: list[tuple[bytes, Line]] = field(default_factory=list)
    handed: list[Handed] = field(default_factory=list)
    touched: list[bytes] = field(default_factory=list)
    claimants: list[bytes] = field(default_factory=list)
    claimed: list[int] = field(default_factory=list)
    work: int = 0

    def mark(self) -> tuple[int, int, int]:
        return len(self.rows), len(self.lines), len(self.handed)

    def rollback(self, mark: tuple[int, int, int]) -> None:
        """Forgets rows, lines and what was handed since the mark; the work was done."""
        del self.rows[mark[0] :]
        del self.lines[mark[1] :]
        del self.handed[mark[2] :]

    def take_over(self, other: Tally) -> None:
        """Adds what another one has, but for its work."""
        self.rows += other.rows
        self.lines += other.lines
        self.handed += other.handed
        self.touched += other.touched
        self.claimants += other.claimants
        self.claimed += other.claimed


def leg_route(leg: int) -> int:
    """The route into one leg of an asset."""
    return _LEG_ROUTES + leg


def leg_of(route: int) -> int | None:
    """The only leg that a route leads to, or None."""
    return route - _LEG_ROUTES if _LEG_ROUTES <= route < _POT_ROUTES else None


def pot_route(pot: int) -> int:
    """The route whose first leg ends in a pot."""
    return _POT_ROUTES + pot


def pot_of(route: int) -> int | None:
    """The pot that a route fills, or None."""
    return route - _POT_ROUTES if route >= _POT_ROUTES else None


def row_origin(table: int, page: int, row: int, credited: int) -> bytes:
    """Names a row's payment of one settlement, in inflows."""
    return number_key(table) + number_key(page) + row.to_bytes(2, "big") + number_key(credited)


def edge_origin(node: bytes, edge: int) -> bytes:
    """Names an edge or leg of a node (`node_origin`), in inflows."""
    return node + edge.to_bytes(2, "big")


def node_origin(rank: int, route: int) -> bytes:
    """Names a node, whose generation is that of what it hands on."""
    return _TWO_NUMBERS(rank, route)


def pot_origin(rank: int, route: int, generation: int, row: int) -> bytes:
    """Names a row of posted usage, in inflows: by the node that filled the pot."""
    return number_key(rank) + number_key(route) + number_key(generation) + number_key(row)


def inflow_prefix(rank: int, route: int, generation: int) -> bytes:
    return b"inflow/" + _THREE_NUMBERS(rank, route, generation)


def inflow_place(key: bytes) -> tuple[int, int]:
    """(generation, height) of a key of inflows."""
    return int.from_bytes(key[-20:-12], "big"), int.from_bytes(key[-12:-4], "big")


def node_key(rank: int, route: int, generation: int) -> bytes:
    return b"node/" + _THREE_NUMBERS(rank, route, generation)


def credit_key(table: int, credited: int) -> bytes:
    return b"credit/" + _TWO_NUMBERS(table, credited)


def holder_prefix(account: bytes) -> bytes:
    return b"holder/" + account


def holder_key(account: bytes, table: int, page: int, row: int, moment: bytes) -> bytes:
    return holder_prefix(account) + number_key(table) + number_key(page) + row.to_bytes(2, "big") + moment


def lines_prefix(account: bytes) -> bytes:
    return b"lines/" + account


def lines_key(account: bytes, height: int, chunk: int) -> bytes:
    return lines_prefix(account) + number_key(height) + chunk.to_bytes(4, "big")


def paid_prefix(account: bytes) -> bytes:
    return b"paid/" + account


def paid_key(account: bytes, height: int, holder: bytes) -> bytes:
    return paid_prefix(account) + number_key(height) + holder


def write_inflows(view: View, rank: int, route: int, generation: int, inflows: list[Inflow]) -> None:
    """Remembers by whom a node was handed the parts of its income in this block."""
    prefix = inflow_prefix(rank, route, generation) + number_key(view.height)
    for chunk, start in enumerate(range(0, len(inflows), INFLOWS_PER_RECORD)):
        view.put_history(prefix + chunk.to_bytes(4, "big"), encode(inflows[start : start + INFLOWS_PER_RECORD]))


def next_lines_head(head: bytes, height: int, lines: bytes) -> bytes:
    """The head of what an account is owed after one more record of lines, encoded, of this height."""
    return tagged_hash("lines", head, height.to_bytes(8, "big"), lines)


def write_lines(view: View, account: bytes, lines: list[Line], head: bytes) -> bytes:
    """Remembers what the settlements of this height owed an account; returns the head of its lines so far."""
    for chunk, start in enumerate(range(0, len(lines), LINES_PER_RECORD)):
        raw = encode(tuple(lines[start : start + LINES_PER_RECORD]))
        view.put_history(lines_key(account, view.height, chunk), raw)
        head = next_lines_head(head, view.height, raw)
    return head
