"""What moved an account, block by block, read from the history along the account's trail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from concento.encoding import Bytes32, decode
from concento.errors import Damaged
from concento.trails import NO_TRAIL, Trail, newest_first, oldest_first, trail_at
from state.modules.identity import ACCOUNTS
from state.modules.tokens import Movements, movements_part, part_key
from state.queries import Chain


@dataclass(frozen=True, slots=True)
class AccountBlock:
    """What moved an account in one block, encoded as its head commits to it, and decoded."""

    height: int
    raw: bytes
    movements: Movements

    @property
    def before(self) -> Trail:
        return self.movements.before


def blocks_down(chain: Chain, account: bytes, height: int | None = None) -> Iterator[AccountBlock]:
    """Every block that moved the account, the newest first; from this height down where one is given.

    Raises Rejected("history.pruned") where the node began with a snapshot and the trail leads below.
    """
    trail = _trail(chain, account)
    if height is not None:
        trail = trail_at(trail, height, lambda at: _read(chain, account, at))
    return newest_first(trail, lambda at: _read(chain, account, at))


def blocks_up(chain: Chain, account: bytes, after: int) -> Iterator[AccountBlock]:
    """Every block above a height that moved the account, in order. Raises as `blocks_down`."""
    return oldest_first(_trail(chain, account), lambda at: _read(chain, account, at), after)


def _trail(chain: Chain, account: bytes) -> Trail:
    record = chain.find(ACCOUNTS, account)
    return NO_TRAIL if record is None else record.trail


def _read(chain: Chain, account: bytes, height: int) -> AccountBlock:
    part = chain.find_history(part_key(height, movements_part(account)))
    for moved, raw in () if part is None else decode(tuple[tuple[Bytes32, bytes], ...], part, "history record"):
        if moved == account:
            return AccountBlock(height, raw, decode(Movements, raw, "history record"))
    if height <= chain.began_at:
        chain.check_history()
    raise Damaged(f"what moved account {account.hex()} in block {height} is missing", "concento node repair")
