"""JSON-RPC 2.0 without a transport: the bytes of a request in, the bytes of its answer out, or nothing to send.

Follows https://www.jsonrpc.org/specification to the letter, every example of its section 7 among the tests. What a
method is, and what a caller may do, is the business of `methods.py` and the server; no exception leaves this file.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import msgspec

from concento.errors import ConcentoError, Damaged, Rejected
from concento.limits import RPC_ANSWER_BYTES_MAX, RPC_BATCH_ITEMS_MAX, RPC_BODY_BYTES_MAX, RPC_BODY_COMMAS_MAX
from concento.strictjson import loads
from node.rpc import errors
from node.rpc.errors import Refused, damage_object, error_object, internal_error, protocol_error, refusal_object

_log = logging.getLogger(__name__)

C = TypeVar("C")


class Params(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a method: by name, or by position in the order of the fields."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `run(call, params)` gives the result or an awaitable of it; raises ConcentoError to refuse.

    `local` methods answer only programs on the node's own machine. `example` is one request that a test executes.
    """

    name: str
    summary: str
    params: type[Params]
    result: Any
    run: Callable[[Any, Any], Any]
    errors: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)
    local: bool = False


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_NAME_LENGTH_MAX: Final = 64
"""Letters of a parameter's name; no method has one half as long."""


def observe_nothing(method: str, kind: str, seconds: float) -> None:
    """Where nobody counts requests."""


class Dispatcher(Generic[C]):
    """Answers requests with the methods of a table; `C` is what the server tells a method about its caller."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        observe: Callable[[str, str, float], None] = observe_nothing,
        found_damage: Callable[[str], None] = _log.error,
        answer_bytes_max: int = RPC_ANSWER_BYTES_MAX,
    ) -> None:
        self.methods = methods
        self._observe = observe
        self._found_damage = found_damage
        self._answer_bytes_max = answer_bytes_max

    async def answer(self, body: bytes | str, call: C) -> bytes | None:
        """The answer to one request or batch, or None where there is none to give (notifications)."""
        if len(body) > RPC_BODY_BYTES_MAX:
            return limit_answer("rpc.body_too_large", bytes_max=RPC_BODY_BYTES_MAX)
        if (body.count(b",") if isinstance(body, bytes) else body.count(",")) > RPC_BODY_COMMAS_MAX:
            return limit_answer("rpc.body_too_full", count_max=RPC_BODY_COMMAS_MAX)
        try:
            document = loads(body)
        except Rejected:
            return _answer(None, error=protocol_error(errors.PARSE_ERROR))
        return await self.answer_document(document, call)

    async def answer_document(self, document: Any, call: C) -> bytes | None:
        """The answer to a request or batch that was decoded already."""
        if not isinstance(document, list):
            return await self._one(document, call, self._answer_bytes_max)
        if not document:
            return _answer(None, error=protocol_error(errors.INVALID_REQUEST))
        if len(document) > RPC_BATCH_ITEMS_MAX:
            return limit_answer("rpc.batch_too_long", count=len(document), count_max=RPC_BATCH_ITEMS_MAX)
        answers: list[bytes] = []
        room = self._answer_bytes_max
        for item in document:
            answer = await self._one(item, call, room)
            # A long batch of short reads must not hold the event loop.
            await asyncio.sleep(0)
            if answer is not None:
                answers.append(answer)
                room -= len(answer)
        return b"[" + b",".join(answers) + b"]" if answers else None

    async def _one(self, request: Any, call: C, room: int) -> bytes | None:
        if not _is_request(request):
            return _answer(_identity(request), error=protocol_error(errors.INVALID_REQUEST))
        identity = _identity(request)
        answer = await self._run(request["method"], request.get("params", {}), call, identity, room)
        return answer if "id" in request else None

    async def _run(self, name: str, given: Any, call: C, identity: Any, room: int) -> bytes:
        method = self.methods.get(name)
        if method is None:
            self._observe("unknown", "rpc.method_not_found", 0.0)
            return _answer(identity, error=protocol_error(errors.METHOD_NOT_FOUND))
        started = time.perf_counter()
        kind = "ok"
        try:
            result = method.run(call, bind(method, given))
            if inspect.isawaitable(result):
                result = await result
            answer = _answer(identity, result=result)
            if len(answer) > room:
                raise Rejected("rpc.answer_too_large", bytes=len(answer), bytes_max=self._answer_bytes_max)
        except Refused as refused:
            kind, answer = refused.error.kind, _answer(identity, error=refusal_object(refused))
        except BadParams as bad:
            kind, answer = bad.error.kind, _answer(identity, error=error_object(bad.error, field=bad.field))
        except Damaged as error:
            self._found_damage(str(error))
            kind, answer = "store.damaged", _answer(identity, error=damage_object(error))
        except (Rejected, ConcentoError) as error:
            kind, answer = error.kind, _answer(identity, error=error_object(error))
            if error.kind == "broken":
                _log.critical("%s failed: %s", name, error)
        except Exception:
            _log.exception("%s failed", name)
            kind, answer = "internal", _answer(identity, error=internal_error())
        self._observe(name, kind, time.perf_counter() - started)
        return answer


class BadParams(Exception):
    """Parameters that a method does not take, and which of them."""

    def __init__(self, error: Rejected, field: str | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.field = field


def bind(method: Method, given: Any) -> Params:
    """The typed parameters in what was given by name or position. Raises BadParams."""
    names = method.params.__struct_encode_fields__
    if isinstance(given, list):
        if len(given) > len(names):
            raise BadParams(
                Rejected("rpc.params_too_many", method=method.name, count=len(given), count_max=len(names)), None
            )
        given = dict(zip(names, given, strict=False))
    for name in given:
        if name not in names:
            raise BadParams(_unknown(method, str(name)), _short(str(name)))
    for name in _required(method.params):
        if name not in given:
            raise BadParams(Rejected("rpc.param_missing", method=method.name, name=name), name)
    try:
        return msgspec.convert(given, method.params)
    except (msgspec.ValidationError, RecursionError) as error:
        reason, _, place = str(error).partition(" - at ")
        found = re.match(r"`\$\.(\w+)", place)
        name = found.group(1) if found else None
        raise BadParams(Rejected("rpc.param_invalid", method=method.name, name=name, reason=reason), name) from None


@lru_cache(maxsize=1_000)
def _required(params: type[Params]) -> tuple[str, ...]:
    """The names that must be given: to find them takes longer than most requests."""
    return tuple(found.encode_name for found in msgspec.structs.fields(params) if found.required)


def _unknown(method: Method, name: str) -> Rejected:
    names = method.params.__struct_encode_fields__
    # A name of megabytes is neither compared, which takes a second, nor sent back three times over.
    near = difflib.get_close_matches(name, names, n=1) if len(name) <= _NAME_LENGTH_MAX else []
    shown = f"{name} (did you mean {near[0]}?)" if near else _short(name)
    return Rejected("rpc.param_unknown", method=method.name, name=shown, names=", ".join(names) or "none")


def _short(name: str) -> str:
    """The name as an answer repeats it."""
    return name if len(name) <= _NAME_LENGTH_MAX else name[:_NAME_LENGTH_MAX] + "..."


def limit_answer(kind: str, **numbers: int) -> bytes:
    """The answer, without an id, to something that is too large to be looked at."""
    return _answer(None, error=error_object(Rejected(kind, **numbers)))


def unavailable_answer(error: ConcentoError) -> bytes:
    """The answer, without an id, to something that never became a request."""
    return _answer(None, error=error_object(error))


_ID_TYPES: Final = (str, int, float, type(None))


def _is_request(request: Any) -> bool:
    return (
        isinstance(request, dict)
        and request.get("jsonrpc") == "2.0"
        and isinstance(request.get("method"), str)
        and isinstance(request.get("params", {}), dict | list)
        and _is_id(request.get("id"))
    )


def _is_id(identity: Any) -> bool:
    # MessagePack has numbers that are none in JSON, in which every answer is written.
    is_written = not isinstance(identity, float) or math.isfinite(identity)
    return is_written and isinstance(identity, _ID_TYPES) and not isinstance(identity, bool)


def _identity(request: Any) -> Any:
    identity = request.get("id") if isinstance(request, dict) else None
    return identity if _is_id(identity) else None


def _answer(identity: Any, **outcome: Any) -> bytes:
    """One response object; `outcome` is `result` or `error`."""
    return encode_json({"jsonrpc": "2.0", **outcome, "id": identity})


def encode_json(value: Any) -> bytes:
    """JSON as it leaves: compact, UTF-8, never NaN."""
    return _ENCODER.encode(value).encode()
