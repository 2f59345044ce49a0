"""A ledger without a network: blocks are applied to a store in memory the way a node applies them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from concento.accounts import account_of_key
from concento.blocks import TransactionResult
from concento.development import ACCOUNTS, VALIDATORS_DEV_MAX, development_seed, validator_names
from concento.devnet import development_genesis
from concento.encoding import decode
from concento.genesis import Genesis, Params
from concento.keys import public_key
from concento.messages import Action
from concento.transactions import Body, Transaction, sign_transaction
from concento.validators import ValidatorSet
from state.calls import Event
from state.events import decode_events
from state.modules import tokens
from state.modules.tokens import Movements
from state.store.kv import HISTORY, STATE, TRANSACTION, MemoryKeyValue
from state.store.tree import Tree
from state.transition import BlockContext, BlockOutcome, apply_block, write_genesis
from state.view import View, open_view

BEAT: Final = 1_000_000
BLOCK_MS: Final = 1_000


def seed_of(name: str) -> bytes:
    """The seed of a development account or validator; any other name has a seed of its own."""
    known = name in ACCOUNTS or name in validator_names(VALIDATORS_DEV_MAX)
    return development_seed(name) if known else name.encode().rjust(32, b"\0")


def key_of(name: str) -> bytes:
    return public_key(seed_of(name))


def account_of(name: str) -> bytes:
    return account_of_key(key_of(name))


def events_of(outcome: BlockOutcome, index: int = 0) -> list[Event]:
    """What the transaction at this place of a block told."""
    return decode_events(outcome.results[index].events)


def movements_of(history: Mapping[bytes, bytes], account: bytes) -> list[Movements]:
    """What moved an account, block by block, among these history records; found without its trail."""
    parts = [value for key, value in sorted(history.items()) if key.startswith(tokens.PARTS_PREFIX)]
    moved = [pair for part in parts for pair in decode(tuple[tuple[bytes, bytes], ...], part)]
    return [decode(Movements, raw) for found, raw in moved if found == account]


class Ledger:
    """The chain of one node, without consensus: every block is decided as it is given."""

    def __init__(self, genesis: Genesis | None = None, params: Params | None = None) -> None:
        self.genesis = genesis or development_genesis()
        self.params = params or self.genesis.params
        self.kv = MemoryKeyValue()
        self.height = 0
        self.time_ms = self.genesis.time_ms
        self.validators: dict[int, ValidatorSet] = {1: self.genesis.validators, 2: self.genesis.validators}
        self.outcomes: list[BlockOutcome] = []
        self.app_hashes: list[bytes] = []
        view = open_view(self.kv)
        write_genesis(view, self.genesis)
        self.tree = Tree()
        self._write(view.changes(), view.history())
        self._nonce = 0

    def view(self) -> View:
        """A fresh view over the newest state."""
        return open_view(self.kv)

    def balance(self, name: str) -> int:
        return tokens.balance(self.view(), account_of(name))

    def tx(
        self,
        sender: str,
        *actions: Action,
        keys: Iterable[str] | None = None,
        valid_ms: int = 60_000,
        max_fee_ubeat: int = 10 * BEAT,
        nonce: int | None = None,
    ) -> Transaction:
        """A signed transaction that is valid until `valid_ms` after the newest block."""
        self._nonce += 1
        body = Body(
            chain_id=self.genesis.chain_id,
            genesis_prefix=self.genesis.hash[:8],
            sender=account_of(sender),
            nonce=(self._nonce if nonce is None else nonce).to_bytes(16, "big"),
            valid_until_ms=self.time_ms + valid_ms,
            max_fee_ubeat=max_fee_ubeat,
            actions=actions,
            memo="",
        )
        return sign_transaction(self.genesis.network, body, [seed_of(name) for name in keys or [sender]])

    def context(
        self,
        transactions: Iterable[Transaction],
        time_ms: int | None = None,
        evidence: tuple[tuple[bytes, int], ...] = (),
    ) -> BlockContext:
        """The next block."""
        validators = self.validators[self.height + 1]
        return BlockContext(
            height=self.height + 1,
            time_ms=self.time_ms + BLOCK_MS if time_ms is None else time_ms,
            proposer=validators.keys[0],
            validators=validators,
            evidence=evidence,
            transactions=tuple(transactions),
            params=self.params,
            network=self.genesis.network,
        )

    def block(
        self,
        *transactions: Transaction,
        time_ms: int | None = None,
        evidence: tuple[tuple[bytes, int], ...] = (),
    ) -> BlockOutcome:
        """Decides and applies the next block."""
        context = self.context(transactions, time_ms, evidence)
        outcome = apply_block(self.view(), context)
        self.height, self.time_ms = context.height, context.time_ms
        self.validators[self.height + 2] = outcome.validators
        self._write(outcome.changes, outcome.history)
        self.kv.write({TRANSACTION + result.id: bytes(16) for result in included(outcome)})
        self.outcomes.append(outcome)
        self.app_hashes.append(self.tree.root)
        return outcome

    def run(self, sender: str, *actions: Action, keys: Iterable[str] | None = None) -> list[Event]:
        """One transaction in a block of its own, which must succeed; its events."""
        outcome = self.block(self.tx(sender, *actions, keys=keys))
        assert outcome.results[0].status == "ok", outcome.results[0].kind
        return events_of(outcome)

    def refusal(self, sender: str, *actions: Action, keys: Iterable[str] | None = None) -> str:
        """One transaction in a block of its own, which must not succeed; the kind of its refusal."""
        result = self.block(self.tx(sender, *actions, keys=keys)).results[0]
        assert result.status != "ok"
        return result.kind

    def state(self) -> dict[bytes, bytes]:
        """Every record of the newest state."""
        return {key[1:]: value for key, value in self.kv.scan(STATE)}

    def history(self) -> dict[bytes, bytes]:
        return {key[1:]: value for key, value in self.kv.scan(HISTORY)}

    def _write(self, changes: dict[bytes, bytes | None], history: dict[bytes, bytes]) -> None:
        self.tree.apply(changes)
        self.kv.write({STATE + key: value for key, value in changes.items()})
        self.kv.write({HISTORY + key: value for key, value in history.items()})


def included(outcome: BlockOutcome) -> list[TransactionResult]:
    return [result for result in outcome.results if result.status != "skipped"]
