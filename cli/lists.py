"""Lists that are read a page at a time: a node looks at a bounded number of records, a person wants so many entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from concento.limits import PAGE_ITEMS

_REQUESTS_MAX: Final = 1_000
"""A million records: then the rest is left to --cursor."""


def page_of(
    ask: Callable[[str | None, int | None], dict[str, Any]], cursor: str | None, limit: int | None
) -> dict[str, Any]:
    """One page with as many entries as are wanted, however many requests that takes; shaped as each answer is."""
    wanted = limit or PAGE_ITEMS
    document = ask(cursor, limit)
    items = list(document["items"])
    for _ in range(_REQUESTS_MAX):
        if document["next"] is None or len(items) >= wanted:
            break
        document = ask(document["next"], wanted - len(items))
        items += document["items"]
    return {**document, "items": items}
