"""The OpenRPC document, made from the same types that decode parameters and describe answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from concento import __version__
from concento.errors import KINDS, UNAVAILABLE
from node.rpc import errors, shapes
from node.rpc.chain_methods import Nothing
from node.rpc.dispatch import Method

OPENRPC: Final = "1.3.2"
_REF: Final = "#/components/schemas/{name}"


def describe(methods: Mapping[str, Method]) -> dict[str, Any]:
    """The document of a table of methods."""
    table = list(methods.values())
    results, components = msgspec.json.schema_components(
        [*(method.result for method in table), shapes.StreamEvent], ref_template=_REF
    )
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": "Concento node",
            "version": __version__,
            "description": "JSON-RPC 2.0 over HTTP (POST /rpc) and WebSocket (/ws). Parameters by name or in order.",
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"name": "local", "url": "http://127.0.0.1:26600/rpc"}],
        "methods": [_method(method, result) for method, result in zip(table, results, strict=False)],
        "components": {"schemas": components, "errors": _errors(table)},
    }


def with_discovery(methods: Mapping[str, Method]) -> dict[str, Method]:
    """The table with rpc.discover, which answers with the description of them all."""
    table = dict(methods)

    def discover(_call: Any, _params: Any) -> dict[str, Any]:
        return describe(table)

    table["rpc.discover"] = Method("rpc.discover", "This description", Nothing, dict[str, Any], discover)
    return table


def _method(method: Method, result: dict[str, Any]) -> dict[str, Any]:
    example = {
        "name": "example",
        "params": [{"name": name, "value": value} for name, value in method.example.items()],
    }
    return {
        "name": method.name,
        "summary": method.summary,
        "tags": [{"name": method.name.partition("_")[0]}],
        "paramStructure": "either",
        "params": _params(method),
        "result": {"name": "result", "schema": result},
        "errors": [{"$ref": f"#/components/errors/{kind}"} for kind in method.errors],
        "examples": [example],
    }


def _params(method: Method) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(method.params)
    described = schema.get("$defs", {}).get(method.params.__name__, schema)
    required = set(described.get("required", ()))
    return [
        {"name": name, "required": name in required, "schema": described["properties"][name]}
        for name in method.params.__struct_encode_fields__
    ]


def _errors(methods: Iterable[Method]) -> dict[str, Any]:
    """Error objects by kind; what clients branch on is `data.kind`."""
    kinds = sorted({kind for method in methods for kind in method.errors})
    return {kind: _error(kind) for kind in kinds}


def _error(kind: str) -> dict[str, Any]:
    sentence, hint = (KINDS | UNAVAILABLE)[kind]
    return {"code": errors.code_of(kind), "message": sentence, "data": {"kind": kind, "hint": hint}}
