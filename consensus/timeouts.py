"""How long each step of a round waits: linear growth with a cap, from the parameters in genesis and the last block.

Linear, because doubling recovers badly after a long outage; capped, so that after any outage a round takes seconds.
"""

from __future__ import annotations

from typing import Final

from concento.errors import Broken
from concento.genesis import ConsensusParams
from consensus.effects import Timer

STATUS_MS: Final = 200
"""Without progress for this long a node says what it holds: five times a round trip round the world is too slow to
notice, and five small frames a second a peer cost nothing."""
SPACED_PER_MS: Final = 10
"""The next block waits a millisecond longer for so many transactions of the last."""
APPLIED_PER_MS: Final = 4
"""So many transactions a millisecond the slowest proposer is trusted to apply: a voter waits for it longer behind a
large block. Five times what a core of its own takes; a machine may be shared, and slow."""


def timeout_ms(params: ConsensusParams, timer: Timer, round_: int, last_count: int = 0) -> int:
    """The delay of a timer armed in this round, behind a block of `last_count` transactions."""
    match timer:
        case Timer.PROPOSE:
            patience_ms = params.propose_ms + last_count // APPLIED_PER_MS
            return min(patience_ms + round_ * params.propose_delta_ms, params.propose_ms_max)
        case Timer.PREVOTE | Timer.PRECOMMIT:
            return min(params.vote_ms + round_ * params.vote_delta_ms, params.vote_ms_max)
        case Timer.HEARTBEAT:
            return params.heartbeat_ms
        case Timer.STATUS:
            return STATUS_MS
        case _:
            raise Broken("a timer without a delay", timer=timer)


def spacing_ms(params: ConsensusParams, last_count: int) -> int:
    """How long after the decision of a block of so many transactions the next one may begin.

    What a block costs besides its transactions is best shared by many. Under load those of the next are checked
    meanwhile, so that blocks become larger and none is lost; two milliseconds behind a block of twenty nobody notices.
    """
    return params.block_spacing_min_ms + last_count // SPACED_PER_MS
