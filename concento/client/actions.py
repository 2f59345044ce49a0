"""Messages from JSON: the inverse of how a node shows them, for whoever writes one by hand or with another program.

An object names its `kind` and then every field. Amounts are strings or numbers, bytes are hex, content may be a CID;
where 32 bytes name an account, an address will do. A field that may be absent may be left out.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from msgspec import inspect

from concento.cids import parse_cid
from concento.client.fields import told_by_field
from concento.encoding import INTEGER_MAX, decode, encode
from concento.errors import Rejected
from concento.messages import Action

Account = Callable[[str], bytes]
"""The account that a text means: an address, perhaps a name. Raises Rejected."""

_CID: Final = "bafkrei"
_CID_LENGTH: Final = 59
_ACCOUNT_BYTES: Final = 32


def action_of(document: Any, account: Account) -> Action:
    """The message that this JSON value describes. Raises Rejected tx.field_invalid, naming the field."""
    action: Action = _value(_actions(), document, "action", account)
    try:
        decode(Action, encode(action), "action")
    except Rejected as error:
        raise told_by_field(error, action) from None
    return action


@cache
def _actions() -> inspect.Type:
    return inspect.type_info(Action)


def _value(kind: inspect.Type, value: Any, name: str, account: Account) -> Any:
    """A value of this type; whether it is within its limits is asked of the whole message."""
    match kind:
        case inspect.StructType():
            return _record(kind, value, name, account)
        case inspect.UnionType(types=types):
            return _one_of(types, value, name, account)
        case inspect.VarTupleType(item_type=item):
            if not isinstance(value, list):
                raise _refusal(name, "it is a list")
            return tuple(_value(item, entry, name, account) for entry in value)
        case inspect.BytesType():
            return _bytes(kind, value, name, account)
        case inspect.IntType():
            return _number(value, name)
        case inspect.BoolType():
            return _checked(isinstance(value, bool), value, name, "it is true or false")
        case inspect.StrType():
            return _checked(isinstance(value, str), value, name, "it is a text")
        case inspect.LiteralType(values=values):
            return _checked(value in values, value, name, "it is one of: " + ", ".join(map(str, values)))
        case _:
            raise TypeError(f"no message has a field like {name}: {kind}")


def _checked(is_good: bool, value: Any, name: str, rule: str) -> Any:
    if not is_good:
        raise _refusal(name, rule)
    return value


def _one_of(types: tuple[inspect.Type, ...], value: Any, name: str, account: Account) -> Any:
    """Nothing, where that may be; else the record of the kind that is named, or the one type that is left."""
    if value is None and any(isinstance(kind, inspect.NoneType) for kind in types):
        return None
    found = [kind for kind in types if not isinstance(kind, inspect.NoneType)]
    if len(found) == 1:
        return _value(found[0], value, name, account)
    named = {str(kind.tag): kind for kind in found if isinstance(kind, inspect.StructType)}
    said = _object(value, name).get("kind")
    if said not in named:
        meant = difflib.get_close_matches(str(said), named, 1)
        raise _refusal("kind", f"there is no {said}" + (f"; did you mean {meant[0]}?" if meant else f" among {name}s"))
    return _record(named[said], value, name, account)


def _record(kind: inspect.StructType, value: Any, name: str, account: Account) -> Any:
    given = dict(_object(value, name))
    if kind.tag is not None:
        given.pop("kind", None)
    fields = {field.name: field for field in kind.fields}
    for unknown in sorted(given.keys() - fields.keys()):
        raise _refusal(unknown, f"{name} has no such field; it has " + ", ".join(fields))
    values = {}
    for field in kind.fields:
        if field.name not in given and not _may_be_absent(field.type):
            raise _refusal(field.name, "it is missing")
        values[field.name] = _value(field.type, given.get(field.name), field.name, account)
    return kind.cls(**values)


def _may_be_absent(kind: inspect.Type) -> bool:
    """Nodes show bytes that are empty as null."""
    match kind:
        case inspect.UnionType(types=types):
            return any(isinstance(entry, inspect.NoneType) for entry in types)
        case inspect.BytesType(min_length=least):
            return not least
        case _:
            return False


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _refusal(name, "it is an object with named fields")
    return value


def _number(value: Any, name: str) -> int:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value
    if type(number) is not int or abs(number) > INTEGER_MAX:
        raise _refusal(name, f"it is a whole number up to {INTEGER_MAX}")
    return number


def _bytes(kind: inspect.BytesType, value: Any, name: str, account: Account) -> bytes:
    if value is None and not kind.min_length:
        return b""
    if not isinstance(value, str):
        raise _refusal(name, "it is a text: hex, a CID or an address")
    found = _from_hex(value)
    if found is not None and (kind.max_length is None or len(found) <= kind.max_length):
        return found
    if value.startswith(_CID) and len(value) == _CID_LENGTH:
        return parse_cid(value)
    if kind.max_length == _ACCOUNT_BYTES:
        return account(value)
    raise _refusal(name, "it is not hex of that many bytes")


def _from_hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _refusal(field: str, reason: str) -> Rejected:
    return Rejected("tx.field_invalid", field=field, reason=reason)
