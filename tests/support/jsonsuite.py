"""The files of JSONTestSuite, as they are vendored."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

_PAGE: Final = Path(__file__).parents[1] / "vectors" / "json-test-suite.json"


class SuiteFile(NamedTuple):
    """`verdict`: y must be read, n must be refused, i is left to each program; empty where programs are compared."""

    name: str
    verdict: str
    data: bytes


def _file(row: list[Any]) -> SuiteFile:
    """A row is a path and base64, or a path, a text that is repeated, how often, and what follows."""
    folder, _, name = row[0].partition("/")
    data = base64.b64decode(row[1]) if len(row) == 2 else (row[1] * row[2] + row[3]).encode()
    return SuiteFile(name, name[0] if folder == "test_parsing" else "", data)


FILES: Final = [_file(row) for row in json.loads(_PAGE.read_text())]
