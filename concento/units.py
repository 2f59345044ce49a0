"""BEAT and its integer unit: 1 BEAT = 1,000,000 ubeat. People type BEAT; everything else counts ubeat.

Besides, how people read rates and times: what is kept are integers.
"""

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

_AMOUNT = re.compile(r"(\d{1,40})(?:\.(\d+))?", re.ASCII)


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


def format_percent(bps: int) -> str:
    """Hundredths of a percent as people read them: no more decimals than there are."""
    whole, hundredths = divmod(bps, 100)
    return f"{whole}.{hundredths:02d}".rstrip("0").rstrip(".") + " %"


def format_instant(time_ms: int) -> str:
    """Unix time as people read it, in UTC, without a library that could ask for the local time."""
    days, rest_ms = divmod(time_ms, 86_400_000)
    minutes = rest_ms // 60_000
    # Howard Hinnant's civil_from_days: years that begin in March, eras of 400 of them.
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    year = era * 400 + year_of_era + (month >= 10)
    return f"{year:04d}-{month + 3 - 12 * (month >= 10):02d}-{day:02d} {minutes // 60:02d}:{minutes % 60:02d} UTC"
