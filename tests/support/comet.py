"""What stands in for CometBFT in tests: it gives an application the blocks that a test decides, in the right order."""

from __future__ import annotations

from collections.abc import Sequence

from concento.cometlight import address_of, chain_id_of
from concento.genesis import Genesis
from concento.messages import Action
from concento.transactions import Transaction
from node.comet import messages as abci
from node.comet.application import Application, app_state
from node.replica.chain import create_chain_store
from state.store.kv import KeyValue, MemoryKeyValue
from state.store.opening import OpenStore, open_store
from support.ledger import Ledger, account_of

BLOCK_MS = 1_000


def timestamp(time_ms: int) -> abci.Timestamp:
    return abci.Timestamp(time_ms // 1000, time_ms % 1000 * 1_000_000)


def opened(genesis: Genesis, kv: KeyValue) -> OpenStore:
    return open_store(kv, genesis.network)


class Comet:
    """One application, and the engine that asks it. `ledger` only makes transactions and knows the genesis."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.ledger = Ledger(genesis)
        self.genesis = self.ledger.genesis
        self.kv = MemoryKeyValue()
        create_chain_store(self.genesis, self.kv)
        self.time_ms = self.genesis.time_ms
        self.application = self.restarted()

    def restarted(self) -> Application:
        """A new process over what the store holds."""
        self.application = Application(self.genesis, opened(self.genesis, self.kv), lambda: self.time_ms)
        return self.application

    def tx(self, sender: str, *actions: Action) -> Transaction:
        self.ledger.time_ms = self.time_ms
        return self.ledger.tx(sender, *actions)

    def init_chain(self) -> abci.InitChain:
        keys = self.genesis.validators.keys
        updates = tuple(abci.ValidatorUpdate(abci.PublicKey(key), 1) for key in keys)
        return abci.InitChain(
            timestamp(self.genesis.time_ms), chain_id_of(self.genesis), updates, app_state(self.genesis), 1
        )

    def request(
        self, raws: Sequence[bytes], time_ms: int | None = None, misbehavior: tuple[abci.Misbehavior, ...] = ()
    ) -> abci.FinalizeBlock:
        """The next block."""
        height = self.application.store.commit.height + 1
        return abci.FinalizeBlock(
            txs=tuple(raws),
            misbehavior=misbehavior,
            hash=height.to_bytes(32, "big"),
            height=height,
            time=timestamp(self.time_ms + BLOCK_MS if time_ms is None else time_ms),
            proposer_address=address_of(self.genesis.validators.keys[height % len(self.genesis.validators)]),
        )

    def block(self, *raws: bytes) -> abci.FinalizeBlockAnswer:
        """Decides, executes and commits the next block."""
        request = self.request(raws)
        self.time_ms += BLOCK_MS
        answer = self.application.finalize(request)
        self.application.commit()
        return answer


def misbehavior(key: bytes, height: int) -> abci.Misbehavior:
    return abci.Misbehavior(1, abci.Validator(address_of(key), 1), height, timestamp(0), 4)


def account(name: str) -> bytes:
    return account_of(name)
