"""Every record of the project has the bytes that MessagePack's own library writes for its fields, and only those."""

import importlib
import pkgutil
from enum import Enum
from random import Random
from typing import Any

import msgpack
import msgspec
import pytest
from msgspec import inspect

import concento
import consensus
import node
import state
from concento.encoding import Record, decode, encode
from concento.transactions import Body, Signed
from node.replica.wire import RULES

SAMPLES = 12
LIST_MAX = 20
"""Elements of a sampled list: more than fit the shortest form of an array."""
TEXTS = ("", "a", "Ä", "日本語", "x" * 40, "\U0001f3b5")
PATTERNS: dict[str, tuple[str, ...]] = {"^[A-Z]{2}$": ("AT", "ZW"), "^[a-z][a-z0-9-]{2,40}$": ("abc", "a" + "9" * 40)}
"""Texts for fields with a pattern."""


def all_records() -> list[type[Record]]:
    for package in (concento, consensus, state, node):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    found: list[type[Record]] = []
    waiting: list[type[Record]] = [Record]
    while waiting:
        found += (below := waiting.pop().__subclasses__())
        waiting += below
    return [record for record in found if record.__module__.split(".")[0] in ("concento", "consensus", "state", "node")]


RECORDS = all_records()


def sample(random: Random, kind: inspect.Type) -> Any:
    """A value of a field, from its type and limits; the limits themselves are frequent."""
    match kind:
        case inspect.IntType(ge=low, le=high, lt=above):
            least, most = -(2**63) if low is None else low, 2**63 - 1 if high is None else high
            most = most if above is None else above - 1
            edges = (least, most, 0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, -1, -32, -33, -129, -32_769)
            return random.choice([edge for edge in edges if least <= edge <= most] + [random.randint(least, most)])
        case inspect.BytesType(min_length=low, max_length=high):
            return random.randbytes(random.choice((low or 0, min((low or 0) + 300, 300 if high is None else high))))
        case inspect.StrType(pattern=str(pattern)):
            return random.choice(PATTERNS[pattern])
        case inspect.StrType(min_length=low, max_length=high):
            return random.choice([text for text in TEXTS if (low or 0) <= len(text) <= (high or 40)])
        case inspect.BoolType():
            return random.choice((False, True))
        case inspect.NoneType():
            return None
        case inspect.LiteralType(values=options):
            return random.choice(options)
        case inspect.EnumType(cls=options):
            return random.choice(list(options))
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            most = max(low or 0, min(LIST_MAX, LIST_MAX if high is None else high))
            return tuple(sample(random, item) for _ in range(random.choice((low or 0, random.randint(low or 0, most)))))
        case inspect.TupleType(item_types=items):
            return tuple(sample(random, item) for item in items)
        case inspect.UnionType(types=options):
            return sample(random, random.choice(options))
        case inspect.StructType(cls=record, fields=fields):
            return record(**{field.name: sample(random, field.type) for field in fields})
        case _:
            raise TypeError(f"no record may have a field of {kind}")


def plain(value: Any) -> Any:
    """A record as nested tuples: its tag, where it has one, then its fields."""
    if isinstance(value, Record):
        tag = value.__struct_config__.tag
        fields = tuple(plain(field) for field in msgspec.structs.astuple(value))
        return fields if tag is None else (tag, *fields)
    if isinstance(value, Enum):
        return value.value
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.__module__}.{record.__name__}")
def test_a_record_has_the_bytes_that_the_library_of_the_format_writes(record: type[Record]) -> None:
    random = Random(record.__name__)
    for _ in range(SAMPLES):
        value = sample(random, inspect.type_info(record))
        assert encode(value) == msgpack.packb(plain(value), use_bin_type=True)
        assert decode(record, encode(value)) == value


def test_every_list_that_strangers_send_has_a_limit() -> None:
    waiting: list[inspect.Type] = [
        inspect.type_info(kind) for kind in (Body, Signed, *(r.record for r in RULES.values()))
    ]
    seen: list[str] = []
    while waiting:
        match waiting.pop():
            case inspect.StructType(cls=record, fields=fields) if record.__qualname__ not in seen:
                seen.append(record.__qualname__)
                waiting += [field.type for field in fields]
            case inspect.VarTupleType(item_type=item, max_length=limit):
                assert limit is not None, f"a list of {item} in one of {seen[-5:]}"
                waiting.append(item)
            case inspect.TupleType(item_types=items):
                waiting += items
            case inspect.UnionType(types=options):
                waiting += options
            case inspect.AnyType() | inspect.DictType() | inspect.ListType() as kind:
                raise AssertionError(f"{kind} in one of {seen[-5:]}")
            case _:
                continue
    assert len(seen) > 40
