"""Health: what each check of /readyz says, and that /livez is about the event loop alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from node.health import DAMAGES_TOLD, LAG_S_MAX, Damage, Facts, LoopLag, readiness
from support.virtual_loop import run_virtual

GOOD = Facts(
    height=9,
    tip_age_ms=100,
    tip_age_ms_max=15_000,
    behind=0,
    nobody_has=None,
    validators_reached=4,
    validators=4,
    quorum=3,
    is_validator=True,
    may_sign=True,
    store_fault=None,
    disk_free_bps=5_000,
    disk_free_bps_min=500,
)


def failing(facts: Facts) -> list[str]:
    return [check.name for check in readiness(facts) if not check.ok]


def test_a_node_in_good_order_is_ready() -> None:
    assert failing(GOOD) == []


@pytest.mark.parametrize(
    ("change", "check", "text"),
    [
        ({"tip_age_ms": 15_001}, "tip", "block 9 is 15001 ms old, at most 15000 are fine"),
        ({"height": 0}, "tip", "no block yet"),
        ({"behind": 3}, "blocks", "3 blocks behind the furthest peer"),
        (
            {"behind": 200, "nobody_has": 7},
            "blocks",
            "200 blocks behind the furthest peer, and none has block 7 any more; stop this node and run: "
            "concento node resync, then: concento node run --sync snapshot",
        ),
        ({"validators_reached": 2}, "peers", "2 of 4 validators in reach, 3 are needed"),
        ({"store_fault": "a table is damaged"}, "store", "a table is damaged"),
        ({"disk_free_bps": 499}, "disk", "5.0 % of the disk is free"),
        (
            {"may_sign": False},
            "signer",
            "without a usable guard this validator only observes, until the network is past what it may have signed",
        ),
    ],
)
def test_one_thing_out_of_order_makes_the_node_not_ready_and_says_why(
    change: dict[str, Any], check: str, text: str
) -> None:
    facts = replace(GOOD, **change)
    assert failing(facts) == [check]
    assert text in [found.text for found in readiness(facts)]


def test_a_validator_without_a_guard_and_with_too_few_others_is_told_the_command() -> None:
    facts = replace(GOOD, may_sign=False, validators=3, quorum=3)
    told = next(found.text for found in readiness(facts) if found.name == "signer")
    assert told.endswith(f"; if its key has signed nothing there: concento node run --sign-from {GOOD.height + 1}")


def test_bounds_are_inclusive() -> None:
    edge = replace(GOOD, tip_age_ms=15_000, behind=2, validators_reached=3, disk_free_bps=500)
    assert failing(edge) == []


def test_an_observer_is_ready_without_a_guard() -> None:
    assert failing(replace(GOOD, is_validator=False, may_sign=False)) == []


def test_damage_is_logged_once_a_place_and_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    damage = Damage()
    assert damage.first is None
    for number in range(10_000):
        damage.note(f"segment-{number % 1_000} is damaged")
    assert damage.first == "segment-0 is damaged"
    assert len(caplog.records) == DAMAGES_TOLD


def test_an_event_loop_that_answers_is_alive_and_one_that_was_held_up_is_not() -> None:
    async def main() -> None:
        lag = LoopLag()
        lag.start()
        await asyncio.sleep(1.1)
        assert lag.check().ok
        loop = asyncio.get_running_loop()
        loop._ticks.skipped += LAG_S_MAX + 0.5  # type: ignore[attr-defined]
        assert not lag.check().ok
        await asyncio.sleep(1)
        assert lag.check().ok
        lag.stop()

    run_virtual(main())
