"""Shares that change hands: what was earned before stays, what comes later goes; vaults; who cannot be pushed out."""

from __future__ import annotations

import pytest

from concento.messages.assets import Split
from concento.messages.royalties import AddVaultRows, Claim, OpenVault, SealVault, TransferShares
from state.modules import royalties, shares
from state.modules.revenue import PayoutRow, decode_row
from state.modules.vaults import VAULTS
from state.supply import audit
from support.ledger import BEAT, Ledger, account_of
from support.rights import buy, offer, register, splits, work

PRICE = 40 * BEAT
NET = PRICE * 99 // 100


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def song(ledger: Ledger, **shares_of: int) -> bytes:
    return register(ledger, "alice", work("Song", rows=splits(**(shares_of or {"alice": 70, "bea": 30}))))


def sell(ledger: Ledger, asset: bytes) -> None:
    """One sale for 40 BEAT, in a block of its own."""
    buy(ledger, offer(ledger, asset, layers=("work",)))
    assert audit(ledger.state().items()).difference_ubeat == 0


def move(asset: bytes, to: bytes, count: int, **changes: object) -> TransferShares:
    fields: dict[str, object] = {
        "source": asset,
        "leg": 0,
        "page": 0,
        "to_kind": "account",
        "to": to,
        "to_page": 0,
        "shares": count,
    }
    return TransferShares(**{**fields, **changes})  # type: ignore[arg-type]


def vault_of(ledger: Ledger, owner: str, *rows: tuple[bytes, int], sealed: bool = True) -> bytes:
    found = ledger.run(owner, OpenVault("fans", tuple(Split(who, count) for who, count in rows)))[0].fields["vault"]
    assert isinstance(found, bytes)
    if sealed:
        ledger.run(owner, SealVault(found))
    return found


def stranger(number: int) -> bytes:
    return account_of(f"fan{number}")


def earned(ledger: Ledger, who: bytes) -> int:
    """What an account was ever paid as royalties."""
    return sum(
        int(event.fields["amount_ubeat"])  # type: ignore[arg-type]
        for outcome in ledger.outcomes
        for event in outcome.closing
        if event.kind == "royalties.paid" and event.fields["party"] == who
    )


def test_whoever_holds_the_shares_earns_and_the_past_stays_with_the_seller(ledger: Ledger) -> None:
    asset = song(ledger)
    sell(ledger, asset)
    ledger.run("alice", move(asset, account_of("carol"), 200_000))
    sell(ledger, asset)
    assert earned(ledger, account_of("alice")) == NET * 7 // 10 + NET * 5 // 10
    assert earned(ledger, account_of("carol")) == NET * 2 // 10
    assert earned(ledger, account_of("bea")) == 2 * NET * 3 // 10


def test_shares_bought_just_before_a_payout_bring_nothing_of_what_was_earned_before(ledger: Ledger) -> None:
    """A table of two pages is not settled by a sale: the buyer comes between the sale and the settlement."""
    asset = song(ledger)
    rows = [(account_of("alice"), 600), *((stranger(number), 1) for number in range(400))]
    vault = vault_of(ledger, "alice", *rows)
    ledger.run("alice", move(asset, vault, 700_000, to_kind="vault"))
    table = ledger.view().get(VAULTS, vault).table
    offer_id = offer(ledger, asset, layers=("work",))
    before = ledger.view()
    assert shares.find_table(before, table).credited == 0
    buy(ledger, offer_id)
    waiting = shares.find_table(ledger.view(), table)
    assert waiting.credited == NET * 7 // 10
    ledger.run("alice", move(vault, account_of("carol"), 600))
    for _ in range(3):
        ledger.block()
    assert earned(ledger, account_of("carol")) == 0
    assert earned(ledger, account_of("alice")) == NET * 7 // 10 * 600 // 1_000
    sell(ledger, asset)
    for _ in range(3):
        ledger.block()
    assert earned(ledger, account_of("carol")) == NET * 7 // 10 * 600 // 1_000


def test_nobody_moves_more_than_he_has_or_what_is_not_his(ledger: Ledger) -> None:
    asset = song(ledger)
    assert ledger.refusal("bea", move(asset, account_of("carol"), 300_001)) == "royalties.shares_short"
    assert ledger.refusal("carol", move(asset, account_of("bea"), 1)) == "royalties.shares_short"
    assert ledger.refusal("bea", move(asset, account_of("carol"), 1, page=1)) == "royalties.no_page"
    assert ledger.refusal("bea", move(asset, account_of("carol"), 1, leg=1)) == "royalties.no_leg"


def test_no_cycle_through_holders_can_be_made(ledger: Ledger) -> None:
    """Each asset may hold shares of younger ones only: income always moves to an older asset."""
    first, second = song(ledger), song(ledger)
    ledger.run("alice", move(second, first, 100, to_kind="asset"))
    for target in (first, second):
        kind = ledger.refusal("alice", move(first, target, 100, to_kind="asset"))
        assert kind == "royalties.holder_too_young"
    sell(ledger, second)
    assert earned(ledger, account_of("alice")) == NET * 7 // 10 - NET * 100 // 10**6 + NET * 100 // 10**6 * 7 // 10


def test_a_vault_holds_accounts_only_so_vaults_make_no_cycle(ledger: Ledger) -> None:
    vault, other = (vault_of(ledger, "bea", (account_of("bea"), 10)) for _ in range(2))
    for kind, target in (("vault", vault), ("vault", other), ("asset", song(ledger))):
        refused = ledger.refusal("bea", move(vault, target, 1, to_kind=kind))
        assert refused == "royalties.holder_too_young"


def test_a_vault_takes_part_only_when_it_is_sealed_and_only_its_opener_fills_it(ledger: Ledger) -> None:
    asset = song(ledger)
    vault = vault_of(ledger, "bea", (account_of("bea"), 10), sealed=False)
    more = (Split(account_of("dana"), 5),)
    assert ledger.refusal("alice", move(asset, vault, 1, to_kind="vault")) == "royalties.vault_open"
    assert ledger.refusal("bea", move(vault, account_of("carol"), 1)) == "royalties.vault_open"
    assert ledger.refusal("alice", AddVaultRows(vault, 1, more)) == "royalties.vault_not_yours"
    assert ledger.refusal("alice", SealVault(vault)) == "royalties.vault_not_yours"
    ledger.run("bea", AddVaultRows(vault, 1, more))
    assert ledger.refusal("bea", AddVaultRows(vault, 1, more)) == "royalties.vault_rows"
    ledger.run("bea", SealVault(vault))
    assert ledger.refusal("bea", AddVaultRows(vault, 2, more)) == "royalties.vault_sealed"
    empty = vault_of(ledger, "bea", sealed=False)
    assert ledger.refusal("bea", SealVault(empty)) == "royalties.vault_empty"


def test_splitting_ones_shares_pushes_nobody_out_of_payment_in_the_same_block(ledger: Ledger) -> None:
    """Bea fills the table with 62 accounts: no 65th row exists, alice is still paid at once, and can still sell."""
    asset = song(ledger)
    for number in range(62):
        ledger.run("bea", move(asset, stranger(number), 1))
    assert ledger.refusal("bea", move(asset, stranger(99), 1)) == "royalties.split_full"
    assert ledger.refusal("alice", move(asset, account_of("carol"), 200_000)) == "royalties.split_full"
    table = royalties.require_table(ledger.view(), asset, 0)
    assert shares.is_single(shares.find_table(ledger.view(), table))
    before = ledger.balance("alice")
    sell(ledger, asset)
    assert earned(ledger, account_of("alice")) == NET * 7 // 10
    assert ledger.balance("alice") > before
    # A part of a row in a full table is sold through a vault that takes the whole row.
    vault = vault_of(ledger, "alice", (account_of("alice"), 5), (account_of("carol"), 2))
    ledger.run("alice", move(asset, vault, 700_000, to_kind="vault"))
    sell(ledger, asset)
    assert earned(ledger, account_of("carol")) == NET * 2 // 10


def test_income_of_a_full_vault_row_reaches_a_thousand_people_and_nothing_stays(ledger: Ledger) -> None:
    asset = song(ledger)
    rows = [(stranger(number), 10) for number in range(1_000)]
    vault = vault_of(ledger, "bea", *rows)
    ledger.run("bea", move(asset, vault, 300_000, to_kind="vault"))
    sell(ledger, asset)
    for _ in range(3):
        ledger.block()
    paid = payments(ledger)
    assert [paid[who] for who, _ in rows] == [NET * 3 // 10 // 1_000] * 1_000
    table = shares.find_table(ledger.view(), ledger.view().get(VAULTS, vault).table)
    assert table.credited == table.paid


def payments(ledger: Ledger) -> dict[bytes, int]:
    """What every account was paid, from the rows that blocks publish."""
    found: dict[bytes, int] = {}
    for row in (decode_row(raw) for outcome in ledger.outcomes for raw in outcome.rows):
        for paid in row.payouts if isinstance(row, PayoutRow) else ():
            found[paid.account] = found.get(paid.account, 0) + paid.amount_ubeat
    return found


def test_a_claim_before_the_transfer_pulls_what_waits_for_a_row(ledger: Ledger) -> None:
    asset = song(ledger)
    ledger.run("bea", Claim(asset, 0, 0), move(asset, account_of("carol"), 300_000))
    sell(ledger, asset)
    assert earned(ledger, account_of("carol")) == NET * 3 // 10
