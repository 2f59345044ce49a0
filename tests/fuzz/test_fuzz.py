"""Every fuzz target for a moment, and the fuzzer itself: it is the same every time, and it sees what it is for."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from concento.errors import Rejected
from fuzz import play as playing
from fuzz.play import TARGETS, case, play

CASES = {"segments": 250, "rpc": 500, "keys": 150}
CASES_USUAL = 1_000


@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_input_is_taken_or_refused_and_nothing_else(name: str) -> None:
    played = play(name, seed=1, seconds=0, cases=CASES.get(name, CASES_USUAL))
    assert played.red is None
    # A fuzzer whose every case dies at the door, or that spoils nothing, shows nothing.
    assert played.outcomes["ok"] > 0
    assert played.outcomes["ok"] < played.cases
    assert len(played.outcomes) >= 3


@pytest.mark.parametrize("name", TARGETS)
def test_a_case_is_the_same_in_every_process(name: str) -> None:
    left, right = TARGETS[name](), TARGETS[name]()
    assert [case(left, name, 3, number) for number in range(20)] == [
        case(right, name, 3, number) for number in range(20)
    ]
    assert case(left, name, 3, 1) != case(left, name, 4, 1)
    left.close()
    right.close()


class Planted:
    """A decoder with a mistake, that the byte 'x' brings out."""

    def __init__(self, mistake: Any) -> None:
        self.seeds = [b"[0, 1, 2]"]
        self._mistake = mistake

    def open(self, data: bytes) -> Any:
        return json.loads(data)

    def shut(self, random: Random, value: Any) -> bytes:
        return json.dumps(value).encode()

    def run(self, data: bytes) -> str:
        if len(data) > 12:
            self._mistake()
        if data[:1] != b"[":
            raise Rejected("json.invalid", what="a list", reason="it is none")
        return "ok"

    def close(self) -> None:
        """Nothing is open."""


def crash() -> None:
    raise KeyError("missing")


def hang() -> None:
    while True:
        try:
            sum(range(1_000))
        except Exception:
            continue


kept: list[bytearray] = []


def hoard() -> None:
    kept.append(bytearray(b"\1" * (96 * 1024 * 1024)))


@pytest.mark.parametrize(("mistake", "seen"), [(crash, "KeyError"), (hang, "TooSlow")])
def test_what_escapes_or_hangs_is_red_and_replayed_by_one_command(
    mistake: Any, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(playing.TARGETS, "planted", lambda: Planted(mistake))
    played = play("planted", seed=1, seconds=0, cases=200)
    assert played.red is not None
    assert played.red.startswith(seen)
    assert played.red.endswith(f"replay: make fuzz TARGET=planted SEED=1 CASE={played.cases - 1}")
    found = case(Planted(mistake), "planted", 1, played.cases - 1)
    assert len(found) > 12


def test_memory_that_grows_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(playing.TARGETS, "planted", lambda: Planted(hoard))
    peaks = iter(range(0, 2**40, 40 * 1024 * 1024))
    monkeypatch.setattr(playing, "_peak_bytes", lambda: next(peaks))
    played = play("planted", seed=1, seconds=0, cases=200)
    assert played.red is not None
    assert played.red.startswith("memory grew by")
