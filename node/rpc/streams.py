"""Events to readers that stay: WebSocket connections with subscriptions, and the event stream of browsers and curl."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import WSMsgType, web

from concento.errors import Rejected
from concento.limits import RPC_BODY_BYTES_MAX
from node.rpc.calls import Call, Connection
from node.rpc.dispatch import Dispatcher, encode_json
from node.rpc.feed import Feed, parse_cursor, wanted_by

STREAMS_MAX: Final = 400
"""WebSocket connections and event streams of one node: what is left of the connections answers requests."""

SUBSCRIPTIONS_MAX: Final = 16
"""Subscriptions of one connection; each is a task."""

REQUESTS_AT_ONCE_MAX: Final = 16
"""Requests of one connection that are worked on at a time; the next is not read before."""

PING_S: Final = 20.0
QUIET_S_MAX: Final = 15.0
"""An event stream with nothing to say says so this often, so that a proxy or a dead reader shows."""

_MESSAGE_BYTES_MAX: Final = 2 * RPC_BODY_BYTES_MAX
"""A message above the body limit gets an error object; one above this ends the connection."""


class Streams:
    """The open streams of one server."""

    def __init__(self, feed: Feed, streams_max: int = STREAMS_MAX) -> None:
        self.feed = feed
        self._streams_max = streams_max
        self._open: dict[int, Callable[[], Any]] = {}
        self._number = 0

    def enter(self, stop: Callable[[], Any]) -> int:
        """Counts one more; `stop` ends it. Raises Rejected at the limit."""
        if len(self._open) >= self._streams_max:
            raise Rejected("rpc.streams_full", count=len(self._open))
        self._number += 1
        self._open[self._number] = stop
        return self._number

    def leave(self, number: int) -> None:
        self._open.pop(number, None)

    async def close(self) -> None:
        for stop in list(self._open.values()):
            outcome = stop()
            if asyncio.iscoroutine(outcome):
                await outcome


async def websocket(
    request: web.Request, streams: Streams, dispatcher: Dispatcher[Call], call: Call
) -> web.StreamResponse:
    """Serves one WebSocket until either side closes it."""
    socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=_MESSAGE_BYTES_MAX, timeout=2.0)
    try:
        number = streams.enter(lambda: socket.close(code=1001, message=b"the node stops"))
    except Rejected as error:
        return web.Response(status=503, text=f"{error}\n", headers={"Retry-After": "1"})
    session = _Session(socket, streams.feed, dispatcher, call)
    try:
        await socket.prepare(request)
        await session.run()
    finally:
        streams.leave(number)
        await session.stop()
    return socket


class _Session:
    """One WebSocket: its requests and its subscriptions, each in a task of its own."""

    def __init__(self, socket: web.WebSocketResponse, feed: Feed, dispatcher: Dispatcher[Call], call: Call) -> None:
        self._socket = socket
        self._feed = feed
        self._dispatcher = dispatcher
        connection = Connection(self._subscribe, self._unsubscribe)
        self._call = Call(call.desk, call.local, call.wait_until_s, connection)
        self._room = asyncio.Semaphore(REQUESTS_AT_ONCE_MAX)
        self._requests: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, tuple[str | None, tuple[str, ...]]] = {}
        self._number = 0

    async def run(self) -> None:
        async for message in self._socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            await self._room.acquire()
            task = asyncio.ensure_future(self._answer(message.data))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def stop(self) -> None:
        tasks = [*self._requests, *self._subscriptions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, body: bytes | str) -> None:
        try:
            answer = await self._dispatcher.answer(body, self._call.asked_now())
            if answer is not None and not self._socket.closed:
                await self._socket.send_str(answer.decode())
            self._begin_waiting()
        except ConnectionError:
            return
        finally:
            self._room.release()

    def _subscribe(self, start: str | None, topics: tuple[str, ...]) -> str:
        count = len(self._subscriptions) + len(self._waiting)
        if count >= SUBSCRIPTIONS_MAX:
            raise Rejected("rpc.subscriptions_full", count_max=SUBSCRIPTIONS_MAX)
        if start is None:
            # From now on, also where the first event comes before this subscription's answer has left.
            start = str(self._feed.height)
        parse_cursor(start)
        self._number += 1
        name = f"{self._number:x}"
        self._waiting[name] = (start, topics)
        return name

    def _begin_waiting(self) -> None:
        """Starts the subscriptions whose answers have left: no event comes before the id that it belongs to."""
        for name, (start, topics) in self._waiting.items():
            self._subscriptions[name] = asyncio.ensure_future(self._send_events(name, start, topics))
        self._waiting.clear()

    def _unsubscribe(self, name: str) -> None:
        task = self._subscriptions.pop(name, None)
        if task is None and self._waiting.pop(name, None) is None:
            raise Rejected("rpc.subscription_unknown", text=name[:40])
        if task is not None:
            task.cancel()

    async def _send_events(self, name: str, start: str | None, topics: tuple[str, ...]) -> None:
        try:
            async for event in self._feed.read(start, wanted_by(topics)):
                params = {"subscription": name, "result": event}
                notice = {"jsonrpc": "2.0", "method": "chain_subscription", "params": params}
                await self._socket.send_str(encode_json(notice).decode())
        except ConnectionError:
            return


async def server_sent(
    request: web.Request, streams: Streams, start: str | None, topics: tuple[str, ...]
) -> web.StreamResponse:
    """Server-sent events until the reader goes. Raises Rejected for a bad cursor or where too many read already."""
    if start is not None:
        parse_cursor(start)
    task = asyncio.current_task()
    number = streams.enter(task.cancel if task is not None else lambda: None)
    try:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        await _write_events(response, streams.feed, start, topics)
    except ConnectionError:
        pass
    finally:
        streams.leave(number)
    return response


async def _write_events(response: web.StreamResponse, feed: Feed, start: str | None, topics: tuple[str, ...]) -> None:
    events = aiter(feed.read(start, wanted_by(topics)))
    following: asyncio.Task[dict[str, Any]] = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait([following], timeout=QUIET_S_MAX)
            if not done:
                await response.write(b": nothing new\n\n")
                continue
            event = following.result()
            following = asyncio.ensure_future(anext(events))
            name = b"id: %s\n" % event["cursor"].encode() if "cursor" in event else b""
            await response.write(name + b"data: " + encode_json(event) + b"\n\n")
    except StopAsyncIteration:
        return
    finally:
        following.cancel()
