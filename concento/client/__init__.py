"""How programs talk to a node: `Client` (standard library only) and `AsyncClient` (aiohttp), one table of methods.

`AsyncClient` is imported on first use, so that a command line never pays for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from concento.client.client import Client
from concento.client.rpc import RpcError
from concento.client.session import Session, Signer

if TYPE_CHECKING:
    from concento.client.asynchronous import AsyncClient

__all__ = ["AsyncClient", "Client", "RpcError", "Session", "Signer"]


def __getattr__(name: str) -> Any:
    if name != "AsyncClient":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from concento.client.asynchronous import AsyncClient  # noqa: PLC0415 - aiohttp takes 0.2 s to import

    return AsyncClient
