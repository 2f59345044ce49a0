"""Transcripts of one engine: text in which `>` lines happen to it and `<` lines are all that it does about them.

    self v1                     which validator this is; v0 proposes round 0 of height 1, v1 round 1, ...
    validators 4                optional
    > start | start waiting     the height begins, with or without a reason for a block
    > proposal r1 B pol=0 [by v1] [from v3] [forged]
    > prevote r0 A from v0 v2   (precommit alike; nil for nil; from several; forged)
    > polka r0 A of v0 v2 v3    (commit alike)
    > built r0 A | judged r0 A valid|invalid|unfit | fetched A valid|invalid
    > timer propose r0 | due | restart
    < nothing                   or one line per effect, in order; the node that stops says broken: ...

Arming of the status timer and status messages are left out; blocks are single capital letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from concento.errors import Broken
from concento.evidence import DoubleVote, offender
from concento.votes import NIL, Commit, CommitSignature, Proposal, Vote, VoteType
from consensus.effects import (
    ArmTimer,
    BlockFetched,
    Broadcast,
    Build,
    Built,
    Decide,
    Due,
    Effect,
    Fetch,
    Input,
    Judge,
    Misbehaved,
    Persist,
    ProposalJudged,
    Received,
    ReportEvidence,
    RolledBack,
    SendTo,
    StartHeight,
    Timer,
    TimerFired,
)
from consensus.engine import Engine
from consensus.guard import FRESH, GuardRecord
from consensus.messages import Message, Polka, Status
from sim.cluster import (
    NETWORK,
    PARAMS,
    FakeCrypto,
    block_named,
    fake_key,
    fake_validators,
    signed_proposal,
    signed_vote,
)

M = TypeVar("M", Proposal, Vote)


@dataclass
class Step:
    """One input of a transcript, and the effects it must have."""

    line: int
    text: str
    expected: list[str]


@dataclass
class Transcript:
    own: int
    size: int
    steps: list[Step]


def read(path: Path) -> Transcript:
    own, size, steps = 1, 4, list[Step]()
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.split("#")[0].strip()
        match line.split(maxsplit=1):
            case []:
                continue
            case ["self", name]:
                own = int(name[1:])
            case ["validators", count]:
                size = int(count)
            case [">", text]:
                steps.append(Step(number, text, []))
            case ["<", text]:
                steps[-1].expected += [] if text == "nothing" else [text]
            case _:
                raise ValueError(f"{path.name}:{number}: {raw}")
    return Transcript(own, size, steps)


class Player:
    """Plays inputs against one engine; the disk is the last guard record."""

    def __init__(self, own: int, size: int) -> None:
        self.own, self.size, self.disk = own, size, FRESH
        self.validators = fake_validators(size)
        self.start_engine()

    def start_engine(self) -> None:
        key = fake_key(self.own)
        self.crypto = FakeCrypto(key)
        self.engine = Engine(NETWORK, key, self.crypto, PARAMS, self.disk)

    def play(self, text: str) -> list[str]:
        """What the engine does about one input line."""
        if text == "restart":
            self.start_engine()
            text = "start"
        shown = []
        for event in self.events(text):
            try:
                effects = self.engine.handle(event)
            except Broken as error:
                return [*shown, f"broken: {error}"]
            for effect in effects:
                if isinstance(effect, Persist):
                    self.disk = effect.record
                shown += show(effect)
        return shown

    def events(self, text: str) -> list[Input]:
        words = text.split()
        match words:
            case ["start", *waiting]:
                return [StartHeight(1, self.validators, self.validators.keys, not waiting, True)]
            case ["due"]:
                return [Due(1)]
            case ["timer", name, *rest]:
                return [TimerFired(1, _round(rest[0]) if rest else 0, Timer[name.upper()])]
            case ["built", round_, block]:
                return [Built(1, _round(round_), _block(block))]
            case ["judged", round_, block, verdict]:
                valid, fits = verdict != "invalid", verdict == "valid"
                return [ProposalJudged(1, _round(round_), _block(block), valid, fits)]
            case ["fetched", block, verdict]:
                return [BlockFetched(1, _block(block), verdict == "valid")]
            case _:
                return [Received(peer, message) for peer, message in self.messages(words)]

    def messages(self, words: list[str]) -> list[tuple[bytes, Message]]:
        forged = words[-1] == "forged"
        words = words[:-1] if forged else words
        match words:
            case ["proposal", round_, block, *rest]:
                pol_round, rest = (int(rest[0][4:]), rest[1:]) if rest and rest[0].startswith("pol=") else (-1, rest)
                options = dict(zip(rest[::2], rest[1::2], strict=True))
                signer = fake_key(int(options.get("by", f"v{_round(round_) % self.size}")[1:]))
                peer = fake_key(int(options["from"][1:])) if "from" in options else signer
                proposal = signed_proposal(signer, 1, _round(round_), pol_round, _block(block))
                return [(peer, _forge(proposal) if forged else proposal)]
            case ["prevote" | "precommit" as kind, round_, block, "from", *voters]:
                keys = [fake_key(int(voter[1:])) for voter in voters]
                votes = [signed_vote(key, VoteType[kind.upper()], 1, _round(round_), _block(block)) for key in keys]
                return [(vote.validator, _forge(vote) if forged else vote) for vote in votes]
            case ["polka" | "commit" as kind, round_, block, "of", *voters]:
                return [(fake_key(0), self.certificate(kind, _round(round_), _block(block), voters, forged))]
            case _:
                raise ValueError(f"unknown input: {words}")

    def certificate(self, kind: str, round_: int, block_id: bytes, voters: list[str], forged: bool) -> Polka | Commit:
        vote_type = VoteType.PREVOTE if kind == "polka" else VoteType.PRECOMMIT
        signatures = []
        for voter in voters:
            number = int(voter[1:])
            vote = signed_vote(fake_key(number), vote_type, 1, round_, block_id)
            signatures.append(CommitSignature(number, _forge(vote).signature if forged else vote.signature))
        return (Polka if kind == "polka" else Commit)(1, round_, block_id, tuple(signatures))


def show(effect: Effect) -> list[str]:
    """The line of an effect, or none where transcripts leave it out."""
    match effect:
        case ArmTimer(timer=Timer.STATUS) | Broadcast(Status()) | SendTo(_, Status()):
            return []
        case Persist(record):
            return [f"persist {_show_record(record)}"]
        case Broadcast(message):
            return [f"broadcast {_show_message(message)}"]
        case SendTo(peer, message):
            return [f"send {_name(peer)} {_show_message(message)}"]
        case ArmTimer(_, round_, timer, delay_ms):
            return [f"arm {timer.name.lower()} r{round_} {delay_ms} ms"]
        case Build(_, round_):
            return [f"build r{round_}"]
        case Judge(proposal):
            return [f"judge r{proposal.round} {_show_block(proposal.block_id)}"]
        case Fetch(_, round_, block_id, holders):
            return [f"fetch r{round_} {_show_block(block_id)} of {' '.join(map(_name, holders))}"]
        case Decide(commit):
            return [f"decide r{commit.round} {_show_block(commit.block_id)} by {_show_signers(commit)}"]
        case ReportEvidence(evidence):
            kind = "double vote" if isinstance(evidence, DoubleVote) else "double proposal"
            return [f"evidence {kind} of {_name(offender(evidence))}"]
        case Misbehaved(peer, reason):
            return [f"misbehaved {_name(peer)}: {reason}"]
        case RolledBack():
            return ["rolled back"]


def _show_record(record: GuardRecord) -> str:
    shown = f"r{record.round} {record.step.name.lower()}"
    if record.locked_round >= 0:
        shown += f" locked {_show_block(record.locked_id)} r{record.locked_round}"
    if record.valid_round >= 0:
        shown += f" valid {_show_block(record.valid_id)} r{record.valid_round}"
    return shown


def _show_message(message: Message) -> str:
    match message:
        case Proposal():
            pol = f" pol={message.pol_round}" if message.pol_round >= 0 else ""
            return f"proposal r{message.round} {_show_block(message.block_id)}{pol}"
        case Vote():
            return f"{message.type.name.lower()} r{message.round} {_show_block(message.block_id)}"
        case Polka():
            return f"polka r{message.round} {_show_block(message.block_id)} of {_show_signers(message)}"
        case Commit():
            return f"commit r{message.round} {_show_block(message.block_id)} of {_show_signers(message)}"
        case Status():
            return "status"


def _show_signers(certificate: Polka | Commit) -> str:
    return " ".join(f"v{entry.index}" for entry in certificate.signatures)


def _forge(message: M) -> M:
    """The message with a signature that is not its signer's."""
    return msgspec.structs.replace(message, signature=bytes(64))


def _round(word: str) -> int:
    return int(word[1:])


def _block(word: str) -> bytes:
    match word:
        case "nil":
            return NIL
        case "short":
            return b"short"
        case _:
            return block_named(word)


def _show_block(block_id: bytes) -> str:
    return block_id.decode().rstrip(".") or "nil"


def _name(key: bytes) -> str:
    return f"v{key[0] - 1}"
