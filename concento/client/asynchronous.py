"""The asyncio client: the same calls as `Client`, over aiohttp."""

from __future__ import annotations

import http
from collections.abc import AsyncIterator, Awaitable
from types import TracebackType
from typing import Any

import aiohttp

from concento.client.client import DEFAULT_URL, TIMEOUT_S
from concento.client.methods import Methods
from concento.client.rpc import answer_value, raise_stream_refusal, request_bytes
from concento.errors import Unavailable
from concento.strictjson import loads


class AsyncClient(Methods[Awaitable[Any]]):
    """Talks to a node, and to the next of `others` where it does not answer; many calls may be under way at once."""

    def __init__(self, url: str = DEFAULT_URL, *others: str, timeout_s: float = TIMEOUT_S) -> None:
        self.urls = (url, *others)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._number = 0

    @property
    def url(self) -> str:
        """The node that is asked first."""
        return self.urls[0]

    async def call(self, method: str, /, **params: Any) -> Any:
        self._number += 1
        body = request_bytes(self._number, method, params)
        for url in self.urls[:-1]:
            try:
                return answer_value(await self._post(url, body), url)
            except Unavailable:
                continue
        last = self.urls[-1]
        return answer_value(await self._post(last, body), last)

    async def events(self, topics: str = "", start: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """Events as they become final, for ever, resumed after a broken connection without a gap."""
        cursor = start
        while True:
            query = {name: value for name, value in (("topics", topics), ("from", cursor)) if value}
            try:
                timeout = aiohttp.ClientTimeout(sock_read=self._timeout.total)
                async with self._http().get(f"{self.url}/events", params=query, timeout=timeout) as response:
                    if response.status != http.HTTPStatus.OK:
                        raise_stream_refusal(response.status, await response.read(), self.url)
                    async for line in response.content:
                        if line.startswith(b"data:"):
                            event = loads(line[5:], "event")
                            cursor = event.get("cursor", cursor)
                            yield event
            except TimeoutError:
                continue
            except (aiohttp.ClientError, OSError) as error:
                raise Unavailable("node.unreachable", url=self.url, reason=str(error)) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    async def _post(self, url: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        try:
            async with self._http().post(f"{url}/rpc", data=body, headers=headers, timeout=self._timeout) as response:
                return await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable("node.unreachable", url=url, reason=str(error) or type(error).__name__) from None
