"""Lineage made by transactions, with everything it earns, against the slow model after every block."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from support.histories import histories
from support.lineage_stories import LineageStory


@given(st.integers(0, 2**32))
@settings(max_examples=histories(8))
def test_whatever_is_linked_and_sold_pays_what_the_slow_model_says(seed: int) -> None:
    story = LineageStory(Random(seed))
    for _ in range(12):
        story.block()
        story.check_equal()
