"""Protocol Buffers, the wire form: the little of it that ABCI needs, and no more.

A message is a frozen dataclass whose fields are declared with `uint`, `signed`, `text`, `raw`, `nested` and their
repeated forms. Decoding takes what the specification says a reader must take (fields in any order, unknown fields,
the last of a repeated single field, packed numbers) and refuses everything else with Malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

M = TypeVar("M")

VARINT: Final = 0
LENGTH: Final = 2
VARINT_BYTES_MAX: Final = 10
"""A 64-bit number in groups of seven bits."""
DEPTH_MAX: Final = 16
"""Messages within messages; those of ABCI go five deep."""
_MASK: Final = (1 << 64) - 1


class Malformed(Exception):
    """These bytes are no message of the kind that was asked for."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    number: int
    kind: str
    """ "uint", "signed", "text", "raw" or "nested"."""
    message: type[Any] | None
    is_many: bool


def uint(number: int) -> Any:
    """A uint32, uint64, bool or enum."""
    return field(default=0, metadata={"proto": (number, "uint", None, False)})


def signed(number: int) -> Any:
    """An int32 or int64: below zero it is ten bytes of two's complement."""
    return field(default=0, metadata={"proto": (number, "signed", None, False)})


def text(number: int) -> Any:
    return field(default="", metadata={"proto": (number, "text", None, False)})


def raw(number: int) -> Any:
    return field(default=b"", metadata={"proto": (number, "raw", None, False)})


def nested(number: int, message: type[Any]) -> Any:
    return field(default=None, metadata={"proto": (number, "nested", message, False)})


def many_uint(number: int) -> Any:
    return field(default=(), metadata={"proto": (number, "uint", None, True)})


def many_text(number: int) -> Any:
    return field(default=(), metadata={"proto": (number, "text", None, True)})


def many_raw(number: int) -> Any:
    return field(default=(), metadata={"proto": (number, "raw", None, True)})


def many(number: int, message: type[Any]) -> Any:
    return field(default=(), metadata={"proto": (number, "nested", message, True)})


_TABLES: Final[dict[type[Any], dict[int, _Field]]] = {}


def _table(kind: type[Any]) -> dict[int, _Field]:
    """The fields of a message by their numbers, in the order in which they are written."""
    found = _TABLES.get(kind)
    if found is None:
        listed = [_Field(entry.name, *entry.metadata["proto"]) for entry in fields(kind)]
        found = {entry.number: entry for entry in sorted(listed, key=lambda entry: entry.number)}
        _TABLES[kind] = found
    return found


def encode(message: Any) -> bytes:
    """The bytes of a message; fields that hold their default are left out, as proto3 says."""
    parts: list[bytes] = []
    for entry in _table(type(message)).values():
        value = getattr(message, entry.name)
        if entry.is_many:
            for item in value:
                parts += _encoded(entry, item)
        elif value is not None and (entry.kind == "nested" or value):
            parts += _encoded(entry, value)
    return b"".join(parts)


def _encoded(entry: _Field, value: Any) -> tuple[bytes, ...]:
    match entry.kind:
        case "uint" | "signed":
            return varint(entry.number << 3 | VARINT), varint(value & _MASK)
        case "raw":
            body: bytes = value
        case "text":
            body = value.encode()
        case "nested":
            body = encode(value)
        case _:
            raise TypeError(f"{entry.kind} is no kind of field")
    return varint(entry.number << 3 | LENGTH), varint(len(body)), body


def decode(kind: type[M], data: bytes, depth: int = 0) -> M:
    """The message of this kind in these bytes. Raises Malformed."""
    if depth > DEPTH_MAX:
        raise Malformed("messages within messages")
    known = _table(kind)
    values: dict[str, Any] = {}
    at, end = 0, len(data)
    while at < end:
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not 1 <= number < 1 << 29:
            raise Malformed(f"field number {number}")
        value, at = _value(data, at, wire)
        entry = known.get(number)
        if entry is not None:
            _store(values, entry, wire, value, depth)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _value(data: bytes, at: int, wire: int) -> tuple[Any, int]:
    """The value that begins here, and where the next field begins."""
    match wire:
        case 0:
            return read_varint(data, at)
        case 2:
            size, at = read_varint(data, at)
        case 1:
            size = 8
        case 5:
            size = 4
        case _:
            raise Malformed(f"wire type {wire}")
    if size > len(data) - at:
        raise Malformed("a field ends behind its message")
    return data[at : at + size], at + size


def _store(values: dict[str, Any], entry: _Field, wire: int, value: Any, depth: int) -> None:
    is_number = entry.kind in ("uint", "signed")
    if is_number and wire == LENGTH and entry.is_many:
        values.setdefault(entry.name, []).extend(_packed(entry, value))
        return
    if wire != (VARINT if is_number else LENGTH):
        raise Malformed(f"{entry.name} has wire type {wire}")
    decoded = _READERS[entry.kind](entry, value, depth)
    if entry.is_many:
        values.setdefault(entry.name, []).append(decoded)
    elif entry.kind == "nested" and entry.name in values:
        # A message that comes in pieces is their union; nobody who speaks ABCI sends one.
        raise Malformed(f"{entry.name} comes twice")
    else:
        values[entry.name] = decoded


def _packed(entry: _Field, data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = read_varint(data, at)
        found.append(_READERS[entry.kind](entry, value, 0))
    return found


def _read_text(_entry: _Field, value: bytes, _depth: int) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None


_READERS: Final[dict[str, Callable[[_Field, Any, int], Any]]] = {
    "uint": lambda _entry, value, _depth: value,
    "signed": lambda _entry, value, _depth: value - (1 << 64) if value >> 63 else value,
    "raw": lambda _entry, value, _depth: value,
    "text": _read_text,
    "nested": lambda entry, value, depth: decode(entry.message or object, value, depth + 1),
}


def varint(value: int) -> bytes:
    """A number of at most 64 bits in groups of seven, the lowest first."""
    if value < 128:
        return _SMALL[value]
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


_SMALL: Final = tuple(bytes((value,)) for value in range(128))


def read_varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """The number that begins here, and where the next byte is. Raises Malformed where it is cut off or too long."""
    try:
        value = data[at]
        if value < 128:
            return value, at + 1
        value &= 127
        for index in range(1, VARINT_BYTES_MAX):
            byte = data[at + index]
            value |= (byte & 127) << 7 * index
            if byte < 128:
                if value > _MASK:
                    break
                return value, at + index + 1
    except IndexError:
        raise Malformed("a number is cut off") from None
    raise Malformed("a number of more than 64 bits")
