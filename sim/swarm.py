"""What one seed means: parameters drawn first, so that each run stresses another mix, and a schedule of timed faults.

A fault carries its own end, so that any part of a schedule is a schedule: it can be shrunk by leaving faults out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from sim.byzantine import MODES
from sim.dice import stream
from sim.disk import LOSS_KINDS, Loss

FaultKind = Literal["crash", "power cut", "crash all", "wipe", "partition", "cut", "silence", "slow", "clock", "pause"]
FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)

SAFETY_MS_MAX: Final = 12_000
REAL_SHARE: Final = 50
"""One run in so many signs with Ed25519 and keeps its state in LevelDB."""
NO_LOSS: Final = Loss("none")
CLOCK_OFF_MS: Final = 3_600_000
"""How wrong the clock of one node may be: an hour, as when a time zone is set wrong."""


@dataclass(frozen=True, slots=True)
class Fault:
    """From `at_ms` for `for_ms`. `nodes` are those it befalls (of a cut: the sender, then the receiver); `amount` is
    the kind's own: effects before a power cut, milliseconds of delay or of clock."""

    at_ms: int
    for_ms: int
    kind: FaultKind
    nodes: tuple[str, ...]
    amount: int = 0
    loss: Loss = NO_LOSS

    def __str__(self) -> str:
        extra = f" amount {self.amount}" if self.amount else ""
        loss = f" disk loses {self.loss.kind}" if self.kind in ("crash", "crash all", "power cut") else ""
        return f"{self.at_ms:>6} ms for {self.for_ms} ms: {self.kind} {' '.join(self.nodes)}{extra}{loss}"


@dataclass(frozen=True, slots=True)
class Swarm:
    """The parameters of one run. Probabilities are per message."""

    seed: int
    size: int
    observers: int
    is_real: bool
    safety_ms: int
    delay_ms: tuple[int, int]
    loss: float
    duplicates: float
    submit_every_ms: int
    bad_share: float
    liar: str | None
    lie_mode: str
    lie_rate: float
    wiped: str | None
    drift_ppm: int
    wall_spread_ms: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"node{number}" for number in range(1, self.size + 1))

    @property
    def faulty_max(self) -> int:
        return (self.size - 1) // 3


def draw_swarm(seed: int) -> Swarm:
    dice = stream(seed, "swarm")
    size = dice.choice((4, 4, 4, 4, 4, 4, 5, 7, 1, 2, 3))
    names = [f"node{number}" for number in range(1, size + 1)]
    byzantine = size >= 4 and dice.random() < 0.4
    wiped = size >= 4 and not byzantine and dice.random() < 0.25
    low = dice.choice((1, 1, 2, 10, 30))
    return Swarm(
        seed=seed,
        size=size,
        observers=1 if dice.random() < 0.15 else 0,
        is_real=seed % REAL_SHARE == 0,
        safety_ms=dice.randrange(2_000, SAFETY_MS_MAX),
        delay_ms=(low, low + dice.choice((0, 2, 5, 20, 100))),
        loss=dice.choice((0.0, 0.0, 0.01, 0.1, 0.3)),
        duplicates=dice.choice((0.0, 0.0, 0.05, 0.5)),
        submit_every_ms=dice.choice((100, 250, 500, 1_500)),
        bad_share=dice.choice((0.0, 0.1, 0.4)),
        liar=dice.choice(names) if byzantine else None,
        lie_mode=dice.choice(sorted(MODES)),
        lie_rate=dice.choice((0.1, 0.5, 1.0)),
        wiped=dice.choice(names) if wiped else None,
        drift_ppm=dice.choice((0, 0, 200, 20_000)),
        wall_spread_ms=dice.choice((0, 0, 50, 2_000)),
    )


def draw_schedule(swarm: Swarm) -> tuple[Fault, ...]:
    """The faults of a run in the order of their time."""
    dice = stream(swarm.seed, "schedule")
    kinds = [kind for kind in FAULT_KINDS if kind != "wipe" and dice.random() < 0.6] or ["crash"]
    faults = []
    for _ in range(dice.choice((0, 2, 5, 10, 20))):
        at_ms, for_ms = dice.randrange(swarm.safety_ms), dice.choice((20, 200, 1_000, 4_000))
        kind = dice.choice(kinds)
        loss = Loss(dice.choice(LOSS_KINDS), dice.randrange(1 << 32))
        nodes = dice.sample(swarm.names, swarm.size)
        amount = 0
        match kind:
            case "crash all":
                for_ms = 20
            case "partition":
                nodes = nodes[: dice.randrange(1, swarm.size)] if swarm.size > 1 else nodes
            case "cut" | "silence" | "slow":
                nodes, amount = nodes[:2], dice.choice((50, 300, 2_000))
            case "power cut":
                nodes, amount = nodes[:1], dice.randrange(1, 40)
            case "clock":
                # One clock may be wrong by anything; the others have to be right within the precision of genesis.
                nodes, amount = [swarm.names[0]], dice.choice((-CLOCK_OFF_MS, -1_000, 1_000, CLOCK_OFF_MS))
            case _:
                nodes = nodes[:1]
        faults.append(Fault(at_ms, for_ms, kind, tuple(nodes), amount, loss))
    if swarm.wiped is not None:
        at_ms = dice.randrange(swarm.safety_ms)
        faults.append(Fault(at_ms, dice.choice((20, 1_000)), "wipe", (swarm.wiped,)))
    return tuple(sorted(faults, key=lambda fault: fault.at_ms))
