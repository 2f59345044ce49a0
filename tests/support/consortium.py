"""A network of replicas that changes its own validators, by transactions that its nodes' accounts send."""

from __future__ import annotations

from concento.accounts import account_of_key
from concento.development import development_account, development_seed
from concento.genesis import Genesis
from concento.keys import public_key
from concento.messages import Action
from concento.messages.governance import (
    AddValidator,
    AdmitObserver,
    Approve,
    Change,
    Propose,
    RemoveValidator,
    ReplaceKey,
)
from concento.messages.tokens import Transfer
from concento.transactions import Transaction, object_id
from concento.validators import ValidatorSet
from node.replica.guardfile import create_guard
from sim.network import Network, Node

BEAT = 1_000_000
HOUR_MS = 3_600_000


def key_named(name: str) -> bytes:
    return public_key(development_seed(name))


class Consortium(Network):
    """`size` validators and `candidates` nodes with keys of their own that genesis does not know."""

    def __init__(self, size: int = 4, candidates: int = 1, genesis: Genesis | None = None) -> None:
        super().__init__(size, candidates, genesis)
        for node in self.nodes.values():
            if not node.is_validator:
                create_guard(node.files, node.key.public, self.genesis.hash)
                node.is_validator = True
        self.away: tuple[str, ...] = ()
        """Nodes that are cut off: nobody waits for them."""

    def begin(self, *names: str) -> None:
        """Starts these nodes, and gives everybody who may ever speak some money."""
        self.start(*names)
        self.run_until(self.reached(1))
        self.do("treasury", *(Transfer(development_account(name), 100 * BEAT) for name in self.nodes))

    def validators(self) -> ValidatorSet:
        """The set of the height that the furthest node decides."""
        return max(self.up, key=lambda node: node.height).core.status().validators

    def names(self) -> list[str]:
        """The nodes that validate now and can be reached."""
        reached = [node for node in self.up if node.name not in self.away]
        return [node.name for node in reached if node.key.public in self.validators()]

    def speakers(self) -> list[str]:
        """Whose accounts speak for a validator of the newest set."""
        newest = max(self.up, key=lambda node: node.height).core.status().next_validators
        accounts = [member.rewards_to for member in newest.members]
        return [name for name in self.nodes if account_of_key(key_named(name)) in accounts]

    def do(self, sender: str, *actions: Action) -> Transaction:
        """A transaction that becomes final at every validator."""
        transaction = self.act(sender, *actions)
        self.hand_in(transaction)
        return transaction

    def hand_in(self, *transactions: Transaction) -> None:
        """Hands them to a validator, and waits until they are final at every one."""
        at = self.nodes[self.names()[0]]
        token = self.submit(at.name, *transactions)
        self.run_until(lambda: token in at.answers)
        refused = [str(outcome.error) for outcome in at.answers[token] if outcome.error is not None]
        if refused:
            raise AssertionError(f"{at.name} refused: {refused}")
        for transaction in transactions:
            self.run_until(self.is_final(transaction, *self.names()))

    def propose(self, change: Change) -> bytes:
        """The id of a proposal by the first who speaks."""
        sender = self.speakers()[0]
        transaction = self.do(sender, Propose(change, self.now.wall_ms + HOUR_MS))
        return object_id("proposal", development_account(sender), transaction.body.nonce, 0)

    def decide(self, change: Change) -> None:
        """Proposed, approved by as many as it takes, and in force."""
        quorum = self.up[0].core.status().next_validators.quorum
        proposal = self.propose(change)
        approvals = [self.act(name, Approve(proposal)) for name in self.speakers()[1:quorum]]
        self.hand_in(*approvals)
        height = max(node.height for node in self.up)
        while min(self.nodes[name].height for name in self.names()) < height + 2:
            self.do("bob", Transfer(development_account("carol"), 1))

    def admit(self, name: str) -> None:
        self.decide(AdmitObserver(key_named(name), name, development_account(name)))

    def join(self, name: str) -> None:
        """A node that runs becomes a validator."""
        self.admit(name)
        self.decide(AddValidator(key_named(name)))

    def leave(self, name: str) -> None:
        self.decide(RemoveValidator(key_named(name)))

    def replace(self, name: str, successor: str) -> None:
        self.admit(successor)
        self.decide(ReplaceKey(key_named(name), key_named(successor)))

    def drive(self, count: int = 1) -> None:
        """Payments that nobody waits for: a part of the network may not be there to see them."""
        for _ in range(count):
            self.submit(self.names()[0], self.act("bob", Transfer(development_account("carol"), 1)))
            self.run(300)

    def pay(self, count: int = 1) -> None:
        for _ in range(count):
            self.do("bob", Transfer(development_account("carol"), 1))

    def proposers(self, node: Node | None = None) -> list[str]:
        """Who proposed each block that this node has committed."""
        node = node or self.up[0]
        return [self.by_key[block.stored.record.block.header.proposer].name for block in node.committed]

    def signed_heights(self, name: str) -> list[int]:
        """The heights at which the key of this node has signed anything."""
        return sorted({height for key, _, height, _ in self.signed if key == key_named(name)})
