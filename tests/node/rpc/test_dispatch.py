"""JSON-RPC 2.0 as its specification writes it, and what this server adds: typed parameters and limits."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from typing import Any

import pytest

from concento.errors import Broken, Damaged, Rejected, Unavailable
from concento.limits import RPC_BODY_BYTES_MAX, RPC_BODY_COMMAS_MAX
from node.rpc.dispatch import Dispatcher, Params
from node.rpc.errors import Refused
from support.jsonrpc import EXAMPLES, INVALID, PARSE_ERROR, SPECIFIED, Nothing, method, table


class Text(Params):
    text: str
    limit: int | None = None


def refuse_transaction(_call: Any, _params: Any) -> Any:
    raise Refused(Rejected("tx.wrong_chain", chain_id="other"), b"\x07" * 32)


def raising(error: Exception) -> Any:
    def run(_call: Any, _params: Any) -> Any:
        raise error

    return run


TABLE = {row.name: row for row in SPECIFIED} | table(
    method("echo", Text, lambda _call, params: params.text),
    method("big", Text, lambda _call, params: params.text * 100),
    method("refuse", Nothing, refuse_transaction),
    method("missing", Nothing, raising(Rejected("asset.not_found", text="abc"))),
    method("busy", Nothing, raising(Unavailable("node.busy", count=3))),
    method("broken", Nothing, raising(Broken("the secret is at /srv/{x}", x=1))),
    method("bug", Nothing, raising(RuntimeError("/etc/passwd"))),
)


def ask(body: str | bytes, answer_bytes_max: int = 10_000_000) -> Any:
    answer = asyncio.run(Dispatcher[None](TABLE, answer_bytes_max=answer_bytes_max).answer(body, None))
    return None if answer is None else json.loads(answer)


def error_of(body: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = ask(body, **options)["error"]
    return found


def call(name: str, params: Any = None, identity: Any = 1) -> str:
    request = {"jsonrpc": "2.0", "method": name, "id": identity}
    return json.dumps(request if params is None else {**request, "params": params})


@pytest.mark.parametrize(("request_text", "expected"), EXAMPLES)
def test_every_example_of_the_specification_answers_exactly(request_text: str, expected: Any) -> None:
    assert ask(request_text) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc": "2.0", "method": "sum", "params": [NaN], "id": 1}',
        '{"jsonrpc": "2.0", "method": "sum", "params": [1e400], "id": 1}',
        '{"jsonrpc": "2.0", "method": "sum", "params": {"a": 1, "a": 2}, "id": 1}',
        '{"jsonrpc": "2.0", "method": "sum", "params": [' + "9" * 5_000 + '], "id": 1}',
        '{"jsonrpc": "2.0", "method": "echo", "params": ["\\ud800"], "id": 1}',
        '\ufeff{"jsonrpc": "2.0", "method": "sum", "id": 1}',
        "[" * 100_000,
        "",
    ],
)
def test_what_two_programs_may_read_differently_is_a_parse_error(text: str) -> None:
    assert ask(text.encode()) == PARSE_ERROR


def test_bytes_that_are_not_utf8_are_a_parse_error() -> None:
    assert ask(b'{"jsonrpc": "2.0", "method": "echo", "params": ["\xff"], "id": 1}') == PARSE_ERROR


@pytest.mark.parametrize("identity", [0, -5, "", "a b", "\u00e9", 2**53 + 1, 10**300, 1.5])
def test_the_id_comes_back_as_it_was_sent(identity: Any) -> None:
    assert ask(call("get_data", identity=identity))["id"] == identity


def test_an_id_of_null_is_answered_and_no_id_is_not() -> None:
    assert ask('{"jsonrpc":"2.0","method":"get_data","id":null}') == {
        "jsonrpc": "2.0",
        "result": ["hello", 5],
        "id": None,
    }
    assert ask('{"jsonrpc":"2.0","method":"get_data"}') is None


@pytest.mark.parametrize("identity", [True, [], {}])
def test_an_id_of_another_type_is_an_invalid_request(identity: Any) -> None:
    assert ask(call("get_data", identity=identity)) == INVALID


@pytest.mark.parametrize("version", ["1.0", 2.0, None, "2.0 "])
def test_another_version_is_an_invalid_request_and_keeps_its_id(version: Any) -> None:
    answer = ask(json.dumps({"jsonrpc": version, "method": "get_data", "id": 7}))
    assert answer == {**INVALID, "id": 7}


@pytest.mark.parametrize("params", ["bar", 1, True])
def test_parameters_that_are_neither_list_nor_object_are_an_invalid_request(params: Any) -> None:
    assert ask(call("sum", params, 7)) == {**INVALID, "id": 7}


def test_a_notification_of_anything_wrong_is_never_answered() -> None:
    assert ask('{"jsonrpc":"2.0","method":"subtract","params":{"nope":1}}') is None
    assert ask('{"jsonrpc":"2.0","method":"bug"}') is None


def test_an_unknown_parameter_is_named_with_the_nearest_that_exists() -> None:
    error = error_of(call("subtract", {"minuend": 1, "subtrahent": 2}))
    assert error["code"] == -32602
    assert error["message"] == "subtract has no parameter subtrahent (did you mean subtrahend?)"
    assert error["data"] == {
        "kind": "rpc.param_unknown",
        "hint": "its parameters: minuend, subtrahend",
        "retryable": False,
        "field": "subtrahent",
        "tx": None,
        "height": None,
        "numbers": {
            "method": "subtract",
            "name": "subtrahent (did you mean subtrahend?)",
            "names": "minuend, subtrahend",
        },
    }


@pytest.mark.parametrize(
    ("params", "kind", "field"),
    [
        ({"minuend": 1}, "rpc.param_missing", "subtrahend"),
        ([1], "rpc.param_missing", "subtrahend"),
        ([1, 2, 3], "rpc.params_too_many", None),
        ({"minuend": "1", "subtrahend": 2}, "rpc.param_invalid", "minuend"),
        ({"minuend": True, "subtrahend": 2}, "rpc.param_invalid", "minuend"),
        ({"minuend": 1.5, "subtrahend": 2}, "rpc.param_invalid", "minuend"),
        ({"minuend": None, "subtrahend": 2}, "rpc.param_invalid", "minuend"),
    ],
)
def test_wrong_parameters_say_which_one(params: Any, kind: str, field: str | None) -> None:
    error = error_of(call("subtract", params))
    assert (error["code"], error["data"]["kind"], error["data"]["field"]) == (-32602, kind, field)


def test_codes_tell_refused_missing_and_unavailable_apart() -> None:
    refused, missing, busy = error_of(call("refuse")), error_of(call("missing")), error_of(call("busy"))
    assert (refused["code"], refused["data"]["kind"], refused["data"]["tx"]) == (-32003, "tx.wrong_chain", "07" * 32)
    assert (missing["code"], missing["data"]["kind"]) == (-32001, "asset.not_found")
    assert (busy["code"], busy["data"]["kind"], busy["data"]["retryable"]) == (-32005, "node.busy", True)
    assert busy["data"]["numbers"] == {"count": 3}


@pytest.mark.parametrize("name", ["bug", "broken"])
def test_nothing_of_the_inside_leaves_with_an_internal_error(name: str) -> None:
    error = error_of(call(name))
    assert (error["code"], error["message"], error["data"]["kind"]) == (-32603, "Internal error", "internal")
    assert "/" not in json.dumps(error)


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ("segment-00000001 is damaged at byte 70", "segment-00000001 is damaged at byte 70"),
        (
            "the store /srv/node1/store cannot be read: Corruption: block checksum: /srv/node1/store/000005.ldb",
            "the store store cannot be read: Corruption: block checksum: 000005.ldb",
        ),
    ],
)
def test_what_the_disk_does_not_give_back_is_named_with_what_mends_it_and_no_folder(what: str, shown: str) -> None:
    found: list[str] = []
    methods = table(method("old", Nothing, raising(Damaged(what, "concento node repair"))))
    dispatcher = Dispatcher[None](methods, found_damage=found.append)
    answer = asyncio.run(dispatcher.answer(call("old"), None))
    error = json.loads(answer or b"")["error"]
    assert (error["code"], error["data"]["kind"]) == (-32002, "store.damaged")
    assert error["message"] == f"the node's disk is damaged: {shown}"
    assert error["data"]["hint"] == "ask another node; its operator stops it and runs: concento node repair"
    assert found == [f"{what}; stop the node and run: concento node repair"]


@pytest.mark.parametrize("item", ["[]", "{}", "1", '{"a":1}', '{"a":[]}'])
@pytest.mark.parametrize("shape", ["[%s]", '{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {"text": [%s]}}'])
def test_a_body_of_very_many_values_is_answered_before_it_is_read(shape: str, item: str) -> None:
    body = shape % ",".join([item] * ((RPC_BODY_BYTES_MAX - 100) // (len(item) + 1)))
    tracemalloc.start()
    started = time.process_time()
    error = error_of(body)
    taken_s, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (error["code"], error["data"]["kind"]) == (-32005, "rpc.body_too_full")
    assert taken_s < 0.2
    assert peak < 1_000_000


def test_as_many_values_as_are_allowed_are_read_within_bounds() -> None:
    body = "[" + ",".join(["[]"] * RPC_BODY_COMMAS_MAX) + "]"
    tracemalloc.start()
    error = error_of(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error["data"]["kind"] == "rpc.batch_too_long"
    assert peak < 16_000_000


def test_an_unknown_parameter_of_megabytes_is_answered_soon_and_not_repeated() -> None:
    name = "abcdefgh" * 600_000
    started = time.process_time()
    error = error_of(call("echo", {name: 1}))
    assert time.process_time() - started < 1.0
    assert error["data"]["kind"] == "rpc.param_unknown"
    assert len(json.dumps(error)) < 1_000


def test_half_a_surrogate_beside_an_escaped_backslash_is_a_parse_error() -> None:
    """It is no letter, and an answer with it could not be written."""
    body = b'{"jsonrpc": "2.0", "id": "\\ud800\\\\\\udc00", "method": "echo", "params": {"text": "a"}}'
    assert ask(body) == PARSE_ERROR


def test_a_batch_has_at_most_a_hundred_requests() -> None:
    assert len(ask("[" + ",".join([call("get_data")] * 100) + "]")) == 100
    answer = ask("[" + ",".join([call("get_data")] * 101) + "]")
    assert (answer["error"]["code"], answer["error"]["data"]["kind"]) == (-32005, "rpc.batch_too_long")
    assert answer["id"] is None


def test_a_body_above_the_limit_is_an_error_object() -> None:
    error = error_of(call("echo", ["x" * RPC_BODY_BYTES_MAX]))
    assert (error["code"], error["data"]["kind"]) == (-32005, "rpc.body_too_large")


def test_an_answer_above_the_limit_is_an_error_object_and_the_rest_of_its_batch_too() -> None:
    error = error_of(call("big", ["x" * 100]), answer_bytes_max=5_000)
    assert (error["code"], error["data"]["kind"]) == (-32005, "rpc.answer_too_large")
    answers = ask("[" + ",".join([call("big", ["x" * 20])] * 4) + "]", answer_bytes_max=5_000)
    assert ["error" in answer for answer in answers] == [False, False, True, True]


def test_requests_are_counted_with_their_outcome() -> None:
    seen: list[tuple[str, str]] = []
    dispatcher = Dispatcher[None](TABLE, lambda name, kind, seconds: seen.append((name, kind)))
    for name in ("get_data", "missing", "nope", "bug"):
        asyncio.run(dispatcher.answer(call(name), None))
    assert seen == [
        ("get_data", "ok"),
        ("missing", "asset.not_found"),
        ("unknown", "rpc.method_not_found"),
        ("bug", "internal"),
    ]
