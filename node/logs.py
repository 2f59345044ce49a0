"""Logs: one event name and its fields per line, as JSON or as coloured text, on stderr or in rotating files.

A field that may hold a secret is never written. What a stranger can provoke at will is written at most a few times a
minute, with the number of lines left out.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

LOG_BYTES_MAX: Final = 50 * 1024 * 1024
LOG_FILES: Final = 3

RATE_LINES: Final = 10
RATE_SECONDS: Final = 60.0
"""At most this many lines a minute of one event that strangers can cause."""

TEXT_MAX: Final = 500
"""Characters of one field: what a peer sent must not fill a disk."""

_SECRET: Final = re.compile(r"seed|secret|password|passphrase|mnemonic|private", re.IGNORECASE)
_HIDDEN: Final = "[hidden]"
_JSON: Final = msgspec.json.Encoder(enc_hook=str)
_COLOURS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"

Field = int | float | str | bytes | bool | None


class Log:
    """Writes events of one node: `log.info("block.committed", height=3)`."""

    def __init__(self, logger: logging.Logger, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._node = node
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def debug(self, event: str, **fields: Field) -> None:
        self.write("debug", event, fields)

    def info(self, event: str, **fields: Field) -> None:
        self.write("info", event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        self.write("warning", event, fields)

    def error(self, event: str, **fields: Field) -> None:
        self.write("error", event, fields)

    def write(self, level: str, event: str, fields: Mapping[str, Field]) -> None:
        number = logging.getLevelName(level.upper())
        if self._logger.isEnabledFor(number):
            shown = {name: shown_value(name, value) for name, value in fields.items()}
            # Not by the logger's own methods: they look for the line of code that called them, which no log tells.
            extra = {"node": self._node, "fields": shown}
            self._logger.handle(self._logger.makeRecord(self._logger.name, number, "", 0, event, (), None, extra=extra))

    def limited(self, level: str, event: str, **fields: Field) -> None:
        """A line that strangers can cause: at most `RATE_LINES` of this event a minute."""
        now = self._clock()
        since, count = self._windows.get(event, (now, 0))
        if now - since >= RATE_SECONDS:
            if count > RATE_LINES:
                self.write(level, event, {"left_out": count - RATE_LINES})
            since, count = now, 0
        self._windows[event] = since, count + 1
        if count < RATE_LINES:
            self.write(level, event, fields)


def shown_value(name: str, value: Field) -> Any:
    """A field as it may be written: bytes as hex, text short and on one line, secrets not at all."""
    if _is_secret(name):
        return _HIDDEN
    match value:
        case bytes():
            return value.hex()[:TEXT_MAX]
        case str():
            clean = "".join(character if character.isprintable() else "?" for character in value[: TEXT_MAX + 1])
            return clean if len(clean) <= TEXT_MAX else clean[:TEXT_MAX] + "..."
        case _:
            return value


@lru_cache(maxsize=1_000)
def _is_secret(name: str) -> bool:
    """By the name of a field; there are a few dozen of them."""
    return _SECRET.search(name) is not None


def open_log(node: str, level: str, form: str, path: Path | None) -> Log:
    """The log of a node. Text where `form` is "text", or "auto" on a terminal; JSON lines otherwise."""
    logger = logging.getLogger(f"concento.{node}")
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _Rotating(path, maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES - 1, encoding="utf-8")
    is_terminal = path is None and sys.stderr.isatty()
    is_text = form == "text" or (form == "auto" and is_terminal)
    has_colour = is_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    handler.setFormatter(TextLines(has_colour) if is_text else JsonLines())
    # What the libraries have to say goes the same way, warnings and worse only.
    root = logging.getLogger()
    for old in [*root.handlers]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logger.setLevel(level.upper())
    return Log(logger, node)


class _Rotating(logging.handlers.RotatingFileHandler):
    """Begins a new file behind the line that filled the old one; the library's own would format each line twice."""

    def shouldRollover(self, _record: logging.LogRecord) -> bool:  # noqa: N802  # the name of the library
        return self.stream is not None and self.stream.tell() >= self.maxBytes


class JsonLines(logging.Formatter):
    """One JSON object a line: ts, level, event, node, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        return _JSON.encode(_line(record)).decode()


class TextLines(logging.Formatter):
    """One line for people: time, level, event, then name=value."""

    def __init__(self, has_colour: bool) -> None:
        super().__init__()
        self._has_colour = has_colour

    def format(self, record: logging.LogRecord) -> str:
        line = _line(record)
        stamp, level, event = line.pop("ts")[11:23], line.pop("level"), line.pop("event")
        node = line.pop("node", "")
        fields = " ".join(f"{name}={_text(value)}" for name, value in line.items())
        colour, plain = (_COLOURS[level], _PLAIN) if self._has_colour else ("", "")
        return f"{stamp} {colour}{level:<7}{plain} {node} {event} {fields}".rstrip()


def _line(record: logging.LogRecord) -> dict[str, Any]:
    seconds, milliseconds = divmod(int(record.created * 1000), 1000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    level = record.levelname.lower()
    line: dict[str, Any] = {
        "ts": f"{stamp}.{milliseconds:03d}Z",
        "level": level if level in _COLOURS else "error",
        "event": record.getMessage(),
    }
    node = getattr(record, "node", None)
    if node is None:
        # Not one of our events: a library's sentence.
        line["event"], line["logger"], line["text"] = "library", record.name, shown_value("text", record.getMessage())
        if record.exc_info:
            line["trace"] = logging.Formatter().formatException(record.exc_info)
        return line
    line["node"] = node
    line.update(getattr(record, "fields", {}))
    return line


def _text(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
