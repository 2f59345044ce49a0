"""The set of validators of a height: sorted by key, one vote each, a commit is more than two thirds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated

from msgspec import Meta

from concento.accounts import AccountId
from concento.encoding import Record, encode
from concento.errors import Rejected
from concento.hashing import tagged_hash
from concento.keys import PublicKey
from concento.limits import NAME_BYTES_MAX, VALIDATORS_MAX


class Validator(Record):
    """A voting member: the key that signs votes and the account that its share of the fees goes to."""

    key: PublicKey
    name: Annotated[str, Meta(min_length=1, max_length=NAME_BYTES_MAX)]
    rewards_to: AccountId


class ValidatorSet:
    """An immutable set of validators, in the order of their keys. Equal sets have equal hashes."""

    def __init__(self, members: Iterable[Validator]) -> None:
        self.members: tuple[Validator, ...] = tuple(sorted(members, key=lambda member: member.key))
        self.keys: tuple[bytes, ...] = tuple(member.key for member in self.members)
        self._index = {key: index for index, key in enumerate(self.keys)}
        if not 1 <= len(self.members) <= VALIDATORS_MAX or len(self._index) != len(self.members):
            raise Rejected("validators.invalid", count=len(self.members), count_max=VALIDATORS_MAX)

    def __len__(self) -> int:
        return len(self.members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValidatorSet) and self.members == other.members

    def __hash__(self) -> int:
        raise TypeError("a validator set is compared by its hash field, not by hash()")

    def __contains__(self, key: bytes) -> bool:
        return key in self._index

    def index_of(self, key: bytes) -> int | None:
        """The position of a key in the set, or None where it does not vote."""
        return self._index.get(key)

    @cached_property
    def hash(self) -> bytes:
        return tagged_hash("validators", encode(self.members))

    @property
    def faults_max(self) -> int:
        """f: the largest number of faulty members under which nothing can go wrong."""
        return (len(self.members) - 1) // 3

    @cached_property
    def quorum(self) -> int:
        """The least number of votes that is more than two thirds."""
        return len(self.members) * 2 // 3 + 1

    @cached_property
    def minority(self) -> int:
        """The least number of votes that is more than one third: at least one of them is honest."""
        return len(self.members) // 3 + 1
