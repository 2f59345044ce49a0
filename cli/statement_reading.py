"""A whole statement, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concento.limits import PAGE_ITEMS_MAX

if TYPE_CHECKING:
    from concento.client import Client


def read_statement(client: Client, who: str, from_height: int | None, to_height: int | None) -> dict[str, Any]:
    """The whole statement: all pages put together, of one height."""
    document: dict[str, Any] = client.statement(who, from_height, to_height, limit=PAGE_ITEMS_MAX)
    lines = list(document["lines"])
    # Later pages are of the period that the first one has settled, whatever has been decided since.
    while document["next"] is not None:
        cursor = document["next"]
        page = client.statement(who, document["from_height"], document["to_height"], cursor, PAGE_ITEMS_MAX)
        lines += page["lines"]
        document = {**document, "next": page["next"]}
    return {**document, "lines": lines}
