"""What a run has touched: messages, rules of the machine, faults, results. A long run in which one of them is zero has
not tested what it claims to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from consensus import machine
from consensus.machine import Heard, Outcome, State
from node.replica.wire import RULES
from sim.byzantine import MODES
from sim.disk import LOSS_KINDS
from sim.swarm import FAULT_KINDS

Rule = Callable[[State, Heard], Outcome | None]

WANTED: Final[tuple[str, ...]] = (
    *(f"message {rule.record.__name__}" for rule in RULES.values()),
    *(f"rule {lines}" for lines, _ in machine.RULES),
    *(f"input {kind}" for kind in ("Begin", "Resume", "Changed", "ValueReady", "TimedOut")),
    *(f"fault {kind}" for kind in FAULT_KINDS),
    *(f"disk {kind}" for kind in LOSS_KINDS),
    *(f"lie {mode}" for mode in MODES),
    *(f"result {status}" for status in ("ok", "failed", "skipped")),
    *(f"answer {status}" for status in ("pending", "included", "refused")),
    *(f"signing {name}" for name in ("stub", "ed25519")),
    "round 1",
    "round 3",
    "block synced",
    "block with evidence",
    "guard lost",
    "change of the set",
)
"""What a long run must have reached."""


def missing(reached: Counter[str]) -> list[str]:
    return [name for name in WANTED if not reached[name]]


@contextmanager
def counting_rules(reached: Counter[str]) -> Iterator[None]:
    """Counts every rule of the round machine that applies, and every input that it takes."""
    rules, take = machine.RULES, machine._take

    def counted(lines: str, rule: Rule) -> Rule:
        def apply(state: State, heard: Heard) -> Outcome | None:
            outcome = rule(state, heard)
            if outcome is not None:
                reached[f"rule {lines}"] += 1
            return outcome

        return apply

    def counted_take(state: State, event: machine.Input, heard: Heard) -> Outcome:
        reached[f"input {type(event).__name__}"] += 1
        return take(state, event, heard)

    setattr(machine, "RULES", tuple((lines, counted(lines, rule)) for lines, rule in rules))  # noqa: B010
    setattr(machine, "_take", counted_take)  # noqa: B010
    try:
        yield
    finally:
        setattr(machine, "RULES", rules)  # noqa: B010
        setattr(machine, "_take", take)  # noqa: B010
