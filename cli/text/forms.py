"""How amounts, times, ids and sizes are written for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from concento.units import format_beat

NOTHING = "-"

NO_NAMES: Mapping[str, str] = MappingProxyType({})
"""A book without an entry: address -> name."""


def beat(amount_ubeat: str | int | None) -> str:
    """An amount with its unit."""
    return NOTHING if amount_ubeat is None else f"{format_beat(int(amount_ubeat))} BEAT"


def number(amount_ubeat: str | int | None) -> str:
    """An amount in a column whose heading names the unit."""
    return NOTHING if amount_ubeat is None else format_beat(int(amount_ubeat))


def instant(time_ms: int | None) -> str:
    if time_ms is None:
        return NOTHING
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def moment(time_ms: int | None) -> str:
    """An instant in a column whose heading names the time zone."""
    return instant(time_ms).removesuffix(" UTC")


def day(time_ms: int | None) -> str:
    return NOTHING if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")


def short(identity: str | None) -> str:
    """The beginning of an id: enough to type."""
    return NOTHING if identity is None else identity[:12]


def who(address: str | None, name: str | None = None, book: Mapping[str, str] = NO_NAMES) -> str:
    """Somebody: by the name that this machine knows (`book`: address -> name), else by the network's."""
    if address is None:
        return NOTHING
    known = book.get(address) or name
    if known:
        return known
    return address if len(address) <= 20 else f"{address[:12]}…{address[-6:]}"


def length(duration_ms: int | None) -> str:
    """Minutes and seconds of music."""
    if duration_ms is None:
        return NOTHING
    minutes, seconds = divmod(round(duration_ms / 1000), 60)
    return f"{minutes}:{seconds:02d}"


def size(count: int) -> str:
    """Bytes, rounded."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def permitted(purposes: Any) -> list[str]:
    """The uses in a list of purposes, or in an object of purpose and permission."""
    if isinstance(purposes, dict):
        return [name for name, value in purposes.items() if value != "deny"]
    return list(purposes)


def percent(bps: int) -> str:
    return f"{bps / 100:g} %"


def words(items: Sequence[Any]) -> str:
    return ", ".join(str(item) for item in items) if items else NOTHING


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def more(document: dict[str, Any]) -> list[str]:
    """How to see the next page, where there is one."""
    return [f"More: --cursor {document['next']}"] if document.get("next") else []
