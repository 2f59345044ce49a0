"""Messages that every decoder accepts and nobody would send: drawn from their types, or good ones with wrong parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any, Final

import msgspec
from msgspec.inspect import (
    BoolType,
    BytesType,
    Field,
    IntType,
    LiteralType,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

ITEMS_MAX: Final = 3
_LETTERS: Final = "abcXYZ 019-_/.\u00e9\u0301\u200b\U0001f3b5"


@cache
def fields_of(kind: type) -> tuple[Field, ...]:
    info = type_info(kind)
    assert isinstance(info, StructType)
    return info.fields


class Nonsense:
    """Draws values; `ids` are byte strings that mean something to the ledger under test."""

    def __init__(self, seed: int, ids: Sequence[bytes]) -> None:
        self.random = Random(seed)
        self.ids = list(ids)

    def message(self, kind: type) -> Any:
        """Any message of this kind."""
        return kind(*(self.value(field.type) for field in fields_of(kind)))

    def spoil(self, message: Any) -> Any:
        """The message with one part, at any depth, drawn anew."""
        field = self.random.choice(fields_of(type(message)))
        part = getattr(message, field.name)
        if isinstance(part, msgspec.Struct) and self.random.random() < 0.7:
            fresh = self.spoil(part)
        elif isinstance(part, tuple) and part and isinstance(part[0], msgspec.Struct) and self.random.random() < 0.7:
            position = self.random.randrange(len(part))
            fresh = (*part[:position], self.spoil(part[position]), *part[position + 1 :])
        else:
            fresh = self.value(field.type)
        return msgspec.structs.replace(message, **{field.name: fresh})

    def value(self, info: Type) -> Any:
        match info:
            case IntType(ge=least, le=most):
                return self.integer(least or 0, 2**53 - 1 if most is None else most)
            case BytesType(min_length=least, max_length=most):
                return self.bytes(least or 0, 32 if most is None else most)
            case StrType(min_length=least, max_length=most):
                size = self.random.randint(least or 0, min(12, 12 if most is None else most))
                return "".join(self.random.choice(_LETTERS) for _ in range(size))
            case LiteralType(values=values):
                return self.random.choice(list(values))
            case VarTupleType(item_type=item, min_length=least, max_length=most):
                size = self.random.randint(least or 0, max(least or 0, min(ITEMS_MAX, most or ITEMS_MAX)))
                return tuple(self.value(item) for _ in range(size))
            case UnionType(types=kinds):
                return self.value(self.random.choice(kinds))
            case StructType(cls=kind):
                return self.message(kind)
            case BoolType():
                return self.random.random() < 0.5
            case NoneType():
                return None
            case _:
                raise TypeError(info)

    def integer(self, least: int, most: int) -> int:
        near = [least, least + 1, most, most - 1, 10_000, 1_000_000]
        drawn = self.random.choice([*near, self.random.randint(least, most), self.random.randint(least, least + 9)])
        return min(max(drawn, least), most)

    def bytes(self, least: int, most: int) -> bytes:
        if self.random.random() < 0.7:
            known = self.random.choice(self.ids)
            if least <= len(known) <= most:
                return known
        return self.random.randbytes(self.random.choice([least, most, self.random.randint(least, most)]))
