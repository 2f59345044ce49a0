"""Timeouts grow linearly and stop at their cap."""

from __future__ import annotations

import pytest

from consensus.effects import Timer
from consensus.timeouts import spacing_ms, timeout_ms
from sim.cluster import PARAMS


@pytest.mark.parametrize(
    ("timer", "round_", "delay_ms"),
    [
        (Timer.PROPOSE, 0, 500),
        (Timer.PROPOSE, 1, 750),
        (Timer.PROPOSE, 10, 3_000),
        (Timer.PROPOSE, 11, 3_000),
        (Timer.PROPOSE, 1_000_000, 3_000),
        (Timer.PREVOTE, 0, 250),
        (Timer.PREVOTE, 4, 750),
        (Timer.PRECOMMIT, 10, 1_500),
        (Timer.PRECOMMIT, 60, 1_500),
        (Timer.HEARTBEAT, 0, 5_000),
        (Timer.STATUS, 0, 200),
    ],
)
def test_timeout(timer: Timer, round_: int, delay_ms: int) -> None:
    assert timeout_ms(PARAMS, timer, round_) == delay_ms


@pytest.mark.parametrize(("last_count", "delay_ms"), [(0, 10), (9, 10), (20, 12), (2_000, 210)])
def test_the_next_block_waits_longer_behind_a_large_one(last_count: int, delay_ms: int) -> None:
    assert spacing_ms(PARAMS, last_count) == delay_ms


@pytest.mark.parametrize(("last_count", "delay_ms"), [(0, 500), (3, 500), (20, 505), (2_000, 1_000), (100_000, 3_000)])
def test_a_proposer_is_waited_for_longer_behind_a_large_block(last_count: int, delay_ms: int) -> None:
    assert timeout_ms(PARAMS, Timer.PROPOSE, 0, last_count) == delay_ms


@pytest.mark.parametrize("timer", [Timer.PREVOTE, Timer.PRECOMMIT, Timer.HEARTBEAT, Timer.STATUS])
def test_a_large_block_changes_no_other_wait(timer: Timer) -> None:
    assert timeout_ms(PARAMS, timer, 0, 2_000) == timeout_ms(PARAMS, timer, 0)
