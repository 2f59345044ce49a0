"""What people name as the right that something is made on."""

from __future__ import annotations

from cli.context import Context


def right_id(context: Context, text: str) -> str:
    """The whole id of a licence, or of an offer of one's own."""
    from concento.client import RpcError

    wanted = context.id(text)
    try:
        return str(context.client.licence(wanted)["id"])
    except RpcError as error:
        if not error.not_found:
            raise
    return str(context.client.offer(wanted)["id"])
