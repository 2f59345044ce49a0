"""The state as one block sees it: decoded records over what is committed, with an undo journal.

Modules read and write typed records through kinds; nothing here knows what a record means. A transaction that fails is
rolled back to its mark. Nothing is written to a store: the block's changes are collected at its end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, Generic, TypeAlias, TypeVar

from concento.encoding import Record, decode_own, encode
from concento.errors import Broken, Rejected
from state.store.blockstore import find_transaction
from state.store.kv import STATE, KeyValueView

R = TypeVar("R", bound=Record)

Read: TypeAlias = Callable[[bytes], bytes | None]
"""The committed value under a state key (without the store's space prefix)."""

Mark: TypeAlias = tuple[int, int, int]
"""A moment of a block: how much was written, told and noted until then."""

Included: TypeAlias = Callable[[bytes], bool]
"""Whether a transaction id is in the chain below this block; asked only about ids that have not expired."""


class Kind(Generic[R]):
    """A table of state records: the prefix of its keys and the type of its values."""

    __slots__ = ("prefix", "record")

    def __init__(self, prefix: bytes, record: type[R]) -> None:
        self.prefix = prefix
        self.record = record

    def key(self, key: bytes) -> bytes:
        """The state key of the record named `key`."""
        return self.prefix + key

    def decode(self, data: bytes) -> R:
        """The record in committed bytes, which are ours: anything else is Broken."""
        try:
            return decode_own(self.record, data)
        except Rejected as error:
            raise Broken("a record of the state cannot be read: {reason}", reason=str(error)) from error


_ABSENT: Final[Any] = object()
"""Stands for a name that a dictionary of records, some of them None, does not hold."""


class View:
    """Reads and writes of one block.

    `height`, `time_ms` and `tx` say where in the chain execution stands (`tx` is empty during finalisation): history
    records are keyed by them. The transition sets them; modules only read.
    """

    def __init__(self, read: Read, included: Included | None = None) -> None:
        self.height = 0
        self.time_ms = 0
        self.tx = b""
        self._read = read
        self._included = included or _never
        self._records: dict[bytes, Any] = {}
        self._committed: dict[bytes, Any] = {}
        self._history: dict[bytes, bytes] = {}
        self._notes: defaultdict[str, dict[bytes, list[Any]]] = defaultdict(dict)
        self._noted: list[list[Any]] = []
        self._journal: list[tuple[bytes, Record | None]] = []

    def find(self, kind: Kind[R], key: bytes) -> R | None:
        """The record as this block has it so far, or None."""
        name = kind.prefix + key
        record: R | None = self._records.get(name, _ABSENT)
        return self._load(kind, name) if record is _ABSENT else record

    def committed(self, kind: Kind[R], key: bytes) -> R | None:
        """The record as it was before this block, or None."""
        record: R | None = self._committed.get(kind.prefix + key, _ABSENT)
        return self.find(kind, key) if record is _ABSENT else record

    def get(self, kind: Kind[R], key: bytes) -> R:
        """The record that must be there; its absence is Broken."""
        record = self.find(kind, key)
        if record is None:
            raise Broken("record {key} is missing from the state", key=kind.prefix + key)
        return record

    def put(self, kind: Kind[R], key: bytes, record: R | None) -> None:
        """Writes a record; None removes it."""
        name = kind.prefix + key
        before = self._records.get(name, _ABSENT)
        if before is _ABSENT:
            before = self._load(kind, name)
        self._write(name, before, record)

    def add(self, kind: Kind[R], key: bytes, record: R) -> None:
        """Writes a record under a key that names something new, so that nobody can have written it before."""
        name = kind.prefix + key
        if self._records.get(name) is not None:
            raise Broken("record {key} is new twice", key=name)
        self._write(name, None, record)

    def delete(self, kind: Kind[R], key: bytes) -> None:
        """Removes a record; one that is not there stays so."""
        self.put(kind, key, None)

    def put_history(self, key: bytes, value: bytes) -> None:
        """Adds a record for people who ask about old heights: not in the tree, never read by execution."""
        if key in self._history:
            raise Broken("history record {key} is written twice", key=key)
        self._history[key] = value

    def note(self, topic: str, note: Any, about: bytes = b"") -> None:
        """Leaves something for the end of the block, which whoever left it then asks for."""
        notes = self._notes[topic].setdefault(about, [])
        notes.append(note)
        self._noted.append(notes)

    def newest_note(self, topic: str, about: bytes) -> Any | None:
        """The last note about something, or None."""
        notes = self._notes[topic].get(about)
        return notes[-1] if notes else None

    def take_notes(self, topic: str) -> list[Any]:
        """What was noted about nothing in particular, in order, once; only where nothing can be undone any more."""
        return self.take_notes_about(topic).get(b"", [])

    def take_notes_about(self, topic: str) -> dict[bytes, list[Any]]:
        """The same by what it is about; the list is empty where all of it was rolled back."""
        return self._notes.pop(topic, {})

    @property
    def history_count(self) -> int:
        """History records written so far in this block: their order, where one needs a number."""
        return len(self._history)

    def is_included(self, transaction_id: bytes) -> bool:
        """Whether the chain below this block holds the transaction."""
        return self._included(transaction_id)

    def mark(self) -> Mark:
        """Where the block stands now."""
        return len(self._journal), len(self._history), len(self._noted)

    def rollback(self, mark: Mark) -> None:
        """Undoes everything since the mark."""
        written, told, noted = mark
        while len(self._journal) > written:
            name, before = self._journal.pop()
            self._records[name] = before
        while len(self._history) > told:
            self._history.popitem()
        while len(self._noted) > noted:
            self._noted.pop().pop()

    def written(self, kind: Kind[R]) -> list[tuple[R | None, R | None]]:
        """(committed record, record now) of every record of this kind that the block wrote."""
        prefix, records = kind.prefix, self._records
        return [(before, records[name]) for name, before in self._committed.items() if name.startswith(prefix)]

    def changes(self) -> dict[bytes, bytes | None]:
        """State key -> new bytes, or None where it goes; a record put back as it was is no change."""
        records = self._records
        return {
            name: None if record is None else encode(record)
            for name, before in self._committed.items()
            if (record := records[name]) != before
        }

    def history(self) -> dict[bytes, bytes]:
        """History key (without the store's space prefix) -> value."""
        return dict(self._history)

    def _load(self, kind: Kind[R], name: bytes) -> R | None:
        """Reads and decodes what is committed, once a block."""
        data = self._read(name)
        record = self._records[name] = None if data is None else kind.decode(data)
        return record

    def _write(self, name: bytes, before: Record | None, record: Record | None) -> None:
        self._committed.setdefault(name, before)
        self._journal.append((name, before))
        self._records[name] = record


def open_view(kv: KeyValueView) -> View:
    """A view of one block over what a store holds now."""
    return View(lambda key: kv.get(STATE + key), lambda identity: find_transaction(kv, identity) is not None)


def _never(_transaction_id: bytes) -> bool:
    return False
