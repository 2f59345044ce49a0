"""Files that a person names: read as strict JSON, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from concento.errors import Rejected
from concento.strictjson import loads


def read_json(path: Path, what: str) -> Any:
    """The document in a file. Raises Rejected file.unreadable, json.invalid."""
    return loads(read_bytes(path), what)


def read_bytes(path: Path) -> bytes:
    """A file's content. Raises Rejected file.unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Rejected("file.unreadable", path=str(path), reason=error.strerror or str(error)) from None


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Writes a document, a line for each field: indenting 20 MB takes seconds. Raises Rejected file.unwritable."""
    fields = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in document.items())
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text("{\n" + fields + "\n}\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise Rejected("file.unwritable", path=str(path), reason=error.strerror or str(error)) from None
