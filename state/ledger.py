"""The seam between a node and its ledger: the four functions that a node calls, and nothing else of `state`'s rules.

A node is made with `LEDGER`. The simulator also runs the same node over a ledger that does almost nothing, where only
the order of transactions matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from concento.genesis import Genesis, Params
from concento.hashing import Network
from concento.transactions import Transaction
from state.modules.tokens import balance
from state.transition import BlockContext, BlockOutcome, apply_block, check_transaction, write_genesis
from state.view import View


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the functions promise is said where `LEDGER` has them from."""

    write_genesis: Callable[[View, Genesis], None]
    apply_block: Callable[[View, BlockContext], BlockOutcome]
    check_transaction: Callable[[View, Transaction, int, int, Params, Network], None]
    balance: Callable[[View, bytes], int]


LEDGER: Final = Ledger(write_genesis, apply_block, check_transaction, balance)
