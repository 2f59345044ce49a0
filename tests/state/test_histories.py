"""Random histories against a second, simpler ledger; the same blocks on every Python; garbage harms nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concento.accounts import Policy
from concento.encoding import encode
from concento.errors import ConcentoError
from concento.messages import Action
from concento.messages.identity import Admit, BindPlaceholder, RevokeRoles, RotateKeys, SetPayoutPolicy
from concento.messages.tokens import Transfer
from concento.transactions import Body, Signed, Transaction, decode_transaction
from state.modules import tokens
from state.supply import audit
from support.histories import histories
from support.ledger import Ledger, account_of, key_of

ROOT = Path(__file__).parents[2]
PEOPLE = ("alice", "bea", "bob", "zoe", "pauper")
NODES = ("node1", "node2", "node3", "node4")
WEIGHT = 3
"""Of a transaction with one transfer."""


class Model:
    """The ledger once more: one dictionary of balances, one rule at a time, no undo and no cleverness."""

    def __init__(self, ledger: Ledger) -> None:
        self.fees = ledger.params.fees
        self.balances = {entry.account: entry.amount_ubeat for entry in ledger.genesis.balances}
        self.rewarded = [member.rewards_to for member in ledger.genesis.validators.members]
        self.bucket = self.burnt = 0
        self.ids: list[bytes] = []

    def block(self, transactions: Sequence[Transaction], time_ms: int) -> list[str]:
        collected, kinds = 0, []
        for transaction in transactions:
            kind, fee = self.run(transaction, time_ms)
            collected += fee
            kinds.append(kind)
        if collected:
            burnt = collected * self.fees.burn_bps // 10_000
            self.burnt += burnt
            self.bucket += collected - burnt
            for account in self.rewarded:
                self.balances[account] = self.balances.get(account, 0) + self.bucket // 4
            self.bucket %= 4
        return kinds

    def run(self, transaction: Transaction, time_ms: int) -> tuple[str, int]:
        body = transaction.body
        transfers = [action for action in body.actions if isinstance(action, Transfer)]
        fee = len(transaction.raw) * self.fees.per_byte_ubeat + (1 + 2 * len(transfers)) * self.fees.per_weight_ubeat
        if body.valid_until_ms < time_ms:
            return "tx.expired", 0
        if body.valid_until_ms > time_ms + 120_000:
            return "tx.too_early", 0
        if transaction.id in self.ids:
            return "tx.duplicate", 0
        if fee > body.max_fee_ubeat:
            return "tx.fee_too_low", 0
        if fee > self.balances.get(body.sender, 0):
            return "tokens.balance_low", 0
        self.ids.append(transaction.id)
        self.balances[body.sender] -= fee
        after = dict(self.balances)
        for transfer in transfers:
            if transfer.amount_ubeat == 0:
                return "tokens.amount_zero", fee
            if transfer.amount_ubeat > after[body.sender]:
                return "tokens.balance_low", fee
            after[body.sender] -= transfer.amount_ubeat
            after[transfer.to] = after.get(transfer.to, 0) + transfer.amount_ubeat
        self.balances = after
        return "", fee


amounts = st.one_of(st.just(0), st.integers(1, 2_000), st.integers(1, 6 * 10**10), st.just(10**18))
payments = st.lists(st.tuples(st.sampled_from(PEOPLE), amounts), min_size=1, max_size=3)
drafts = st.tuples(
    st.sampled_from(PEOPLE),
    payments,
    st.sampled_from([0, 999, 1_000, 1_001, 60_000, 121_000, 121_001]),
    st.sampled_from([0, 300, 10**6, 10**18]),
)
blocks = st.lists(st.tuples(st.lists(drafts, max_size=6), st.integers(0, 2)), min_size=1, max_size=5)


@settings(max_examples=60)
@given(blocks)
def test_every_balance_equals_the_model_after_every_block(
    history: list[tuple[list[tuple[str, list[tuple[str, int]], int, int]], int]],
) -> None:
    """Case 55."""
    ledger = Ledger()
    model = Model(ledger)
    earlier: list[Transaction] = []
    for block, repeats in history:
        fresh = [
            ledger.tx(
                sender,
                *(Transfer(account_of(to), amount) for to, amount in outgoing),
                valid_ms=valid_ms,
                max_fee_ubeat=max_fee,
            )
            for sender, outgoing, valid_ms, max_fee in block
        ]
        transactions = [*earlier[:repeats], *fresh, *fresh[:repeats]]
        outcome = ledger.block(*transactions)
        assert [result.kind for result in outcome.results] == model.block(transactions, ledger.time_ms)
        view = ledger.view()
        held = {account: tokens.balance(view, account) for account in model.balances}
        assert held == model.balances
        assert (tokens.bucket(view, "fees"), tokens.bucket(view, "burnt")) == (model.bucket, model.burnt)
        books = audit(ledger.state().items())
        assert books.difference_ubeat == 0
        assert books.minted_ubeat == ledger.genesis.supply_ubeat
        earlier += fresh


keys = st.sampled_from([key_of(name) for name in PEOPLE]) | st.binary(min_size=32, max_size=32)
accounts = st.sampled_from([account_of(name) for name in (*PEOPLE, "issuer")]) | st.binary(min_size=32, max_size=32)
roles = st.lists(
    st.sampled_from(["arbiter", "creator", "developer", "gateway", "issuer", "operator"]), min_size=1, max_size=3
).map(tuple)
policies = st.builds(Policy, st.integers(1, 16), st.lists(keys, min_size=1, max_size=4).map(tuple))
anything = st.one_of(
    st.builds(Transfer, accounts, st.integers(0, 10**18)),
    st.builds(Admit, accounts, st.text(min_size=1, max_size=16), st.sampled_from(["person", "service"]), roles),
    st.builds(RevokeRoles, accounts, roles),
    st.builds(BindPlaceholder, accounts, accounts),
    st.builds(RotateKeys, policies),
    st.builds(
        SetPayoutPolicy, st.sampled_from(["now", "min", "every"]), st.integers(0, 10**18), st.integers(0, 2**53 - 1)
    ),
)


@st.composite
def garbage(draw: st.DrawFn) -> Transaction | None:
    """A well-formed transaction of nonsense, as if its signatures had been checked; None where it cannot be encoded."""
    ledger = BLANK
    body = Body(
        chain_id=draw(st.sampled_from([ledger.genesis.chain_id, "other-chain"])),
        genesis_prefix=draw(st.sampled_from([ledger.genesis.hash[:8], bytes(8)])),
        sender=draw(accounts),
        nonce=draw(st.binary(min_size=16, max_size=16)),
        valid_until_ms=draw(st.integers(0, 2**53 - 1) | st.integers(0, 130_000).map(lambda ms: ledger.time_ms + ms)),
        max_fee_ubeat=draw(st.integers(0, 10**18)),
        actions=tuple(draw(st.lists(anything, min_size=1, max_size=4))),
        memo="",
    )
    signers = sorted(draw(st.sets(keys, min_size=1, max_size=3)))
    try:
        return decode_transaction(encode(Signed(encode(body), tuple((key, bytes(64)) for key in signers))))
    except (ConcentoError, UnicodeEncodeError):
        return None


BLANK = Ledger()


@settings(max_examples=150)
@given(st.lists(garbage(), max_size=8), st.lists(st.tuples(keys, st.integers(0, 3)), max_size=3))
def test_no_block_of_nonsense_raises_or_loses_money(
    transactions: list[Transaction | None], evidence: list[tuple[bytes, int]]
) -> None:
    ledger = Ledger(BLANK.genesis)
    given_ones = [transaction for transaction in transactions if transaction is not None]
    outcome = ledger.block(*given_ones, *given_ones, evidence=tuple(evidence))
    assert len(outcome.results) == 2 * len(given_ones)
    assert audit(ledger.state().items()).difference_ubeat == 0
    for first, second in zip(outcome.results, outcome.results[len(given_ones) :], strict=False):
        if first.status != "skipped":
            assert second.kind == "tx.duplicate"


def random_actions(random: Random) -> list[tuple[str, Action]]:
    people = [*PEOPLE, "issuer"]
    sender = random.choice(people)
    match random.randrange(6):
        case 0:
            wanted = sorted(random.sample(["arbiter", "creator", "developer", "gateway"], 2))
            name = random.choice(people)
            return [("issuer", Admit(account_of(name), name, "person", tuple(wanted)))]  # type: ignore[arg-type]
        case 1:
            return [(sender, SetPayoutPolicy("min", random.randrange(3), 0))]
        case 2:
            return [("issuer", RevokeRoles(account_of(sender), ("creator",)))]
        case _:
            return [(sender, Transfer(account_of(random.choice(people)), random.randrange(10**6)))]


def play(seed: int, height_count: int) -> Ledger:
    """A history drawn from a seed."""
    random = Random(seed)
    ledger = Ledger()
    for _ in range(height_count):
        drawn = [pair for _ in range(random.randrange(5)) for pair in random_actions(random)]
        evidence = ((random.choice(ledger.genesis.validators.keys), ledger.height),) if random.randrange(9) == 0 else ()
        ledger.block(*(ledger.tx(sender, action) for sender, action in drawn), evidence=evidence)
    return ledger


def test_a_history_has_successes_failures_and_skips() -> None:
    statuses = {result.status for outcome in play(1, 40).outcomes for result in outcome.results}
    assert statuses == {"ok", "failed", "skipped"}


ENVIRONMENTS = {
    "another hash seed": {"PYTHONHASHSEED": "4242"},
    "no hash seed": {"PYTHONHASHSEED": "0"},
    "another time zone": {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu"},
    "another locale": {"PYTHONHASHSEED": "2", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0"},
    "msgpack without its C part": {"PYTHONHASHSEED": "3", "MSGPACK_PUREPYTHON": "1"},
}
HEIGHTS = histories(200)
"""In `make money-long` ten thousand."""


@cache
def _expected(seed: int) -> str:
    return roots(play(seed, HEIGHTS))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_environment_gives_the_same_roots(seed: int, environment: str) -> None:
    """Case 52."""
    script = (
        f"import msgpack, test_histories as t; print(t.roots(t.play({seed}, {HEIGHTS})), msgpack.Packer.__module__)"
    )
    path = os.pathsep.join(str(part) for part in (ROOT, ROOT / "tests", Path(__file__).parent))
    environ = {**os.environ, **ENVIRONMENTS[environment], "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    *found, codec = done.stdout.split()
    assert found == _expected(seed).split()
    # Of what the ledger uses, libsodium and msgspec have no other form, and msgpack has.
    assert codec == ("msgpack.fallback" if "MSGPACK_PUREPYTHON" in ENVIRONMENTS[environment] else "msgpack._cmsgpack")


def roots(ledger: Ledger) -> str:
    """The app hash after every height, and the root of its results."""
    of_heights = zip(ledger.app_hashes, ledger.outcomes, strict=True)
    return " ".join(f"{app_hash.hex()}/{outcome.results_root.hex()}" for app_hash, outcome in of_heights)


def test_a_longer_history_begins_with_the_shorter_one() -> None:
    """Case 63: execution keeps nothing in memory between blocks."""
    assert play(3, 20).outcomes[:10] == play(3, 10).outcomes
