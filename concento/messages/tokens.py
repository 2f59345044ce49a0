"""Messages about money."""

from __future__ import annotations

from concento.accounts import AccountId
from concento.encoding import Record
from concento.units import Amount


class Transfer(Record, tag="tokens.transfer"):
    """The sender pays an account."""

    to: AccountId
    amount_ubeat: Amount
