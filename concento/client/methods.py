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

    def submit(self, raw: bytes, wait_ms: int | None = None) -> A:
        """Hand in an encoded transaction; the same bytes again are `known` and harmless.

        With `wait_ms` it is answered as soon as its fate is known or that time has passed.
        """
        return self.call("tx_submit", tx=base64.b64encode(raw).decode(), wait_ms=wait_ms)

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

    def members(self, asset: str, cursor: str | None = None, limit: int | None = None, deep: bool | None = None) -> A:
        """The members of a dataset; `deep` those of datasets inside it in their stead."""
        return self.call("asset_getMembers", id=asset, cursor=cursor, limit=limit, deep=deep)

    def search(
        self,
        tag: str | None = None,
        purpose: str | None = None,
        owner: str | None = None,
        isrc: str | None = None,
        iswc: str | None = None,
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
            iswc=iswc,
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
        self,
        who: str,
        from_height: int | None = None,
        to_height: int | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> A:
        period = {"from_height": from_height, "to_height": to_height}
        return self.call("earnings_getStatement", who=who, **period, cursor=cursor, limit=limit)

    def lineage(self, asset: str, direction: str | None = None, depth: int | None = None) -> A:
        """What an asset was made from, with rates and rights, or what was made from it."""
        return self.call("asset_getLineage", id=asset, direction=direction, depth=depth)

    def amendments(self, asset: str | None = None, owner: str | None = None, cursor: str | None = None) -> A:
        """Links that one of two owners has proposed."""
        return self.call("asset_listAmendments", asset=asset, owner=owner, cursor=cursor)

    def vault(self, vault: str) -> A:
        return self.call("vault_get", id=vault)

    def vaults(self, owner: str | None = None, cursor: str | None = None) -> A:
        return self.call("vault_list", owner=owner, cursor=cursor)

    def vault_rows(
        self, vault: str, from_row: int | None = None, cursor: str | None = None, limit: int | None = None
    ) -> A:
        """The rows of a vault from a place on."""
        return self.call("vault_getRows", id=vault, from_row=from_row, cursor=cursor, limit=limit)

    def vault_statement(
        self, vault: str, from_height: int | None = None, to_height: int | None = None, cursor: str | None = None
    ) -> A:
        """What a vault was credited in a period."""
        return self.call("vault_getStatement", id=vault, from_height=from_height, to_height=to_height, cursor=cursor)

    def shares(self, who: str, source: str | None = None, cursor: str | None = None) -> A:
        """Which shares of which assets and vaults an account holds."""
        return self.call("share_list", who=who, source=source, cursor=cursor)

    def pot(self, pot: int) -> A:
        """Money of a usage-weighted dataset that waits for the use of its batch."""
        return self.call("usage_getPot", pot=pot)

    def pots(self, asset: str | None = None, cursor: str | None = None) -> A:
        return self.call("usage_listPots", asset=asset, cursor=cursor)

    def usage_rows(self, pot: int) -> A:
        """The rows that belong to a pot, made again of the receipts of its batch."""
        return self.call("usage_getRows", pot=pot)

    def offer(self, offer: str) -> A:
        return self.call("licence_getOffer", id=offer)

    def dispute(self, dispute: str) -> A:
        return self.call("dispute_get", id=dispute)

    def disputes(self, asset: str | None = None, state: str | None = None, cursor: str | None = None) -> A:
        return self.call("dispute_list", asset=asset, state=state, cursor=cursor)

    def proposal(self, proposal: str) -> A:
        return self.call("gov_getProposal", id=proposal)

    def proposals(self, state: str | None = None, cursor: str | None = None) -> A:
        return self.call("gov_listProposals", state=state, cursor=cursor)

    def observers(self) -> A:
        return self.call("gov_listObservers")

    def protocol(self) -> A:
        """The protocol version in force, and the heights at which it switches."""
        return self.call("gov_getProtocol")

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
