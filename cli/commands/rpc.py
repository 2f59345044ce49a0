"""`concento rpc`: any method of a node, as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from cli.context import Context, with_context
from cli.grammar import Verb
from cli.nearest import suggestion
from concento.errors import Rejected


@click.command(cls=Verb)
@click.argument("method")
@click.argument("params", nargs=-1, metavar="[NAME=VALUE]...")
@with_context
def rpc(context: Context, method: str, params: Sequence[str]) -> None:
    """Call a METHOD with parameters by name and print the result.

    \b
    concento rpc node_getStatus
    concento rpc chain_getBlock height=5
    concento rpc chain_subscribe topics:='["licences"]'     VALUE after := is JSON
    """
    from concento.client import RpcError

    try:
        result = context.client.call(method, **_parse(context, method, params))
    except RpcError as error:
        if error.code != -32601:
            raise
        names = [entry["name"] for entry in context.client.discover()["methods"]]
        meant = suggestion(method, names) or " See: concento rpc rpc.discover"
        raise Rejected("rpc.method_unknown", method=method, suggestion=meant) from None
    context.printer.result(result, lambda value: [json.dumps(value, indent=2, ensure_ascii=False)])


def _parse(context: Context, method: str, params: Sequence[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals or not name.rstrip(":"):
            raise click.UsageError(f"{text} is not NAME=VALUE.")
        if name.endswith(":"):
            given[name[:-1]] = _json(text, value)
        elif value in ("true", "false", "null"):
            given[name] = json.loads(value)
        else:
            given[name] = value
    numeric = [name for name, value in given.items() if isinstance(value, str) and _is_number(value)]
    if numeric:
        texts = _text_parameters(context, method)
        given.update({name: int(given[name]) for name in numeric if name not in texts})
    return given


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 16


def _json(text: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise click.UsageError(f"{text}: what stands after := is not JSON.") from None


def _text_parameters(context: Context, method: str) -> frozenset[str]:
    """The parameters that are text: an id may consist of digits alone. Says the node's own description."""
    for entry in context.client.discover()["methods"]:
        if entry["name"] == method:
            return frozenset(
                param["name"] for param in entry["params"] if "string" in json.dumps(param.get("schema", {}))
            )
    return frozenset()
