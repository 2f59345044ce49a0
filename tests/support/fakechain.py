"""A chain as a gateway sees it: one dataset of two recordings, one licence, one lane; answers calls in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from concento.accounts import account_of_key, address
from concento.cids import cid
from concento.client import RpcError, Signer
from concento.hashing import Network
from concento.keys import public_key
from concento.messages.receipts import AnchorReceipts, CloseAccess
from concento.transactions import Body, sign_transaction

NETWORK = Network("test-chain", b"\x05" * 32)
GATEWAY = Signer("gateway", account_of_key(public_key(b"\x11" * 32)), (b"\x11" * 32,))
READER = Signer("reader", account_of_key(public_key(b"\x12" * 32)), (b"\x12" * 32,))
LANE_SEED = b"\x13" * 32
LICENCE, DATASET = b"\x21" * 32, b"\x22" * 32
LANE = 7


@dataclass
class FakeChain:
    """State that tests change at will; `sent` collects the actions of every transaction."""

    members: list[dict[str, Any]]
    unit: str | None = "access"
    state: str = "active"
    units_open: int = 100
    anchored: int = 0
    time_ms: int = 1_000_000
    roles: tuple[str, ...] = ("gateway",)
    unsigned_units_max: int = 64
    sent: list[Any] = field(default_factory=list)
    refuse: str | None = None
    lane_state: str = "open"

    def answer(self, method: str, **params: Any) -> Any:
        match method:
            case "node_getStatus":
                return {
                    "chain_id": NETWORK.chain_id,
                    "genesis_hash": NETWORK.genesis_hash.hex(),
                    "dev": True,
                    "time_ms": self.time_ms,
                    "height": 9,
                    "ready": True,
                }
            case "account_get":
                return {"address": params["who"], "party": {"roles": list(self.roles)}}
            case "chain_getParams":
                return {"access": {"unsigned_units_max": self.unsigned_units_max}}
            case "licence_get":
                return self._licence()
            case "asset_getMember":
                for member in self.members:
                    if member["asset"] == params["asset"]:
                        return member
                raise RpcError(-32001, "not a member", {"kind": "asset.not_found"})
            case _:
                raise AssertionError(f"unexpected call {method}")

    def _licence(self) -> dict[str, Any]:
        lane = {
            "gateway": address(GATEWAY.account, True),
            "lane": LANE,
            "key": public_key(LANE_SEED).hex(),
            "size": self.anchored,
            "units": self.anchored,
            "units_open": self.units_open,
            "state": self.lane_state,
        }
        return {
            "id": LICENCE.hex(),
            "asset": DATASET.hex(),
            "state": self.state,
            "purposes": ["train-generative"],
            "epoch": 0,
            "unit": self.unit,
            "unit_price_ubeat": "50000000",
            "height": 9,
            "receipts": {"count": self.anchored, "units": self.anchored, "lanes": [lane]},
        }


class FakeAsyncClient:
    """The part of AsyncClient that a gateway uses."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain

    async def call(self, method: str, /, **params: Any) -> Any:
        return self.chain.answer(method, **params)

    async def status(self) -> Any:
        return self.chain.answer("node_getStatus")

    async def account(self, who: str) -> Any:
        return self.chain.answer("account_get", who=who)

    async def params(self) -> Any:
        return self.chain.answer("chain_getParams")

    async def licence(self, licence: str) -> Any:
        return self.chain.answer("licence_get", id=licence)


class FakeSession:
    """Takes transactions instead of a node, and plays the ledger's part in anchoring."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain
        self.address = address(GATEWAY.account, True)

    def send(self, actions: list[Any]) -> dict[str, Any]:
        if self.chain.refuse:
            raise RpcError(-32003, "refused", {"kind": self.chain.refuse})
        body = Body(NETWORK.chain_id, NETWORK.genesis_hash[:8], GATEWAY.account, bytes(16), 1, 0, tuple(actions), "")
        transaction = sign_transaction(NETWORK, body, GATEWAY.seeds)
        self.chain.sent += actions
        for action in actions:
            if isinstance(action, AnchorReceipts):
                self.chain.anchored = action.first + action.count
            if isinstance(action, CloseAccess):
                self.chain.lane_state = "closed"
        return {"status": "final", "tx": transaction.id.hex(), "error": None, "height": 10}


def member_item(index: int, asset: bytes, path: str, content: bytes, size: int, duration_ms: int) -> dict[str, Any]:
    part = {
        "path": path,
        "media_type": "audio/wav",
        "cid": cid(content),
        "chunk_root": bytes(32).hex(),
        "bytes": size,
    }
    return {
        "index": index,
        "asset": asset.hex(),
        "title": path,
        "weight": 1,
        "duration_ms": duration_ms,
        "parts": [part],
    }
