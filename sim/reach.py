"""What a run has touched: messages, rules of the machine, faults, results. A long run in which one of them is zero has
not tested what it claims to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Final

from consensus import machine
from consensus.machine import Heard, Outcome, State
from node.replica.wire import RULES, PieceRequest, SnapshotOffer, SnapshotPiece, SnapshotRequest
from sim.byzantine import MODES
from sim.disk import LOSS_KINDS
from sim.swarm import FAULT_KINDS

_TOGETHER: Final = ("clock", "crash", "cut", "hurry", "partition", "pause", "power cut", "silence", "slow")
"""Kinds of faults of which any two must have been at work at once; those that are over in no time hardly can be."""
_BY_WORD: Final = ("cut at a word", "deaf", "hurry", "mute")
PAIRS: Final = tuple(
    f"pair {one} + {other}" for kinds in (_TOGETHER, _BY_WORD) for one, other in combinations(kinds, 2)
)

REFUSED: Final = (
    "asset.not_found", "dispute.bond_low", "dispute.not_found", "encoding.invalid", "governance.not_open",
    "governance.too_few", "licence.deposit_unneeded", "licence.not_found", "licence.wrong_purpose", "lineage.no_right",
    "node.observer", "offer.not_found", "receipt.gap", "royalties.no_leg", "royalties.not_sealed",
    "royalties.shares_short", "tokens.balance_low", "tx.authority", "tx.expired", "tx.fee_too_low", "tx.signature",
    "tx.too_early", "tx.wrong_chain",
)  # fmt: skip
"""What clients must have been refused, by kind."""
IN_BLOCKS: Final = ("tokens.balance_low", "tx.duplicate", "tx.expired", "governance.expiry")
"""Why transactions must have failed or been skipped inside blocks."""
ACTIONS: Final = (
    "AddMembers", "Admit", "AnchorReceipts", "Approve", "BuyLicence", "Claim", "CloseAccess", "CloseOffer",
    "CreateOffer", "OpenAccess", "OpenDispute", "OpenVault", "Propose", "RegisterDataset", "RegisterDerivative",
    "RegisterModel", "RegisterOutput", "RegisterRecording", "RegisterWork", "RetireAsset", "SealDataset", "SealVault",
    "SetPayoutPolicy", "Sweep", "Transfer", "TransferShares", "UpdateMetadata",
)  # fmt: skip
"""What must have been done, with success."""

Rule = Callable[[State, Heard], Outcome | None]

_OF_JOINING: Final = (SnapshotRequest, SnapshotOffer, PieceRequest, SnapshotPiece)
"""No node of a run begins with a snapshot: `tests/node/replica/test_join.py` has liars of its own for that."""

WANTED: Final[tuple[str, ...]] = (
    *(f"message {rule.record.__name__}" for rule in RULES.values() if rule.record not in _OF_JOINING),
    *(f"rule {lines}" for lines, _ in machine.RULES),
    *(f"input {kind}" for kind in ("Begin", "Resume", "Changed", "ValueReady", "TimedOut")),
    *(f"fault {kind}" for kind in FAULT_KINDS),
    *(f"disk {kind}" for kind in LOSS_KINDS),
    *(f"lie {mode}" for mode in MODES),
    *(f"result {status}" for status in ("ok", "failed", "skipped")),
    *(f"answer {status}" for status in ("pending", "included", "refused")),
    *(f"signing {name}" for name in ("stub", "ed25519")),
    *(f"ledger {kind}" for kind in ("stub", "full")),
    *PAIRS,
    *(f"refused {kind}" for kind in REFUSED),
    *(f"kind {kind}" for kind in IN_BLOCKS),
    *(f"action {name}" for name in ACTIONS),
    "lock given up",
    "proposal with proof",
    "change of the set",
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
