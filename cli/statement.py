"""Statements that can be checked: `concento-statement-1` holds a statement and everything that it is recomputed from.

The account's record is proved by a signed header; its head commits to every movement of the balance, and each income
to its lines, so nothing can be left out. What the lines came from stands in rows of the pass, which the headers of
their blocks prove (CometBFT's do not). All lines are then worked out again. Nothing that a node says is believed but
what docs/protocol/statements.md names. `statement_records.py` checks the records.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cli.statement_payments import Payments, refuse, wanted
from cli.statement_records import check_records
from concento.accounts import parse_address
from concento.blocks import Header
from concento.client import Client
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.hashing import NO_HASH
from concento.light import COMET, AccountValue, Handover, Proved, verify_header, verify_proof
from concento.merkle import verify_inclusion
from concento.validators import Validator
from concento.votes import Commit
from state.evidence import INCOME
from state.modules.cascade import PAYEES
from state.modules.revenue import (
    FinalisationRow,
    LedgerPaymentRow,
    Line,
    NodeRow,
    Paid,
    decode_row,
    lines_key,
    next_lines_head,
    node_key,
    paid_key,
)
from state.modules.shares import number_key
from state.modules.tokens import Entry, Movements, next_head
from state.provenance import Tracer
from state.queries import Chain
from state.statements import payout_items, payouts_of, shown
from state.store.kv import HISTORY, STATE, TRANSACTION, MemoryKeyValue
from state.store.tree import Tree

FORMAT: Final = "concento-statement-1"
UNPROVED: Final = ("title",)
"""Columns of a line that nothing on the chain binds to the period: titles may be corrected later."""
SOURCES: Final = (
    "height", "index", "time_ms", "cause", "source", "cause_tx", "payer", "asset", "title", "layer", "path",
    "gross_ubeat", "fee_ubeat", "upstream_ubeat", "keep_ubeat", "rate",
)  # fmt: skip
"""What a line came from: CometBFT's headers bind no rows of the pass, and so nothing proves it there."""
_PAGE: Final = 200
_NODE: Final = HISTORY + b"node/"


@dataclass(frozen=True, slots=True)
class _Movement:
    """A movement that the account's head commits to; for income in the period, the records of its lines by height."""

    height: int
    entry: Entry
    lines: Sequence[tuple[int, bytes]]


# Writing


def evidence(client: Client, statement: dict[str, Any]) -> dict[str, Any]:
    """The statement with the account's proof, movements, records, and the rows and headers that prove them."""
    status = client.status()
    account = _stripped(client.proof(f"account/{statement['address']}"))
    # Blocks behind the newest signed state changed nothing: the period ends where it is proved.
    statement = {**statement, "to_height": min(statement["to_height"], account["height"])}
    period = {name: statement[name] for name in ("from_height", "to_height")}
    movements: list[dict[str, Any]] = []
    records: dict[str, str] = {}
    heights: set[int] = set()
    who, until = statement["address"], account["height"]
    for page in _pages(client, "earnings_getEvidence", who=who, until_height=until, **period):
        movements += page["items"]
        records.update(page["records"])
        heights.update(page["heights"])
    payments = wanted(records)
    heights.update(payments)
    if account["engine"] == COMET:
        heights.clear()
    ranks = sorted(int(key[-16:], 16) for key in records if key.startswith((STATE + PAYEES.prefix).hex()))
    return {
        "format": FORMAT,
        "chain_id": status["chain_id"],
        "genesis_hash": status["genesis_hash"],
        "statement": {name: value for name, value in statement.items() if name not in ("accrued_ubeat", "next")},
        "account": account,
        "movements": movements,
        "records": sorted([key, value] for key, value in records.items()),
        "ranks": [_stripped(client.proof(f"rank/{rank}")) for rank in ranks],
        "blocks": [_proving_rows(_rows(client, height, payments.get(height, ()))) for height in sorted(heights)],
        "handovers": [item for page in _pages(client, "chain_getHandovers", **{"from": 0}) for item in page["items"]],
    }


def _stripped(proof: dict[str, Any]) -> dict[str, Any]:
    """Without the handovers, which the file has once."""
    return {**proof, "handovers": []}


def _rows(client: Client, height: int, transactions: Sequence[str]) -> dict[str, Any]:
    """The rows of a block, and the results of these transactions, however many they are."""
    first, *others = [transactions[at : at + _PAGE] for at in range(0, len(transactions), _PAGE)] or [()]
    block: dict[str, Any] = client.call("chain_getRows", height=height, txs=list(first))
    for some in others:
        block["transactions"] += client.call("chain_getRows", height=height, txs=list(some))["transactions"]
    return block


def _proving_rows(block: dict[str, Any]) -> dict[str, Any]:
    """Only the rows that say what assets passed on, and what the ledger paid itself."""
    kinds = (NodeRow, LedgerPaymentRow)
    return {**block, "rows": [entry for entry in block["rows"] if isinstance(_row(entry), kinds)]}


def _pages(client: Client, method: str, **params: Any) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = client.call(method, cursor=cursor, limit=_PAGE, **params)
        yield page
        cursor = page["next"]
        if cursor is None:
            return


# Verifying


def verify(document: Any, genesis: Genesis) -> dict[str, Any]:
    """Recomputes the statement. Raises Rejected statement.invalid, statement.differs, proof.invalid, commit.invalid."""
    try:
        return _verified(document, genesis)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError) as error:
        refuse(f"it is malformed: {type(error).__name__} {error}")


def _verified(document: Any, genesis: Genesis) -> dict[str, Any]:
    if document["format"] != FORMAT:
        refuse(f"its format is not {FORMAT}")
    if document["chain_id"] != genesis.chain_id or document["genesis_hash"] != genesis.hash.hex():
        refuse("it is of another network than this genesis")
    statement = document["statement"]
    account = parse_address(statement["address"], genesis.dev)
    first, last = statement["from_height"], statement["to_height"]
    movements, proved = _proved_movements(document, genesis, account, first, last)
    earned = _check_sums(statement, movements, first, last)
    has_rows = document["account"]["engine"] != COMET
    rows, payments = _proved_rows(document, genesis) if has_rows else ({}, Payments())
    store = _store(document, genesis, account, movements, rows) | payments.records()
    chain = Chain(MemoryKeyValue(store), Tree(), genesis)
    if has_rows:
        lines = [line for movement in movements for _, raw in movement.lines for line in _lines(raw)]
        check_records(chain, lines, payments)
    _check_lines(statement["lines"], chain, account, first, last)
    _check_paid(statement["lines"], movements)
    return {
        "ok": True,
        "who": statement["who"],
        "address": statement["address"],
        "from_height": first,
        "to_height": last,
        "earned_ubeat": str(earned),
        "lines": len(statement["lines"]),
        "blocks": len(document["blocks"]),
        "rows": len(rows),
        "signers": proved.signers,
        "validators": proved.validators,
        "unproved": list(UNPROVED if has_rows else SOURCES),
    }


def _proved_movements(
    document: Mapping[str, Any], genesis: Genesis, account: bytes, first: int, last: int
) -> tuple[list[_Movement], Proved]:
    """Every movement from the last one before the period on: they end in the head that the account's proof shows."""
    proof = document["account"]
    proved = verify_proof(_with_handovers(document, proof), genesis)
    if proved.key != f"account/{document['statement']['address']}" or proved.height < last:
        refuse("its proof is of another account, or older than the period")
    record = AccountValue(0, None) if proved.value is None else decode(AccountValue, proved.value, "account")
    movements: list[_Movement] = []
    head: bytes | None = None
    for item in document["movements"]:
        height, raw = item["height"], _bytes(item["movements"])
        block = decode(Movements, raw, "movements")
        if head is None and block.before.head != NO_HASH and height >= first:
            refuse("it does not begin before its period")
        if head not in (None, block.before.head):
            refuse(f"a movement before those of block {height} is missing or another one")
        head = next_head(height, raw)
        for entry, lines in zip(block.entries, item["lines"], strict=True):
            movements.append(_movement(height, entry, lines, first <= height <= last))
    if (head or NO_HASH) != record.trail.head:
        refuse("its movements are not those of the account")
    return movements, proved


def _movement(height: int, entry: Entry, found: Sequence[Any], inside: bool) -> _Movement:
    lines = [(at, _bytes(record)) for at, record in found]
    if entry.cause == INCOME and inside:
        _check_income(entry, height, lines)
    elif lines:
        refuse(f"a movement of block {height} has lines, but is no income of the period")
    return _Movement(height, entry, lines)


def _check_income(entry: Entry, height: int, lines: Sequence[tuple[int, bytes]]) -> None:
    """The lines are those that the movement commits to, each is what its shares earn, and they sum to it."""
    head, earned = NO_HASH, 0
    for at, raw in lines:
        head = next_lines_head(head, at, raw)
        for line in _lines(raw):
            if line.amount_ubeat != (line.shares * (line.credited - line.seen) + line.frac) // line.total:
                refuse(f"a line of block {at} is not what its shares earn")
            earned += line.amount_ubeat
    if head != entry.detail:
        refuse(f"the lines that block {height} paid are others")
    if earned != entry.amount_ubeat:
        raise Rejected("statement.differs", height=height, claimed=earned, proved=entry.amount_ubeat)


def _check_sums(statement: Mapping[str, Any], movements: Sequence[_Movement], first: int, last: int) -> int:
    """Opening and closing are the balances before and after the period, earned the income in between; returns it."""
    before = [movement for movement in movements if movement.height < first]
    inside = [movement for movement in movements if first <= movement.height <= last]
    opening = before[-1].entry.balance_ubeat if before else 0
    closing = inside[-1].entry.balance_ubeat if inside else opening
    earned = sum(movement.entry.amount_ubeat for movement in inside if movement.entry.cause == INCOME)
    parts = {"opening": opening, "earned": earned, "other": closing - opening - earned, "closing": closing}
    for name, proved in parts.items():
        if statement[f"{name}_ubeat"] != str(proved):
            refuse(f"{name} is {proved} ubeat, it says {statement[f'{name}_ubeat']}")
    return earned


def _proved_rows(document: Mapping[str, Any], genesis: Genesis) -> tuple[dict[bytes, bytes], Payments]:
    """History key -> record of every row of the pass that a signed header proves, and the payments that they prove."""
    handovers = [_handover(entry) for entry in document["handovers"]]
    proved: dict[bytes, bytes] = {}
    payments = Payments()
    for block in document["blocks"]:
        header = decode(Header, _bytes(block["header"]), "header")
        if header.height != block["height"] + 1:
            refuse(f"block {block['height']} comes with the header of another height")
        earlier = [handover for handover in handovers if handover.header.height < header.height]
        verify_header(genesis, header, decode(Commit, _bytes(block["commit"]), "commit"), earlier)
        payments.add_block(block, header)
        for entry in block["rows"]:
            path = [bytes.fromhex(node) for node in entry["path"]]
            verify_inclusion(header.results_root, _bytes(entry["row"]), entry["index"], block["count"], path)
            row = _row(entry)
            if isinstance(row, NodeRow) and row.height == block["height"]:
                proved[HISTORY + node_key(row.rank, row.route, row.generation)] = encode(row)
            elif isinstance(row, LedgerPaymentRow):
                payments.add_row(block["height"], row)
    return proved, payments


def _store(
    document: Mapping[str, Any],
    genesis: Genesis,
    account: bytes,
    movements: Sequence[_Movement],
    rows: Mapping[bytes, bytes],
) -> dict[bytes, bytes]:
    """The records to tell the lines from: what is proved takes the place of what the file says."""
    known: tuple[bytes, ...] = (HISTORY + b"lines/", HISTORY + b"paid/", STATE + PAYEES.prefix)
    if document["account"]["engine"] != COMET:
        known += (_NODE, TRANSACTION)
    records = {bytes.fromhex(key): _bytes(value) for key, value in document["records"]}
    store = {key: value for key, value in records.items() if not key.startswith(known)}
    store |= rows
    for proof in document["ranks"]:
        proved = verify_proof(_with_handovers(document, proof), genesis)
        kind, _, number = proved.key.partition("/")
        if kind != "rank" or proved.value is None:
            refuse("a proof shows no rank")
        store[STATE + PAYEES.key(number_key(int(number)))] = proved.value
    for movement in movements:
        if movement.lines:
            _put_income(store, account, movement)
    return store


def _put_income(store: dict[bytes, bytes], account: bytes, movement: _Movement) -> None:
    holder = movement.entry.counterparty or account
    paid = Paid(movement.lines[0][0], movement.entry.amount_ubeat)
    store[HISTORY + paid_key(account, movement.height, holder)] = encode(paid)
    chunk, before = 0, -1
    for height, raw in movement.lines:
        chunk = chunk + 1 if height == before else 0
        store[HISTORY + lines_key(holder, height, chunk)] = raw
        before = height


def _check_lines(lines: Sequence[Any], chain: Chain, account: bytes, first: int, last: int) -> None:
    """Refuses unless the lines are, word for word, what the records tell."""
    tracer = Tracer(chain)
    given = iter(lines)
    for payout in payouts_of(chain, account, first, last):
        for item in payout_items(chain, tracer, payout):
            line, told = next(given, None), shown(tracer, item)
            if line is None:
                refuse(f"a line of what block {payout.height} paid is missing")
            if line["amount_ubeat"] != told["amount_ubeat"]:
                raise Rejected(
                    "statement.differs",
                    height=payout.height,
                    claimed=int(line["amount_ubeat"]),
                    proved=int(told["amount_ubeat"]),
                )
            changed = [name for name in told if line[name] != told[name]]
            if changed:
                refuse(f"{changed[0]} of a line that block {payout.height} paid is {told[changed[0]]}")
    if next(given, None) is not None:
        refuse("it has a line that nothing proves")


def _check_paid(lines: Sequence[Any], movements: Sequence[_Movement]) -> None:
    """Refuses unless the lines of every block sum to the income that it paid."""
    told: Counter[int] = Counter()
    for line in lines:
        told[line["paid_height"]] += int(line["amount_ubeat"])
    paid: Counter[int] = Counter()
    for movement in movements:
        if movement.lines:
            paid[movement.height] += movement.entry.amount_ubeat
    for height in sorted(told.keys() | paid.keys()):
        if told[height] != paid[height]:
            raise Rejected("statement.differs", height=height, claimed=told[height], proved=paid[height])


def _with_handovers(document: Mapping[str, Any], proof: Mapping[str, Any]) -> dict[str, Any]:
    earlier = [entry for entry in document["handovers"] if entry["height"] <= proof["height"]]
    return {**proof, "handovers": [{name: entry[name] for name in entry if name != "height"} for entry in earlier]}


def _lines(raw: bytes) -> tuple[Line, ...]:
    return decode(tuple[Line, ...], raw, "lines")


def _row(entry: Mapping[str, Any]) -> FinalisationRow:
    return decode_row(_bytes(entry["row"]))


def _handover(entry: Mapping[str, Any]) -> Handover:
    return Handover(
        decode(Header, _bytes(entry["header"]), "header"),
        decode(Commit, _bytes(entry["commit"]), "commit"),
        decode(tuple[Validator, ...], _bytes(entry["validators"]), "validator set"),
    )


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        refuse("a field is not base64")
