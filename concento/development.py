"""The accounts of development networks: derived from one phrase that everybody knows, at fixed paths.

They need no file and no password, and a genesis that does not say `dev: true` refuses every one of them.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from concento.accounts import AccountId, account_of_key
from concento.derivation import account_path, derive, seed_of_phrase
from concento.keys import public_key

PHRASE: Final = "music voice music voice music voice music voice music voice music genre"

VALIDATORS_DEV_MAX: Final = 16
"""Nodes of a local network: one machine's worth."""

ACCOUNTS: Final[dict[str, int]] = {
    "alice": 0,
    "bea": 1,
    "bob": 2,
    "carol": 3,
    "dana": 4,
    "gateway1": 5,
    "issuer": 6,
    "treasury": 7,
    "arbiter1": 8,
    "arbiter2": 9,
    "arbiter3": 10,
}
"""Name -> account index of its path."""

_VALIDATOR_FIRST: Final = 100


@cache
def development_seed(name: str) -> bytes:
    """The secret seed of a development account, or of the validator of node1, node2, ..."""
    index = ACCOUNTS.get(name)
    if index is None:
        index = _VALIDATOR_FIRST + int(name.removeprefix("node"))
    return derive(_root(), account_path(index))


@cache
def development_account(name: str) -> AccountId:
    """The account that this seed alone acts for."""
    return account_of_key(public_key(development_seed(name)))


def is_development_name(name: str) -> bool:
    """Whether `development_seed` knows this name."""
    return name in ACCOUNTS or name in validator_names(VALIDATORS_DEV_MAX)


def validator_names(count: int) -> tuple[str, ...]:
    return tuple(f"node{number}" for number in range(1, count + 1))


@cache
def development_keys() -> frozenset[bytes]:
    """Every public key that the development phrase gives away."""
    names = (*ACCOUNTS, *validator_names(VALIDATORS_DEV_MAX))
    return frozenset(public_key(development_seed(name)) for name in names)


@cache
def _root() -> bytes:
    return seed_of_phrase(PHRASE)
