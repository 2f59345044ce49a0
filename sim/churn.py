"""Validators that come, go and change their keys while everything else happens: what operators hand in during a run.

What is proposed next follows from the state of a node that is up, so that most of it is sensible; some of it is not,
and some comes twice. Candidates are nodes with keys of their own that genesis does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Final

from concento.development import VALIDATORS_DEV_MAX, development_account, validator_names
from concento.devnet import development_genesis
from concento.genesis import Genesis, make_genesis
from concento.messages import Action
from concento.messages.governance import (
    AddValidator,
    AdmitObserver,
    Approve,
    Change,
    Propose,
    RemoveObserver,
    RemoveValidator,
    ReplaceKey,
    Upgrade,
)
from concento.messages.tokens import Transfer
from concento.transactions import Transaction
from node.replica.guardfile import create_guard
from sim.network import Network
from state.modules import tokens
from state.modules.governance import OPEN_OF, PROPOSALS, is_open
from state.modules.governance_changes import observers_of
from state.validators import newest_set
from state.view import View

FUNDED_UBEAT: Final = 100_000_000
"""What an account needs for many proposals at the fees that simulated clients offer."""
PROPOSAL_MS: Final = (1_000, 600_000, 600_000)
"""How long proposals stand: some end before they can be decided."""
WRONG_SHARE: Final = 0.1


@dataclass
class Churn:
    """The operators of one run."""

    network: Network
    dice: Random
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.names = tuple(self.network.nodes)

    def transactions(self) -> list[Transaction]:
        """The next things that operators hand in; nothing where no node is up."""
        up = self.network.up
        if not up:
            return []
        view = max(up, key=lambda node: node.height).core._chain.view()
        poor = [name for name in self.names if tokens.balance(view, development_account(name)) < FUNDED_UBEAT // 4]
        if poor:
            return [self.network.act("treasury", *(Transfer(development_account(name), FUNDED_UBEAT) for name in poor))]
        found = self._approvals(view) or self._proposals(view)
        return [self.network.act(name, action) for name, action in found]

    def _speakers(self, view: View) -> list[str]:
        accounts = dict.fromkeys(member.rewards_to for member in newest_set(view).members)
        return [name for name in self.names if development_account(name) in accounts]

    def _approvals(self, view: View) -> list[tuple[str, Action]]:
        """Some of the voices that an open proposal lacks; at times one that has been heard."""
        found: list[tuple[str, Action]] = []
        for speaker in self._speakers(view):
            listed = view.find(OPEN_OF, development_account(speaker))
            for identity in () if listed is None else listed.proposals:
                proposal = view.get(PROPOSALS, identity)
                if is_open(proposal, view.time_ms) and self.dice.random() < 0.9:
                    missing = [
                        name for name in self._speakers(view) if development_account(name) not in proposal.approvals
                    ]
                    voices = self.names if self.dice.random() < WRONG_SHARE else missing
                    count = self.dice.randrange(1, len(voices) + 1) if voices else 0
                    found += [(name, Approve(identity)) for name in self.dice.sample(list(voices), count)]
        return found

    def _proposals(self, view: View) -> list[tuple[str, Action]]:
        speakers = self._speakers(view)
        if not speakers:
            return []
        sender = self.dice.choice(self.names if self.dice.random() < WRONG_SHARE else speakers)
        now_ms = self.network.now.wall_ms
        return [(sender, Propose(self._change(view), now_ms + self.dice.choice(PROPOSAL_MS)))]

    def _change(self, view: View) -> Change:
        """Something that could be done now, or something that could not."""
        members = [member.key for member in newest_set(view).members]
        observers = [observer.key for observer in observers_of(view)]
        keys = {name: self.network.nodes[name].key.public for name in self.names}
        strangers = [name for name, key in keys.items() if key not in members and key not in observers]
        any_key = self.dice.choice(list(keys.values()))
        choices: list[Change] = [
            RemoveValidator(self.dice.choice(members)),
            RemoveObserver(self.dice.choice(observers or [any_key])),
            Upgrade(1, 1_000_000),
            AddValidator(self.dice.choice(observers or [any_key])),
            ReplaceKey(self.dice.choice(members), self.dice.choice(observers or [any_key])),
        ]
        if strangers and (not observers or self.dice.random() < 0.3):
            name = self.dice.choice(strangers)
            return AdmitObserver(keys[name], name, development_account(name))
        weights = (6, 1, 1, 12, 8) if observers else (12, 1, 1, 1, 1)
        return self.dice.choices(choices, weights)[0]


@cache
def churn_genesis(size: int) -> Genesis:
    """A network of this many validators whose operators, and those to come, can pay for what they say."""
    genesis = development_genesis(size)
    balances = {entry.account: entry.amount_ubeat for entry in genesis.balances}
    for name in validator_names(VALIDATORS_DEV_MAX):
        balances[development_account(name)] = FUNDED_UBEAT
    record = genesis.record
    return make_genesis(
        record.chain_id, True, record.time_ms, record.validators, record.parties, balances, record.params
    )


def make_candidates(network: Network) -> None:
    """The observers of a network become nodes with keys that may validate one day. Before it starts."""
    for node in network.nodes.values():
        if not node.is_validator:
            create_guard(node.files, node.key.public, network.genesis.hash)
            node.is_validator = True
