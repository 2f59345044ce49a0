"""Datasets of what is registered already: any number of members, in chunks that can be broken off and gone on with.

How many members there are says the chain; whoever begins again compares the last of them with his own list and sends
what is missing. A member that arrives twice is refused by the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from concento.client.rpc import RpcError, find
from concento.client.session import Session
from concento.client.uploads import OnChunk, Upload
from concento.encoding import encode
from concento.errors import Rejected
from concento.limits import MEMBERS_PER_ACTION_MAX
from concento.messages.assets import AddMembers, RegisterDataset, SealDataset
from concento.transactions import object_id

MEMBERS_PER_TRANSACTION: Final = MEMBERS_PER_ACTION_MAX
"""34 kB of ids: a transaction of its own."""


def make_dataset(
    session: Session,
    message: RegisterDataset,
    members: Sequence[bytes],
    seal: bool = True,
    on_members: OnChunk = lambda done, total: None,
) -> Upload:
    """A dataset of these members, sealed; what an earlier run has done is not done again."""
    nonce = sha256(b"dataset " + encode(message) + b"".join(members)).digest()[:16]
    name = object_id("asset", session.signer.account, nonce, 0).hex()
    outcome = Upload(name, len(members))
    if find(session.client.asset, name) is None:
        outcome.sent(session.send([message], nonce=nonce))
        if not outcome.final:
            return outcome
    return add_members(session, name, members, seal, on_members, outcome)


def add_members(
    session: Session,
    dataset: str,
    members: Sequence[bytes],
    seal: bool = False,
    on_members: OnChunk = lambda done, total: None,
    outcome: Upload | None = None,
) -> Upload:
    """Add the members that the dataset does not have yet, and seal it where that is wanted.

    Raises Rejected dataset.other_members where it holds members that are not the beginning of this list.
    """
    state = session.client.asset(dataset)
    if state["members"] is None:
        raise Rejected("dataset.not_a_dataset", asset=state["id"])
    outcome = outcome or Upload(state["id"], len(members))
    done = outcome.before = _members_there(session, state, members)
    on_members(done, len(members))
    while done < len(members):
        chunk = tuple(members[done : done + MEMBERS_PER_TRANSACTION])
        try:
            document = session.send([AddMembers(bytes.fromhex(state["id"]), chunk)])
        except RpcError as error:
            now = _members_there(session, session.client.asset(dataset), members)
            if error.kind != "dataset.member_twice" or now == done:
                raise
            # Sent by a run before this one, and only now in a block.
            done = now
            continue
        outcome.sent(document)
        if not outcome.final:
            return outcome
        done += len(chunk)
        on_members(done, len(members))
    if seal and state["state"] == "open":
        outcome.sent(session.send([SealDataset(bytes.fromhex(state["id"]))]))
    return outcome


def _members_there(session: Session, state: dict[str, Any], members: Sequence[bytes]) -> int:
    """How many of the members are on the chain."""
    there = int(state["members"]["count"])
    if there:
        last = session.client.members(state["id"], cursor=_cursor(there - 2), limit=1)["items"][0]
        if there > len(members) or last["asset"] != members[there - 1].hex():
            raise Rejected("dataset.other_members", dataset=state["id"], count=there)
    if there < len(members) and state["state"] != "open":
        raise Rejected("dataset.other_members", dataset=state["id"], count=there)
    return there


def _cursor(place: int) -> str | None:
    """The cursor of the page behind a place in a dataset's list."""
    return None if place < 0 else place.to_bytes(8, "big").hex()
