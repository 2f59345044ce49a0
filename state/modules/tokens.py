"""Money: balances, the buckets where money waits that is nobody's balance, and deposits in escrow.

No unit is ever lost, and after genesis only `mint` makes any: every other function moves an amount between two places,
and the transition compares the sum of all movements of a block with what it minted. Each movement of a balance leaves a
trace in the history.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, Literal, TypeAlias

from concento.encoding import Bytes32, Natural, Record, encode
from concento.errors import Broken, Rejected
from concento.hashing import tagged_hash
from concento.messages.tokens import Transfer
from concento.trails import Trail, extended
from concento.units import AMOUNT_UBEAT_MAX, Amount, format_beat
from state.calls import Call, Event
from state.modules.identity import ACCOUNTS, MOVEMENTS, Account, require_on_board
from state.view import Kind, View

BucketName: TypeAlias = Literal["fees", "burnt", "escrow", "royalties"]
BUCKET_NAMES: Final[tuple[BucketName, ...]] = ("fees", "burnt", "escrow", "royalties")
"""Where money is that no account holds: fees to distribute, burnt, deposits, income on its way to its holders."""

PARTS_PREFIX: Final = b"moved/"


class Bucket(Record):
    """The total of one bucket."""

    total_ubeat: Amount


class Deposit(Record):
    """Money set aside under an id, part of bucket "escrow"."""

    amount_ubeat: Amount


class Entry(Record):
    """One movement of one balance. `amount_ubeat` is negative where money left.

    `counterparty` is an account or empty; `tx` is empty for movements of finalisation and genesis. `detail` is the head
    of the lines that an income consists of (`revenue.next_lines_head`), else empty.
    """

    tx: bytes
    cause: str
    counterparty: bytes
    amount_ubeat: int
    balance_ubeat: Amount
    detail: bytes = b""


class Movements(Record):
    """What moved one balance in one block, in order; `before` leads to what moved it earlier."""

    time_ms: Natural
    before: Trail
    entries: tuple[Entry, ...]


class Supply(Record):
    """What genesis and rewards made: the sum of all balances and buckets."""

    minted_ubeat: Amount


SUPPLY = Kind(b"supply/", Supply)
BUCKETS = Kind(b"bucket/", Bucket)
_EMPTY: Final = Account(0, None)
DEPOSITS = Kind(b"deposit/", Deposit)


# Balances


def balance(view: View, account: bytes) -> int:
    """What the account holds at this point of the block: its record says so only when the block is over."""
    newest: Entry | None = view.newest_note(MOVEMENTS, account)
    if newest is not None:
        return newest.balance_ubeat
    found = view.find(ACCOUNTS, account)
    return 0 if found is None else found.balance_ubeat


def credit(
    view: View, account: bytes, amount_ubeat: int, cause: str, counterparty: bytes = b"", detail: bytes = b""
) -> None:
    """Adds to a balance; an account that was not there is made. The caller takes the same amount elsewhere."""
    _check_amount(amount_ubeat)
    if amount_ubeat:
        after = balance(view, account) + amount_ubeat
        view.note(MOVEMENTS, Entry(view.tx, cause, counterparty, amount_ubeat, after, detail), account)


def debit(view: View, account: bytes, amount_ubeat: int, cause: str, counterparty: bytes = b"") -> None:
    """Takes from a balance. Raises Rejected("tokens.balance_low"). The caller adds the same amount elsewhere."""
    _check_amount(amount_ubeat)
    held = balance(view, account)
    if held < amount_ubeat:
        raise balance_low(held, amount_ubeat)
    if amount_ubeat:
        after = held - amount_ubeat
        view.note(MOVEMENTS, Entry(view.tx, cause, counterparty, -amount_ubeat, after), account)


def balance_low(held_ubeat: int, needed_ubeat: int) -> Rejected:
    """The refusal of whoever has less than is needed."""
    return Rejected("tokens.balance_low", balance_beat=format_beat(held_ubeat), needed_beat=format_beat(needed_ubeat))


def require_balance(view: View, account: bytes, amount_ubeat: int) -> None:
    """Raises Rejected("tokens.balance_low") unless the account holds as much."""
    held = balance(view, account)
    if held < amount_ubeat:
        raise balance_low(held, amount_ubeat)


def next_head(height: int, movements: bytes) -> bytes:
    """The head of an account's movements after the block of this encoded record, which names the trail before.

    Whoever knows the head of a state can be shown any tail of the account's history, and nothing can be left out of it.
    """
    return tagged_hash("movement", height.to_bytes(8, "big"), movements)


def movements_part(account: bytes) -> int:
    """In which of 64 parts of a block's movements the account's are.

    Parts, because a store pays by the record; and 64, because who asks for an account reads all of its part.
    """
    return account[0] >> 2


def part_key(height: int, part: int) -> bytes:
    """The history key of a part of a block's movements: `(account, encoded movements)` of each account in it."""
    return PARTS_PREFIX + height.to_bytes(8, "big") + bytes((part,))


def write_movements(view: View) -> None:
    """The end of a block: the balance of each account that moved, what moved it, and a head that commits to that.

    Not while they happen: an account is written once however often it pays, and what is rolled back never.
    """
    height, time_ms = view.height, view.time_ms
    parts: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    for account, entries in view.take_notes_about(MOVEMENTS).items():
        if entries:
            before = view.find(ACCOUNTS, account) or _EMPTY
            movements = encode(Movements(time_ms, before.trail, tuple(entries)))
            trail = extended(before.trail, height, next_head(height, movements))
            view.put(ACCOUNTS, account, Account(entries[-1].balance_ubeat, before.policy, trail))
            parts[movements_part(account)].append((account, movements))
    for part, moved in parts.items():
        view.put_history(part_key(height, part), encode(moved))


# Buckets and escrow


def write_supply(view: View, minted_ubeat: int) -> None:
    """Genesis says how much money there is."""
    view.put(SUPPLY, b"", Supply(minted_ubeat))


def mint(view: View, amount_ubeat: int) -> bool:
    """Makes money, which the caller puts somewhere; False, and none is made, where it could not be counted."""
    minted = view.get(SUPPLY, b"").minted_ubeat + amount_ubeat
    if minted > AMOUNT_UBEAT_MAX:
        return False
    write_supply(view, minted)
    return True


def bucket(view: View, name: BucketName) -> int:
    found = view.find(BUCKETS, name.encode())
    return 0 if found is None else found.total_ubeat


def bucket_add(view: View, name: BucketName, delta_ubeat: int) -> None:
    """Moves the total of a bucket. The caller moves the same amount the other way elsewhere."""
    total = bucket(view, name) + delta_ubeat
    if not 0 <= total <= AMOUNT_UBEAT_MAX:
        raise Broken("bucket {name} would hold {total} ubeat", name=name, total=total)
    if delta_ubeat:
        view.put(BUCKETS, name.encode(), Bucket(total))


def escrowed(view: View, deposit_id: bytes) -> int:
    """What is set aside under this id."""
    found = view.find(DEPOSITS, deposit_id)
    return 0 if found is None else found.amount_ubeat


def escrow_in(view: View, account: bytes, deposit_id: Bytes32, amount_ubeat: int, cause: str) -> None:
    """Account -> deposit. Raises Rejected("tokens.balance_low")."""
    debit(view, account, amount_ubeat, cause)
    _set_deposit(view, deposit_id, escrowed(view, deposit_id) + amount_ubeat)
    bucket_add(view, "escrow", amount_ubeat)


def escrow_put(view: View, deposit_id: Bytes32, amount_ubeat: int) -> None:
    """Adds to a deposit what the caller takes from another bucket."""
    _check_amount(amount_ubeat)
    if amount_ubeat:
        _set_deposit(view, deposit_id, escrowed(view, deposit_id) + amount_ubeat)
        bucket_add(view, "escrow", amount_ubeat)


def escrow_out(view: View, deposit_id: Bytes32, account: bytes, amount_ubeat: int, cause: str) -> None:
    """Deposit -> account."""
    escrow_take(view, deposit_id, amount_ubeat)
    credit(view, account, amount_ubeat, cause)


def escrow_take(view: View, deposit_id: Bytes32, amount_ubeat: int) -> None:
    """Takes from a deposit for a payment: the caller passes the amount on (to `royalties.pay_asset`)."""
    _check_amount(amount_ubeat)
    left = escrowed(view, deposit_id) - amount_ubeat
    if left < 0:
        raise Broken("deposit {deposit} would go to {left} ubeat", deposit=deposit_id, left=left)
    _set_deposit(view, deposit_id, left)
    bucket_add(view, "escrow", -amount_ubeat)


# Transfer


def check_transfer(view: View, call: Call, message: Transfer) -> None:
    if message.amount_ubeat == 0:
        raise Rejected("tokens.amount_zero")
    require_on_board(message.to)


def apply_transfer(view: View, call: Call, message: Transfer) -> list[Event]:
    """To oneself it changes nothing but the fee, and leaves both movements in the history."""
    debit(view, call.sender, message.amount_ubeat, "transfer", message.to)
    credit(view, message.to, message.amount_ubeat, "transfer", call.sender)
    return [
        Event("tokens.transferred", {"from": call.sender, "to": message.to, "amount_ubeat": message.amount_ubeat}),
    ]


def weigh_transfer(_message: Transfer) -> int:
    return 2


def _set_deposit(view: View, deposit_id: bytes, amount_ubeat: int) -> None:
    if amount_ubeat:
        view.put(DEPOSITS, deposit_id, Deposit(amount_ubeat))
    else:
        view.delete(DEPOSITS, deposit_id)


def _check_amount(amount_ubeat: int) -> None:
    if not 0 <= amount_ubeat <= AMOUNT_UBEAT_MAX:
        raise Broken("an amount of {amount} ubeat is moved", amount=amount_ubeat)
