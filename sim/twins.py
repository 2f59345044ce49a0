"""Twins: two processes with one validator's key, in every partition of every round, and nobody may fork.

The method of Bano et al. (arXiv 2004.10617): a scenario splits the endpoints anew for each of its rounds, says who
proposes first, and then heals. What is sent in a round reaches the sender's side only. With one twin among four no
split holds two quorums, so a fork is a bug; with two twins there is one that must fork, which shows that the checker
would see it. Runs on the consensus engine with made-up blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from concento.votes import Commit, Proposal, Vote, VoteType
from consensus.messages import Polka, Step
from sim.cluster import PARAMS, Cluster

SIDES_MAX: Final = 3
"""Splits into more sides leave no side that could decide, or even come near."""
PARAMS_QUICK: Final = msgspec.structs.replace(
    PARAMS, propose_ms=40, propose_delta_ms=20, propose_ms_max=400, vote_ms=20, vote_delta_ms=10, vote_ms_max=200
)
"""Eight times what a message takes: a round of nothing but timeouts is over before anybody says what it lacks."""
SPACING_MS: Final = 10
"""Before height 1, which is the only one: whoever has decided rests, and tells the others."""
ROUND_MS: Final = 400
"""Longer than a round of nothing but timeouts: after one such time per round everything heals, whoever is where."""
HEAL_MS: Final = 10_000
"""Virtual time until every validator has decided after the last split."""

Split: TypeAlias = tuple[int, ...]
"""The side of each endpoint."""

Word: TypeAlias = Literal["proposal", "prevote", "precommit"]
WORDS: Final[tuple[Word, ...]] = get_args(Word)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Splits by round, and the position of the validator that proposes first. `by_word`: the splits are those of the
    three words of round 0, one after the other."""

    splits: tuple[Split, ...]
    first_proposer: int
    by_word: bool = False


def splits(endpoints: int, sides_max: int = SIDES_MAX) -> list[Split]:
    """Every set partition of the endpoints into at most so many sides: the sides are numbered as they appear."""
    found: list[Split] = [()]
    for _ in range(endpoints):
        found = [(*split, side) for split in found for side in range(min(sides_max, max(split, default=-1) + 2))]
    return found


def scenarios(rounds: int, validators: int = 4, twins: int = 1) -> Iterator[Scenario]:
    """All of them: 41 splits of five endpoints, in each round, by four first proposers."""
    for chosen in product(splits(validators + twins), repeat=rounds):
        for first in range(validators):
            yield Scenario(chosen, first)


def word_scenarios() -> Iterator[Scenario]:
    """One round in which proposals, prevotes and precommits are split differently, into at most two sides: 16,384."""
    for chosen in product(splits(5, 2), repeat=len(WORDS)):
        for first in range(4):
            yield Scenario(chosen, first, by_word=True)


def play(scenario: Scenario, twins: Sequence[int] = (0,)) -> int:
    """Plays one; how many endpoints decide height 1. AssertionError: a fork, or a single validator does not."""
    cluster = Cluster(
        twins=tuple(twins),
        spacing_ms=SPACING_MS,
        first_proposer=scenario.first_proposer,
        params=PARAMS_QUICK,
        heights=1,
    )
    for number in (*twins, *range(4, 4 + len(twins))):
        # A real one falls silent when it meets its own word from elsewhere; here it lies on.
        engine = cluster.nodes[number].engine
        if engine is not None:
            setattr(engine, "_watch_own", lambda _message, _signer: None)  # noqa: B010

    rounds = 1 if scenario.by_word else len(scenario.splits)
    healed_ms = SPACING_MS + ROUND_MS * rounds

    def is_apart(source: int, target: int, message: object) -> bool:
        round_ = _round_of(cluster, source, message)
        if round_ is None or round_ >= rounds or cluster.now_ms > healed_ms:
            return False
        split = scenario.splits[_word_of(cluster, source, message) if scenario.by_word else round_]
        return split[source] != split[target]

    cluster.drop = is_apart
    single = tuple(number for number in range(4) if number not in twins)
    cluster.run_until_height(1, healed_ms + HEAL_MS, of=single)
    return sum(height > 0 for height in cluster.heights())


def fork_seen() -> bool:
    """The harness tested: two keys of four twinned, and a split into halves that must fork."""
    split = (0, 0, 0, 1, 1, 1)
    try:
        play(Scenario((split,) * 4, 0), twins=(0, 1))
    except AssertionError as error:
        return "fork at height 1" in str(error)
    return False


def _word_of(cluster: Cluster, source: int, message: object) -> int:
    """Which word a message is or proves: its place in WORDS; of anything else, where the sender stands."""
    match message:
        case Proposal():
            return 0
        case Vote(type=VoteType.PREVOTE) | Polka():
            return 1
        case Vote() | Commit():
            return 2
        case _:
            engine = cluster.nodes[source].engine
            return 0 if engine is None else min(max(int(engine.state.step) - 1, 0), 2)


def _round_of(cluster: Cluster, source: int, message: object) -> int | None:
    """The round that a message belongs to: its own, or the sender's; None once the sender has decided height 1."""
    match message:
        case Proposal(height=1, round=round_) | Vote(height=1, round=round_):
            return round_
        case _:
            engine = cluster.nodes[source].engine
            if engine is None or engine.state.height > 1 or engine.state.step is Step.DECIDED:
                return None
            return engine.state.round
