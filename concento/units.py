"""BEAT and its integer unit: 1 BEAT = 1,000,000 ubeat. People type BEAT; everything else counts ubeat."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from concento.errors import Rejected

UBEAT_PER_BEAT = 1_000_000
DECIMALS = 6

AMOUNT_UBEAT_MAX = 10**18
"""A trillion BEAT, above any supply: sums of several amounts still fit in 63 bits."""

Amount = Annotated[int, Meta(ge=0, le=AMOUNT_UBEAT_MAX)]

_AMOUNT = re.compile(r"(\d{1,13})(?:\.(\d+))?", re.ASCII)


def parse_beat(text: str) -> int:
    """The ubeat in an amount typed in BEAT, such as "12.50". Raises Rejected; more than 6 decimals are an error."""
    match = _AMOUNT.fullmatch(text.strip().replace("_", ""))
    if match is None:
        raise Rejected("amount.malformed", text=text)
    whole, fraction = match.group(1), match.group(2) or ""
    if len(fraction) > DECIMALS:
        raise Rejected("amount.decimals", text=text)
    amount = int(whole) * UBEAT_PER_BEAT + int(fraction.ljust(DECIMALS, "0") or "0")
    if amount > AMOUNT_UBEAT_MAX:
        raise Rejected("amount.range", amount=amount, minimum=0, maximum=AMOUNT_UBEAT_MAX)
    return amount


def format_beat(amount_ubeat: int) -> str:
    """An amount as people read it: always 6 decimals, a minus sign where it is negative."""
    whole, fraction = divmod(abs(amount_ubeat), UBEAT_PER_BEAT)
    return f"{'-' if amount_ubeat < 0 else ''}{whole}.{fraction:06d}"
