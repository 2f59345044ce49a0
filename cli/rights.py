"""What people name as the right that something is made on."""

from __future__ import annotations

from cli.context import Context


def right_id(context: Context, text: str) -> str:
    """The whole id of a licence, or of an offer of one's own."""
    from concento.client.rpc import find

    wanted = context.id(text)
    found = find(context.client.licence, wanted) or context.client.offer(wanted)
    return str(found["id"])
