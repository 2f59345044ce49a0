"""The blocking client: standard library only, one kept-alive connection per node."""

from __future__ import annotations

import http
import http.client
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from concento.client.methods import Methods
from concento.client.rpc import answer_value, raise_stream_refusal, request_bytes
from concento.errors import Rejected, Unavailable

TIMEOUT_S: Final = 40.0
"""Longer than the longest wait that a node holds a request for (30 s)."""

DEFAULT_URL: Final = "http://127.0.0.1:26600"


class Client(Methods[Any]):
    """Talks to a node, and to the next of `others` where it does not answer. Not for several threads at once."""

    def __init__(self, url: str = DEFAULT_URL, *others: str, timeout_s: float = TIMEOUT_S) -> None:
        self.urls = (url, *others)
        self._timeout_s = timeout_s
        self._connections: dict[str, http.client.HTTPConnection] = {}
        self._number = 0

    @property
    def url(self) -> str:
        """The node that is asked first."""
        return self.urls[0]

    def call(self, method: str, /, **params: Any) -> Any:
        self._number += 1
        body = request_bytes(self._number, method, params)
        for url in self.urls[:-1]:
            try:
                return answer_value(self._post(url, body), url)
            except Unavailable:
                continue
        last = self.urls[-1]
        return answer_value(self._post(last, body), last)

    def events(self, topics: str = "", start: str | None = None) -> Iterator[dict[str, Any]]:
        """Events as they become final, for ever, resumed after a broken connection without a gap.

        `start` is a cursor "height.index": the first event after it comes first. Raises RpcError where it is none.
        """
        cursor = start
        while True:
            connection = _connect(self.url, self._timeout_s)
            try:
                query = urlencode({k: v for k, v in (("topics", topics), ("from", cursor)) if v})
                connection.request("GET", f"/events?{query}", headers={"Accept": "text/event-stream"})
                response = connection.getresponse()
                if response.status != http.HTTPStatus.OK:
                    raise_stream_refusal(response.status, response.read(), self.url)
                for event in _server_sent(response):
                    cursor = event.get("cursor", cursor)
                    yield event
            except TimeoutError:
                continue
            except (OSError, http.client.HTTPException) as error:
                raise Unavailable("node.unreachable", url=self.url, reason=_reason(error)) from None
            finally:
                connection.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _post(self, url: str, body: bytes) -> bytes:
        """One POST; a kept-alive connection that the server has closed meanwhile is opened again once."""
        for fresh in (False, True):
            connection = self._connections.get(url)
            if connection is None or fresh:
                connection = self._connections[url] = _connect(url, self._timeout_s)
                fresh = True
            try:
                connection.request("POST", "/rpc", body, {"Content-Type": "application/json"})
                return connection.getresponse().read()
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                self._connections.pop(url, None)
                if fresh:
                    raise Unavailable("node.unreachable", url=url, reason=_reason(error)) from None
        raise Unavailable("node.unreachable", url=url, reason="the connection was closed twice")


def _connect(url: str, timeout_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    try:
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname, parts.port, timeout=timeout_s)
    except ValueError:
        raise Rejected("url.malformed", text=url) from None


def _server_sent(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in response:
        if line.startswith(b"data:"):
            yield json.loads(line[5:])


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
