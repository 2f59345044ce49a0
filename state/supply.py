"""The books: how much money genesis made, and where all of it is now. For people and tests; execution never asks.

Every block checks that what it wrote moved money without making any. This adds up the whole state instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from state.modules.identity import ACCOUNTS
from state.modules.tokens import BUCKETS, DEPOSITS, SUPPLY


@dataclass(frozen=True, slots=True)
class Books:
    """Where the money is. `deposits_ubeat` is what the deposits add up to: the same as `escrow_ubeat`."""

    minted_ubeat: int
    balances_ubeat: int
    escrow_ubeat: int
    royalties_ubeat: int
    fees_ubeat: int
    burnt_ubeat: int
    deposits_ubeat: int

    @property
    def difference_ubeat(self) -> int:
        """What all places hold beyond what was minted: 0, or the ledger is wrong."""
        pools = self.escrow_ubeat + self.royalties_ubeat + self.fees_ubeat
        return self.balances_ubeat + pools + self.burnt_ubeat - self.minted_ubeat


def audit(state: Iterable[tuple[bytes, bytes]]) -> Books:
    """Adds up every record of the state, given as (state key, value)."""
    minted = balances = deposits = 0
    buckets: dict[str, int] = {}
    for key, value in state:
        if key.startswith(ACCOUNTS.prefix):
            balances += ACCOUNTS.decode(value).balance_ubeat
        elif key.startswith(DEPOSITS.prefix):
            deposits += DEPOSITS.decode(value).amount_ubeat
        elif key.startswith(BUCKETS.prefix):
            buckets[key.removeprefix(BUCKETS.prefix).decode()] = BUCKETS.decode(value).total_ubeat
        elif key.startswith(SUPPLY.prefix):
            minted = SUPPLY.decode(value).minted_ubeat
    return Books(
        minted_ubeat=minted,
        balances_ubeat=balances,
        escrow_ubeat=buckets.get("escrow", 0),
        royalties_ubeat=buckets.get("royalties", 0),
        fees_ubeat=buckets.get("fees", 0),
        burnt_ubeat=buckets.get("burnt", 0),
        deposits_ubeat=deposits,
    )
