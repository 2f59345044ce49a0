"""Long lists that a person has in a file: holders with their shares, members of a dataset. Read once, checked whole.

A CSV file has a heading line that names its columns, or none; a JSON Lines file has an object a line. Everything is
checked before the first transaction, so that a mistake in the last line does not show after an hour.
"""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from concento.encoding import INTEGER_MAX
from concento.errors import Rejected
from concento.messages.assets import Split

_JSON_SUFFIXES: Final = (".jsonl", ".ndjson")
_ID_BYTES: Final = 32

Progress = Callable[[int], None]
"""Told how many lines have just been read."""


class Holders:
    """Accounts with their shares, in the order of a file: 40 bytes each, so that a million fit easily."""

    def __init__(self) -> None:
        self._accounts = bytearray()
        self._shares = array("Q")
        self.total = 0

    def __len__(self) -> int:
        return len(self._shares)

    def add(self, account: bytes, shares: int) -> None:
        self._accounts += account
        self._shares.append(shares)
        self.total += shares

    def row(self, place: int) -> Split:
        start = place * _ID_BYTES
        return Split(bytes(self._accounts[start : start + _ID_BYTES]), self._shares[place])

    def rows(self, start: int, count: int) -> tuple[Split, ...]:
        """At most `count` rows from `start` on."""
        return tuple(self.row(place) for place in range(start, min(start + count, len(self))))

    def digest(self) -> bytes:
        """Names the whole list; on every machine the same."""
        shares = array("Q", self._shares)
        digest = sha256(len(self).to_bytes(8, "big") + self._accounts)
        for count in shares:
            digest.update(count.to_bytes(8, "big"))
        return digest.digest()


def read_holders(path: Path, account_of: Callable[[str], bytes], progress: Progress = lambda _: None) -> Holders:
    """The holders in a file with the columns `holder` and `shares`. Raises Rejected rows.* naming the line."""
    holders = Holders()
    seen: dict[bytes, int] = {}
    for line, values in _lines(path, ("holder", "shares")):
        try:
            account = account_of(values[0])
        except Rejected as error:
            raise Rejected("rows.invalid", path=str(path), line=line, reason=error.message) from None
        if account in seen:
            raise Rejected("rows.repeated", path=str(path), line=line, text=values[0], other=seen[account])
        seen[account] = line
        holders.add(account, _shares(path, line, values[1]))
        if holders.total > INTEGER_MAX:
            raise Rejected("rows.invalid", path=str(path), line=line, reason="the shares are more than can be counted")
        progress(1)
    if not len(holders):
        raise Rejected("rows.none", path=str(path))
    return holders


def read_assets(path: Path, asset_of: Callable[[str], bytes], progress: Progress = lambda _: None) -> list[bytes]:
    """The ids in a file with the column `asset`. Raises Rejected rows.* naming the line."""
    found: dict[bytes, int] = {}
    for line, values in _lines(path, ("asset",)):
        try:
            asset = asset_of(values[0])
        except Rejected as error:
            raise Rejected("rows.invalid", path=str(path), line=line, reason=error.message) from None
        if asset in found:
            raise Rejected("rows.repeated", path=str(path), line=line, text=values[0], other=found[asset])
        found[asset] = line
        progress(1)
    if not found:
        raise Rejected("rows.none", path=str(path))
    return list(found)


def read_numbers(path: Path, columns: Sequence[str]) -> list[tuple[int, ...]]:
    """The whole numbers in the columns of a file. Raises Rejected rows.* naming the line."""
    found = []
    for line, values in _lines(path, columns):
        if not all(value.isascii() and value.isdigit() for value in values):
            raise Rejected("rows.invalid", path=str(path), line=line, reason=f"{values} are not whole numbers")
        found.append(tuple(int(value) for value in values))
    if not found:
        raise Rejected("rows.none", path=str(path))
    return found


def read_texts(path: Path, columns: Sequence[str]) -> list[tuple[int, list[str]]]:
    """(line, values) of the columns of a file. Raises Rejected rows.* naming the line."""
    found = list(_lines(path, columns))
    if not found:
        raise Rejected("rows.none", path=str(path))
    return found


def count_lines(path: Path) -> int:
    """About how many rows a file has, for a progress bar. Raises Rejected file.unreadable."""
    try:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise Rejected("file.unreadable", path=str(path), reason=error.strerror or str(error)) from None


def _shares(path: Path, line: int, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= INTEGER_MAX:
        raise Rejected("rows.invalid", path=str(path), line=line, reason=f"{text[:40]!r} is not a number of shares")
    return int(text)


def _lines(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(number, values of the columns) of every line that is not empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            read = _json_lines if path.suffix.lower() in _JSON_SUFFIXES else _csv_lines
            yield from read(path, file, columns)
    except OSError as error:
        raise Rejected("file.unreadable", path=str(path), reason=error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise Rejected("file.unreadable", path=str(path), reason="it is not text in UTF-8") from None


def _csv_lines(path: Path, file: Any, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    places: list[int] | None = None
    reader = csv.reader(file)
    try:
        for fields in reader:
            cells = [field.strip() for field in fields]
            if not any(cells):
                continue
            if places is None:
                heading = [cell.lower() for cell in cells]
                named = all(column in heading for column in columns)
                places = [heading.index(column) for column in columns] if named else list(range(len(columns)))
                if named:
                    continue
            if len(cells) <= max(places):
                reason = f"it has not the columns {', '.join(columns)}"
                raise Rejected("rows.invalid", path=str(path), line=reader.line_num, reason=reason)
            yield reader.line_num, [cells[place] for place in places]
    except csv.Error as error:
        raise Rejected("rows.invalid", path=str(path), line=reader.line_num, reason=str(error)) from None


def _json_lines(path: Path, file: Any, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            entry = json.loads(text)
            values = [entry[column] for column in columns]
        except (ValueError, KeyError, TypeError):
            reason = f"it is not an object with {', '.join(columns)}"
            raise Rejected("rows.invalid", path=str(path), line=number, reason=reason) from None
        if not all(isinstance(value, str | int) and not isinstance(value, bool) for value in values):
            raise Rejected("rows.invalid", path=str(path), line=number, reason="a value is neither text nor a number")
        yield number, [str(value) for value in values]
