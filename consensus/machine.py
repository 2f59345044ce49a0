"""The round machine of one height: Tendermint exactly as in arXiv 1807.04938, with the paper's line numbers.

`step` is pure. What has been heard (proposals, votes, verdicts on blocks) is an argument that it only reads, so each
rule is the paper's "upon": a condition over state and messages. After every input all rules are tried until none
applies; a quorum that was complete before a step began is therefore never missed. Blocks are ids; whether one is valid
is heard, never asked.

One rule is not in the paper: more than two thirds of precommits for nil end the round at once, since no block can be
decided in it any more; it saves a timeout for every dead proposer. From the fourth round on that holds only where no
proposal of another came, so that the round has waited for one: rounds of proposals that nobody accepts would else
follow each other as fast as votes travel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from concento.errors import Broken
from concento.votes import NIL
from consensus.effects import Timer
from consensus.messages import Step

QUICK_ROUNDS: Final = 3
"""Proposals in a row that may be voted down without a wait: of a liar, of a clock that is wrong, of a lock that is held
elsewhere. With more of them something is wrong that haste does not mend."""


class State(Struct, frozen=True, gc=False):
    """The paper's variables, and its "for the first time" marks, which belong to the round."""

    height: int
    round: int = 0
    step: Step = Step.NEW_HEIGHT
    locked_round: int = -1
    locked_id: bytes = NIL
    valid_round: int = -1
    valid_id: bytes = NIL
    polka_seen: bool = False
    prevote_timer_armed: bool = False
    precommit_timer_armed: bool = False


class Proposed(Struct, frozen=True, gc=False):
    """The proposal of a round; `verdict`: may it be prevoted - None while the block is not yet judged."""

    block_id: bytes
    pol_round: int
    verdict: bool | None


class Heard(Protocol):
    """What this node knows of the height. Quorum: more than two thirds of the validators."""

    def proposed(self, round_: int) -> Proposed | None: ...

    def is_valid(self, block_id: bytes) -> bool | None:
        """None while the block is not judged."""

    def polka(self, round_: int) -> bytes | None:
        """The block id (or NIL) that a quorum prevoted in this round, or None."""

    def has_any_prevotes(self, round_: int) -> bool:
        """A quorum has prevoted, whatever for."""

    def has_any_precommits(self, round_: int) -> bool: ...

    def has_nil_precommits(self, round_: int) -> bool:
        """A quorum has precommitted nil."""

    def committed(self) -> tuple[int, bytes] | None:
        """A round, any, and the block id that a quorum precommitted in it."""

    def skip_round(self, above: int) -> int | None:
        """The greatest round above this one in which more than a third have voted."""

    def is_proposer(self, round_: int) -> bool:
        """Whether this node proposes in the round."""


# Inputs


class Begin(Struct, frozen=True, gc=False):
    """The wait for the height is over."""


class Resume(Struct, frozen=True, gc=False):
    """Go on from a state that was read back: arm what its step needs."""


class Changed(Struct, frozen=True, gc=False):
    """Something new was heard."""


class ValueReady(Struct, frozen=True, gc=False):
    """The answer to AskValue."""

    round: int
    block_id: bytes


class TimedOut(Struct, frozen=True, gc=False):
    """A timer of the round has run out."""

    round: int
    timer: Timer


Input: TypeAlias = Begin | Resume | Changed | ValueReady | TimedOut


# Outputs


class Propose(Struct, frozen=True, gc=False):
    round: int
    block_id: bytes
    pol_round: int


class AskValue(Struct, frozen=True, gc=False):
    round: int


class CastPrevote(Struct, frozen=True, gc=False):
    round: int
    block_id: bytes


class CastPrecommit(Struct, frozen=True, gc=False):
    round: int
    block_id: bytes


class Arm(Struct, frozen=True, gc=False):
    round: int
    timer: Timer


class DecideOn(Struct, frozen=True, gc=False):
    round: int
    block_id: bytes


Action: TypeAlias = Propose | AskValue | CastPrevote | CastPrecommit | Arm | DecideOn
Outcome: TypeAlias = tuple[State, tuple[Action, ...]]


def step(state: State, event: Input, heard: Heard) -> Outcome:
    """The next state and what to do, in order: the input itself, then every rule that applies after it."""
    state, actions = _take(state, event, heard)
    while (outcome := _first_rule(state, heard)) is not None:
        state, more = outcome
        actions += more
    return state, actions


def _take(state: State, event: Input, heard: Heard) -> Outcome:
    """The inputs that are moments, not facts."""
    match event, state.step:
        case Changed(), _:
            return state, ()
        case Begin(), Step.NEW_HEIGHT:  # line 10
            return _start_round(state, 0, heard)
        case Resume(), Step.PROPOSE:
            return state, (Arm(state.round, Timer.PROPOSE),)
        case ValueReady(round_, block_id), Step.PROPOSE if round_ == state.round:  # lines 18-19
            return _propose(state, block_id, -1, heard)
        case TimedOut(round_, Timer.PROPOSE), Step.PROPOSE if round_ == state.round:  # lines 57-60
            return _prevote(state, NIL)
        case TimedOut(round_, Timer.PREVOTE), Step.PREVOTE if round_ == state.round:  # lines 61-64
            return _precommit(state, NIL)
        case TimedOut(round_, Timer.PRECOMMIT), Step.PROPOSE | Step.PREVOTE | Step.PRECOMMIT if round_ == state.round:
            return _start_round(state, state.round + 1, heard)  # lines 65-67
        case ((Begin() | Resume() | ValueReady() | TimedOut()), _):
            return state, ()  # late: its round or step is over
        case _:
            assert_never(event)


def _first_rule(state: State, heard: Heard) -> Outcome | None:
    if state.step in (Step.NEW_HEIGHT, Step.DECIDED):
        return None
    for _, rule in RULES:
        outcome = rule(state, heard)
        if outcome is not None:
            return outcome
    return None


def _decide(state: State, heard: Heard) -> Outcome | None:
    committed = heard.committed()
    if committed is None:
        return None
    valid = heard.is_valid(committed[1])
    if valid is False:
        raise Broken("more than two thirds committed a block that this node finds invalid", block=committed[1])
    if valid is None:
        return None
    return replace(state, step=Step.DECIDED), (DecideOn(*committed),)


def _lock(state: State, heard: Heard) -> Outcome | None:
    polka = heard.polka(state.round)
    if not polka or state.polka_seen or state.step < Step.PREVOTE or not heard.is_valid(polka):
        return None
    seen = replace(state, polka_seen=True, valid_id=polka, valid_round=state.round)
    if state.step is not Step.PREVOTE:
        return seen, ()
    return _precommit(replace(seen, locked_id=polka, locked_round=state.round), polka)


def _precommit_nil(state: State, heard: Heard) -> Outcome | None:
    if state.step is not Step.PREVOTE or heard.polka(state.round) != NIL:
        return None
    return _precommit(state, NIL)


def _skip(state: State, heard: Heard) -> Outcome | None:
    round_ = heard.skip_round(state.round)
    return None if round_ is None else _start_round(state, round_, heard)


def _next_round(state: State, heard: Heard) -> Outcome | None:
    if not heard.has_nil_precommits(state.round):
        return None
    came = heard.proposed(state.round) is not None and not heard.is_proposer(state.round)
    if came and state.round >= QUICK_ROUNDS:
        return None  # the timer of lines 47-48 runs
    return _start_round(state, state.round + 1, heard)


def _prevote_fresh(state: State, heard: Heard) -> Outcome | None:
    proposed = heard.proposed(state.round)
    if state.step is not Step.PROPOSE or proposed is None or proposed.pol_round != -1 or proposed.verdict is None:
        return None
    unlocked = state.locked_round == -1 or state.locked_id == proposed.block_id
    return _prevote(state, proposed.block_id if proposed.verdict and unlocked else NIL)


def _prevote_again(state: State, heard: Heard) -> Outcome | None:
    proposed = heard.proposed(state.round)
    if state.step is not Step.PROPOSE or proposed is None or proposed.verdict is None:
        return None
    if not 0 <= proposed.pol_round < state.round or heard.polka(proposed.pol_round) != proposed.block_id:
        return None
    unlocked = state.locked_round <= proposed.pol_round or state.locked_id == proposed.block_id
    return _prevote(state, proposed.block_id if proposed.verdict and unlocked else NIL)


def _arm_prevote(state: State, heard: Heard) -> Outcome | None:
    if state.step is not Step.PREVOTE or state.prevote_timer_armed or not heard.has_any_prevotes(state.round):
        return None
    return replace(state, prevote_timer_armed=True), (Arm(state.round, Timer.PREVOTE),)


def _arm_precommit(state: State, heard: Heard) -> Outcome | None:
    if state.precommit_timer_armed or not heard.has_any_precommits(state.round):
        return None
    return replace(state, precommit_timer_armed=True), (Arm(state.round, Timer.PRECOMMIT),)


RULES: Final[tuple[tuple[str, Callable[[State, Heard], Outcome | None]], ...]] = (
    ("49-54", _decide),
    ("36-43", _lock),
    ("44-46", _precommit_nil),
    ("55-56", _skip),
    ("not in the paper", _next_round),
    ("22-27", _prevote_fresh),
    ("28-33", _prevote_again),
    ("34-35", _arm_prevote),
    ("47-48", _arm_precommit),
)
"""The paper's rules over facts, in the order in which they are tried: finish the round first, then leave it, then
vote."""


def _start_round(state: State, round_: int, heard: Heard) -> Outcome:
    """Lines 11-21; the proposer's timer runs too, since its value may come late or never."""
    started = replace(
        state,
        round=round_,
        step=Step.PROPOSE,
        polka_seen=False,
        prevote_timer_armed=False,
        precommit_timer_armed=False,
    )
    timer = Arm(round_, Timer.PROPOSE)
    if not heard.is_proposer(round_):
        return started, (timer,)
    if state.valid_round >= 0:
        return started, (timer, Propose(round_, state.valid_id, state.valid_round))
    return started, (timer, AskValue(round_))


def _propose(state: State, block_id: bytes, pol_round: int, heard: Heard) -> Outcome:
    if not heard.is_proposer(state.round) or heard.proposed(state.round) is not None:
        return state, ()
    return state, (Propose(state.round, block_id, pol_round),)


def _prevote(state: State, block_id: bytes) -> Outcome:
    return replace(state, step=Step.PREVOTE), (CastPrevote(state.round, block_id),)


def _precommit(state: State, block_id: bytes) -> Outcome:
    return replace(state, step=Step.PRECOMMIT), (CastPrecommit(state.round, block_id),)
