"""The page and the picture of a run: what they show, and that a run of other arms does not break them."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from bench.__main__ import compare
from bench.page import newest_run, page, picture


def record(arm: str, run: str = "b", **changes: Any) -> dict[str, Any]:
    level = {"p50": 10.0, "p95": 20.0, "p99": 30.0}
    fields: dict[str, Any] = {
        "run": run, "machine": "m", "disk_sync_ms": 0.1, "arm": arm, "mix": "transfers", "ratio": 0.5, "tx_s": 1_000,
        "offered": 9_000, "committed": 8_990, "blocks": 7,
        "cpu_us_per_tx": [100], "processes": [
            {"program": "python", "cpu_us_per_tx": 60, "memory_mb": 50},
            {"program": "cometbft", "cpu_us_per_tx": 40, "memory_mb": 40},
        ], "memory_mb": [90], "disk_bytes_per_tx": 800,
        "finality_ms": {"20%": level, "50%": level, "80%": level},
    }  # fmt: skip
    return {**fields, **changes}


def test_the_newest_run_is_shown_and_older_lines_of_any_form_are_not() -> None:
    records = [{"ratio": 0.3}, record("C", "a"), record("A"), record("C"), record("C", mix="access")]
    assert [(found["arm"], found["mix"]) for found in newest_run(records)] == [
        ("C", "transfers"),
        ("A", "transfers"),
        ("C", "access"),
    ]


def test_the_page_has_a_table_for_each_mix_and_a_row_for_each_arm() -> None:
    text = page([record("C"), record("B", ratio=0.123), record("C", mix="access", finality_ms={})])
    assert text.count("\n## ") == 2
    assert "| 0.12 | 1,000 | 8,990 of 9,000 in 7 | 100 | python 60, cometbft 40 | 90 | 800 |" in text
    assert "10 / 20 / 30" in text


def test_a_share_of_thousandths_is_no_zero() -> None:
    assert "| 0.0023 | 6.2 |" in page([record("C", mix="datasets", ratio=0.00231, tx_s=6.2)])
    assert "| 0.095 |" in page([record("C", ratio=0.0949)])


def test_the_picture_is_well_formed_and_draws_bars_in_proportion() -> None:
    drawn = ElementTree.fromstring(picture([record("C", ratio=0.5), record("B", ratio=0.25)]))
    bars = [int(one.attrib["width"]) for one in drawn.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert bars[0] == 2 * bars[1]
    assert bars[2] == bars[3]


def test_arms_are_held_against_each_other_by_rate_and_by_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    compare([record("C0", ratio=0.9), record("A", ratio=0.6, cpu_us_per_tx=[200]), record("C", ratio=0.45)])
    assert capsys.readouterr().out.splitlines() == [
        "transfers  C0 / A         1.50 of the rate, 0.50 of the CPU: neither checks clients' signatures",
        "transfers  C / C0        0.50 of the rate, 1.00 of the CPU: what checking them costs",
        "transfers  C / A         0.75 of the rate, 0.50 of the CPU: A checks none",
    ]
