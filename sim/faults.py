"""What goes wrong in a run: the schedule's faults begun and ended, and the fate of every message of every link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, assert_never

from concento.votes import Vote, VoteType
from consensus.guard import decode_slot
from consensus.messages import Polka
from node.replica.events import Append, Effect, Send, Sync, Write, WriteGuard
from node.replica.wire import RULES, CommitMessage, ProposalMessage, decode_message
from sim.checkers import Checker
from sim.dice import draws
from sim.network import Network, Node, PowerCut
from sim.swarm import CRASH_KINDS, Fault, Swarm, Word
from sim.violation import Violation

SECOND_MS: Final = 500
"""How much later than the first the second copy of a message may come, at most."""
_MILLION: Final = 1_000_000
_WORD_TAGS: Final = frozenset(
    tag for tag, rule in RULES.items() if rule.record in (Vote, Polka, ProposalMessage, CommitMessage)
)


@dataclass
class Run:
    """One run as it goes on. `filters` are the faults that take words out of rounds; `fuses` and `traps` are power cuts
    to come: after so many effects, or at a word."""

    swarm: Swarm
    schedule: Sequence[Fault]
    network: Network
    checker: Checker
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    slow: dict[tuple[str, str], int] = field(default_factory=dict)
    fuses: dict[str, tuple[int, Fault]] = field(default_factory=dict)
    traps: list[Fault] = field(default_factory=list)
    filters: list[Fault] = field(default_factory=list)
    active: Counter[str] = field(default_factory=Counter)
    is_peace: bool = False
    last_place: tuple[bytes, tuple[int, Word] | None] = (b"", None)


# The fate of a message


def delays(this: Run, source: str, target: str, payload: bytes) -> tuple[int, ...]:
    """When the copies of the next message of this link arrive: none where it is lost."""
    swarm = this.swarm
    this.sent[source, target] += 1
    for_delay, for_loss, for_double = draws(swarm.seed, source, target, this.sent[source, target])
    low, high = swarm.delay_ms
    delay = low + for_delay % (high - low + 1)
    if this.is_peace:
        return (delay,)
    if this.slow:
        delay += this.slow.get((source, target), 0)
    if for_loss % _MILLION < swarm.loss * _MILLION or (this.filters and _is_filtered(this, source, target, payload)):
        return ()
    if for_double % _MILLION < swarm.duplicates * _MILLION:
        return delay, delay + for_double // _MILLION % SECOND_MS
    return (delay,)


def _is_filtered(this: Run, source: str, target: str, payload: bytes) -> bool:
    place = _place(this, payload)
    return place is not None and any(
        (fault.round, fault.word) == place and (target if fault.kind == "deaf" else source) in fault.nodes
        for fault in this.filters
    )


def _place(this: Run, payload: bytes) -> tuple[int, Word] | None:
    """Of which round a message is, and which word of it; the certificate of a word is that word."""
    if payload[0] not in _WORD_TAGS:
        return None
    known, place = this.last_place
    if known != payload:
        place = _place_of(payload)
        this.last_place = payload, place
    return place


def _place_of(payload: bytes) -> tuple[int, Word] | None:
    try:
        message = decode_message(payload)
    except Exception:
        return None  # a liar's; what it is worth is for the receiver to say
    match message:
        case Vote(type=kind, round=round_):
            return round_, "prevote" if kind is VoteType.PREVOTE else "precommit"
        case Polka(round=round_):
            return round_, "prevote"
        case ProposalMessage(proposal, _):
            return proposal.round, "proposal"
        case CommitMessage(commit, _):
            return commit.round, "precommit"
        case _:
            return None


# Power cuts between two effects


def burn(this: Run, node: Node, effect: Effect) -> None:
    """Counts down to a power cut between two effects."""
    if not (this.fuses or this.traps):
        return
    fuse = this.fuses.get(node.name)
    if fuse is None:
        if this.traps and isinstance(effect, WriteGuard):
            _spring(this, node, effect)
        return
    if not isinstance(effect, Append | Sync | WriteGuard | Write | Send):
        return
    left, fault = fuse
    if left > 0:
        this.fuses[node.name] = left - 1, fault
        return
    del this.fuses[node.name]
    _count(this, fault)
    this.network.at(this.network.mono_ms + fault.for_ms, partial(start, this, node.name))
    raise PowerCut(loss=fault.loss)


def _spring(this: Run, node: Node, effect: WriteGuard) -> None:
    """A node that is about to say this word is going to die, that many effects later."""
    found = next((trap for trap in this.traps if node.name in trap.nodes and _says(effect.data, trap)), None)
    if found is not None:
        this.traps.remove(found)
        this.fuses[node.name] = found.amount, found


def _says(data: bytes, trap: Fault) -> bool:
    slot = decode_slot(data)
    if slot is None:
        return False
    record = slot.record
    said = {"proposal": record.proposal, "prevote": record.prevote, "precommit": record.precommit}[trap.word]
    return said is not None and (said.height, said.round) == (record.height, trap.round) and bool(said.block_id)


# Faults


def begin(this: Run, fault: Fault) -> None:
    """The fault begins; its end is on the queue."""
    network = this.network
    names = [name for name in fault.nodes if name in network.nodes]
    end_ms = network.mono_ms + fault.for_ms
    if fault.kind not in ("power cut", "cut at a word"):
        _count(this, fault)
        this.active[fault.kind] += 1
        _until(this, end_ms, partial(this.active.subtract, [fault.kind]))
    match fault.kind:
        case "crash" | "crash all" | "wipe":
            for name in names:
                _crash(this, name, fault)
                network.at(end_ms, partial(start, this, name))
        case "power cut":
            this.fuses[names[0]] = fault.amount, fault
        case "cut at a word":
            this.traps.append(fault)
        case "deaf" | "mute":
            this.filters.append(fault)
            _until(this, end_ms, partial(_unfilter, this, fault))
        case "partition":
            outside = [name for name in network.nodes if name not in names]
            _cut(this, [(one, two) for one in names for two in outside], end_ms)
        case "cut" if len(names) == 2:
            _cut(this, [(names[0], names[1])], end_ms)
        case "silence" if len(names) == 2:
            link = (names[0], names[1])
            network.silent[link] += 1
            _until(this, end_ms, partial(network.silent.subtract, [link]))
        case "slow" if len(names) == 2:
            this.slow[names[0], names[1]] = fault.amount
            _until(this, end_ms, partial(this.slow.pop, (names[0], names[1]), None))
        case "clock":
            network.nodes[names[0]].wall_offset_ms += fault.amount
            _until(this, end_ms, partial(_turn_back, this, network.nodes[names[0]], fault.amount))
        case "hurry":
            for name in names:
                network.nodes[name].hurry = fault.amount
                _until(this, end_ms, partial(setattr, network.nodes[name], "hurry", 1))
        case "pause":
            network.nodes[names[0]].paused_until_ms = end_ms
        case "cut" | "silence" | "slow":
            pass  # a link needs two nodes
        case _:
            assert_never(fault.kind)


def _until(this: Run, end_ms: int, action: Callable[[], object]) -> None:
    """Ends a fault at its time, unless peace has ended it before."""

    def end() -> None:
        if not this.is_peace:
            action()

    this.network.at(end_ms, end)


def _count(this: Run, fault: Fault) -> None:
    """Reach: the kind, and with which others it was at work at once."""
    reached = this.checker.reached
    reached[f"fault {fault.kind}"] += 1
    if fault.kind in CRASH_KINDS:
        reached[f"disk {fault.loss.kind}"] += 1
    for other, count in this.active.items():
        if count > 0:
            reached["pair " + " + ".join(sorted((fault.kind, other)))] += 1


def _unfilter(this: Run, fault: Fault) -> None:
    if fault in this.filters:
        this.filters.remove(fault)


def _crash(this: Run, name: str, fault: Fault) -> None:
    if this.network.nodes[name].is_up:
        this.network.kill(name, loss=fault.loss)
    if fault.kind == "wipe":
        this.network.wipe(name)
        this.checker.wiped(this.network.nodes[name])


def start(this: Run, name: str) -> None:
    node = this.network.nodes[name]
    if node.is_up:
        return
    node.paused_until_ms = 0
    try:
        this.network.start(name)
    except Violation:
        raise
    except Exception as error:
        raise Violation("a node starts again after a crash", f"{name}: {error!r}") from error


def _cut(this: Run, pairs: list[tuple[str, str]], end_ms: int) -> None:
    """Connections break, and new ones do not come about until the end."""
    network = this.network
    for one, two in pairs:
        network.severed[frozenset((one, two))] += 1
        network.disconnect(one, two)
        _until(this, end_ms, partial(_mend, this, one, two))


def _mend(this: Run, one: str, two: str) -> None:
    this.network.severed[frozenset((one, two))] -= 1
    this.network.connect(one, two)


def _turn_back(this: Run, node: Node, amount: int) -> None:
    node.wall_offset_ms -= amount


def make_peace(this: Run) -> None:
    """Everything heals at once."""
    network = this.network
    this.is_peace = True
    this.fuses.clear()
    this.traps.clear()
    this.filters.clear()
    this.slow.clear()
    network.severed.clear()
    network.silent.clear()
    network.bans_ms.clear()
    for node in network.nodes.values():
        network.resume(node)
        node.wall_offset_ms, node.hurry = 0, 1
        start(this, node.name)
    network.heal()
