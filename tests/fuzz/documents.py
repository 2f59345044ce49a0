"""What clients and files feed: proof documents, bodies of requests, key files."""

from __future__ import annotations

import asyncio
import json
import os
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgpack
import msgspec

from concento.client import keyfile
from concento.errors import Rejected
from concento.light import verify_proof, verify_receipt_proof
from concento.messages.tokens import Transfer
from concento.strictjson import loads
from fuzz.target import Wrong
from fuzz.wire import played
from node.rpc.calls import Call, Desk
from node.rpc.dispatch import Dispatcher
from node.rpc.methods import DEV_METHODS, METHODS
from node.rpc.openrpc import with_discovery
from node.rpc.server import unpacked
from node.signer import read_key, write_key
from state.queries import Chain
from state.queries_proofs import claim_of, proof_get
from support.ledger import BEAT, account_of
from support.story import base64_of

_PASSWORD: Final = "a password"

_SEALED: Final = """{
  "crypto": {
    "kdf": {
      "function": "scrypt",
      "params": {
        "dklen": 32,
        "n": 1024,
        "p": 1,
        "r": 8,
        "salt": "326d9f1956ec3a6862ee4a1ead19f793ab6c26bf3c8bf6d8efa194cd1dcb8ca0"
      },
      "message": ""
    },
    "checksum": {
      "function": "sha256",
      "params": {},
      "message": "2f44cd12819715a9961405e838563ee416bda8dfc880f09820bc051fee657fee"
    },
    "cipher": {
      "function": "chacha20-poly1305",
      "params": {
        "nonce": "edf6495ebd15ce0848add74f"
      },
      "message": "8e17d06380349c090e9f0788c18f69b3ad5abe3e7425fcd9e1f7916b9b852868e2ec9e46f221822b77f6581bff743961"
    }
  },
  "description": "alice",
  "path": "m/1'",
  "pubkey": "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
  "uuid": "13d5db5b-4803-4e3b-889f-195c90143182",
  "version": 4
}
"""
"""`seal` of this seed under this password, at the least cost. Sealing it here would draw another salt every time."""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


class Proofs:
    """A proof document, as a stranger hands it to a light client. What is taken must say what the chain says."""

    def __init__(self) -> None:
        node, names = played()
        self._genesis = node.genesis
        keys = ["account/carol", "account/alice", f"asset/{names['recording']}", f"licence/{names['licence']}"]
        keys += [
            f"receipt/{names['receipt']}",
            "account/" + Chain(node.store, node.tree, node.genesis).address(bytes(20)),
        ]
        documents = []
        for key in keys:
            try:
                claim = claim_of(Chain(node.store, node.tree, node.genesis), key)
            except Rejected:
                continue
            node.block()
            documents.append(proof_get(Chain(node.store, node.tree, node.genesis), claim))
        self.seeds = [_json(document) for document in documents]
        self._true = {verdict[0]: verdict for verdict in map(self._verdict, documents)}

    def open(self, data: bytes) -> Any:
        return json.loads(data)

    def shut(self, random: Random, value: Any) -> bytes:
        return _json(value)

    def _verdict(self, document: Any) -> tuple[str, bytes | None]:
        verify = verify_receipt_proof if _is_receipt(document) else verify_proof
        proved = verify(document, self._genesis)
        return proved.key, proved.value

    def run(self, data: bytes) -> str:
        key, value = self._verdict(loads(data, "proof"))
        if self._true.get(key) != (key, value):
            raise Wrong(f"it is proved of {key} what is not so")
        return "ok"

    def close(self) -> None:
        """Nothing is open."""


def _is_receipt(document: Any) -> bool:
    return isinstance(document, dict) and str(document.get("key")).startswith("receipt/")


class Bodies:
    """The body of a request, in JSON and MessagePack: one answer that is JSON, and never an internal error."""

    def __init__(self) -> None:
        self._node, names = played()
        table = with_discovery({method.name: method for method in (*METHODS, *DEV_METHODS)})
        self._dispatcher = Dispatcher[Call](table)
        self._runner = asyncio.Runner()
        transfer = self._node.tx("bob", Transfer(account_of("dana"), BEAT))
        filled = {**names, "transfer": base64_of(transfer.raw), "alice": "@alice"}
        requests = [
            {"jsonrpc": "2.0", "id": 1, "method": method.name, "params": _filled(dict(method.example), filled)}
            for method in table.values()
        ]
        self.seeds = [_json(request) for request in requests] + [_json(requests[:5])]
        self.seeds += [_json({**request, "params": list(request["params"].values())}) for request in requests]
        self.seeds += [msgspec.msgpack.encode(request) for request in requests]

    def open(self, data: bytes) -> Any:
        return msgspec.msgpack.decode(data) if _is_message_pack(data) else json.loads(data)

    def shut(self, random: Random, value: Any) -> bytes:
        return msgspec.msgpack.encode(value) if random.random() < 0.5 else _json(value)

    def run(self, data: bytes) -> str:
        answer = self._runner.run(self._answer(data))
        self._node.pool.clear()
        if answer is None:
            return "no answer"
        document = json.loads(answer)
        kinds = [_kind(one) for one in (document if isinstance(document, list) else [document])]
        if "internal" in kinds:
            raise Wrong("it is answered with an internal error")
        return "ok" if "ok" in kinds else min(kinds)

    async def _answer(self, data: bytes) -> bytes | None:
        # No time to wait: what waits for a block is answered at once that none came.
        desk = Desk(self._node, lambda: self._node.time_ms)
        call = Call(desk, local=True, wait_until_s=0.0)
        if not _is_message_pack(data):
            return await self._dispatcher.answer(data, call)
        try:
            document = unpacked(data)
        except (ValueError, RecursionError, msgpack.exceptions.UnpackException):
            return None
        return await self._dispatcher.answer_document(document, call)

    def close(self) -> None:
        self._runner.close()


def _is_message_pack(data: bytes) -> bool:
    """No JSON begins with such a byte; every request in MessagePack does."""
    return data[:1] >= b"\x80"


def _filled(value: Any, names: dict[str, str]) -> Any:
    match value:
        case dict():
            return {name: _filled(item, names) for name, item in value.items()}
        case list():
            return [_filled(item, names) for item in value]
        case str():
            for name, text in names.items():
                value = value.replace(f"<{name}>", text)
            return value
        case _:
            return value


def _kind(answer: Any) -> str:
    if "error" not in answer:
        return "ok"
    error = answer["error"]
    data = error.get("data")
    kind = data.get("kind") if isinstance(data, dict) else None
    return "internal" if error["code"] == -32603 else str(kind or error["code"])


class KeyFiles:
    """A key file of a wallet or of a node. Whatever is taken and opens holds the seed that was put into it."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._path = Path(self._folder.name) / "node.key"
        self._seed = bytes(range(32))
        file = msgspec.json.decode(_SEALED.encode(), type=keyfile.KeyFile)
        write_key(self._path, self._seed)
        self.seeds = [keyfile.text_of(file).encode(), self._path.read_bytes()]

    def open(self, data: bytes) -> Any:
        return json.loads(data)

    def shut(self, random: Random, value: Any) -> bytes:
        """Half of them with the checksum that fits what was changed."""
        if random.random() < 0.5 and isinstance(value, dict) and isinstance(value.get("crypto"), dict):
            empty = {"function": "sha256", "params": {}, "message": ""}
            plain = {**value, "crypto": {**value["crypto"], "checksum": empty}}
            digest = sha256(json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()).hexdigest()
            value = {**value, "crypto": {**value["crypto"], "checksum": {**empty, "message": digest}}}
        return _json(value)

    def run(self, data: bytes) -> str:
        outcomes = {self._outcome(self._as_node_key, data), self._outcome(self._as_wallet_key, data)}
        return "ok" if "ok" in outcomes else max(outcomes)

    @staticmethod
    def _outcome(read: Any, data: bytes) -> str:
        try:
            read(data)
        except Rejected as refused:
            return refused.kind
        return "ok"

    def _as_node_key(self, data: bytes) -> None:
        with open(self._path, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(data)
        key = read_key(self._path)
        if repr(self._seed) in repr(key) or key.public != keyfile.public_key(self._seed_in(data)):
            raise Wrong("a key of a node is not the one of its seed")

    @staticmethod
    def _seed_in(data: bytes) -> bytes:
        return bytes.fromhex(json.loads(data)["seed"])

    def _as_wallet_key(self, data: bytes) -> None:
        file = keyfile.parse(data, "alice.json")
        params = file.crypto.kdf.params
        if params.n * params.r * params.p > 2**16:
            raise Rejected("wallet.password_wrong", name="not tried: it costs as much as it says")
        if keyfile.unseal(file, _PASSWORD, "alice") != self._seed:
            raise Wrong("a wallet's key file opens with another seed in it")

    def close(self) -> None:
        self._folder.cleanup()
