"""The records that lines are told from, held against the rows that blocks prove.

What a node was handed has to be exactly what its proved row says came in, a table's credits have to lead without a gap
from what a line had seen to what it was paid up to, and each has to be one that a proved row names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from concento.encoding import decode
from concento.errors import Rejected
from concento.hashing import NO_HASH
from state.modules.cascade import PAYEES
from state.modules.revenue import (
    FROM_EDGE,
    FROM_ROW,
    FROM_SOURCE,
    Credit,
    Inflow,
    Line,
    NodeRow,
    Source,
    credit_key,
    inflow_place,
    inflow_prefix,
    node_key,
)
from state.modules.shares import TABLES, number_key
from state.provenance import feeder_of, row_of
from state.queries import Chain

_WHOLE_BPS = 10_000


def check_records(chain: Chain, lines: Sequence[Line], market_bps: int) -> None:
    """Refuses unless every record that tells where these lines came from follows from proved rows."""
    _Checker(chain, market_bps).check(lines)


def refuse(reason: str) -> NoReturn:
    raise Rejected("statement.invalid", reason=reason)


class _Checker:
    """Walks upstream from the lines, each node and credit once."""

    def __init__(self, chain: Chain, market_bps: int) -> None:
        self._chain = chain
        self._market_bps = market_bps
        self._todo: list[NodeRow] = []
        self._seen: set[tuple[int, int, int]] = set()
        self._credits: dict[tuple[int, int], int] = {}

    def check(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self._check_span(line.table, line.seen, line.credited)
            table = self._chain.find(TABLES, number_key(line.table))
            if table is None or table.total != line.total:
                refuse(f"table {line.table} has another total")
        while self._todo:
            self._check_node(self._todo.pop())

    def _check_span(self, table: int, seen: int, credited: int) -> None:
        """The credits of a table lead from one total to the other."""
        at = seen
        prefix, end = credit_key(table, 0)[:-8], credit_key(table, credited)
        for key, raw in self._chain.scan_history(prefix, credit_key(table, seen)):
            if key > end:
                break
            after = int.from_bytes(key[-8:], "big")
            if (table, after) not in self._credits:
                self._credits[table, after] = self._check_credit(table, after, decode(Credit, raw, "credit"))
            if self._credits[table, after] != at:
                break
            at = after
        if at != credited:
            refuse(f"a credit of table {table} is missing")

    def _check_credit(self, table: int, after: int, credit: Credit) -> int:
        """Returns the table's total before the credit."""
        if credit.inflow is not None:
            self._check_row_payment(credit.inflow)
            if credit.inflow.amount_ubeat != after - credit.before:
                refuse(f"a credit of table {table} is not what its row was paid")
            return credit.before
        row = self._node(credit.rank, credit.route, credit.generation)
        if not any((one.table, one.before, one.after) == (table, credit.before, after) for one in row.credits):
            refuse(f"no row of the pass credits table {table} with what is said")
        owner = self._chain.find(TABLES, number_key(table))
        if owner is None or (owner.rank != credit.rank and not owner.vault):
            refuse(f"table {table} is said to be another asset's")
        return credit.before

    def _node(self, rank: int, route: int, generation: int) -> NodeRow:
        raw = self._chain.find_history(node_key(rank, route, generation))
        if raw is None:
            refuse(f"nothing proves what rank {rank} passed on")
        row = decode(NodeRow, raw, "row")
        name = row.rank, row.route, row.generation
        if name not in self._seen:
            self._seen.add(name)
            self._todo.append(row)
        return row

    def _check_node(self, row: NodeRow) -> None:
        """What was handed to the node sums to what its row says came in."""
        src = rel = 0
        for generation, inflow in self._inflows(row):
            if inflow.kind == FROM_EDGE:
                rel += inflow.amount_ubeat
            else:
                src += inflow.amount_ubeat
            self._check_inflow(row, generation, inflow)
        if (src, rel) != (row.src, row.rel):
            refuse(f"what rank {row.rank} was handed is not what it passed on")
        if self._chain.find(PAYEES, number_key(row.rank)) is None:
            refuse(f"nothing proves which asset rank {row.rank} is")

    def _inflows(self, row: NodeRow) -> Iterator[tuple[int, Inflow]]:
        """(generation, inflow) of everything that the node was handed since it last passed on."""
        prefix = inflow_prefix(row.rank, row.route, 0)[:-8]
        for key, raw in self._chain.scan_history(prefix, inflow_prefix(row.rank, row.route, row.since)):
            generation, _ = inflow_place(key)
            if generation > row.generation:
                return
            for inflow in decode(tuple[Inflow, ...], raw, "inflows"):
                yield generation, inflow

    def _check_inflow(self, row: NodeRow, generation: int, inflow: Inflow) -> None:
        match inflow.kind:
            case kind if kind == FROM_SOURCE:
                self._check_source(row, inflow)
            case kind if kind == FROM_ROW:
                self._check_row_payment(inflow)
            case kind:
                feeder = self._node(*feeder_of(generation, inflow))
                most = feeder.abs_out + feeder.rel_out if kind == FROM_EDGE else feeder.keep
                if inflow.amount_ubeat > most:
                    refuse(f"rank {row.rank} was handed more than rank {feeder.rank} passed on")

    def _check_source(self, row: NodeRow, inflow: Inflow) -> None:
        source = decode(Source, inflow.origin, "payment")
        # What the ledger itself pays, a reward or held money that goes back, has no payer and bears no fee.
        fee = source.gross_ubeat * self._market_bps // _WHOLE_BPS if source.payer != NO_HASH else 0
        right = (source.rank, source.net_ubeat, source.fee_ubeat) == (row.rank, inflow.amount_ubeat, fee)
        if not right or source.gross_ubeat - fee != source.net_ubeat:
            refuse(f"a payment to rank {row.rank} is not what came in")

    def _check_row_payment(self, inflow: Inflow) -> None:
        """A row that is no account's: what it was paid follows from its shares and the table's credits."""
        number, credited = row_of(inflow)
        table = self._chain.find(TABLES, number_key(number))
        if table is None:
            refuse(f"table {number} is missing")
        if inflow.amount_ubeat != (inflow.shares * (credited - inflow.seen) + inflow.frac) // table.total:
            refuse(f"a row of table {number} was paid something else")
        self._check_span(number, inflow.seen, credited)
