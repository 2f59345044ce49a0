"""The genesis of a development network, derived from the development phrase: the file at the root is its output."""

from __future__ import annotations

from typing import Final

from concento.accounts import account_of_key
from concento.development import ACCOUNTS, development_seed, validator_names
from concento.genesis import DEFAULT_PARAMS, Genesis, GenesisParty, GenesisValidator, make_genesis
from concento.keys import public_key
from concento.messages.identity import PartyKind, Role
from concento.units import UBEAT_PER_BEAT

CHAIN_ID: Final = "concento-dev-1"
TIME_MS: Final = 1_793_491_200_000
"""2026-11-01T00:00:00Z: the birth of the network whose genesis stands in the repository."""

_PARTIES: Final[dict[str, tuple[PartyKind, tuple[Role, ...]]]] = {
    "alice": ("person", ("creator",)),
    "bea": ("person", ("creator",)),
    "bob": ("organisation", ("developer",)),
    "carol": ("organisation", ("operator",)),
    "dana": ("person", ("developer",)),
    "gateway1": ("service", ("gateway",)),
    "issuer": ("organisation", ("issuer",)),
    "arbiter1": ("person", ("arbiter",)),
    "arbiter2": ("person", ("arbiter",)),
    "arbiter3": ("person", ("arbiter",)),
}

_BALANCES_BEAT: Final[dict[str, int]] = {
    "alice": 10_000,
    "bea": 10_000,
    "bob": 50_000,
    "carol": 10_000,
    "dana": 1_000,
    "gateway1": 1_000,
    "issuer": 1_000,
    "treasury": 1_000_000,
    "arbiter1": 1_000,
    "arbiter2": 1_000,
    "arbiter3": 1_000,
}


def development_genesis(nodes: int = 4, time_ms: int = TIME_MS) -> Genesis:
    """The genesis of a development network of this many validators, born at this time."""
    keys = {name: public_key(development_seed(name)) for name in (*ACCOUNTS, *validator_names(nodes))}
    return make_genesis(
        chain_id=CHAIN_ID,
        dev=True,
        time_ms=time_ms,
        validators=tuple(
            GenesisValidator(name, keys[name], account_of_key(keys[name])) for name in validator_names(nodes)
        ),
        parties=tuple(GenesisParty(name, keys[name], kind, roles) for name, (kind, roles) in _PARTIES.items()),
        balances={account_of_key(keys[name]): beat * UBEAT_PER_BEAT for name, beat in _BALANCES_BEAT.items()},
        params=DEFAULT_PARAMS,
    )
