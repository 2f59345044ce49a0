"""Which gateway to read from, and whether it is there."""

from __future__ import annotations

import http.client
import json
import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cli.files import read_json
from concento.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from cli.context import Context

_PORT_OFFSET: Final = 40
_TIMEOUT_S: Final = 5.0


def gateway_url(context: Context, named: str | None) -> str:
    """The gateway that was named, that of CONCENTO_GATEWAY, that of the local network, or the node's neighbour."""
    chosen = named or os.environ.get("CONCENTO_GATEWAY")
    if chosen:
        return chosen.rstrip("/")
    ready = context.home / "testnet" / "ready.json"
    if ready.exists():
        return str(read_json(ready, "ready file")["gateway"]["url"])
    parts = urlsplit(context.client.url)
    return f"{parts.scheme}://{parts.hostname}:{(parts.port or 26600) + _PORT_OFFSET}"


def look(url: str) -> dict[str, Any]:
    """`{url, ready, text}` of a gateway. Raises Unavailable gateway.unreachable."""
    status, body = _get(url, "/readyz")
    return {"url": url, "ready": status == 200, "text": body.decode("utf-8", "replace").strip()}


def about(url: str) -> dict[str, Any]:
    """Who a gateway is: `{address, key, ...}`. Raises Unavailable gateway.unreachable."""
    status, body = _get(url, "/")
    try:
        document: dict[str, Any] = json.loads(body)
    except ValueError:
        raise Unavailable("gateway.unreachable", url=url, reason="it does not say who it is") from None
    if status != 200 or "address" not in document:
        raise Unavailable("gateway.unreachable", url=url, reason="it does not say who it is")
    return document


def _get(url: str, path: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Rejected("url.malformed", text=url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(1 << 16)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unavailable("gateway.unreachable", url=url, reason=reason) from None
    finally:
        connection.close()
