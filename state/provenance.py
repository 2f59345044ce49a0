"""Where an amount came from: from a credit of a table back to the payments behind it, along every path.

Each amount that a node or table passed on is divided among what it had received, in proportion and without losing a
unit. That is how a payment of a whole block is told sale by sale; what was paid does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from msgspec import Struct

from concento.encoding import Record, decode
from concento.errors import Broken, Damaged, Rejected
from concento.hashing import NO_HASH
from state.modules.assets import ASSETS
from state.modules.cascade import PAYEES, Payee
from state.modules.revenue import (
    FROM_EDGE,
    FROM_POT,
    FROM_ROW,
    FROM_SOURCE,
    Credit,
    Inflow,
    NodeRow,
    Source,
    credit_key,
    inflow_place,
    inflow_prefix,
    node_key,
)
from state.modules.shares import TABLES, Table, number_key
from state.queries import Chain
from state.store.blockstore import find_transaction
from state.store.kv import HISTORY

PARTS_MAX: Final = 64
"""Payments that one amount is told apart into; where there are more, they are told together, one part per cause."""

R = TypeVar("R", bound=Record)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """A payment to an asset. `number` orders those of a height; `tx` and `payer` are None for several together."""

    height: int
    number: int
    index: int
    time_ms: int
    cause: str
    tx: bytes | None
    payer: bytes | None
    gross_ubeat: int
    fee_ubeat: int


class Part(Struct, frozen=True):
    """What of an amount came from one payment by one path: the assets it went through, the paid one first."""

    origin: Origin
    path: tuple[bytes, ...]
    derived: bool
    amount_ubeat: int


@dataclass(frozen=True, slots=True)
class CreditedParts:
    """One credit of a table: K before and after, and where it came from.

    `keep_ubeat` is what the asset kept in all, of which this is a part; `upstream_ubeat` is what its ancestors took.
    """

    before: int
    after: int
    upstream_ubeat: int
    keep_ubeat: int
    parts: tuple[Part, ...]


class Inflowing(Struct, frozen=True):
    """An inflow of a node, in one of the generations that it passed on together."""

    generation: int
    height: int
    inflow: Inflow


class Tracer:
    """Follows amounts through one moment of a store, remembering what it found."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._nodes: dict[tuple[int, int, int], tuple[Part, ...]] = {}
        self._credits: dict[tuple[int, int], CreditedParts] = {}
        self._inflows_of: dict[tuple[int, int, int], list[Inflowing]] = {}
        self._rows: dict[tuple[int, int, int], NodeRow] = {}
        self._indexes: dict[bytes, int] = {}
        self._tables: dict[int, Table] = {}
        self._payees: dict[int, Payee | None] = {}
        self._titles: dict[bytes, str | None] = {}
        self._addresses: dict[bytes, str] = {}

    def payee(self, rank: int) -> Payee | None:
        """The asset of a rank, or None for a vault's."""
        if rank not in self._payees:
            self._payees[rank] = self._chain.find(PAYEES, number_key(rank))
        return self._payees[rank]

    def title(self, asset: bytes) -> str | None:
        if asset not in self._titles:
            found = self._chain.find(ASSETS, asset)
            self._titles[asset] = None if found is None else found.description.title
        return self._titles[asset]

    def address(self, account: bytes) -> str:
        if account not in self._addresses:
            self._addresses[account] = self._chain.address(account)
        return self._addresses[account]

    def table(self, number: int) -> Table:
        """The table: its total and its owner never change."""
        if number not in self._tables:
            self._tables[number] = _required(self._chain.find(TABLES, number_key(number)), "table", number)
        return self._tables[number]

    def credits(self, table: int, seen: int, credited: int) -> list[CreditedParts]:
        """The credits of a table after K = `seen` up to K = `credited`, oldest first."""
        found: list[CreditedParts] = []
        for after, credit in self._stored_credits(table, seen, credited):
            known = self._credits.get((table, after))
            if known is None:
                known = self._credits[table, after] = self._credit(credit, after)
            found.append(known)
        return found

    def _stored_credits(self, table: int, seen: int, credited: int) -> list[tuple[int, Credit]]:
        """(K after, credit) of the same: each says which K was before it."""
        found: list[tuple[int, Credit]] = []
        while credited > seen:
            raw = self._history(credit_key(table, credited))
            credit = _required(None if raw is None else _read(Credit, raw), "table", table)
            if credit.before >= credited:
                raise Broken("the credits of table {table} lead nowhere", table=table)
            found.append((credited, credit))
            credited = credit.before
        return found[::-1]

    def _credit(self, credit: Credit, after: int) -> CreditedParts:
        amount = after - credit.before
        if credit.inflow is not None:
            return CreditedParts(credit.before, after, 0, amount, divide(self._row_parts(credit.inflow), amount))
        row = self._node(credit.rank, credit.route, credit.generation)
        parts = divide(self._node_parts(row), amount)
        upstream = row.abs_out + row.rel_out
        return CreditedParts(credit.before, after, upstream, row.keep, parts)

    def _node(self, rank: int, route: int, generation: int) -> NodeRow:
        known = self._rows.get((rank, route, generation))
        if known is None:
            raw = self._history(node_key(rank, route, generation))
            known = _required(None if raw is None else _read(NodeRow, raw), "node", rank)
            self._rows[rank, route, generation] = known
        return known

    def _node_parts(self, row: NodeRow) -> tuple[Part, ...]:
        """Where the income of a node came from. Feeders first: a line of descent may be longer than Python's stack."""
        stack = [row]
        while stack:
            top = stack[-1]
            missing = [] if self._knows(top) else [feeder for feeder in self._feeders(top) if not self._knows(feeder)]
            if missing:
                stack += missing
                continue
            if not self._knows(top):
                self._nodes[_node_name(top)] = self._gather(top)
            stack.pop()
        return self._nodes[_node_name(row)]

    def _knows(self, row: NodeRow) -> bool:
        return _node_name(row) in self._nodes

    def _gather(self, row: NodeRow) -> tuple[Part, ...]:
        asset = _required(self.payee(row.rank), "rank", row.rank).asset
        found: list[Part] = []
        for inflowing in self._inflows(row):
            for part in self._inflow_parts(inflowing):
                found.append(Part(part.origin, (*part.path, asset), part.derived, part.amount_ubeat))
        return bounded(found)

    def _feeders(self, row: NodeRow) -> Iterator[NodeRow]:
        """The nodes whose income the node's own came from."""
        for inflowing in self._inflows(row):
            match inflowing.inflow.kind:
                case kind if kind == FROM_SOURCE:
                    pass
                case kind if kind == FROM_ROW:
                    yield from self._row_feeders(inflowing.inflow)
                case _:
                    yield self._feeder(inflowing)

    def _feeder(self, inflowing: Inflowing) -> NodeRow:
        """The node that an inflow by an edge or leg came from, or the one that filled the pot of posted usage."""
        return self._node(*feeder_of(inflowing.generation, inflowing.inflow))

    def _row_feeders(self, inflow: Inflow) -> Iterator[NodeRow]:
        table, credited = row_of(inflow)
        for _, credit in self._stored_credits(table, inflow.seen, credited):
            if credit.inflow is None:
                yield self._node(credit.rank, credit.route, credit.generation)
            else:
                yield from self._row_feeders(credit.inflow)

    def _inflows(self, row: NodeRow) -> list[Inflowing]:
        """Everything that a node was handed since it last passed on."""
        name = _node_name(row)
        if name not in self._inflows_of:
            try:
                self._inflows_of[name] = inflows_of(self._chain, row)
            except Rejected as error:
                raise _unreadable(error) from error
        return self._inflows_of[name]

    def _inflow_parts(self, inflowing: Inflowing) -> tuple[Part, ...]:
        inflow = inflowing.inflow
        match inflow.kind:
            case kind if kind == FROM_SOURCE:
                return (Part(self._origin(inflowing.height, inflow.origin), (), False, inflow.amount_ubeat),)
            case kind if kind == FROM_ROW:
                return divide(self._row_parts(inflow), inflow.amount_ubeat)
            case kind:
                parts = divide(self._node_parts(self._feeder(inflowing)), inflow.amount_ubeat)
                if kind != FROM_EDGE:
                    return parts
                return tuple([Part(part.origin, part.path, True, part.amount_ubeat) for part in parts])

    def _row_parts(self, inflow: Inflow) -> tuple[Part, ...]:
        """Where the payment of one row came from: from every credit that its settlement covered."""
        table, credited = row_of(inflow)
        found: list[Part] = []
        frac, total = inflow.frac, self.table(table).total
        for credit in self.credits(table, inflow.seen, credited):
            amount, frac = divmod(inflow.shares * (credit.after - credit.before) + frac, total)
            found += divide(credit.parts, amount)
        return bounded(found)

    def _origin(self, height: int, raw: bytes) -> Origin:
        source = _read(Source, raw)
        return Origin(
            height=height,
            number=source.number,
            index=self._index(source.tx),
            time_ms=source.time_ms,
            cause=source.cause,
            tx=None if source.tx == NO_HASH else source.tx,
            payer=None if source.payer == NO_HASH else source.payer,
            gross_ubeat=source.gross_ubeat,
            fee_ubeat=source.fee_ubeat,
        )

    def _index(self, tx: bytes) -> int:
        if tx not in self._indexes:
            place = find_transaction(self._chain.store, tx)
            self._indexes[tx] = 0 if place is None else place.index
        return self._indexes[tx]

    def _history(self, key: bytes) -> bytes | None:
        return self._chain.store.get(HISTORY + key)


def inflows_of(chain: Chain, row: NodeRow) -> list[Inflowing]:
    """Everything that a node was handed since it last passed on. Raises Rejected where a record cannot be read."""
    # Most nodes are handed everything in the block that passes it on, and it stands in one record.
    prefix, generation = inflow_prefix(row.rank, row.route, row.generation), row.generation
    raw = chain.find_history(prefix + number_key(row.height) + bytes(4))
    if raw is not None:
        found = [Inflowing(generation, row.height, inflow) for inflow in decode(tuple[Inflow, ...], raw, "inflows")]
        if sum([one.inflow.amount_ubeat for one in found]) == row.src + row.rel:
            return found
    found = []
    for key, raw in chain.scan_history(prefix[:-8], inflow_prefix(row.rank, row.route, row.since)):
        generation, height = inflow_place(key)
        if generation > row.generation:
            break
        found += [Inflowing(generation, height, inflow) for inflow in decode(tuple[Inflow, ...], raw, "inflows")]
    return found


def feeder_of(generation: int, inflow: Inflow) -> tuple[int, int, int]:
    """(rank, route, generation) of the node that an inflow by an edge, leg or pot of this generation came from."""
    rank, route = int.from_bytes(inflow.origin[:8], "big"), int.from_bytes(inflow.origin[8:16], "big")
    return rank, route, int.from_bytes(inflow.origin[16:24], "big") if inflow.kind == FROM_POT else generation


def row_of(inflow: Inflow) -> tuple[int, int]:
    """(table, K after the settlement) of the row that an inflow came from."""
    return int.from_bytes(inflow.origin[:8], "big"), int.from_bytes(inflow.origin[-8:], "big")


def apportion(parts: Sequence[Part], amount_ubeat: int) -> list[int]:
    """The amount divided in the proportions of the parts, in their order and to the unit."""
    if len(parts) == 1:
        return [amount_ubeat]
    total = sum([part.amount_ubeat for part in parts])
    shares: list[int] = []
    so_far = given = 0
    for part in parts:
        so_far += part.amount_ubeat
        share = amount_ubeat * so_far // total - given
        shares.append(share)
        given += share
    return shares


def divide(parts: Sequence[Part], amount_ubeat: int) -> tuple[Part, ...]:
    """The parts in the same proportions with another sum, to the unit; parts that get nothing are left out."""
    shares = zip(parts, apportion(parts, amount_ubeat), strict=True)
    return tuple([Part(part.origin, part.path, part.derived, share) for part, share in shares if share])


def bounded(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts, or where there are too many of them one for each cause, dated by its newest payment."""
    if len(parts) <= PARTS_MAX:
        return tuple(parts)
    causes = sorted({(part.origin.cause, part.derived) for part in parts})
    return tuple(_together([part for part in parts if (part.origin.cause, part.derived) == cause]) for cause in causes)


def _together(parts: Sequence[Part]) -> Part:
    """Several parts as one. Each payment counts once, by however many paths it came."""
    origins = {(part.origin.height, part.origin.number): part.origin for part in parts}
    newest = origins[max(origins)]
    merged = replace(
        newest,
        tx=None,
        payer=None,
        gross_ubeat=sum(origin.gross_ubeat for origin in origins.values()),
        fee_ubeat=sum(origin.fee_ubeat for origin in origins.values()),
    )
    return Part(merged, parts[0].path[-1:], parts[0].derived, sum(part.amount_ubeat for part in parts))


def _node_name(row: NodeRow) -> tuple[int, int, int]:
    return row.rank, row.route, row.generation


def _required(found: R | None, what: str, number: int) -> R:
    if found is None:
        raise Broken("the record of {what} {number} that income went through is missing", what=what, number=number)
    return found


def _read(kind: type[T], raw: bytes) -> T:
    try:
        return decode(kind, raw, "history record")
    except Rejected as error:
        raise _unreadable(error) from error


def _unreadable(error: Rejected) -> Damaged:
    return Damaged(str(error), "concento node repair")
