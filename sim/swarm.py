"""What one seed means: parameters drawn first, so that each run stresses another mix, and a schedule of timed faults.

Two runs of three have the stub ledger, and half of those are about rounds: what is lost is chosen by round and step, as
a lock needs it. A fault carries its own end, so that any part of a schedule is a schedule: it can be shrunk by leaving
faults out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal, get_args

from sim.byzantine import MODES
from sim.dice import stream
from sim.disk import LOSS_KINDS, Loss

FaultKind = Literal[
    "crash", "power cut", "crash all", "wipe", "partition", "cut", "silence", "slow", "clock", "pause",
    "deaf", "mute", "hurry", "cut at a word",
]  # fmt: skip
FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)
ROUND_KINDS: Final[tuple[FaultKind, ...]] = ("deaf", "mute", "cut at a word")
"""Faults that choose what they hit by round and step."""
RANDOM_KINDS: Final = tuple(kind for kind in FAULT_KINDS if kind != "wipe" and kind not in ROUND_KINDS)

Word = Literal["proposal", "prevote", "precommit"]
WORDS: Final[tuple[Word, ...]] = get_args(Word)

Style = Literal["mixed", "rounds"]
LedgerKind = Literal["stub", "full"]

SAFETY_MS_MIN: Final = 1_200
SAFETY_MS_MAX: Final = 4_000
REAL_SHARE: Final = 50
"""One run in so many signs with Ed25519 and keeps its state in LevelDB."""
FULL_SHARE: Final = 3
"""One run in so many has the production ledger and clients that use all of it."""
CHURN_SHARE: Final = 0.3
CHURN_SIZE_MIN: Final = 4
NO_LOSS: Final = Loss("none")
CLOCK_OFF_MS: Final = 3_600_000
"""How wrong the clock of one node may be: an hour, as when a time zone is set wrong."""
ROUND_MODES: Final = ("amnesia", "equivocate", "false proof", "false proof", "withhold")
"""Lies that a lock must stand."""


@dataclass(frozen=True, slots=True)
class Fault:
    """From `at_ms` for `for_ms`. `nodes` are those it befalls (of a link: the sender, then the receiver); `amount` is
    the kind's own: effects before a power cut, milliseconds of delay or of clock, how many times too early. Of a fault
    that chooses by round, `round` and `word` say what it hits."""

    at_ms: int
    for_ms: int
    kind: FaultKind
    nodes: tuple[str, ...]
    amount: int = 0
    loss: Loss = NO_LOSS
    round: int = 0
    word: Word = "proposal"

    def __str__(self) -> str:
        extra = f" amount {self.amount}" if self.amount else ""
        loss = f" disk loses {self.loss.kind}" if self.kind in CRASH_KINDS else ""
        which = f" {self.word}s of round {self.round}" if self.kind in ROUND_KINDS else ""
        return f"{self.at_ms:>6} ms for {self.for_ms} ms: {self.kind}{which} {' '.join(self.nodes)}{extra}{loss}"


CRASH_KINDS: Final = ("crash", "crash all", "power cut", "cut at a word")


@dataclass(frozen=True, slots=True)
class Swarm:
    """The parameters of one run. Probabilities are per message."""

    seed: int
    style: Style
    ledger: LedgerKind
    size: int
    observers: int
    is_real: bool
    safety_ms: int
    delay_ms: tuple[int, int]
    loss: float
    duplicates: float
    submit_every_ms: int
    bad_share: float
    market_share: float
    liar: str | None
    lie_mode: str
    lie_rate: float
    wiped: str | None
    drift_ppm: int
    wall_spread_ms: int
    churn_share: float = 0.0
    """How much of what is handed in is about who validates; then the observers are candidates."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"node{number}" for number in range(1, self.size + 1))

    @property
    def faulty_max(self) -> int:
        return (self.size - 1) // 3


def draw_swarm(seed: int) -> Swarm:
    dice = stream(seed, "swarm")
    ledger: LedgerKind = "full" if seed % FULL_SHARE == 0 else "stub"
    if ledger == "stub" and dice.random() < 0.5:
        return _rounds_swarm(seed, dice)
    size = dice.choice((4, 4, 4, 4, 4, 4, 4, 4, 5, 7, 1, 2, 3))
    names = [f"node{number}" for number in range(1, size + 1)]
    byzantine = size >= 4 and dice.random() < 0.45
    wiped = size >= 4 and not byzantine and dice.random() < 0.25
    low = dice.choice((1, 1, 2, 10, 30))
    swarm = Swarm(
        seed=seed,
        style="mixed",
        ledger=ledger,
        size=size,
        observers=1 if dice.random() < 0.15 else 0,
        is_real=seed % REAL_SHARE == 0,
        safety_ms=dice.randrange(SAFETY_MS_MIN, SAFETY_MS_MAX),
        delay_ms=(low, low + dice.choice((0, 2, 5, 20, 100))),
        loss=dice.choice((0.0, 0.0, 0.01, 0.1, 0.3)),
        duplicates=dice.choice((0.0, 0.0, 0.05, 0.5)),
        submit_every_ms=dice.choice((200, 400, 800, 1_600)),
        bad_share=dice.choice((0.0, 0.1, 0.4)),
        market_share=dice.choice((0.0, 0.8, 0.9)) if ledger == "full" else 0.0,
        liar=dice.choice(names) if byzantine else None,
        lie_mode=dice.choice(sorted(MODES)),
        lie_rate=dice.choice((0.1, 0.5, 1.0)),
        wiped=dice.choice(names) if wiped else None,
        drift_ppm=dice.choice((0, 0, 200, 20_000)),
        wall_spread_ms=dice.choice((0, 0, 50, 2_000)),
        churn_share=0.0,
    )
    return _with_churn(swarm)


def _with_churn(swarm: Swarm) -> Swarm:
    """Some of the runs that have accounts change their validators; drawn apart from all else."""
    dice = stream(swarm.seed, "churn")
    if swarm.ledger == "stub" or swarm.size < CHURN_SIZE_MIN or dice.random() >= CHURN_SHARE:
        return swarm
    return replace(
        swarm,
        churn_share=dice.choice((0.5, 0.8)),
        observers=dice.choice((1, 1, 2, 3)),
        submit_every_ms=dice.choice((100, 200, 300)),
        safety_ms=dice.randrange(2 * SAFETY_MS_MIN, 2 * SAFETY_MS_MAX),
    )


def _rounds_swarm(seed: int, dice: Random) -> Swarm:
    """Four validators that lose chosen words in chosen rounds, and little else."""
    byzantine = dice.random() < 0.35
    low = dice.choice((1, 1, 2, 10))
    return Swarm(
        seed=seed,
        style="rounds",
        ledger="stub",
        size=4,
        observers=0,
        is_real=seed % REAL_SHARE == 0,
        safety_ms=dice.randrange(2_000, 5_000),
        delay_ms=(low, low + dice.choice((0, 5, 30))),
        loss=0.0,
        duplicates=0.0,
        submit_every_ms=dice.choice((600, 1_000, 1_500)),
        bad_share=0.1,
        market_share=0.0,
        liar=dice.choice(("node1", "node2", "node3", "node4")) if byzantine else None,
        lie_mode=dice.choice(ROUND_MODES),
        lie_rate=dice.choice((0.5, 1.0)),
        wiped=None,
        drift_ppm=0,
        wall_spread_ms=0,
    )


def draw_schedule(swarm: Swarm) -> tuple[Fault, ...]:
    """The faults of a run in the order of their time."""
    dice = stream(swarm.seed, "schedule")
    faults = _round_faults(swarm, dice) if swarm.style == "rounds" else _mixed_faults(swarm, dice)
    if swarm.lie_mode == "lie in sync":
        faults.append(_straggler(swarm))
    return tuple(sorted(faults, key=lambda fault: fault.at_ms))


def _mixed_faults(swarm: Swarm, dice: Random) -> list[Fault]:
    kinds = [kind for kind in RANDOM_KINDS if dice.random() < 0.6] or ["crash"]
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
            case "hurry":
                nodes, amount = nodes[: dice.choice((1, swarm.size))], dice.choice((3, 20))
            case "clock":
                # One clock may be wrong by anything; the others have to be right within the precision of genesis.
                nodes, amount = [swarm.names[0]], dice.choice((-CLOCK_OFF_MS, -1_000, 1_000, CLOCK_OFF_MS))
                if swarm.size == 1:
                    # Nobody votes its proposals down: the chain would be hours ahead of its clients for good.
                    amount = max(-1_000, min(amount, 1_000))
            case _:
                nodes = nodes[:1]
        faults.append(Fault(at_ms, for_ms, kind, tuple(nodes), amount, loss))
    if swarm.wiped is not None:
        at_ms = dice.randrange(swarm.safety_ms)
        faults.append(Fault(at_ms, dice.choice((20, 1_000)), "wipe", (swarm.wiped,)))
    return faults


def _straggler(swarm: Swarm) -> Fault:
    """Keeps an honest node away for some blocks: a liar in sync deceives nobody who has them all."""
    dice = stream(swarm.seed, "straggler")
    node = dice.choice([name for name in swarm.names if name != swarm.liar])
    return Fault(dice.randrange(swarm.safety_ms // 2), dice.choice((1_000, 4_000)), "pause", (node,))


def _round_faults(swarm: Swarm, dice: Random) -> list[Fault]:
    """In each part of the run and each of its first rounds: who does not hear a word, whose word nobody hears, and who
    dies as it says one. A lone lock is a proposal that one does not hear and a prevote that only its sender has."""
    faults: list[Fault] = []
    parts = dice.choice((1, 1, 2))
    length_ms = swarm.safety_ms // parts
    for part in range(parts):
        at_ms = part * length_ms
        for round_ in range(dice.choice((1, 2, 2, 3))):
            faults += _one_round(swarm, dice, at_ms, length_ms, round_)
    if dice.random() < 0.3:
        nodes = swarm.names[: dice.choice((1, 4))]
        faults.append(Fault(0, swarm.safety_ms, "hurry", nodes, dice.choice((2, 5, 20))))
    return faults


def _one_round(swarm: Swarm, dice: Random, at_ms: int, for_ms: int, round_: int) -> list[Fault]:
    lone, absent, other, dying = (dice.choice(swarm.names) for _ in range(4))
    found: list[tuple[FaultKind, Word, tuple[str, ...]]] = []
    if dice.random() < 0.6:
        found.append(("deaf", "proposal", (absent,)))
    if dice.random() < 0.75:
        found.append(("mute", "prevote", (lone,)))
    if dice.random() < 0.15:
        found.append((dice.choice(("deaf", "mute")), "prevote", (other,)))
    if dice.random() < 0.4:
        found.append((dice.choice(("deaf", "mute")), "precommit", tuple(sorted({lone, other}))))
    faults = [Fault(at_ms, for_ms, kind, nodes, 0, NO_LOSS, round_, which) for kind, which, nodes in found]
    for victim, chance in ((lone, 0.35), (dying, 0.2)):
        if dice.random() < chance:
            loss = Loss(dice.choice(LOSS_KINDS), dice.randrange(1 << 32))
            word: Word = dice.choice(("prevote", "precommit", "precommit"))
            amount = dice.choice((0, 0, 1, 2, 5))
            down_ms = dice.choice((20, 100, 400))
            faults.append(Fault(at_ms, down_ms, "cut at a word", (victim,), amount, loss, round_, word))
    return faults
