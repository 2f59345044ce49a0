"""What this node's own key has signed, as the decided blocks remember it, against what the signing guard remembers.

Nothing signed leaves before the guard is synced, so a signature in a decided block that is beyond the guard says one
thing only: the guard is an older copy. Blocks that nobody decided say nothing: they are on disk before they are signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from concento.blocks import Block
from concento.validators import ValidatorSet
from concento.votes import Commit, commit_votes
from consensus.guard import GuardRecord, is_rolled_back, last_place
from consensus.messages import Step
from node.replica.chain import Chain
from state.store.blockstore import find_block

AWAKE_MS: Final = 3_000
"""How long a validator that has signed before listens after a start until it signs again, where nobody answers."""
TRACED_MAX: Final = 1_000
"""Newest blocks looked through at a start, 0.1 ms each: a validator that is not down signs most of them."""


def contradicts(record: GuardRecord, key: bytes, block: Block, commit: Commit, validators: ValidatorSet) -> bool:
    """Whether this decided block shows that the guard is older than the key's use."""
    header = block.header
    if header.proposer == key and (header.height, header.round, Step.PROPOSE) > last_place(record):
        return True
    if key not in validators or header.height < record.height:
        return False
    return any(vote.validator == key and is_rolled_back(record, vote) for vote in commit_votes(validators, commit))


def is_older_than_blocks(record: GuardRecord, key: bytes, chain: Chain) -> bool:
    """Whether a block on this node's own disk shows it."""
    return any(
        contradicts(record, key, block, commit, chain.validators_at(block.header.height))
        for block, commit in _newest(chain, record.height)
    )


def _newest(chain: Chain, lowest: int) -> Iterator[tuple[Block, Commit]]:
    tip = chain.height - 1
    for height in range(tip, max(lowest, 1, tip - TRACED_MAX) - 1, -1):
        found = find_block(chain.records, height)
        if found is None:
            return
        yield found.block, found.commit


def may_wake(told: Mapping[bytes, int], chain: Chain, is_late: bool) -> bool:
    """Whether so many told their tip that one of them is honest, and this node has got there since its start.

    A whole disk that was put back to an older copy is found out so: the blocks between hold this key's signatures.
    """
    validators = chain.validators
    tips = sorted((tip for key, tip in told.items() if key in validators), reverse=True)
    enough = min(validators.minority, len(validators) - 1)
    if len(tips) < enough:
        return is_late
    return enough == 0 or tips[enough - 1] < chain.height
