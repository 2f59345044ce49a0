"""Real objects, spoilt: bytes without knowing what they mean, and values in the form that a decoder takes apart.

Values are what MessagePack and JSON know. Bytes inside a value that are MessagePack themselves, and texts that are
base64 or hex, are opened and spoilt inside: that is how a change gets past the outer decoder.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import msgspec

BYTES_MAX: Final = 256 * 1024
"""The longest case: above every structure that is mutated here, and short enough for thousands in a second."""

_LENGTHS: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MARKS: Final = (0x00, 0x7F, 0x80, 0x90, 0x9F, 0xA0, 0xC0, 0xC1, 0xC4, 0xC7, 0xCB, 0xCF, 0xD3, 0xDB, 0xDC, 0xDD, 0xDF)
"""First bytes of MessagePack's forms; 0xc1 is none."""

_NUMBERS: Final = (0, 1, -1, 127, 128, 255, 256, 2**31, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
_TEXTS: Final = ("", "\0", "a" * 70_000, "\u202e", "e\u0301", "../../etc/passwd", "0x", "1e400", "\U0001f3b5", "null")
_FLOATS: Final = (1.5, -0.0, 5e-324, float("inf"), float("nan"))
_NESTING: Final = (1, 2, 30, 150, 600)


def spoilt_bytes(random: Random, data: bytes, other: bytes) -> bytes:
    """The bytes with one thing wrong, whatever they are."""
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 1, 2, 4, 8, 64)))
    match random.randrange(10):
        case 0 if data:
            at = min(at, len(data) - 1)
            return data[:at] + bytes((data[at] ^ (1 << random.randrange(8)),)) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + random.randbytes(end - at) + data[end:]
        case 3:
            return data[:at] + data[end:]
        case 4:
            return data[:at] + data[at:end] * random.choice((2, 3, 200)) + data[end:]
        case 5:
            width = random.choice((1, 2, 4, 8))
            lie = random.choice(_LENGTHS) & ((1 << 8 * width) - 1)
            return data[:at] + lie.to_bytes(width, "big") + data[at + width :]
        case 6:
            return data[:at] + bytes((random.choice(_MARKS),)) + data[at + 1 :]
        case 7:
            return data[:at] + other[random.randrange(len(other) + 1) :]
        case 8:
            return data[:at] + random.choice((b"\x91", b"[", b'{"a":', b"\x81\xa1a")) * random.choice(
                (9, 1_000, 60_000)
            )
        case _:
            return data + random.choice((b"\0", b"}", data, random.randbytes(9)))


def spoilt(random: Random, value: Any, donor: Any) -> Any:
    """The value with one thing wrong, at any depth. `donor` is another such value, to take parts from."""
    chance = random.random()
    if chance < 0.04:
        return _odd(random, value)
    if chance < 0.08:
        return _part(random, donor)
    if chance < 0.10:
        return _nested(random, value)
    match value:
        case list() | tuple():
            return _spoilt_list(random, list(value), donor)
        case dict():
            return _spoilt_dict(random, value, donor)
        case bool() | None:
            return _odd(random, value)
        case int() | float():
            return random.choice((*_NUMBERS, value + 1, value - 1, -value))
        case bytes():
            return _spoilt_inside(random, value, donor)
        case str():
            return _spoilt_text(random, value, donor)
        case _:
            return None


def _spoilt_list(random: Random, items: list[Any], donor: Any) -> list[Any]:
    if items and random.random() < 0.8:
        at = random.randrange(len(items))
        items[at] = spoilt(random, items[at], donor)
        return items
    match random.randrange(5):
        case 0 if items:
            items.pop(random.randrange(len(items)))
        case 1 if items:
            items.insert(random.randrange(len(items)), random.choice(items))
        case 2 if items:
            random.shuffle(items)
        case 3:
            # No longer than a case may be: the rest would be cut off again.
            items *= min(random.choice((2, 50, 3_000)), 1 + BYTES_MAX // len(repr(items)))
        case _:
            items.append(_part(random, donor))
    return items


def _spoilt_dict(random: Random, fields: dict[Any, Any], donor: Any) -> dict[Any, Any]:
    fields = dict(fields)
    name = random.choice(list(fields)) if fields else ""
    if fields and random.random() < 0.8:
        fields[name] = spoilt(random, fields[name], donor)
        return fields
    match random.randrange(3):
        case 0:
            fields.pop(name, None)
        case 1:
            fields[random.choice(_TEXTS)] = _part(random, donor)
        case _:
            fields[name] = _part(random, donor)
    return fields


def _spoilt_inside(random: Random, data: bytes, donor: Any) -> bytes:
    """Bytes that are MessagePack, with or without a tag in front, are spoilt inside; all others as bytes."""
    for start in (0, 1):
        try:
            value = msgspec.msgpack.decode(data[start:])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if isinstance(value, list) and random.random() < 0.8:
            try:
                return data[:start] + msgspec.msgpack.encode(spoilt(random, value, donor))
            except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError):
                continue
    return spoilt_bytes(random, data, data)


def _spoilt_text(random: Random, text: str, donor: Any) -> str:
    """Texts that are bytes are spoilt as these; others letter by letter."""
    if random.random() < 0.6:
        try:
            return _spoilt_inside(random, bytes.fromhex(text), donor).hex()
        except ValueError:
            pass
        try:
            return base64.b64encode(_spoilt_inside(random, base64.b64decode(text, validate=True), donor)).decode()
        except (binascii.Error, ValueError):
            pass
    at = random.randrange(len(text) + 1)
    return random.choice(
        (text[:at], text[at:], text + text, text.upper(), text[:at] + random.choice(_TEXTS) + text[at:])
    )


def _odd(random: Random, value: Any) -> Any:
    """A value that is not of the kind that stood there, or of its kind and extreme."""
    return random.choice(
        (None, True, False, [], {}, "", random.choice(_FLOATS), [value], random.choice(_NUMBERS), random.choice(_TEXTS))
    )


def _part(random: Random, value: Any) -> Any:
    """Any part of a value, or all of it."""
    while random.random() < 0.7:
        match value:
            case list() | tuple() if value:
                value = random.choice(value)
            case dict() if value:
                value = random.choice(list(value.values()))
            case _:
                break
    return value


def _nested(random: Random, value: Any) -> Any:
    for _ in range(random.choice(_NESTING)):
        value = [value]
    return value


def pick(random: Random, seeds: Sequence[bytes]) -> bytes:
    return seeds[random.randrange(len(seeds))]
