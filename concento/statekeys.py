"""How people name a record of the state, and the key that it has there: what a proof is about.

`account/ADDRESS`, `party/ADDRESS`, `asset/ID`, `offer/ID`, `licence/ID`, and `rank/N`: how the asset of a rank passes
income on. A receipt is not a record of its own:
`receipt/ID` names the batch record that it was anchored under, and is resolved by a node.
"""

from __future__ import annotations

import re
from typing import Final

from concento.accounts import parse_address
from concento.errors import Rejected

BY_ADDRESS: Final = ("account", "party")
BY_ID: Final = ("asset", "offer", "licence")
BY_NUMBER: Final = ("rank",)
RECEIPT: Final = "receipt"

_ID: Final = re.compile("[0-9a-f]{64}")
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,18}", re.ASCII)


def split_key(text: str) -> tuple[str, str]:
    """The kind and the name in KIND/NAME. Raises Rejected for a kind of which nothing can be proved."""
    kind, slash, name = text.partition("/")
    if not slash or kind not in (*BY_ADDRESS, *BY_ID, *BY_NUMBER, RECEIPT):
        raise Rejected("key.unknown_form", text=text[:100])
    return kind, name


def state_key(text: str, dev: bool) -> bytes:
    """The state key that KIND/NAME stands for, both written in full. Raises Rejected."""
    kind, name = split_key(text)
    prefix = kind.encode() + b"/"
    if kind in BY_ADDRESS:
        return prefix + parse_address(name, dev)
    if kind in BY_NUMBER:
        return prefix + parse_number(name).to_bytes(8, "big")
    if kind == RECEIPT:
        raise Rejected("key.unknown_form", text=text[:100])
    return prefix + parse_id(name)


def batch_state_key(licence: bytes, gateway: bytes, lane: int, first: int) -> bytes:
    """The state key of the batch of receipts that begins with `first` in a lane."""
    return b"batch/" + licence + gateway + lane.to_bytes(4, "big") + first.to_bytes(8, "big")


def parse_number(text: str) -> int:
    """A number in its one decimal form, below 2^63. Raises Rejected."""
    if _NUMBER.fullmatch(text) is None or int(text) >= 2**63:
        raise Rejected("id.malformed", text=text[:100])
    return int(text)


def parse_id(text: str) -> bytes:
    """The 32 bytes of an id of 64 lower-case hex digits. Raises Rejected."""
    if _ID.fullmatch(text) is None:
        raise Rejected("id.malformed", text=text[:100])
    return bytes.fromhex(text)
