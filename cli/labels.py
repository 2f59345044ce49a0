"""Names that a person gave to ids on this machine: `asset add --name nightbus`, later `licence buy @nightbus`."""

from __future__ import annotations

import json
from pathlib import Path

from cli.nearest import suggestion
from concento.errors import Rejected
from concento.strictjson import loads

_FILE = "names.json"


def known(home: Path) -> dict[str, str]:
    """Name -> id."""
    path = home / _FILE
    if not path.exists():
        return {}
    names = loads(path.read_bytes(), "list of names")
    if not isinstance(names, dict):
        raise Rejected("json.invalid", what="list of names", reason=f"{path} holds no object")
    return names


def remember(home: Path, name: str, identity: str) -> None:
    """Keeps a name for an id; an older one of that name is replaced."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / _FILE
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps({**known(home), name: identity}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def resolve(home: Path, text: str) -> str:
    """The id, or beginning of one, that a person typed. Raises Rejected label.not_found, id.malformed."""
    if text.startswith("@"):
        names = known(home)
        found = names.get(text[1:])
        if found is None:
            raise Rejected("label.not_found", text=text[1:], suggestion=suggestion(text[1:], names))
        return found
    if text.startswith("bafk") or (8 <= len(text) <= 64 and all(digit in "0123456789abcdef" for digit in text)):
        return text
    raise Rejected("id.malformed", text=text)
