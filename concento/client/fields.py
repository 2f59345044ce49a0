"""Which field of a transaction is wrong, in words: the decoder tells a place and the rule that it breaks."""

from __future__ import annotations

import re
from typing import Any, Final

from concento.errors import Rejected

_PLACE: Final = re.compile(r"(?P<rule>.*?) - at `\$(?P<path>(?:\[\d+\])+)`")
_LENGTH: Final = re.compile(r"Expected `(?P<kind>str|bytes|array)` of length (?P<sign><=|>=) (?P<count>\d+)")
_UNITS: Final = {"str": "character", "bytes": "byte", "array": "entry"}


def told_by_field(error: Rejected, value: Any) -> Rejected:
    """The error that names the field of `value` that cannot be encoded; any other one as it is."""
    found = _PLACE.fullmatch(str(error.numbers.get("reason")))
    if error.kind != "encoding.invalid" or found is None:
        return error
    name = _field_at(value, [int(number) for number in re.findall(r"\d+", found["path"])])
    return error if name is None else Rejected("tx.field_invalid", field=name, reason=_words(found["rule"]))


def _field_at(value: Any, path: list[int]) -> str | None:
    """The name of the innermost field on the way."""
    name = None
    for index in path:
        if isinstance(value, tuple | list):
            value = value[index]
            continue
        fields = value.__struct_fields__
        # A member of a union says first which it is.
        place = index - (value.__struct_config__.tag is not None)
        name, value = fields[place], getattr(value, fields[place])
    return name


def _words(rule: str) -> str:
    length = _LENGTH.fullmatch(rule)
    if length is None:
        return rule
    count, unit = int(length["count"]), _UNITS[length["kind"]]
    units = unit if count == 1 else unit.removesuffix("y") + ("ies" if unit.endswith("y") else "s")
    return f"it has {'at most' if length['sign'] == '<=' else 'at least'} {count} {units}"
