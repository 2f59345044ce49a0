"""Who may connect to a node: as the state says, and as its operator does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from concento.development import development_seed
from concento.devnet import development_genesis
from concento.keys import public_key
from concento.validators import ValidatorSet
from node.app import _Allowance
from state.modules.governance_changes import Observer

GENESIS = development_genesis()
MEMBERS = GENESIS.validators.members
NAMED, OBSERVER, CONFIGURED = (public_key(development_seed(f"node{number}")) for number in (10, 11, 12))


class World:
    """A replica and peers that only tell and note."""

    def __init__(self) -> None:
        self.left: set[bytes] = set()
        self.lists: list[frozenset[bytes]] = []
        self.targets = {NAMED: None, MEMBERS[0].key: None}
        self.validators = self.next_validators = GENESIS.validators
        self.observers: tuple[Observer, ...] = ()
        self.allowance = _Allowance(self, self, frozenset({CONFIGURED}))  # type: ignore[arg-type]
        self.allowance.refresh()

    def status(self) -> Any:
        return SimpleNamespace(
            validators=self.validators, next_validators=self.next_validators, observers=self.observers
        )

    def has_left(self, key: bytes) -> bool:
        return key in self.left

    def allow(self, allowed: frozenset[bytes]) -> None:
        self.lists.append(allowed)

    def committed(self) -> None:
        self.allowance.update(SimpleNamespace())  # type: ignore[arg-type]


def test_validators_observers_and_whom_the_operator_names_may_connect() -> None:
    world = World()
    world.observers = (Observer(OBSERVER, "spare", bytes(32)),)
    world.committed()
    assert world.lists[0] == {*GENESIS.validators.keys, NAMED, CONFIGURED}
    assert world.lists[1] == world.lists[0] | {OBSERVER}


def test_a_block_without_changes_touches_no_connection() -> None:
    world = World()
    world.committed()
    world.committed()
    assert len(world.lists) == 1


def test_a_new_validator_may_connect_before_it_votes_and_an_old_one_until_it_no_longer_does() -> None:
    world = World()
    gone = MEMBERS[-1].key
    world.next_validators = ValidatorSet(MEMBERS[:-1])
    world.committed()
    assert all(gone in allowed for allowed in world.lists)
    world.validators = world.next_validators
    world.left.add(gone)
    world.committed()
    assert gone not in world.lists[-1]


def test_a_peer_that_the_settings_name_is_refused_once_the_state_says_that_it_left() -> None:
    world = World()
    gone = MEMBERS[0].key
    assert gone in world.targets
    world.validators = world.next_validators = ValidatorSet(MEMBERS[1:])
    world.left.add(gone)
    world.committed()
    assert gone not in world.lists[-1]
    assert NAMED in world.lists[-1]
    assert CONFIGURED in world.lists[-1]
