"""The ledger's revenue pass against the slow model, to the unit after every block, over random histories."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from state.modules import inbox, shares
from support.histories import histories
from support.revenue_chain import run_until_idle
from support.revenue_stories import Story

PAGE_ROWS = 4


@pytest.fixture(autouse=True)
def _small_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "PAGE_ROWS", PAGE_ROWS)
        yield


def tell(story: Story, blocks: int, steps_max: int) -> Iterator[None]:
    for _ in range(blocks):
        for _ in range(story.random.randint(0, steps_max)):
            story.step()
        story.end_block()
        yield


@given(st.integers(0, 2**32))
@settings(max_examples=histories(60))
def test_every_amount_is_the_slow_models_after_every_block(seed: int) -> None:
    story = Story(Random(seed), PAGE_ROWS)
    for _ in tell(story, blocks=12, steps_max=8):
        story.check_equal()


@given(st.integers(0, 2**32), st.integers(1, 60))
@example(seed=4087, work=1)
@settings(max_examples=histories(25))
def test_a_tiny_budget_loses_nothing_and_everything_arrives_in_the_end(seed: int, work: int) -> None:
    story = Story(Random(seed), PAGE_ROWS, work=work)
    for _ in tell(story, blocks=6, steps_max=6):
        story.check_equal()

    def same() -> None:
        story.model.finalise()
        story.check_equal()

    run_until_idle(story.chain, 4_000, same)
    assert not story.chain.all(inbox.INBOXES)
    flow = inbox.flow(story.chain.view)
    assert flow.queue_head == flow.queue_tail
