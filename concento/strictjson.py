"""JSON as this project accepts it: RFC 8259 and nothing looser, from files and from strangers.

The standard decoder takes NaN, lets the last of two equal keys win, overflows 1e400 to infinity and passes lone
surrogates; each of these has made two programs read one document differently.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from concento.errors import Rejected

_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


def loads(data: bytes | str, what: str = "JSON") -> Any:
    """The value in a JSON text. Raises Rejected for everything that RFC 8259 or common sense refuses."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        if text.startswith("\ufeff"):
            raise ValueError("starts with a byte order mark")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
        # An escaped backslash gives way to something: it may stand between two halves that are no pair.
        if "\\u" in text and _LONE_SURROGATE.search(text.replace("\\\\", "  ")):
            raise ValueError("a lone surrogate")
    except (ValueError, RecursionError) as error:
        raise Rejected("json.invalid", what=what, reason=str(error) or type(error).__name__) from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number
