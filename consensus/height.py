"""The wait between two heights: round 0 begins when a block is due, or when somebody else has begun.

An idle network makes no blocks but one per heartbeat; a busy one makes them as fast as they are decided. A node that
has already signed at the height does not come here: it resumes where it was.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace


class Sign(Enum):
    """What a waiting node notices."""

    DUE = auto()
    """A batch or evidence is held, or the tip's header lacks the current state root."""
    SPACED = auto()
    """`spacing_ms` have passed since the last block."""
    HEARTBEAT = auto()
    """`heartbeat_ms` have passed since the last block."""
    HEARD = auto()
    """A proposal or vote of the height, with a good signature: another validator has begun."""


class Waiting(Struct, frozen=True, gc=False):
    """`due`: there is a reason for a block; `spaced`: it is not too soon; `begun`: the wait is over."""

    due: bool
    spaced: bool = False
    begun: bool = False


def notice(waiting: Waiting, sign: Sign) -> Waiting:
    """The wait after noticing this; once begun it stays so."""
    match sign:
        case Sign.HEARD:
            return replace(waiting, begun=True)
        case Sign.DUE | Sign.HEARTBEAT:
            waiting = replace(waiting, due=True)
        case Sign.SPACED:
            waiting = replace(waiting, spaced=True)
        case _:
            assert_never(sign)
    return replace(waiting, begun=waiting.begun or (waiting.due and waiting.spaced))
