"""One run: a network under its faults and liars, then peace but for what stays broken, then the last checks.

A run is a function of its swarm and its schedule. Safety is asked after every event; liveness once the faults have
ended, with every fault of the minority standing for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from concento.transactions import Transaction
from consensus.effects import Timer
from consensus.timeouts import timeout_ms
from node.replica.replay import replay
from sim.byzantine import Liar
from sim.checkers import Checker
from sim.churn import Churn, churn_genesis, make_candidates
from sim.crypto import ED25519, STUB
from sim.dice import stream
from sim.faults import Run, begin, burn, delays, make_peace
from sim.ledger import STUB_LEDGER
from sim.load import Load
from sim.market import Market
from sim.network import Network, Node
from sim.swarm import Fault, Swarm, draw_schedule, draw_swarm
from sim.violation import Violation
from state.ledger import LEDGER
from state.store.kv import KeyValue, MemoryKeyValue
from state.store.leveldb import LevelDb

RECOVERY_MS: Final = 20_000
"""What peace needs beyond rounds: a ban of 10 s, a silent sync peer of 2 s left alone for 5 s, three heights until a
node without its guard signs again."""
REPLAY_SHARE: Final = 8
"""One run in so many is executed again from genesis at its end."""


@dataclass
class Result:
    """How a run ended. `violation` is None where all is well."""

    seed: int
    heights: int
    trace: str
    reached: Counter[str]
    violation: str | None = None
    invariant: str | None = None
    virtual_ms: int = 0
    cpu_s: float = 0.0


def run_seed(seed: int, trace: list[str] | None = None) -> Result:
    swarm = draw_swarm(seed)
    return run(swarm, draw_schedule(swarm), trace)


def run(swarm: Swarm, schedule: Sequence[Fault], trace: list[str] | None = None) -> Result:
    """The run of these parameters under these faults."""
    reached: Counter[str] = Counter()
    with ExitStack() as stack:
        this = _prepare(swarm, schedule, reached, stack, trace)
        violation: Violation | None = None
        try:
            _safety(this)
            _liveness(this)
        except Violation as found:
            violation = found
        members = this.checker.opinion.members
        reached["change of the set"] += sum(members[height] != members[height - 1] for height in members if height > 1)
        return Result(
            swarm.seed,
            len(this.checker.opinion.headers),
            this.checker.digest.hexdigest(),
            reached,
            str(violation) if violation else None,
            violation.invariant if violation else None,
            this.network.mono_ms,
        )


def _prepare(
    swarm: Swarm, schedule: Sequence[Fault], reached: Counter[str], stack: ExitStack, trace: list[str] | None
) -> Run:
    signing = ED25519 if swarm.is_real else STUB
    reached[f"signing {signing.name}"] += 1
    new_store: Callable[[str], KeyValue] | None = None
    reopen: Callable[[KeyValue], KeyValue] = lambda kv: kv  # noqa: E731
    if swarm.is_real:
        new_store = partial(_new_leveldb, Path(stack.enter_context(TemporaryDirectory())), Counter())
        reopen = _reopened
    ledger = LEDGER if swarm.ledger == "full" else STUB_LEDGER
    reached[f"ledger {swarm.ledger}"] += 1
    genesis = churn_genesis(swarm.size) if swarm.churn_share else None
    network = Network(swarm.size, swarm.observers, genesis, signing, new_store, reopen, None, ledger)
    if swarm.is_real:
        stack.callback(_close, network)
    if swarm.churn_share:
        make_candidates(network)
        reached["churn"] += 1
    dishonest = frozenset({network.nodes[swarm.liar].key.public} if swarm.liar else ())
    checker = Checker(network.genesis, signing, dishonest, reached, trace, swarm.ledger == "full")
    network.watcher = checker
    this = Run(swarm, schedule, network, checker)
    network.reconnects = True
    network.delays = partial(delays, this)
    network.before_effect = partial(burn, this)
    dice = stream(swarm.seed, "clocks")
    for node in network.nodes.values():
        node.drift_ppm = dice.randint(-swarm.drift_ppm, swarm.drift_ppm)
        node.wall_offset_ms = dice.randint(-swarm.wall_spread_ms, swarm.wall_spread_ms)
    if swarm.liar:
        key = network.nodes[swarm.liar].key
        liar = Liar(swarm.seed, swarm.lie_mode, swarm.lie_rate, key, network.genesis.network)
        network.twist[swarm.liar] = liar.twist
        reached[f"lie {swarm.lie_mode}"] += 1
    return this


# The world


def _new_leveldb(folder: Path, made: Counter[str], name: str) -> KeyValue:
    made[name] += 1
    return LevelDb.create(folder / f"{name}-{made[name]}")


def _reopened(kv: KeyValue) -> KeyValue:
    kv.close()
    return LevelDb.open(Path(kv.name))


def _close(network: Network) -> None:
    for node in network.nodes.values():
        node.kv.close()


# The phases


def _safety(this: Run) -> None:
    """Faults and clients, until the time is over."""
    network, swarm = this.network, this.swarm
    network.start()
    for fault in this.schedule:
        network.at(fault.at_ms, partial(begin, this, fault))
    dice = stream(swarm.seed, "load")
    market = Market(network, dice) if swarm.market_share else None
    churn = Churn(network, stream(swarm.seed, "operators")) if swarm.churn_share else None
    load = Load(network, dice, swarm.bad_share, market, swarm.market_share, churn, swarm.churn_share)
    while network.mono_ms < swarm.safety_ms:
        for something in load.next():
            for name in load.receivers():
                network.submit(name, something)
        network.run(min(swarm.submit_every_ms, swarm.safety_ms - network.mono_ms))


def _liveness(this: Run) -> None:
    """Peace, but for the minority: a payment becomes final everywhere else, within a bound."""
    network = this.network
    make_peace(this)
    weak = _break_minority(this)
    healthy = [name for name in network.nodes if name not in weak]
    bound_ms = _bound_ms(this)
    payments = [_probe(this, healthy)]
    done = network.run(bound_ms, partial(_are_final, this, healthy, payments))
    if not done:
        places = ", ".join(_place(network.nodes[name]) for name in network.nodes)
        raise Violation("liveness", f"no payment is final within {bound_ms} ms of peace without {weak}: {places}")
    told = max((this.checker._told(node).height for node in network.nodes.values()), default=0)
    if not network.run(bound_ms, lambda: all(network.nodes[name].height >= told for name in healthy)):
        raise Violation("liveness", f"not everybody reaches height {told} within {bound_ms} ms")
    honest = [node for node in network.nodes.values() if node.name != this.swarm.liar]
    this.checker.finish(honest)
    if this.swarm.seed % REPLAY_SHARE == 0:
        _replay(this, network.nodes[healthy[0]])


def _break_minority(this: Run) -> list[str]:
    """Permanent one-way faults of at most a third: the liar, the one that lost its disk, or any."""
    swarm, network = this.swarm, this.network
    if not swarm.faulty_max:
        return []
    dice = stream(swarm.seed, "minority")
    weak = swarm.liar or swarm.wiped or dice.choice(swarm.names)
    others = [name for name in network.nodes if name != weak]
    broken = dice.sample(others, dice.randrange(len(others) + 1))
    is_deaf = dice.random() < 0.5
    for other in broken:
        network.silent[(other, weak) if is_deaf else (weak, other)] += 1
    return [weak]


def _bound_ms(this: Run) -> int:
    """f + 2 rounds from the highest that is held, at their timeouts and the delay, and what recovery takes."""
    network, swarm = this.network, this.swarm
    params = network.genesis.params.consensus
    first = max(node.core.status().round for node in network.up)
    rounds = range(first, first + swarm.faulty_max + 2)
    timeouts = sum(
        timeout_ms(params, timer, round_)
        for round_ in rounds
        for timer in (Timer.PROPOSE, Timer.PREVOTE, Timer.PRECOMMIT)
    )
    return timeouts + 6 * swarm.delay_ms[1] * len(rounds) + RECOVERY_MS


def _probe(this: Run, healthy: Sequence[str]) -> Transaction:
    network = this.network
    payment = network.transfer("treasury", "carol", 1, valid_ms=100_000)
    for name in healthy:
        if network.nodes[name].is_validator:
            network.submit(name, payment)
    return payment


def _are_final(this: Run, healthy: Sequence[str], payments: Sequence[Transaction]) -> bool:
    return all(this.network.is_final(payment, *healthy)() for payment in payments)


def _replay(this: Run, node: Node) -> None:
    """The chain executed again gives the same state."""
    network = this.network
    chain = replay(network.genesis, node.kv, node.files, node.key, MemoryKeyValue(), network.ledger)
    found, wanted = chain.store.commit, node.core.store.commit
    if (found.height, found.app_hash) != (wanted.height, wanted.app_hash):
        raise Violation(
            "replay", f"{node.name} at {wanted.height} is executed again up to {found.height}, or otherwise"
        )


def _place(node: Node) -> str:
    if not node.is_up:
        return f"{node.name} down"
    status = node.core.status()
    return f"{node.name} at {status.height + 1}/{status.round}/{status.step}"
