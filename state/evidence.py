"""What proves a statement: an account's movements from a height on, and every record that its lines were told from.

The head in an account's record commits to its movements, and each income names the head of its lines; so neither a
payment nor a line can be left out, added or changed. Where a line came from follows from the rows of the pass, which
blocks prove. `cli/statement.py` reads this without believing it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from concento.encoding import decode
from concento.errors import Rejected
from state.modules.revenue import NodeRow, Paid, lines_prefix, paid_key
from state.modules.shares import number_key
from state.modules.tokens import Entry
from state.movements import AccountBlock, blocks_down, blocks_up
from state.provenance import Tracer
from state.queries import Chain, account_of, page_size
from state.statements import Payout, payout_items, period, shown
from state.store.kv import HISTORY, KeyValueView

INCOME: Final = "royalty"
"""The cause of a movement that lines explain."""

_NODE: Final = HISTORY + b"node/"
_CURSOR: Final = re.compile(r"\d{1,15}", re.ASCII)


class Recorder:
    """A view of a store that remembers everything that was read and found."""

    def __init__(self, store: KeyValueView) -> None:
        self._store = store
        self.found: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        value = self._store.get(key)
        if value is not None:
            self.found[key] = value
        return value

    def scan(self, prefix: bytes, after: bytes | None = None, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._store.scan(prefix, after, reverse):
            self.found[key] = value
            yield key, value

    def close(self) -> None:
        """The store belongs to somebody else."""


def statement_evidence(
    chain: Chain,
    who: str,
    from_height: int | None = None,
    to_height: int | None = None,
    until_height: int | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Movements from the last block before the period up to `until_height`; for income in the period, all behind it.

    An item is a block, with the lines of each of its movements; a page is full when it has as many movements.
    """
    account = account_of(chain, who)
    first, last = period(chain, from_height, to_height)
    until = chain.height if until_height is None else until_height
    size = page_size(limit)
    recorder = Recorder(chain.store)
    reader = replace(chain, store=recorder)
    tracer = Tracer(reader)
    items: list[dict[str, Any]] = []
    following = None
    count = 0
    for block in _blocks(chain, account, first, cursor):
        if block.height > until:
            break
        if count >= size:
            following = str(block.height)
            break
        count += len(block.movements.entries)
        items.append(_item(reader, tracer, account, block, first <= block.height <= last))
    lines = HISTORY + b"lines/"
    records = {key: value for key, value in recorder.found.items() if not key.startswith(lines)}
    return {
        "items": items,
        "records": [[key.hex(), _base64(value)] for key, value in sorted(records.items())],
        "heights": sorted({_node_height(value) for key, value in records.items() if key.startswith(_NODE)}),
        "next": following,
        "height": chain.height,
    }


def _blocks(chain: Chain, account: bytes, first: int, cursor: str | None) -> Iterator[AccountBlock]:
    """From the cursor on, or from the last one before the period."""
    if cursor is not None:
        if _CURSOR.fullmatch(cursor) is None:
            raise Rejected("rpc.cursor_malformed", text=cursor[:40])
        first = int(cursor)
    else:
        yield from islice(blocks_down(chain, account, first - 1), 1)
    yield from blocks_up(chain, account, first - 1)


def _item(reader: Chain, tracer: Tracer, account: bytes, block: AccountBlock, inside: bool) -> dict[str, Any]:
    lines = [_lines(reader, tracer, account, block.height, entry, inside) for entry in block.movements.entries]
    return {"height": block.height, "movements": _base64(block.raw), "lines": lines}


def _lines(reader: Chain, tracer: Tracer, account: bytes, height: int, entry: Entry, inside: bool) -> list[list[Any]]:
    """The records of the lines behind a movement: none unless it is an income of the period."""
    if not inside or entry.cause != INCOME:
        return []
    holder = entry.counterparty or account
    paid = decode(Paid, reader.find_history(paid_key(account, height, holder)) or b"", "history record")
    payout = Payout(height, holder, paid.since, paid.amount_ubeat)
    for item in payout_items(reader, tracer, payout):
        shown(tracer, item)
    return [[at, _base64(record)] for at, record in _line_records(reader, holder, paid, height)]


def _line_records(chain: Chain, holder: bytes, paid: Paid, height: int) -> Iterator[tuple[int, bytes]]:
    prefix = lines_prefix(holder)
    for key, raw in chain.scan_history(prefix, prefix + number_key(paid.since)):
        at = int.from_bytes(key[len(prefix) :][:8], "big")
        if at > height:
            return
        yield at, raw


def _node_height(raw: bytes) -> int:
    return decode(NodeRow, raw, "history record").height


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
