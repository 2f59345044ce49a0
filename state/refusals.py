"""The numbers of a refusal, kept beside the kind that the result of a failed transaction tells.

Results are the same bytes on every node and hold no more than a kind; numbers and accounts are what people need to
know what to do. They are history: proved by nothing, and gone where history is.
"""

from __future__ import annotations

from concento.accounts import address
from concento.encoding import Record, decode, encode
from concento.errors import Number, Numbers, Rejected
from state.events import ACCOUNT_FIELDS
from state.view import View

_ACCOUNT_BYTES = 32


class Refusal(Record):
    """Name and value of every number, and of all that is bytes: ids and accounts."""

    numbers: tuple[tuple[str, int | str | None], ...]
    names: tuple[tuple[str, bytes], ...]


def refusal_key(transaction_id: bytes) -> bytes:
    """The history key of why an included transaction failed."""
    return b"refusal/" + transaction_id


def keep_refusal(view: View, transaction_id: bytes, error: Rejected) -> None:
    numbers = tuple((name, _kept(value)) for name, value in error.numbers.items() if not isinstance(value, bytes))
    names = tuple((name, value) for name, value in error.numbers.items() if isinstance(value, bytes))
    view.put_history(refusal_key(transaction_id), encode(Refusal(numbers, names)))


def _kept(value: int | str | None) -> int | str | None:
    """A sum of what a stranger has written may be larger than an amount can be: it is kept as text."""
    return str(value) if isinstance(value, int) and not 0 <= value < 2**63 else value


def read_refusal(kind: str, raw: bytes | None) -> Rejected | None:
    """The error again; None where its numbers are not known."""
    if raw is None:
        return None
    refusal = decode(Refusal, raw, "history record")
    return Rejected(kind, **dict(refusal.numbers), **dict(refusal.names))


def told(error: Rejected, dev: bool) -> Rejected:
    """The error for people: accounts as addresses."""
    numbers: Numbers = {name: _shown(name, value, dev) for name, value in error.numbers.items()}
    shown = Rejected(error.kind, **numbers)
    # Whoever raised it may have known a better hint than the table.
    shown.hint = shown.hint if error.hint == _table_hint(error) else error.hint
    return shown


def _shown(name: str, value: Number, dev: bool) -> Number:
    if name in ACCOUNT_FIELDS and isinstance(value, bytes) and len(value) == _ACCOUNT_BYTES:
        return address(value, dev)
    return value


def _table_hint(error: Rejected) -> str | None:
    return Rejected(error.kind, **error.numbers).hint
