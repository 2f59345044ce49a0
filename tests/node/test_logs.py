"""Logs: one line an event, no secrets, and strangers cannot fill the disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.logs import RATE_LINES, RATE_SECONDS, TEXT_MAX, JsonLines, Log, TextLines, open_log, shown_value


class Lines(logging.Handler):
    """Keeps formatted lines."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def log_into(formatter: logging.Formatter, level: int = logging.DEBUG) -> tuple[Log, list[str], Clock]:
    logger = logging.Logger("test", level)
    lines, clock = Lines(formatter), Clock()
    logger.addHandler(lines)
    return Log(logger, "node1", clock), lines.lines, clock


def test_a_json_line_has_time_level_event_node_and_fields() -> None:
    log, lines, _ = log_into(JsonLines())
    log.info("block.committed", height=3, id=b"\xab\xcd")
    line = json.loads(lines[0])
    assert line.pop("ts").endswith("Z")
    assert line == {"level": "info", "event": "block.committed", "node": "node1", "height": 3, "id": "abcd"}


def test_a_text_line_is_for_people_and_has_no_colour_when_piped() -> None:
    log, lines, _ = log_into(TextLines(has_colour=False))
    log.warning("peer.down", peer="node2", reason="it went away")
    assert lines[0].endswith('warning node1 peer.down peer=node2 reason="it went away"')
    assert "\x1b" not in lines[0]


def test_what_is_below_the_level_is_not_written() -> None:
    log, lines, _ = log_into(JsonLines(), logging.INFO)
    log.debug("detail")
    log.info("news")
    assert [json.loads(line)["event"] for line in lines] == ["news"]


@pytest.mark.parametrize("name", ["seed", "node_seed", "Password", "wallet_passphrase", "mnemonic", "private_key"])
def test_a_secret_is_never_written(name: str) -> None:
    log, lines, _ = log_into(JsonLines())
    log.error("trouble", **{name: "hunter2"})
    assert "hunter2" not in lines[0]
    assert "[hidden]" in lines[0]


def test_what_a_stranger_sends_stays_on_one_short_line() -> None:
    assert shown_value("reason", "a\nb\x1b[2Jc") == "a?b?[2Jc"
    assert len(shown_value("reason", "x" * 10_000)) == TEXT_MAX + 3
    assert len(shown_value("id", bytes(10_000))) == TEXT_MAX


def test_lines_that_strangers_cause_are_limited_and_the_rest_is_counted() -> None:
    log, lines, clock = log_into(JsonLines())
    for _ in range(RATE_LINES + 5):
        log.limited("info", "peer.refused")
    assert len(lines) == RATE_LINES
    clock.now = RATE_SECONDS
    log.limited("info", "peer.refused")
    assert json.loads(lines[RATE_LINES])["left_out"] == 5
    assert len(lines) == RATE_LINES + 2


def test_one_event_being_limited_does_not_hide_another() -> None:
    log, lines, _ = log_into(JsonLines())
    for _ in range(RATE_LINES + 1):
        log.limited("info", "peer.refused")
    log.limited("info", "peer.up")
    assert json.loads(lines[-1])["event"] == "peer.up"


@pytest.fixture
def _root_handlers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = [*root.handlers], root.level
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.usefixtures("_root_handlers")
def test_a_log_file_takes_our_events_and_the_warnings_of_libraries(tmp_path: Path) -> None:
    log = open_log("node7", "info", "auto", tmp_path / "logs" / "node.log")
    log.info("node.started")
    logging.getLogger("some.library").warning("careful")
    logging.getLogger("some.library").info("chatter")
    lines = [json.loads(line) for line in (tmp_path / "logs" / "node.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["node.started", "library"]
    assert lines[1]["text"] == "careful"
