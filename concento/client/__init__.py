"""How programs talk to a node: `Client` (standard library only) and `AsyncClient` (aiohttp), one table of methods.

What takes long to import is imported on first use, so that a command that only reads never pays for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from concento.client.client import Client
from concento.client.rpc import RpcError
from concento.client.signer import Signer

if TYPE_CHECKING:
    from concento.client.asynchronous import AsyncClient
    from concento.client.session import Session

__all__ = ["AsyncClient", "Client", "RpcError", "Session", "Signer"]

_LATER: Final = {
    "AsyncClient": "concento.client.asynchronous",  # aiohttp: 0.2 s
    "Session": "concento.client.session",  # every message of the ledger: 50 ms
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(module), name)
