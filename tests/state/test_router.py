"""Every message of the vocabulary has its route, and no message of any shape breaks a block or the books."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from msgspec.structs import replace

from concento.accounts import Policy, placeholder_id
from concento.errors import ConcentoError
from concento.merkle import merkle_root
from concento.messages import Action
from concento.messages.assets import AddMembers, RetireAsset, SealDataset, Split, UpdateMetadata
from concento.messages.disputes import DISMISSED, AnswerDispute, OpenDispute, RaiseBond, RuleDispute
from concento.messages.governance import AdmitObserver, Approve, Propose, Upgrade
from concento.messages.identity import Admit, BindPlaceholder, RevokeRoles, RotateKeys, SetPayoutPolicy
from concento.messages.licences import CloseOffer, RevokeLicence, TopUpLicence, WithdrawDeposit
from concento.messages.receipts import PostUsage, UsageRow, usage_leaf, usage_root
from concento.messages.royalties import AddVaultRows, Claim, OpenVault, SealVault, Sweep, TransferShares
from concento.messages.tokens import Transfer
from concento.transactions import Transaction
from state.router import ROUTES
from state.supply import audit
from support.ledger import BEAT, Ledger, account_of, key_of
from support.lineage import good_messages
from support.nonsense import Nonsense
from support.rights import (
    Reader,
    album,
    buy,
    buy_action,
    dataset,
    offer,
    offer_action,
    recording,
    register,
    tracks,
    work,
)

ROOT = Path(__file__).parents[2]
SENDERS = ("alice", "bea", "bob", "gateway1", "issuer", "dana", "arbiter1", "node1")
GHOST = placeholder_id(b"drummer")


@dataclass(frozen=True, slots=True)
class World:
    """A market in full swing, and one message of each kind that it would accept."""

    ledger: Ledger
    good: Sequence[tuple[str, Action]]
    ids: Sequence[bytes]


def make_world() -> World:
    ledger = Ledger()
    members = tracks(ledger, 3)
    sealed, other = album(ledger, members), album(ledger, members[:2])
    opened = register(ledger, "alice", dataset("open"))
    offer_id, second = offer(ledger, sealed), offer(ledger, other)
    licence = buy(ledger, offer_id, deposit_ubeat=BEAT)
    opened_vault = ledger.run("bea", OpenVault("vault", (Split(account_of("bea"), 7),)))[0]
    vault = opened_vault.fields["vault"]
    assert isinstance(vault, bytes)
    reader, fresh = Reader(ledger, licence, sealed), Reader(ledger, licence, sealed, number=1)
    ledger.run("bob", reader.open_action(4))
    reader.read(members[0], "track0")
    reader.anchor()
    reader.read(members[1], "track1")
    lineage, linked = good_messages(ledger)
    claim = OpenDispute(members[0], "ownership", 1, 5_000, b"", 0, 0, 10 * BEAT, bytes(32))
    disputed = [
        ledger.run("dana", replace(claim, evidence=bytes([number]) * 32))[0].fields["dispute"] for number in (1, 2)
    ]
    ledger.run("alice", AnswerDispute(disputed[1], False, b""))
    by_use = album(ledger, members, rule="usage")
    user = Reader(ledger, buy(ledger, offer(ledger, by_use), deposit_ubeat=BEAT), by_use)
    ledger.run("bob", user.open_action(4))
    user.read(members[0], "track0")
    usage = (UsageRow(0, 1),)
    signed = usage_root(0, 1, merkle_root([usage_leaf(usage[0])]))
    pot = ledger.run("gateway1", user.anchor_action(user.voucher(usage_root=signed)))[-1].fields["pot"]
    assert isinstance(pot, int)
    for name in ("node1", "node2"):
        ledger.run("treasury", Transfer(account_of(name), BEAT))
    until_ms = ledger.time_ms + 3_600_000
    admitted = AdmitObserver(key_of("yan"), "yan", account_of("yan"))
    proposal = ledger.run("node1", Propose(admitted, until_ms))[0].fields["proposal"]
    assert isinstance(proposal, bytes)
    good: list[tuple[str, Action]] = [
        ("alice", Transfer(account_of("carol"), 5)),
        ("issuer", Admit(account_of("zoe"), "zoe", "person", ("creator",))),
        ("issuer", RevokeRoles(account_of("carol"), ("operator",))),
        ("issuer", BindPlaceholder(GHOST, account_of("bea"))),
        ("dana", RotateKeys(Policy(1, (key_of("dana"),)))),
        ("bea", SetPayoutPolicy("min", 10 * BEAT, 0)),
        ("alice", work("another song")),
        ("alice", recording("another track")),
        ("alice", dataset("another dataset")),
        ("alice", AddMembers(opened, tuple(members))),
        ("alice", SealDataset(opened)),
        ("alice", UpdateMetadata(sealed, 1, dataset("new title").description)),
        ("alice", RetireAsset(other)),
        ("alice", offer_action(sealed)),
        ("alice", CloseOffer(second)),
        ("bob", buy_action(offer_id)),
        ("bob", TopUpLicence(licence, 7)),
        ("bob", WithdrawDeposit(licence, 3)),
        ("alice", RevokeLicence(licence, "training of another model")),
        ("bob", fresh.open_action(2)),
        ("gateway1", reader.anchor_action()),
        ("bob", reader.close_action()),
        ("bea", PostUsage(pot, 0, 1, usage, ())),
        ("bea", Claim(sealed, 0, 0)),
        ("bea", Sweep(sealed, 0, 3)),
        ("alice", TransferShares(members[0], 1, 0, "account", account_of("carol"), 0, 5)),
        ("bea", OpenVault("another vault", (Split(account_of("carol"), 3),))),
        ("bea", AddVaultRows(vault, 1, (Split(account_of("carol"), 3),))),
        ("bea", SealVault(vault)),
        ("dana", replace(claim, evidence=bytes(32))),
        ("alice", AnswerDispute(disputed[0], False, b"")),
        ("dana", RaiseBond(disputed[0], BEAT)),
        ("arbiter1", RuleDispute(disputed[1], DISMISSED)),
        ("node1", Propose(Upgrade(2, 1_000), until_ms)),
        ("node2", Approve(proposal)),
        *lineage,
    ]
    people = [account_of(name) for name in (*SENDERS, "carol", "zoe")]
    return World(
        ledger,
        good,
        [
            *people,
            *members,
            sealed,
            other,
            opened,
            offer_id,
            second,
            licence,
            vault,
            proposal,
            *disputed,
            GHOST,
            *linked,
        ],
    )


def try_tx(ledger: Ledger, sender: str, actions: Sequence[Action], wait_ms: int = 1_000) -> Transaction | None:
    """The transaction, or None where no client could write it down."""
    try:
        return ledger.tx(sender, *actions, valid_ms=wait_ms + 1_000)
    except (ConcentoError, UnicodeEncodeError):
        return None


def check_books(ledger: Ledger) -> None:
    books = audit(ledger.state().items())
    assert books.difference_ubeat == 0
    assert books.deposits_ubeat == books.escrow_ubeat
    assert 0 <= books.minted_ubeat - ledger.genesis.supply_ubeat <= books.burnt_ubeat


@cache
def all_kinds() -> tuple[type, ...]:
    return get_args(Action)


def test_every_message_has_a_route_and_every_route_a_message() -> None:
    assert sorted(kind.__name__ for kind in ROUTES) == sorted(kind.__name__ for kind in all_kinds())


def test_the_world_of_these_tests_holds_a_good_message_of_every_kind() -> None:
    assert {type(message) for _, message in make_world().good} == {*all_kinds()}


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.__name__)
def test_a_good_message_succeeds_and_keeps_the_books(kind: type) -> None:
    world = make_world()
    (sender, message) = next((sender, message) for sender, message in world.good if type(message) is kind)
    if kind is SealDataset:
        world.ledger.run("alice", next(message for _, message in world.good if isinstance(message, AddMembers)))
    assert ROUTES[kind].weight(message) >= 1
    before = len(world.ledger.state())
    world.ledger.run(sender, message)
    written = world.ledger.outcomes[-1]
    assert len(world.ledger.state()) - before <= 40
    assert len(written.changes) > 0
    check_books(world.ledger)


def spoilt_history(seed: int, blocks: int = 25) -> Ledger:
    """Good messages, spoilt messages and nonsense, while block time creeps and leaps; the books hold in every block."""
    world = make_world()
    ledger, nonsense, random = world.ledger, Nonsense(seed, world.ids), Random(seed)
    for _ in range(blocks):
        drafts: list[tuple[str, list[Action]]] = []
        for _ in range(8):
            sender, message = random.choice(world.good)
            actions = [message if random.random() < 0.2 else nonsense.spoil(message)]
            if random.random() < 0.3:
                actions.append(nonsense.message(random.choice(all_kinds())))
            drafts.append((sender if random.random() < 0.8 else random.choice(SENDERS), actions))
        wait_ms = random.choice([1, 1_000, 50_000, 10**8, 10**10])
        made = [try_tx(ledger, sender, actions, wait_ms) for sender, actions in drafts]
        ledger.block(*(each for each in made if each is not None), time_ms=ledger.time_ms + wait_ms)
        check_books(ledger)
    return ledger


@pytest.mark.parametrize("seed", range(6))
def test_no_spoilt_message_breaks_a_block_or_the_books(seed: int) -> None:
    ledger = spoilt_history(seed)
    assert {"ok", "failed"} <= {result.status for outcome in ledger.outcomes for result in outcome.results}


def test_every_module_gives_the_same_roots_under_every_hash_seed() -> None:
    """Case 52."""
    expected = roots(spoilt_history(11))
    script = "import test_router as t; print(t.roots(t.spoilt_history(11)))"
    path = os.pathsep.join(str(part) for part in (ROOT, ROOT / "tests", Path(__file__).parent))
    for hash_seed in ("0", "4242"):
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def roots(ledger: Ledger) -> str:
    return " ".join([ledger.tree.root.hex(), *(outcome.results_root.hex() for outcome in ledger.outcomes)])


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.__name__)
def test_a_message_drawn_from_its_type_alone_is_judged(kind: type) -> None:
    world = make_world()
    nonsense = Nonsense(7, world.ids)
    for sender in SENDERS:
        drawn = [try_tx(world.ledger, sender, [nonsense.message(kind)]) for _ in range(4)]
        outcome = world.ledger.block(*(each for each in drawn if each is not None))
        assert {result.status for result in outcome.results} <= {"ok", "failed", "skipped"}
    check_books(world.ledger)


def test_what_waits_for_a_placeholder_is_paid_in_the_block_that_binds_it() -> None:
    ledger = Ledger()
    rows = tuple(sorted((Split(GHOST, 500_000), Split(account_of("bea"), 500_000)), key=lambda row: row.holder))
    song = register(ledger, "alice", work("Song of a ghost", rows=rows))
    offer_id = offer(ledger, song, layers=("work",))
    before = ledger.balance("bea"), ledger.balance("carol")
    buy(ledger, offer_id)
    half = (40 * BEAT - 40 * BEAT // 100) // 2
    assert (ledger.balance("bea") - before[0], ledger.balance("carol")) == (half, before[1])
    ledger.run("issuer", BindPlaceholder(GHOST, account_of("carol")))
    assert ledger.balance("carol") == before[1] + half
    buy(ledger, offer_id, buyer="dana")
    assert ledger.balance("carol") == before[1] + 2 * half
    check_books(ledger)


def test_a_new_payout_policy_lets_go_what_waited_under_the_old_one() -> None:
    ledger = Ledger()
    song = register(ledger, "alice", work("Song"))
    ledger.run("bea", SetPayoutPolicy("min", 1_000 * BEAT, 0))
    before = ledger.balance("bea")
    buy(ledger, offer(ledger, song, layers=("work",)))
    assert ledger.balance("bea") == before
    ledger.run("bea", SetPayoutPolicy("now", 0, 0))
    fee = ledger.outcomes[-1].results[0].fee_ubeat
    assert ledger.balance("bea") == before - fee + (40 * BEAT - 40 * BEAT // 100) * 3 // 10
