"""Posting the use of a usage-weighted dataset: by whoever likes, with the rows that the reader signed."""

from __future__ import annotations

from collections.abc import Sequence

from concento.client.rpc import RpcError
from concento.client.session import Session
from concento.client.uploads import OnChunk, Upload
from concento.errors import Rejected
from concento.messages.receipts import UsageRow
from concento.usage import posts, signed_root


def rows_of_pot(session: Session, pot: int) -> tuple[UsageRow, ...]:
    """The rows that a node makes of the batch's receipts. Raises RpcError usage.rows_not_found where it cannot."""
    found = session.client.usage_rows(pot)
    return tuple(UsageRow(row["member"], row["units"]) for row in found["rows"])


def post_usage(
    session: Session,
    pot: int,
    rows: Sequence[UsageRow] | None = None,
    on_rows: OnChunk = lambda done, total: None,
) -> Upload:
    """Post the rows that are not posted yet, in order; members are paid in the same blocks.

    Raises Rejected usage.root_differs where these are not the rows that the reader signed.
    """
    state = session.client.pot(pot)
    listed = rows_of_pot(session, pot) if rows is None else tuple(rows)
    if signed_root(int(state["first"]), listed).hex() != state["usage_root"]:
        raise Rejected("usage.root_differs")
    outcome = Upload(str(pot), len(listed), int(state["rows_posted"]))
    on_rows(outcome.before, len(listed))
    done = outcome.before
    for message in posts(pot, listed, done):
        try:
            outcome.sent(session.send([message]))
        except RpcError as error:
            # Somebody else has posted the same rows meanwhile, which is as good.
            if error.kind not in ("usage.order", "usage.no_pot"):
                raise
            return outcome
        if not outcome.final:
            return outcome
        done += len(message.rows)
        on_rows(done, len(listed))
    return outcome
