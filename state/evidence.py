"""What proves a statement: an account's movements from a height on, and every record that its lines were told from.

The head in an account's record commits to its movements, and each income names the head of its lines; so neither a
payment nor a line can be left out, added or changed. Where a line came from follows from the rows of the pass, which
blocks prove. `cli/statement.py` reads this without believing it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from concento.encoding import decode
from concento.errors import Rejected
from state.modules.revenue import NodeRow, Paid, lines_prefix, paid_key
from state.modules.shares import number_key
from state.modules.tokens import HISTORY_PREFIX, Entry, history_key
from state.provenance import Tracer
from state.queries import Chain, account_of, page_size
from state.statements import Payout, payout_items, period, shown
from state.store.kv import HISTORY, KeyValueView

INCOME: Final = "royalty"
"""The cause of a movement that lines explain."""

_NODE: Final = HISTORY + b"node/"
_CURSOR: Final = re.compile(r"(\d{1,16})\.(\d{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of the account, encoded, and where it stands."""

    height: int
    index: int
    raw: bytes


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
    """Movements from the last one before the period up to `until_height`; for income in the period, all behind it."""
    account = account_of(chain, who)
    first, last = period(chain, from_height, to_height)
    until = chain.height if until_height is None else until_height
    size = page_size(limit)
    recorder = Recorder(chain.store)
    reader = replace(chain, store=recorder)
    tracer = Tracer(reader)
    items: list[dict[str, Any]] = []
    following = None
    for movement in _movements(chain, account, first, cursor):
        if movement.height > until:
            break
        if len(items) == size:
            following = f"{movement.height}.{movement.index}"
            break
        items.append(_item(reader, tracer, account, movement, first <= movement.height <= last))
    lines = HISTORY + b"lines/"
    records = {key: value for key, value in recorder.found.items() if not key.startswith(lines)}
    return {
        "items": items,
        "records": [[key.hex(), _base64(value)] for key, value in sorted(records.items())],
        "heights": sorted({_node_height(value) for key, value in records.items() if key.startswith(_NODE)}),
        "next": following,
        "height": chain.height,
    }


def _movements(chain: Chain, account: bytes, first: int, cursor: str | None) -> Iterator[Movement]:
    """From the cursor on, or from the last movement before the period."""
    prefix = HISTORY_PREFIX + account
    start = history_key(account, first, 0)
    if cursor is not None:
        found = _CURSOR.fullmatch(cursor)
        if found is None or int(found.group(2)) >= 2**32:
            raise Rejected("rpc.cursor_malformed", text=cursor[:40])
        start = history_key(account, int(found.group(1)), int(found.group(2)))
    else:
        for key, raw in chain.scan_history(prefix, start, reverse=True):
            yield _movement(key, raw)
            break
    # A scan starts behind its key: the record at the start itself comes first.
    here = chain.find_history(start)
    if here is not None:
        yield _movement(start, here)
    for key, raw in chain.scan_history(prefix, start):
        yield _movement(key, raw)


def _movement(key: bytes, raw: bytes) -> Movement:
    return Movement(int.from_bytes(key[-12:-4], "big"), int.from_bytes(key[-4:], "big"), raw)


def _item(reader: Chain, tracer: Tracer, account: bytes, movement: Movement, inside: bool) -> dict[str, Any]:
    entry = decode(Entry, movement.raw, "history record")
    lines: list[list[Any]] = []
    if inside and entry.cause == INCOME:
        holder = entry.counterparty or account
        raw = reader.find_history(paid_key(account, movement.height, holder))
        paid = decode(Paid, raw or b"", "history record")
        lines = [[height, _base64(record)] for height, record in _line_records(reader, holder, paid, movement.height)]
        payout = Payout(movement.height, holder, paid.since, paid.amount_ubeat)
        for item in payout_items(reader, tracer, payout):
            shown(tracer, item)
    return {"height": movement.height, "index": movement.index, "entry": _base64(movement.raw), "lines": lines}


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
