"""`concento explain`: one verb for whatever somebody has copied from somewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from cli import exits
from cli.context import Context, with_context
from cli.grammar import Verb
from cli.nearest import suggestion
from cli.text import explain as text
from concento.errors import KINDS, UNAVAILABLE, Rejected, Unavailable

_HEX: Final = frozenset("0123456789abcdef")

Finding = dict[str, Any]
Look = Callable[[Context, str], Finding | None]


@click.command(cls=Verb)
@click.argument("anything")
@with_context
def explain(context: Context, anything: str) -> None:
    """Say what ANYTHING is: an id, address, name, CID, block height, method, error kind or file."""
    for look in _LOOKS:
        found = look(context, anything.strip())
        if found is not None:
            context.printer.result({"input": anything, **found}, text.explained)
            return
    raise Rejected("explain.unknown", text=anything, suggestion=suggestion(anything, [*KINDS, *UNAVAILABLE]))


def _error(context: Context, what: str) -> Finding | None:
    sentence, hint = KINDS.get(what) or UNAVAILABLE.get(what) or (None, None)
    if sentence is None:
        return None
    error = Rejected(what) if what in KINDS else Unavailable(what)
    code = exits.exit_of(error)
    numbers = {"kind": what, "sentence": sentence, "hint": hint, "exit": code, "retryable": error.retryable}
    return {"is": "error", "document": numbers}


def _file(context: Context, what: str) -> Finding | None:
    path = Path(what)
    if not path.is_file():
        return None
    head = path.read_bytes()[: 1 << 22]
    try:
        document = json.loads(head)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return _json_file(path, head, document)
    from concento.client.audio import SUFFIXES

    if path.suffix.lower() in SUFFIXES:
        return _audio_file(context, path)
    return {"is": "file", "document": {"path": what, "bytes": path.stat().st_size}}


def _json_file(path: Path, head: bytes, document: dict[str, Any]) -> Finding:
    from cli import drafts, statement
    from concento import genesis, light

    form = str(document.get("format", ""))
    if form == genesis.FORMAT:
        found = genesis.parse_genesis(head)
        facts = {"chain_id": found.chain_id, "genesis_hash": found.hash.hex(), "dev": found.dev}
        counts = {"validators": len(found.validators), "parties": len(found.parties)}
        supply = {"supply_ubeat": str(found.supply_ubeat), "time_ms": found.time_ms}
        return {"is": "genesis", "document": {**facts, **counts, **supply}}
    if form == light.FORMAT:
        facts = {name: document.get(name) for name in ("chain_id", "height", "key")}
        return {"is": "proof", "document": {**facts, "next": f"concento proof verify {path}"}}
    if form == statement.FORMAT:
        told = document.get("statement") or {}
        facts = {name: told.get(name) for name in ("who", "address", "from_height", "to_height", "earned_ubeat")}
        return {"is": "statement", "document": {**facts, "next": f"concento earnings verify {path}"}}
    if form == drafts.FORMAT:
        return {"is": "tx_file", "document": {"path": str(path), "next": f"concento tx decode {path}"}}
    if "crypto" in document:
        from concento.client.keyfile import parse

        file = parse(head, str(path))
        return {"is": "key_file", "document": {"key": file.pubkey, "path": file.path, "uuid": file.uuid}}
    return {"is": "json", "document": {"path": str(path), "format": form or None}}


def _audio_file(context: Context, path: Path) -> Finding:
    """What registering this file would say of it, and whether somebody has."""
    from concento.cids import cid
    from concento.client.audio import read_audio

    audio = read_audio(path, path.name)
    identity = cid(audio.content)
    asset = _asked(context, "asset_get", id=identity)
    return {
        "is": "audio",
        "document": {
            "title": audio.title,
            "media_type": audio.media_type,
            "cid": identity,
            "bytes": audio.bytes,
            "duration_ms": audio.facts.duration_ms,
            "sample_rate_hz": audio.facts.sample_rate_hz,
            "channels": audio.facts.channels,
            "asset": asset["id"] if asset else None,
        },
    }


def _content(context: Context, what: str) -> Finding | None:
    if not what.startswith("bafk"):
        return None
    from concento.cids import parse_cid

    content = parse_cid(what)
    asset = _asked(context, "asset_get", id=what)
    if asset is None:
        return {"is": "cid", "document": {"sha256": content.hex(), "asset": None}}
    return {"is": "asset", "document": asset}


def _block(context: Context, what: str) -> Finding | None:
    if not (what.isascii() and what.isdigit() and len(what) < 16):
        return None
    return _found("block", _asked(context, "chain_getBlock", height=int(what)))


def _identity(context: Context, what: str) -> Finding | None:
    """An id, or the beginning of one, of whatever has ids."""
    if what.startswith("@"):
        from cli import labels

        what = labels.known(context.home).get(what[1:], what)
    if not 8 <= len(what) <= 64 or not set(what) <= _HEX:
        return None
    for kind, method, name in IDS:
        found = _asked(context, method, **{name: what})
        if found is not None:
            return {"is": kind, "document": found}
    return None


def _account(context: Context, what: str) -> Finding | None:
    from concento.accounts import PREFIX, PREFIX_DEV, parse_address

    if what.lower().startswith((PREFIX + "1", PREFIX_DEV + "1")) and len(what) > 60:
        parse_address(what, context.dev_guess)
    return _found("account", _asked(context, "account_get", who=context.who(what)))


def _method(context: Context, what: str) -> Finding | None:
    if "_" not in what and not what.startswith("rpc."):
        return None
    methods = context.client.discover()["methods"]
    return _found("method", next((entry for entry in methods if entry["name"] == what), None))


def _found(kind: str, document: dict[str, Any] | None) -> Finding | None:
    return None if document is None else {"is": kind, "document": document}


def _asked(context: Context, method: str, **params: Any) -> dict[str, Any] | None:
    """A node's answer, or None where there is no such thing."""
    from concento.client import RpcError

    try:
        document: dict[str, Any] = context.client.call(method, **params)
    except RpcError as error:
        if error.not_found or error.code in (-32602, -32601):
            return None
        raise
    return document


_LOOKS: Final[tuple[Look, ...]] = (_error, _file, _content, _block, _identity, _method, _account)
"""From what can be told without a node to what cannot; the first that knows it wins."""

IDS: Final = (
    ("transaction", "tx_get", "tx"),
    ("asset", "asset_get", "id"),
    ("licence", "licence_get", "id"),
    ("offer", "licence_getOffer", "id"),
    ("receipt", "receipt_get", "id"),
    ("vault", "vault_get", "id"),
    ("dispute", "dispute_get", "id"),
    ("block", "chain_getBlock", "id"),
)
"""Everything that has ids: what it is called, the method that finds it, and the parameter that takes an id."""
