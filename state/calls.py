"""What passes between the transition and the ledger modules: who asks and when, what happened, how to route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from msgspec import Struct

from concento.genesis import Params
from concento.hashing import Network
from state.view import View

Value: TypeAlias = int | str | bytes | tuple["Value", ...] | None
"""What an event may say: numbers, text, ids as bytes, and tuples of them."""


class Call(Struct, frozen=True, gc=False):
    """One action of one transaction at its place in the chain: `time_ms` is block time, `tx` the transaction id."""

    sender: bytes
    nonce: bytes
    action_index: int
    tx: bytes
    signers: tuple[bytes, ...]
    height: int
    time_ms: int
    params: Params
    network: Network


class Event(Struct, frozen=True, gc=False, array_like=True):
    """A fact for subscribers and indexes. Fields keep their order; `state/events.py` gives JSON and a sentence."""

    kind: str
    fields: dict[str, Value]


Check: TypeAlias = Callable[[View, Call, Any], None]
"""Raises Rejected and changes nothing."""

Apply: TypeAlias = Callable[[View, Call, Any], list[Event]]
"""Writes and tells; called only after its check, if it has one, passed on the same view."""

Weight: TypeAlias = Callable[[Any], int]
"""About how many state records the message writes, from the counts that it declares itself."""


@dataclass(frozen=True, slots=True)
class Route:
    """The three functions of one kind of message; without a check, `apply` judges before it writes."""

    check: Check | None
    apply: Apply
    weight: Weight


class Finalised(Struct, frozen=True):
    """What one stage of finalisation did: encoded rows for the block's results list, and events."""

    rows: list[bytes]
    events: list[Event]


Finalise: TypeAlias = Callable[[View, Params, int], Finalised]
"""A stage of the end of a block, told what weight its transactions used.

Total: a record that it cannot treat fails alone. It writes nothing where there is nothing to do.
"""
