"""The records that lines are told from, held against the rows that blocks prove.

What a node was handed has to be exactly what its proved row says came in, a table's credits have to lead without a gap
from what a line had seen to what it was paid up to, and each has to be one that a proved row names.
"""

from __future__ import annotations

from collections.abc import Sequence

from cli.statement_payments import Payments, refuse
from concento.encoding import decode
from state.modules.cascade import PAYEES, Payee
from state.modules.revenue import (
    FROM_EDGE,
    FROM_POT,
    FROM_ROW,
    FROM_SOURCE,
    OWN,
    Credit,
    Inflow,
    Line,
    NodeRow,
    Source,
    credit_key,
    leg_of,
    node_key,
)
from state.modules.shares import TABLES, held_asset, number_key
from state.provenance import feeder_of, inflows_of, row_of
from state.queries import Chain

_WHOLE_BPS = 10_000


def check_records(chain: Chain, lines: Sequence[Line], payments: Payments) -> None:
    """Refuses unless every record that tells where these lines came from follows from proved rows and payments."""
    _Checker(chain, payments).check(lines)


class _Checker:
    """Walks upstream from the lines, each node and credit once."""

    def __init__(self, chain: Chain, payments: Payments) -> None:
        self._chain = chain
        self._payments = payments
        self._todo: list[NodeRow] = []
        self._seen: set[tuple[int, int, int]] = set()
        self._credits: dict[tuple[int, int], int] = {}
        self._payees: dict[int, Payee] = {}

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
        after = credited
        while after > seen:
            before = self._credits.get((table, after))
            if before is None:
                raw = self._chain.find_history(credit_key(table, after))
                if raw is None:
                    break
                before = self._credits[table, after] = self._check_credit(table, after, decode(Credit, raw, "credit"))
            if before >= after:
                break
            after = before
        if after != seen:
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
        for one in inflows_of(self._chain, row):
            if one.inflow.kind == FROM_EDGE:
                rel += one.inflow.amount_ubeat
            else:
                src += one.inflow.amount_ubeat
            self._check_inflow(row, one.generation, one.height, one.inflow)
        if (src, rel) != (row.src, row.rel):
            refuse(f"what rank {row.rank} was handed is not what it passed on")
        self._payee(row.rank)

    def _payee(self, rank: int) -> Payee:
        if rank not in self._payees:
            payee = self._chain.find(PAYEES, number_key(rank))
            if payee is None:
                refuse(f"nothing proves which asset rank {rank} is")
            self._payees[rank] = payee
        return self._payees[rank]

    def _check_inflow(self, row: NodeRow, generation: int, height: int, inflow: Inflow) -> None:
        match inflow.kind:
            case kind if kind == FROM_SOURCE:
                self._check_source(row, height, inflow)
            case kind if kind == FROM_ROW:
                self._check_row_payment(inflow)
            case kind if kind == FROM_POT:
                feeder = self._node(*feeder_of(generation, inflow))
                if inflow.amount_ubeat > feeder.keep:
                    refuse(f"rank {row.rank} was handed more than rank {feeder.rank} passed on")
            case kind:
                self._check_handed(row, self._node(*feeder_of(generation, inflow)), inflow)

    def _check_handed(self, row: NodeRow, feeder: NodeRow, inflow: Inflow) -> None:
        """What came by an edge or leg is its rate of what the feeder's row says; less only under ceilings and holds."""
        number, payee = int.from_bytes(inflow.origin[16:18], "big"), self._payee(feeder.rank)
        if inflow.kind == FROM_EDGE:
            edge = (*payee.claims, *payee.edges)[number]
            base = feeder.src if number < len(payee.claims) else feeder.src + feeder.rel - feeder.abs_out
            leads = edge.parent == row.rank and edge.from_height <= feeder.height
            most, exact = base * edge.bps // _WHOLE_BPS, not edge.limited
        else:
            leads = held_asset(payee.legs[number].target) == row.rank
            most, exact = _leg_amount(payee, feeder, number), not feeder.held
        if not leads or inflow.amount_ubeat > most or (exact and inflow.amount_ubeat != most):
            refuse(f"rank {row.rank} was handed something else than rank {feeder.rank} owes it")

    def _check_source(self, row: NodeRow, height: int, inflow: Inflow) -> None:
        source = decode(Source, inflow.origin, "payment")
        own = source.rank, source.route, source.net_ubeat, source.asset
        if own != (row.rank, row.route, inflow.amount_ubeat, self._payee(row.rank).asset):
            refuse(f"a payment to rank {row.rank} is not what came in")
        self._payments.check(height, source)

    def _check_row_payment(self, inflow: Inflow) -> None:
        """A row that is no account's: what it was paid follows from its shares and the table's credits."""
        number, credited = row_of(inflow)
        table = self._chain.find(TABLES, number_key(number))
        if table is None:
            refuse(f"table {number} is missing")
        if inflow.amount_ubeat != (inflow.shares * (credited - inflow.seen) + inflow.frac) // table.total:
            refuse(f"a row of table {number} was paid something else")
        self._check_span(number, inflow.seen, credited)


def _leg_amount(payee: Payee, feeder: NodeRow, number: int) -> int:
    """What a leg gets of what the node kept, before disputes hold some of it; the last leg takes what is left."""
    if feeder.route == OWN or leg_of(feeder.route) is not None:
        return feeder.keep
    weights = [leg.weight for leg in payee.legs]
    parts = [feeder.keep * weight // sum(weights) for weight in weights[:-1]]
    return [*parts, feeder.keep - sum(parts)][number]
