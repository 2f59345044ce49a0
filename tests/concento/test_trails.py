"""An account's trail leads to every block that moved it, in few steps, wherever one begins."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from concento.encoding import encode
from concento.trails import NO_TRAIL, Trail, extended, newest_first, oldest_first, trail_at


@dataclass(frozen=True, slots=True)
class Moved:
    """A step, and its height to tell them apart."""

    height: int
    before: Trail


class Walked:
    """An account that was moved at these heights, and how many of its steps were read."""

    def __init__(self, heights: list[int]) -> None:
        self.heights = heights
        self.trail = NO_TRAIL
        self.trails: dict[int, Trail] = {}
        self.read = 0
        self._steps: dict[int, Moved] = {}
        for height in heights:
            self._steps[height] = Moved(height, self.trail)
            self.trail = self.trails[height] = extended(self.trail, height, height.to_bytes(32, "big"))

    def step(self, height: int) -> Moved:
        self.read += 1
        return self._steps[height]


def walked(blocks: int, seed: int = 1) -> Walked:
    return Walked(sorted(Random(seed).sample(range(blocks * 3 + 1), blocks)))


@pytest.mark.parametrize("blocks", [0, 1, 2, 3, 7, 8, 100, 255, 256])
def test_both_ways_every_block_comes_once_and_is_read_once(blocks: int) -> None:
    account = walked(blocks)
    down = [step.height for step in newest_first(account.trail, account.step)]
    assert down == account.heights[::-1]
    assert account.read == blocks
    up = [step.height for step in oldest_first(account.trail, account.step)]
    assert up == account.heights
    assert account.read == 2 * blocks


def test_a_walk_up_begins_anywhere_and_reads_nothing_that_it_does_not_give() -> None:
    account = walked(150)
    for after in range(-1, account.heights[-1] + 2):
        account.read = 0
        found = [step.height for step in oldest_first(account.trail, account.step, after)]
        assert found == [height for height in account.heights if height > after]
        assert account.read == len(found)


def test_the_trail_of_any_height_is_the_one_that_the_account_had_then() -> None:
    account = walked(300)
    newest = NO_TRAIL
    for height in range(account.heights[-1] + 2):
        newest = account.trails.get(height, newest)
        account.read = 0
        assert trail_at(account.trail, height, account.step) == newest
        assert account.read <= account.trail.blocks.bit_length()


def test_the_first_block_of_a_walk_up_is_found_in_as_many_steps_as_the_count_has_digits() -> None:
    account = walked(1_000)
    for after in range(0, account.heights[-1], 17):
        account.read = 0
        next(oldest_first(account.trail, account.step, after))
        assert account.read <= account.trail.blocks.bit_length()


def test_a_trail_names_one_height_for_each_digit_of_its_count_that_is_set() -> None:
    account = walked(2_000)
    assert all(len(trail.heights) == trail.blocks.bit_count() for trail in account.trails.values())
    thirteen = Walked(list(range(1, 14))).trail
    assert (thirteen.blocks, thirteen.heights) == (13, (8, 12, 13))


def test_the_longest_trail_of_a_million_blocks_is_small() -> None:
    longest = Trail(bytes(32), (1 << 20) - 1, tuple(range(10**9, 10**9 + 20)))
    assert len(encode(longest)) < 150
