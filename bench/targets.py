"""What the generator needs of a node, whichever arm it belongs to: hand in, see blocks grow, read what is in them."""

from __future__ import annotations

import base64
import http.client
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgpack

TIMEOUT_S: Final = 60
WAIT_MS: Final = 10_000
BLOCKS: Final = 20
"""As many as CometBFT gives at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """A transaction signed beforehand, and the name under which it will be found in a block."""

    key: str
    raw: bytes


class Target(Protocol):
    """One node, over one connection that is kept: not for use by two threads."""

    def submit(self, items: Sequence[Item]) -> list[Item]:
        """Hands items in; those that the node was too busy for. Raises RuntimeError where one is refused for good."""
        ...

    def make_final(self, item: Item) -> None:
        """Hands in one and waits for the node's own answer that it is final."""
        ...

    def height(self) -> int: ...

    def counts(self, after: int) -> list[tuple[int, int]]:
        """(height, transactions) of the newest blocks above a height, at most 20 of them, the oldest first."""
        ...

    def committed(self, height: int) -> list[str]:
        """The names of what succeeded in a block."""
        ...


class _Connection:
    """JSON-RPC over one HTTP connection."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)

    def post(self, path: str, body: bytes, media_type: str = "application/json") -> Any:
        headers = {"Content-Type": media_type}
        for attempt in (1, 2):
            try:
                self._connection.request("POST", path, body, headers)
                return json.loads(self._connection.getresponse().read())
            except (http.client.HTTPException, ConnectionError):
                # A connection that was idle may have been closed by the other end; once more on a new one.
                self._connection.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")


class LedgerNode:
    """A Concento node: batches as MessagePack over JSON-RPC, the same under both engines."""

    def __init__(self, url: str) -> None:
        self._connection = _Connection(url)
        self.refusals: Counter[str] = Counter()
        """Kinds of the answers that said: later."""

    def submit(self, items: Sequence[Item]) -> list[Item]:
        params = {"txs": [item.raw for item in items]}
        request = {"jsonrpc": "2.0", "id": 1, "method": "tx_submitBatch", "params": params}
        body = msgpack.packb(request, use_bin_type=True)
        answer = self._connection.post("/rpc", body, "application/msgpack")
        if "error" in answer:
            data = answer["error"].get("data", {})
            if data.get("retryable"):
                self.refusals[data["kind"]] += 1
                return list(items)
            raise RuntimeError(f"a batch was refused: {answer['error']}")
        answers = answer["result"]["items"]
        for entry in answers:
            if entry["error"] and not entry["error"]["data"]["retryable"]:
                raise RuntimeError(f"a transaction was refused: {entry['error']}")
        self.refusals.update({entry["error"]["data"]["kind"] for entry in answers if entry["error"]})
        return [item for item, entry in zip(items, answers, strict=True) if entry["error"]]

    def make_final(self, item: Item) -> None:
        told = self._call("tx_submit", tx=base64.b64encode(item.raw).decode(), wait_ms=WAIT_MS)
        if told["status"] != "final":
            raise RuntimeError(f"a transaction did not become final: {told}")

    def height(self) -> int:
        return int(self._call("node_getStatus")["height"])

    def counts(self, after: int) -> list[tuple[int, int]]:
        blocks = self._call("chain_getBlocks", limit=1)["items"]
        if blocks and blocks[0]["height"] > after + 1:
            blocks = self._call("chain_getBlocks", limit=BLOCKS)["items"]
        return [(block["height"], block["transactions"]) for block in reversed(blocks) if block["height"] > after]

    def committed(self, height: int) -> list[str]:
        block = self._call("chain_getBlock", height=height)
        return [entry["tx"] for entry in block["txs"] if entry["status"] == "final"]

    def _call(self, method: str, **params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self._connection.post("/rpc", json.dumps(request).encode())["result"]


class KvstoreNode:
    """A CometBFT node with its key-value example: calls of broadcast_tx_sync in one request."""

    def __init__(self, url: str) -> None:
        self._connection = _Connection(url)

    def submit(self, items: Sequence[Item]) -> list[Item]:
        calls = [
            {"jsonrpc": "2.0", "id": at, "method": "broadcast_tx_sync",
             "params": {"tx": base64.b64encode(item.raw).decode()}}
            for at, item in enumerate(items)
        ]  # fmt: skip
        answers = self._connection.post("/", json.dumps(calls).encode())
        found = {entry["id"]: entry for entry in (answers if isinstance(answers, list) else [answers])}
        for entry in found.values():
            if "error" in entry and "mempool is full" not in str(entry["error"]):
                raise RuntimeError(f"a transaction was refused: {entry['error']}")
        return [item for at, item in enumerate(items) if "error" in found[at]]

    def make_final(self, item: Item) -> None:
        told = self._call("broadcast_tx_commit", tx=base64.b64encode(item.raw).decode())
        if told["tx_result"]["code"]:
            raise RuntimeError(f"a transaction failed: {told}")

    def height(self) -> int:
        return int(self._call("status")["sync_info"]["latest_block_height"])

    def counts(self, after: int) -> list[tuple[int, int]]:
        # Only what is new: a request that nothing answers to is an error there.
        request = {"jsonrpc": "2.0", "id": 1, "method": "blockchain", "params": {"minHeight": str(after + 1)}}
        metas = self._connection.post("/", json.dumps(request).encode()).get("result", {}).get("block_metas", [])
        found = [(int(meta["header"]["height"]), int(meta["num_txs"])) for meta in reversed(metas)]
        return [(height, count) for height, count in found if height > after]

    def committed(self, height: int) -> list[str]:
        block = self._call("block", height=str(height))
        return [kvstore_key(base64.b64decode(raw)) for raw in block["block"]["data"]["txs"] or []]

    def _call(self, method: str, **params: str) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self._connection.post("/", json.dumps(request).encode())["result"]


def kvstore_key(raw: bytes) -> str:
    """The key of a pair `key=value`, which names the transaction."""
    return raw.partition(b"=")[0].decode()


def target(arm: str, url: str) -> Target:
    return KvstoreNode(url) if arm == "A" else LedgerNode(url)
