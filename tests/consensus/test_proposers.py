"""Turns: round robin, the missed at the end, and how the table follows from decided blocks."""

from __future__ import annotations

import pytest

from consensus.proposers import (
    FIRST_TURNS,
    MissedRow,
    Turns,
    after_block,
    after_suspension,
    missed_hash,
    order,
    penalty_ms,
    proposer,
)
from sim.cluster import fake_key, fake_validators

FOUR = fake_validators(4)
KEYS = FOUR.keys


def missing(*rows: tuple[int, int, int]) -> Turns:
    return Turns(tuple(MissedRow(fake_key(number), misses, until_ms) for number, misses, until_ms in rows), KEYS)


@pytest.mark.parametrize(("height", "first"), [(1, 0), (2, 1), (4, 3), (5, 0), (1_000_000_001, 0)])
def test_first_proposer_rotates_with_the_height(height: int, first: int) -> None:
    assert order(FOUR, height, FIRST_TURNS, 0)[0] == KEYS[first]


def test_next_round_is_the_next_of_the_order_and_wraps_around() -> None:
    turns = order(FOUR, 2, FIRST_TURNS, 0)
    assert [proposer(turns, round_) for round_ in (0, 1, 3, 4)] == [KEYS[1], KEYS[2], KEYS[0], KEYS[1]]


def test_missed_proposers_come_last_by_key() -> None:
    turns = missing((0, 1, 100), (2, 1, 100))
    assert order(FOUR, 1, turns, 50) == (KEYS[1], KEYS[3], KEYS[0], KEYS[2])
    assert order(FOUR, 2, turns, 50) == (KEYS[3], KEYS[1], KEYS[0], KEYS[2])


def test_penalty_holds_while_the_parents_time_is_not_past_it() -> None:
    turns = missing((0, 1, 100))
    assert order(FOUR, 1, turns, 100)[-1] == KEYS[0]
    assert order(FOUR, 1, turns, 101)[0] == KEYS[0]


def test_order_names_every_validator_once_even_if_all_are_missed() -> None:
    turns = missing(*((number, 1, 100) for number in range(4)))
    assert sorted(order(FOUR, 3, turns, 0)) == list(KEYS)


def test_failed_rounds_of_the_last_commit_mark_their_proposers() -> None:
    turns = after_block(missing(), FOUR, KEYS, 1, KEYS[1], 5_000)
    assert turns.missed == (MissedRow(KEYS[0], 1, 7_000),)
    assert turns.last_order == KEYS


def test_commit_of_round_zero_marks_nobody() -> None:
    assert after_block(missing(), FOUR, KEYS, 0, KEYS[1], 5_000).missed == ()


def test_penalty_doubles_from_two_seconds_to_a_minute() -> None:
    assert [penalty_ms(misses) for misses in (1, 2, 3, 4, 5, 6, 7, 10**6)] == [
        2_000,
        4_000,
        8_000,
        16_000,
        32_000,
        60_000,
        60_000,
        60_000,
    ]


def test_repeated_miss_doubles_and_own_decided_block_resets() -> None:
    turns = after_block(missing((0, 1, 100)), FOUR, KEYS, 1, KEYS[1], 5_000)
    assert turns.missed == (MissedRow(KEYS[0], 2, 9_000),)
    assert after_block(turns, FOUR, KEYS, 0, KEYS[0], 6_000).missed == ()


def test_none_is_added_while_f_are_listed() -> None:
    turns = after_block(missing((3, 1, 5_000)), FOUR, KEYS, 1, KEYS[1], 5_000)
    assert [row.key for row in turns.missed] == [KEYS[3]]
    over = after_block(missing((3, 1, 4_999)), FOUR, KEYS, 1, KEYS[1], 5_000)
    assert [row.key for row in over.missed] == [KEYS[0], KEYS[3]]


def test_listed_validator_that_misses_again_waits_longer() -> None:
    turns = after_block(missing((0, 1, 6_000)), FOUR, KEYS, 1, KEYS[1], 5_000)
    assert turns.missed == (MissedRow(KEYS[0], 2, 9_000),)


def test_many_failed_rounds_count_each_proposer_once() -> None:
    seven = fake_validators(7)
    start = Turns((), seven.keys)
    turns = after_block(start, seven, seven.keys, 1_000_000, seven.keys[6], 5_000)
    assert [(row.key, row.misses) for row in turns.missed] == [(seven.keys[0], 1), (seven.keys[1], 1)]


def test_removed_validator_leaves_the_table() -> None:
    three = fake_validators(3)
    assert after_block(missing((3, 4, 99_000)), three, three.keys, 0, KEYS[1], 5_000).missed == ()


def test_hash_follows_the_table_alone() -> None:
    assert missed_hash(missing((0, 1, 100))) != missed_hash(missing((0, 1, 101)))
    assert missed_hash(Turns((), KEYS)) == missed_hash(FIRST_TURNS)


def test_suspended_validator_waits_until_its_suspension_ends_unless_f_others_do() -> None:
    suspended = after_suspension(missing((1, 3, 40)), FOUR, KEYS[2], time_ms=50, until_ms=900)
    assert suspended == missing((1, 3, 40), (2, 1, 900))
    assert order(FOUR, 3, suspended, 900)[-1] == KEYS[2]
    assert after_suspension(missing((1, 3, 50)), FOUR, KEYS[2], time_ms=50, until_ms=900) == missing((1, 3, 50))
    assert after_suspension(missing((2, 3, 50)), FOUR, KEYS[2], time_ms=50, until_ms=900) == missing((2, 3, 900))
