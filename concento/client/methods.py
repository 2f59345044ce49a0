"""Every call that a node answers, once: `Client` returns the answers, `AsyncClient` awaitables of them.

Names and shapes of answers are those of docs/protocol/rpc.md. `who` is an address or a name.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

A = TypeVar("A")


class Methods(ABC, Generic[A]):
    """The method table. `A` is what a call gives: the answer itself, or an awaitable of it."""

    @abstractmethod
    def call(self, method: str, /, **params: Any) -> A:
        """Any method by name. Raises RpcError for a refusal, Unavailable where no node answers."""

    def status(self) -> A:
        return self.call("node_getStatus")

    def peers(self) -> A:
        return self.call("node_getPeers")

    def account(self, who: str) -> A:
        return self.call("account_get", who=who)

    def history(self, who: str, cursor: str | None = None, limit: int | None = None) -> A:
        return self.call("account_getHistory", who=who, cursor=cursor, limit=limit)

    def submit(self, raw: bytes) -> A:
        """Hand in an encoded transaction; the same bytes again are `known` and harmless."""
        return self.call("tx_submit", tx=base64.b64encode(raw).decode())

    def submit_batch(self, raws: Sequence[bytes]) -> A:
        return self.call("tx_submitBatch", txs=[base64.b64encode(raw).decode() for raw in raws])

    def simulate(self, raw: bytes) -> A:
        """What a transaction would do now, and its fee; nothing happens, and signatures are not needed."""
        return self.call("tx_simulate", tx=base64.b64encode(raw).decode())

    def transaction(self, tx: str, wait_ms: int | None = None) -> A:
        """A transaction by id; with `wait_ms`, as soon as its fate is known or that time has passed."""
        return self.call("tx_get", tx=tx, wait_ms=wait_ms)

    def asset(self, asset: str) -> A:
        return self.call("asset_get", id=asset)

    def search(
        self,
        tag: str | None = None,
        purpose: str | None = None,
        owner: str | None = None,
        isrc: str | None = None,
        price_max_ubeat: int | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> A:
        return self.call(
            "asset_search",
            tag=tag,
            purpose=purpose,
            owner=owner,
            isrc=isrc,
            max_price_ubeat=None if price_max_ubeat is None else str(price_max_ubeat),
            cursor=cursor,
            limit=limit,
        )

    def licence(self, licence: str) -> A:
        return self.call("licence_get", id=licence)

    def check_licence(self, asset: str, licensee: str, purpose: str) -> A:
        return self.call("licence_check", asset=asset, licensee=licensee, purpose=purpose)

    def receipt(self, receipt: str) -> A:
        return self.call("receipt_get", id=receipt)

    def statement(
        self, who: str, from_height: int | None = None, to_height: int | None = None, cursor: str | None = None
    ) -> A:
        return self.call("earnings_getStatement", who=who, from_height=from_height, to_height=to_height, cursor=cursor)

    def lineage(self, asset: str, direction: str | None = None, depth: int | None = None) -> A:
        """What an asset was made from, with rates and rights, or what was made from it."""
        return self.call("asset_getLineage", id=asset, direction=direction, depth=depth)

    def dispute(self, dispute: str) -> A:
        return self.call("dispute_get", id=dispute)

    def disputes(self, asset: str | None = None, state: str | None = None, cursor: str | None = None) -> A:
        return self.call("dispute_list", asset=asset, state=state, cursor=cursor)

    def block(self, height: int | None = None, block_id: str | None = None) -> A:
        return self.call("chain_getBlock", height=height, id=block_id)

    def commit(self, height: int) -> A:
        return self.call("chain_getCommit", height=height)

    def validators(self, height: int | None = None) -> A:
        return self.call("chain_getValidators", height=height)

    def params(self) -> A:
        return self.call("chain_getParams")

    def genesis(self) -> A:
        return self.call("chain_getGenesis")

    def proof(self, key: str) -> A:
        return self.call("state_getProof", key=key)

    def discover(self) -> A:
        return self.call("rpc.discover")
