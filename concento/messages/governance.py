"""Messages about who runs the network: validators propose a change and approve it; more than two thirds decide.

A validator speaks through the account that its rewards go to, so the key that signs votes signs nothing else.
"""

from __future__ import annotations

from typing import TypeAlias

from concento.accounts import AccountId
from concento.encoding import Bytes32, Natural, Record
from concento.keys import PublicKey
from concento.messages.identity import Name

ProposalId = Bytes32


class AdmitObserver(Record, tag="observer.add"):
    """A node that may connect and follow; the only kind that can become a validator. `account` will speak for it."""

    key: PublicKey
    name: Name
    account: AccountId


class RemoveObserver(Record, tag="observer.remove"):
    """The node may no longer connect."""

    key: PublicKey


class AddValidator(Record, tag="validator.add"):
    """An observer becomes a validator, with the name and the account that it was admitted with."""

    key: PublicKey


class RemoveValidator(Record, tag="validator.remove"):
    """A validator leaves, and may no longer connect."""

    key: PublicKey


class ReplaceKey(Record, tag="validator.replace"):
    """A validator goes on with the key of an observer; name and account stay its own."""

    key: PublicKey
    new_key: PublicKey


class Upgrade(Record, tag="protocol.upgrade"):
    """From block `height` on the protocol is this one; a later decision takes the place of one that is not reached."""

    protocol: Natural
    height: Natural


class CancelUpgrade(Record, tag="protocol.cancel"):
    """The upgrade that is decided and not reached yet does not take place."""

    protocol: Natural


Change: TypeAlias = (
    AdmitObserver | RemoveObserver | AddValidator | RemoveValidator | ReplaceKey | Upgrade | CancelUpgrade
)


class Propose(Record, tag="governance.propose"):
    """A change, until block time `expires_ms`; counts as the sender's approval."""

    change: Change
    expires_ms: Natural


class Approve(Record, tag="governance.approve"):
    """The sender is for it. With the approvals of more than two thirds it is decided at the end of the block."""

    proposal: ProposalId


def change_kind(change: Change) -> str:
    """What a proposal is about, such as "validator.add"."""
    return str(change.__struct_config__.tag)
