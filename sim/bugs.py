"""Bugs planted on purpose, from outside: each is a real mistake of this field. What the simulator does not catch of
them, it would not catch of ours. `python -m sim --bugs` makes the table of docs/simulator.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from concento.validators import ValidatorSet
from consensus import engine, machine, votekeeper
from consensus.effects import Broadcast
from consensus.engine import Engine
from consensus.guard import FRESH, Slot
from consensus.heard import HeightHeard
from consensus.messages import Step
from consensus.status import status
from consensus.votekeeper import VoteKeeper
from node.replica import core, guardfile, sync
from node.replica.batches import Batches
from node.replica.candidates import Candidates
from node.replica.chain import Chain
from node.replica.events import Write
from node.replica.evidence import EvidencePool
from node.replica.files import MemoryFiles
from node.replica.guardfile import Guard
from node.replica.outbox import Outbox
from node.replica.segments import Segments
from node.replica.verified import Verifier
from sim.swarm import Swarm
from state import transition
from state.modules import identity, tokens
from state.view import View


@dataclass(frozen=True, slots=True)
class Bug:
    """`patches`: (owner, attribute, what takes its place, given what stands there)."""

    name: str
    sentence: str
    patches: tuple[tuple[Any, str, Callable[[Any], Any]], ...]
    reach: str = ""
    """What no run reaches with this bug, though every hundred do without it: how it shows itself where nothing breaks,
    since what is missing comes by another road as well."""


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The software with this bug in it; None: as it is."""
    with ExitStack() as stack:
        for owner, attribute, make in BUGS[name].patches if name else ():
            original = owner.__dict__[attribute]
            stack.enter_context(patch.object(owner, attribute, make(original)))
        yield


def _nothing(_original: Any) -> Any:
    return lambda *_args, **_kwargs: None


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _original: lambda *_args, **_kwargs: value


def _without_rule(lines: str) -> Callable[[Any], Any]:
    return lambda rules: tuple(rule for rule in rules if rule[0] != lines)


def _forgets_lock(original: Any) -> Any:
    return lambda state, block_id: original(replace(state, locked_id=b"", locked_round=-1), block_id)


def _forgets_valid(original: Any) -> Any:
    return lambda state, round_, heard: original(replace(state, valid_id=b"", valid_round=-1), round_, heard)


def _resumes_bare(original: Any) -> Any:
    return lambda height, *rest: original(height, *rest[:2])


def _unlocks_always(original: Any) -> Any:
    return lambda state, heard: original(replace(state, locked_round=-1), heard)


def _counts_both(original: Any) -> Any:
    def add(self: VoteKeeper, vote: Any) -> Any:
        counted = original(self, vote)
        if counted.evidence and vote.round in self._rounds:
            tally = self._rounds[vote.round].of(vote.type)
            tally.counts[vote.block_id] = tally.counts.get(vote.block_id, 0) + 1
        return counted

    return add


def _any_is_polka(original: Any) -> Any:
    def quorum(self: VoteKeeper, kind: Any, round_: int) -> Any:
        found = original(self, kind, round_)
        if found is None and self.has_any(kind, round_):
            counts = self._rounds[round_].of(kind).counts
            return max(sorted(counts), key=lambda block_id: counts[block_id])
        return found

    return quorum


def _by_id(original: Any) -> Any:
    def verify(self: Verifier, transactions: Any, done: Any) -> None:
        original(self, [replace(transaction, digest=transaction.id) for transaction in transactions], done)

    return verify


def _all_good(original: Any) -> Any:
    return lambda self, token, verdicts: original(self, token, [True] * len(verdicts))


def _unsynced(original: Any) -> Any:
    def write_at(self: MemoryFiles, name: str, offset: int, data: bytes) -> None:
        original(self, name, offset, data)
        self.__dict__.setdefault("stale", {}).setdefault(name, bytes(self._data[name]))

    return write_at


def _stale(original: Any) -> Any:
    """What a crash leaves of a file that was overwritten and not synced: its first content."""

    def crash_with(self: MemoryFiles, survivor: Any) -> MemoryFiles:
        after: MemoryFiles = original(self, survivor)
        for name, content in self.__dict__.get("stale", {}).items():
            after._data[name] = bytearray(content)
        return after

    return crash_with


def _writes_last(original: Any) -> Any:
    def take(self: Outbox) -> Any:
        effects = original(self)
        return sorted(effects, key=lambda effect: isinstance(effect, Write))

    return take


def _drops_remainder(original: Any) -> Any:
    def distribute(view: Any, *args: Any) -> Any:
        events = original(view, *args)
        tokens.bucket_add(view, "fees", -tokens.bucket(view, "fees"))
        return events

    return distribute


def _same_holder(original: Any) -> Any:
    def fetch(self: Batches, now: Any) -> None:
        for wanted in self._wanted.values():
            wanted.asked = 0
        original(self, now)

    return fetch


def _arms_once(_original: Any) -> Any:
    def fired(self: Engine, heard: Any) -> None:
        if not self._progressed:
            self._effects.append(Broadcast(status(self.state, heard)))
        self._progressed = False

    return fired


def _ignores_pol(original: Any) -> Any:
    """A proposal with a proof of lock is prevoted before the proof is here."""

    def rule(state: Any, heard: HeightHeard) -> Any:
        proposed = heard.proposed(state.round)
        if state.step is Step.PROPOSE and proposed is not None and proposed.pol_round >= 0 and proposed.verdict:
            return machine._prevote(state, proposed.block_id)
        return original(state, heard)

    return rule


def _rule(lines: str, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda rules: tuple((name, make(rule) if name == lines else rule) for name, rule in rules)


_LIST: Final = (
    Bug("no lock", "A validator forgets what it has locked.", ((machine, "_precommit", _forgets_lock),)),
    Bug(
        "lock lost in restart",
        "A restart resumes its round without lock and valid value.",
        ((engine, "State", _resumes_bare),),
    ),
    Bug(
        "unlocks always",
        "Any proof of lock unlocks, also one older than the lock.",
        ((machine, "RULES", _rule("28-33", _unlocks_always)),),
    ),
    Bug(
        "proof of lock ignored",
        "A proposal with a proof of lock is voted for without it.",
        ((machine, "RULES", _rule("28-33", _ignores_pol)),),
    ),
    Bug("valid value dropped", "A new round forgets the valid value.", ((machine, "_start_round", _forgets_valid),)),
    Bug(
        "quorum of two thirds",
        "Exactly two thirds are enough.",
        ((ValidatorSet, "quorum", lambda _: property(lambda self: (2 * len(self) + 2) // 3)),),
    ),
    Bug(
        "quorum one too low",
        "2 f votes are enough.",
        ((ValidatorSet, "quorum", lambda _: property(lambda self: max(1, len(self) * 2 // 3))),),
    ),
    Bug(
        "vote counted twice",
        "A second vote of one validator counts for its other block.",
        ((VoteKeeper, "add", _counts_both),),
    ),
    Bug(
        "any is a polka",
        "Two thirds of prevotes for anything count as a polka.",
        ((VoteKeeper, "_quorum", _any_is_polka),),
    ),
    Bug(
        "round skip missing",
        "More than a third in a later round do not move a node.",
        ((machine, "RULES", _without_rule("55-56")),),
    ),
    Bug(
        "precommit timer missing",
        "Two thirds of precommits do not arm a timer.",
        ((machine, "RULES", _without_rule("47-48")),),
    ),
    Bug(
        "votes not verified",
        "Signatures of votes and proposals are not checked.",
        ((Engine, "_verified", _always(True)),),
    ),
    Bug(
        "status timer not rearmed", "A node says what it lacks once a height.", ((Engine, "_status_timer", _arms_once),)
    ),
    Bug("status not answered", "What a peer lacks is not sent to it.", ((engine, "answer", _always([])),)),
    Bug(
        "guard not synced",
        "The guard is written, not synced.",
        ((MemoryFiles, "write_at", _unsynced), (MemoryFiles, "crash_with", _stale)),
    ),
    Bug(
        "guard not read",
        "A restart begins with an empty guard.",
        ((core, "open_guard", lambda _: lambda _files, key, chain: Guard(key, chain, Slot(0, chain, key, FRESH))),),
    ),
    Bug(
        "signs without a guard",
        "A validator that lost its disk signs at once.",
        ((Guard, "may_sign", _always(True)),),
    ),
    Bug(
        "observes too short",
        "A validator that lost its disk signs from the tip it was told.",
        (
            (
                guardfile,
                "signs_from",
                lambda original: lambda *args: None if (found := original(*args)) is None else max(0, found - 3),
            ),
        ),
    ),
    Bug("segment not synced", "Batches and blocks are not on disk when the block is.", ((Segments, "sync", _nothing),)),
    Bug(
        "block not on disk",
        "A precommit does not wait for its block to be on disk.",
        ((core, "rests_on_block", _always(False)),),
    ),
    Bug("told before written", "A block is told to be final before it is on disk.", ((Outbox, "take", _writes_last),)),
    Bug("commit not checked", "Decided blocks of a peer are believed.", ((Chain, "check_commit", _nothing),)),
    Bug(
        "parts not checked",
        "The parts of a peer's block are not compared with its header.",
        ((sync, "_check_parts", _nothing),),
    ),
    Bug("liar asked again", "A peer that fails in sync is not left alone.", ((sync.Sync, "_failed", _nothing),)),
    Bug(
        "old statuses answered",
        "Whoever repeats an old status is told the height each time.",
        ((sync, "TOLD_MS", lambda _: 0),),
    ),
    Bug("one holder asked", "A missing batch is always asked from the same peer.", ((Batches, "fetch", _same_holder),)),
    Bug(
        "missing block not asked",
        "A block that is missing is waited for.",
        ((Candidates, "ask", _nothing),),
        "message ProposedRequest",
    ),
    Bug(
        "signatures by id",
        "Checked signatures are remembered by an id that does not cover them.",
        ((Verifier, "verify", _by_id),),
    ),
    Bug("batch not verified", "A bad signature in a batch does not spoil it.", ((Verifier, "answered", _all_good),)),
    Bug(
        "evidence ignored",
        "Equivocation is not kept for a block.",
        ((EvidencePool, "add", _always(False)),),
        "block with evidence",
    ),
    Bug(
        "time of the wall",
        "A block takes its time from the wall clock alone.",
        ((Chain, "block_time", lambda _: lambda self, wall_ms: wall_ms),),
    ),
    Bug(
        "duplicates included",
        "A transaction of an earlier block may come again.",
        ((Chain, "is_recent", _always(False)),),
    ),
    Bug("expiry not checked", "A transaction never expires.", ((transition, "check_window", _nothing),)),
    Bug("authority not checked", "Anybody's key signs for any account.", ((identity, "has_authority", _always(True)),)),
    Bug("failure not undone", "A failed transaction keeps what it did.", ((View, "rollback", _nothing),)),
    Bug("remainder dropped", "What cannot be shared equally is lost.", ((transition, "distribute", _drops_remainder),)),
    Bug(
        "far votes unbounded",
        "Votes of any later round are kept.",
        ((votekeeper, "FAR_ROUNDS_MAX", lambda _: 1 << 30),),
    ),
)

BUGS: Final[dict[str, Bug]] = {bug.name: bug for bug in _LIST}


_LIES: Final[dict[str, tuple[str, ...]]] = {
    "votes not verified": ("forge", "mutate"),
    "commit not checked": ("lie in sync",),
    "parts not checked": ("lie in sync",),
    "liar asked again": ("lie in sync", "withhold"),
    "old statuses answered": ("replay",),
    "one holder asked": ("withhold", "starve"),
    "proof of lock ignored": ("false proof",),
    "batch not verified": ("junk batches",),
    "signatures by id": ("junk batches",),
    "duplicates included": ("old transactions",),
    "vote counted twice": ("equivocate", "amnesia", "mutate"),
    "evidence ignored": ("equivocate",),
    "far votes unbounded": ("far",),
}
"""Bugs that only a liar can use, and the lies that do."""


def can_show(name: str, swarm: Swarm) -> bool:
    """Whether the bug can show itself in such a run; where it cannot, the run is as without it."""
    if name in _LIES:
        return swarm.liar is not None and swarm.lie_mode in _LIES[name]
    if name in ("signs without a guard", "observes too short"):
        return swarm.wiped is not None
    if name in ("expiry not checked", "authority not checked"):
        return swarm.bad_share > 0 and swarm.ledger == "full"
    if name == "failure not undone":
        return swarm.bad_share > 0 and swarm.ledger == "full" and swarm.market_share == 0
    if name == "remainder dropped":
        return swarm.ledger == "full"
    return True
