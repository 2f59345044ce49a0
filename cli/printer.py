"""The one printer: data on stdout, everything else on stderr; text is made from the object that --json prints.

Nothing else in this program writes to a stream. rich is imported for a terminal only, and never under --json.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from cli import exits
from cli.naming import with_names
from cli.settings import Settings, is_elsewhere
from concento.errors import ConcentoError

GAP: Final = "  "
METHOD_NOT_FOUND: Final = -32601


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; columns whose heading stands in `right` hold numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """Label and value, one a line, the values aligned."""

    pairs: Sequence[tuple[str, str]]


Piece: TypeAlias = str | Table | Facts
Text = Callable[[Any], Iterable[Piece]]
"""Renders a document as sentences, facts and tables."""

Advance = Callable[[int], None]


class Printer:
    """Prints one command's outcome."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def result(self, document: Any, text: Text) -> None:
        """The command's answer."""
        if self._settings.json:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
            return
        for piece in text(document):
            self._piece(acting(piece, self._settings.sender) if isinstance(piece, str) else piece)

    def item(self, document: Any, text: Callable[[Any], str]) -> None:
        """One item of a stream: a JSON line, or a line of text."""
        if self._settings.json:
            click.echo(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
        else:
            click.echo(shown(text(document)))
        sys.stdout.flush()

    def raw(self, text: str) -> None:
        """Data that has its own format, such as CSV or a key file."""
        click.echo(text, nl=False)

    def note(self, sentence: str) -> None:
        """A remark for whoever is watching."""
        if not self._settings.quiet:
            click.echo(shown(sentence), err=True)

    def detail(self, sentence: str) -> None:
        """A remark for whoever asked for more with -v."""
        if self._settings.verbose and not self._settings.quiet:
            click.echo(sentence, err=True)

    def confirm(self, question: str) -> None:
        """Goes on only after a yes, or --yes; without a terminal to ask at, that is an error of usage."""
        if self._settings.yes:
            return
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} There is no terminal to ask at: say --yes.")
        click.confirm(question, abort=True, err=True)

    @property
    def draws(self) -> bool:
        """Whether there is a terminal to draw a bar on."""
        silent = self._settings.quiet or self._settings.json
        return not silent and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @contextmanager
    def progress(self, label: str, total: int, unit: str = "bytes", told: str = "") -> Iterator[Advance]:
        """A bar on a terminal; elsewhere a note at every tenth, where `told` says what has become of the units."""
        if self.draws:
            with _bar(label, total, unit) as advance:
                yield advance
            return
        done = 0

        def note(count: int) -> None:
            nonlocal done
            before, done = done, done + count
            is_told = told and total and not self._settings.json
            if is_told and (done == total or done * 10 // total > before * 10 // total):
                self.note(f"{done:,} of {total:,} {unit} {told}.")

        yield note

    def failure(self, error: ConcentoError) -> int:
        """An error of ours or a node's refusal; its exit code."""
        data = getattr(error, "data", None) or {}
        if getattr(error, "code", None) == METHOD_NOT_FOUND:
            error.hint = "the node may be of another release; see: concento node status"
        if error.kind == "node.unreachable" and is_elsewhere(self._settings):
            error.hint = 'this home\'s network listens elsewhere: eval "$(concento testnet env)"'
        numbers = {name: _plain(value) for name, value in error.numbers.items()}
        details = {
            "hint": None if error.hint is None else acting(error.hint, self._settings.sender),
            "retryable": error.retryable,
            "field": data.get("field"),
            "tx": data.get("tx"),
            "height": data.get("height"),
            "numbers": numbers,
        }
        return self._error(exits.exit_of(error), error.message, error.kind, details, getattr(error, "code", None))

    def usage(self, error: click.UsageError) -> int:
        """A command line that cannot be understood."""
        path = error.ctx.command_path if error.ctx else "concento"
        if isinstance(error, click.exceptions.NoArgsIsHelpError) and not self._settings.json:
            click.echo(error.format_message(), err=True)
            return exits.USAGE
        sentence = " ".join(error.format_message().split())
        if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
            sentence = f"{error.option_name}: what begins with a minus is an option; an amount is greater than 0."
        return self._error(exits.USAGE, sentence, "usage.invalid", {"hint": f"see: {path} --help"})

    def local(self, error: OSError) -> int:
        """Something on this machine that nobody foresaw: disk, permission."""
        place = f"{error.filename}: " if error.filename else ""
        hint = "check the file's owner, the disk and its space: concento doctor"
        return self._error(exits.LOCAL, f"{place}{error.strerror or error}", "local.os_error", {"hint": hint})

    def bug(self, error: Exception) -> int:
        """A mistake of this program, in one line."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
        sentence = f"this program has a bug: {type(error).__name__}: {error}{place}".replace("\n", " ")
        return self._error(
            exits.BUG, sentence, "bug", {"hint": "please report this line and the command that led to it"}
        )

    def _error(self, code: int, message: str, kind: str, details: dict[str, Any], number: int | None = None) -> int:
        if self._settings.json:
            empty: dict[str, Any] = {
                "hint": None,
                "retryable": False,
                "field": None,
                "tx": None,
                "height": None,
                "numbers": {},
            }
            data = {"kind": kind, **empty, **details}
            body = {"code": number or _CODES.get(code, -32603), "message": message, "data": data}
            click.echo(json.dumps({"error": body, "exit": code}, indent=2, ensure_ascii=False))
            return code
        click.echo(shown(f"Error: {with_names(message, self._settings.home)} ({kind})"), err=True)
        if details.get("hint"):
            click.echo(shown(f"Next:  {with_names(details['hint'], self._settings.home)}"), err=True)
        if details.get("retryable") and code != exits.UNREACHABLE:
            click.echo("This may be tried again.", err=True)
        return code

    def _piece(self, piece: Piece) -> None:
        match piece:
            case str():
                click.echo(shown(piece))
            case Facts(pairs):
                width = max((len(label) for label, _ in pairs), default=0)
                for label, value in pairs:
                    click.echo(shown(f"  {label.ljust(width)}{GAP}{value}"))
            case Table() if _colours():
                _rich_table(piece)
            case Table():
                for line in plain_table(piece):
                    click.echo(shown(line))


_CODES: Final = {
    exits.BUG: -32603,
    exits.USAGE: -32602,
    exits.UNREACHABLE: -32002,
    exits.REJECTED: -32003,
    exits.FAILED: -32003,
    exits.NOT_FOUND: -32001,
    exits.UNKNOWN_OUTCOME: -32002,
    exits.REFUSED: -32003,
    exits.LOCAL: -32002,
}
"""The JSON-RPC code of an error that was raised on this side."""


def acting(sentence: str, sender: str | None) -> str:
    """The sentence with --from behind the one command in it, where that acts and does not say yet for whom."""
    found = _COMMAND.search(sentence)
    if sender is None or found is None or "--from" in sentence or found.group(1) not in _ACTING:
        return sentence
    return f"{sentence} --from {sender}"


_COMMAND: Final = re.compile(r"^(?:Next: |run: )?concento (\S+ \S+)[^;,:]*$")
_ACTING: Final = frozenset(
    f"{noun} {verb}"
    for noun, verbs in {
        "asset": ("add", "derive", "amend", "update", "retire"),
        "dataset": ("open", "add", "seal"),
        "dispute": ("open", "answer", "raise", "rule"),
        "licence": ("offer", "buy", "renew", "report", "deposit", "withdraw", "outputs", "close", "revoke"),
        "model": ("register", "output"),
        "shares": ("transfer", "claim", "sweep"),
        "usage": ("post",),
        "vault": ("open", "add", "seal"),
        "wallet": ("send",),
    }.items()
    for verb in verbs
)
"""Commands that somebody acts with."""


def plain_table(table: Table) -> list[str]:
    """The table as aligned columns, for files and pipes."""
    widths = _widths(table)
    right = [heading in table.right for heading in table.header]
    return [
        GAP.join(
            _padded(cell, width, numeric) for cell, width, numeric in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in (table.header, *table.rows)
    ]


def display_width(text: str) -> int:
    """Columns that a terminal gives the text: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def shown(text: str) -> str:
    """The text without anything that could steer a terminal: texts may come from strangers."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def _widths(table: Table) -> list[int]:
    rows = (table.header, *table.rows)
    return [max(display_width(row[column]) for row in rows) for column in range(len(table.header))]


def _padded(cell: str, width: int, numeric: bool) -> str:
    blank = " " * (width - display_width(cell))
    return blank + cell if numeric else cell + blank


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _rich_table(table: Table) -> None:
    """As `plain_table`, with a bold heading: nothing is wrapped or cut, an id must stay whole to be copied."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    drawn = RichTable(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="bold")
    for heading in table.header:
        drawn.add_column(heading, justify="right" if heading in table.right else "left", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(RichText(shown(cell)) for cell in row))
    # Twice the room, because rich counts some wide characters differently; unused room is not printed.
    Console(file=sys.stdout, width=2 * sum(width + len(GAP) for width in _widths(table))).print(drawn)


@contextmanager
def _bar(label: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.advance(task, count)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
