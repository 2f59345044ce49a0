"""The catalogue of cases has a row for every number, and names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "catalogue.md"
CASES = 100

_ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
_NAMED = re.compile(r"`([\w/-]+\.(?:py::\w+|txt))`")
_DEBTS = re.compile(r"^\*\*Open: (\d+)\*\* of (\d+)\.$", re.MULTILINE)


def rows() -> list[tuple[int, str, str]]:
    """(number, case, what shows it) of every numbered row."""
    return [(int(number), case, shown) for number, case, shown in _ROW.findall(PAGE.read_text())]


def is_without_a_test(shown: str) -> bool:
    return shown.startswith(("open:", "does not apply:"))


@cache
def defined_in(path: Path) -> frozenset[str]:
    """The names of the tests that a file defines."""
    found = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_case_has_one_row_in_order() -> None:
    assert [number for number, _, _ in rows()] == list(range(1, CASES + 1))


def test_every_row_names_a_test_or_says_why_there_is_none() -> None:
    silent = [number for number, _, shown in rows() if not is_without_a_test(shown) and not _NAMED.search(shown)]
    assert silent == []
    unreasoned = [number for number, _, shown in rows() if is_without_a_test(shown) and len(shown) < 40]
    assert unreasoned == []


def test_every_test_that_is_named_exists() -> None:
    named = _NAMED.findall(PAGE.read_text())
    assert len(named) > CASES
    missing = []
    for reference in named:
        path, _, name = reference.partition("::")
        exists = (TESTS / path).is_file() and (not name or name in defined_in(TESTS / path))
        missing += [] if exists and (not name or name.startswith("test_")) else [reference]
    assert missing == []


def test_nothing_in_backquotes_escapes_the_check() -> None:
    """A reference with a slip in its form would be no reference."""
    quoted = re.findall(r"`([^`]*(?:::|\.txt)[^`]*)`", PAGE.read_text())
    assert [one for one in quoted if not _NAMED.fullmatch(f"`{one}`")] == []


def test_the_debts_are_counted() -> None:
    debts = sum(shown.startswith("open:") for _, _, shown in rows())
    (told,) = _DEBTS.findall(PAGE.read_text())
    assert told == (str(debts), str(CASES))
