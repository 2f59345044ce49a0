"""How long each step of a round waits: linear growth with a cap, from the parameters in genesis.

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


def timeout_ms(params: ConsensusParams, timer: Timer, round_: int) -> int:
    """The delay of a timer armed in this round."""
    match timer:
        case Timer.PROPOSE:
            return min(params.propose_ms + round_ * params.propose_delta_ms, params.propose_ms_max)
        case Timer.PREVOTE | Timer.PRECOMMIT:
            return min(params.vote_ms + round_ * params.vote_delta_ms, params.vote_ms_max)
        case Timer.SPACING:
            return params.block_spacing_min_ms
        case Timer.HEARTBEAT:
            return params.heartbeat_ms
        case Timer.STATUS:
            return STATUS_MS
        case _:
            raise Broken("a timer without a delay", timer=timer)
