"""The one encoding of wire and store: MessagePack arrays in fixed field order, in exactly one form.

`decode` accepts a byte string only if encoding its value gives the same bytes again, so a hash of received bytes
is a hash of the value. There are no floats, maps or extension types.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, dataclass_transform, overload

import msgspec
from msgspec import Meta

from concento.errors import Rejected

INTEGER_MAX = 2**63 - 1
"""The largest integer of any field: fits a signed 64-bit column and MessagePack."""

NUMBER_MAX = 2**53 - 1
"""The largest height, time or count: exact as a JSON number in every client."""

ARRAY_LENGTH_MAX = 70_000
"""Elements of one array on the wire; above every list of limits.py, below what makes a decoder eat memory."""

Bytes8 = Annotated[bytes, Meta(min_length=8, max_length=8)]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, Meta(min_length=64, max_length=64)]
Natural = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Integer63 = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
BasisPoints = Annotated[int, Meta(ge=0, le=10_000)]

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
class _FrozenByDefault(msgspec.StructMeta):
    """Tells type checkers what every Record inherits at run time: it is frozen."""


class Record(
    msgspec.Struct, metaclass=_FrozenByDefault, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False
):
    """A value with named, typed fields that is encoded as an array; a union member carries its tag first."""


def encode(value: object) -> bytes:
    """The canonical bytes of a record, or of nested tuples, lists, integers, bytes, text, booleans and None."""
    return _ENCODER.encode(value)


@overload
def decode(kind: type[T], data: bytes, what: str = "record") -> T: ...


@overload
def decode(kind: UnionType, data: bytes, what: str = "record") -> Any: ...


def decode(kind: Any, data: bytes, what: str = "record") -> Any:
    """The value of type `kind` in these bytes. Raises Rejected where they are malformed or not canonical."""
    value = _decoded(kind, data, what)
    if kind is Any and not _is_plain(value):
        raise Rejected("encoding.invalid", what=what, reason="maps, extensions and so long arrays have no form")
    if _ENCODER.encode(value) != data:
        raise Rejected("encoding.not_canonical", what=what)
    return value


def decode_own(kind: type[T], data: bytes) -> T:
    """The record in bytes that this program encoded itself, or that a trusted root covers: canonical, so not checked.

    Raises Rejected where they are malformed.
    """
    record: T = _decoded(kind, data, kind.__name__)
    return record


def _decoded(kind: Any, data: bytes, what: str) -> Any:
    try:
        return _decoder(kind).decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Rejected("encoding.invalid", what=what, reason=_reason(error)) from None


_ENCODER: Final = msgspec.msgpack.Encoder()


_COMPILING: Final = Lock()
"""While one thread compiles a record type, another one finds it half done and crashes the process (msgspec 0.22)."""


@lru_cache(maxsize=1_000)
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """Of one type, made once: it is compiled from the type. There are fewer types than are kept."""
    with _COMPILING:
        return msgspec.msgpack.Decoder(kind)


def _is_plain(value: Any) -> bool:
    """Whether a value without a type has neither maps nor extensions in it; of records their types say so."""
    match value:
        case list():
            return len(value) <= ARRAY_LENGTH_MAX and all(_is_plain(item) for item in value)
        case int() | float() | str() | bytes() | None:
            return True
        case _:
            return False


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
