"""Every method of the table: its example runs on a real ledger, and its answer has exactly the documented shape."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from concento.messages.tokens import Transfer
from node.rpc.calls import Call, Desk
from node.rpc.dispatch import Dispatcher, Method
from node.rpc.methods import DEV_METHODS, METHODS
from node.rpc.openrpc import describe, with_discovery
from support.ledger import BEAT, account_of
from support.node import DecidedNode
from support.story import Scene, base64_of, play, share

STREAMS = ("chain_subscribe", "chain_unsubscribe")
"""Their examples need a connection: see test_server.py."""

TABLE = with_discovery({method.name: method for method in (*METHODS, *DEV_METHODS)})


@pytest.fixture(scope="module")
def played() -> tuple[DecidedNode, Scene]:
    node = DecidedNode()
    return node, play(node)


@pytest.fixture(scope="module")
def later(played: tuple[DecidedNode, Scene]) -> dict[str, str]:
    return share(played[0])


def ask(node: DecidedNode, method: str, now_ms: int | None = None, **params: Any) -> Any:
    async def answer() -> Any:
        loop = asyncio.get_running_loop()
        desk = Desk(node, lambda: node.time_ms if now_ms is None else now_ms)
        call = Call(desk, local=True, wait_until_s=loop.time() + 5)
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        raw = await Dispatcher[Call](TABLE, node.observe_request).answer(request, call)
        assert raw is not None
        return json.loads(raw)

    return asyncio.run(answer())


def result(node: DecidedNode, method: str, **params: Any) -> Any:
    document = ask(node, method, **params)
    assert "result" in document, document
    return document["result"]


def error(node: DecidedNode, method: str, **params: Any) -> Any:
    document = ask(node, method, **params)
    assert "error" in document, document
    return document["error"]


def filled(value: Any, names: dict[str, str]) -> Any:
    """An example with its <placeholders> replaced."""
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if not isinstance(value, str):
        return value
    for name, text in names.items():
        value = value.replace(f"<{name}>", text)
    return value


@pytest.mark.parametrize("method", [row for row in TABLE.values() if row.name not in STREAMS], ids=lambda row: row.name)
def test_the_example_answers_in_the_documented_shape(
    method: Method, played: tuple[DecidedNode, Scene], later: dict[str, str]
) -> None:
    node, scene = played
    transfer = node.tx("bob", Transfer(account_of("dana"), BEAT))
    alice = ask(node, "account_get", who="@alice")["result"]["address"]
    names = {**scene.names(), **later, "transfer": base64_of(transfer.raw), "alice": alice}
    params = {name: filled(value, names) for name, value in method.example.items()}
    found = result(node, method.name, **params)
    node.pool.clear()
    msgspec.convert(found, method.result)


def test_every_error_that_a_method_names_is_in_the_table_of_kinds() -> None:
    document = describe(TABLE)
    assert set(document["components"]["errors"]) == {kind for method in TABLE.values() for kind in method.errors}


def test_the_description_refers_only_to_what_it_defines() -> None:
    document = describe(TABLE)
    references = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                references.add(value["$ref"])
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(document)
    assert len(references) > 20
    for reference in references:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]


def test_the_description_has_the_structure_of_openrpc() -> None:
    document = describe(TABLE)
    assert set(document) == {"openrpc", "info", "servers", "methods", "components"}
    assert document["openrpc"].startswith("1.3.")
    assert {"title", "version"} <= set(document["info"])
    names = [method["name"] for method in document["methods"]]
    assert len(names) == len(set(names)) == len(TABLE)
    for method in document["methods"]:
        assert {"name", "params", "result"} <= set(method)
        assert method["paramStructure"] in ("by-name", "by-position", "either")
        flags = [param["required"] for param in method["params"]]
        assert flags == sorted(flags, reverse=True), "required parameters come first"
        for descriptor in (*method["params"], method["result"]):
            assert {"name", "schema"} <= set(descriptor)
        for example in method["examples"]:
            assert {pair["name"] for pair in example["params"]} <= {param["name"] for param in method["params"]}
    for entry in document["components"]["errors"].values():
        assert isinstance(entry["code"], int)
        assert entry["message"]


def test_a_method_for_this_machine_refuses_others() -> None:
    node = DecidedNode()
    assert result(node, "dev_setLinks", links={"node2": {"cut": 1}})
    assert node.links == {"node2": {"cut": 1}}

    async def from_afar() -> Any:
        call = Call(Desk(node), local=False, wait_until_s=0)
        request = '{"jsonrpc":"2.0","id":1,"method":"dev_setLinks","params":{"links":{}}}'
        return json.loads(await Dispatcher[Call](TABLE).answer(request, call) or b"")

    assert asyncio.run(from_afar())["error"]["data"]["kind"] == "rpc.forbidden"
    assert node.links == {"node2": {"cut": 1}}


def test_who_may_be_an_address_a_name_or_the_beginning_of_an_address(played: tuple[DecidedNode, Scene]) -> None:
    node, _ = played
    address = result(node, "account_get", who="alice")["address"]
    for who in ("@alice", address, address[:18]):
        assert result(node, "account_get", who=who)["address"] == address
    assert error(node, "account_get", who="nobody")["code"] == -32001
    wrong = error(node, "account_get", who=address[:-1] + ("q" if address[-1] != "q" else "p"))
    assert (wrong["code"], wrong["data"]["kind"]) == (-32602, "address.checksum")
    foreign = error(node, "account_get", who="conc1" + address[6:])
    assert foreign["code"] == -32602


def test_an_id_may_be_shortened_to_eight_digits(played: tuple[DecidedNode, Scene]) -> None:
    node, scene = played
    assert result(node, "asset_get", id=scene.dataset.hex()[:8])["id"] == scene.dataset.hex()
    assert result(node, "receipt_get", id=scene.receipts[0].hex()[:9])["id"] == scene.receipts[0].hex()
    assert error(node, "asset_get", id="0" * 64)["data"]["kind"] == "asset.not_found"
    assert error(node, "asset_get", id="xyzxyzxyz")["data"]["kind"] == "id.malformed"


def test_a_transaction_is_submitted_known_and_final() -> None:
    node = DecidedNode()
    transaction = node.tx("bob", Transfer(account_of("carol"), BEAT))
    first = result(node, "tx_submit", tx=base64_of(transaction.raw))
    again = result(node, "tx_submit", tx=base64_of(transaction.raw))
    assert (first["status"], first["known"], again["known"]) == ("pending", False, True)
    assert first["tx"] == again["tx"] == transaction.id.hex()
    assert result(node, "tx_get", tx=transaction.id.hex())["status"] == "pending"
    node.decide()
    final = result(node, "tx_get", tx=transaction.id.hex())
    assert (final["status"], final["height"], final["index"]) == ("final", 1, 0)
    assert final["events"][0]["text"] == "bob paid carol 1.000000 BEAT"
    assert final["raw"] == base64_of(transaction.raw)
    assert result(node, "tx_submit", tx=base64_of(transaction.raw))["known"] is True


def test_a_refused_transaction_names_its_reason_and_itself() -> None:
    node = DecidedNode()
    transaction = node.tx("bob", Transfer(account_of("carol"), 10**12 * BEAT // BEAT * 100))
    refusal = error(node, "tx_submit", tx=base64_of(transaction.raw))
    assert refusal["code"] == -32003
    assert refusal["data"]["kind"] == "tokens.balance_low"
    assert refusal["data"]["tx"] == transaction.id.hex()
    assert error(node, "tx_submit", tx=base64_of(b"garbage"))["code"] == -32003
    assert error(node, "tx_submit", tx="?!")["code"] == -32602


class Behind(DecidedNode):
    """A node that fetches the blocks of the last minute."""

    def status(self) -> dict[str, Any]:
        return {**super().status(), "syncing": True}


@pytest.mark.parametrize(("behind_ms", "kind"), [(60_000, "node.syncing"), (1_000, None)])
def test_a_node_that_is_far_behind_says_so_and_takes_nothing(behind_ms: int, kind: str | None) -> None:
    node = Behind()
    payment = base64_of(node.tx("bob", Transfer(account_of("carol"), BEAT)).raw)
    for method, params in (("tx_submit", {"tx": payment}), ("tx_submitBatch", {"txs": [payment]})):
        document = ask(node, method, now_ms=node.time_ms + behind_ms, **params)
        assert (document["error"]["data"]["kind"] if "error" in document else None) == kind
    assert bool(node.pool) == (kind is None)


def test_a_batch_judges_each_transaction_alone() -> None:
    node = DecidedNode()
    good = node.tx("bob", Transfer(account_of("carol"), BEAT))
    found = result(node, "tx_submitBatch", txs=[base64_of(good.raw), base64_of(b"garbage")])["items"]
    assert (found[0]["tx"], found[0]["status"], found[0]["error"]) == (good.id.hex(), "pending", None)
    assert (found[1]["tx"], found[1]["error"]["code"]) == (None, -32003)


def test_a_transaction_never_seen_is_not_found() -> None:
    assert error(DecidedNode(), "tx_get", tx="00" * 32)["code"] == -32001


def test_a_simulation_tells_fee_and_reason_and_does_nothing() -> None:
    node = DecidedNode()
    unpaid = node.tx("bob", Transfer(account_of("carol"), BEAT), max_fee_ubeat=0)
    found = result(node, "tx_simulate", tx=base64_of(unpaid.raw))
    assert int(found["fee_ubeat"]) > 0
    assert found["error"]["kind"] == "tx.fee_too_low"
    assert node.pool == {}


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_has_at_least_one_item(limit: int, played: tuple[DecidedNode, Scene]) -> None:
    assert error(played[0], "account_getHistory", who="bob", limit=limit)["code"] == -32602


def test_a_page_never_has_more_than_two_hundred(played: tuple[DecidedNode, Scene]) -> None:
    found = result(played[0], "account_getHistory", who="bob", limit=10**9)
    assert len(found["items"]) <= 200


@pytest.mark.parametrize("height", [0, 10**15])
def test_a_block_that_is_not_there_is_not_found(height: int, played: tuple[DecidedNode, Scene]) -> None:
    assert error(played[0], "chain_getBlock", height=height)["code"] == -32001


@pytest.mark.parametrize("height", [-1, 10**18, "1", 1.5, None])
def test_a_height_is_a_number_from_zero_on(height: Any, played: tuple[DecidedNode, Scene]) -> None:
    assert error(played[0], "chain_getCommit", height=height)["code"] == -32602


@pytest.mark.parametrize("cursor", ["zz", "abc", "-1", "00" * 300])
def test_a_cursor_that_no_list_gave_is_refused(cursor: str, played: tuple[DecidedNode, Scene]) -> None:
    assert error(played[0], "account_getHistory", who="bob", cursor=cursor)["code"] == -32602
    assert error(played[0], "asset_search", cursor=cursor)["code"] == -32602
