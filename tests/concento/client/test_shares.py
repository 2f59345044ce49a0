"""Shares are taken from the rows that hold them and put where the receiver's row is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from concento.client.lineage import count_ancestors, find_right
from concento.client.rows import Holders
from concento.client.shares import holdings, transfer_shares
from concento.client.vaults import make_vault
from concento.errors import Rejected
from concento.messages.tokens import Transfer
from support.ledger import BEAT, account_of
from support.lineage import OPEN, licence, model_action, rel
from support.livechain import LiveChain, live_chain
from support.rights import album, offer, register, splits, tracks

FANS = [f"fan {number}" for number in range(130)]


@pytest.fixture(scope="module")
def chain() -> Iterator[LiveChain]:
    with live_chain() as chain:
        yield chain


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(Rejected) as refused:
        act()
    return refused.value.kind


def rows_of(chain: LiveChain, name: str, source: str | None = None) -> list[tuple[int, int]]:
    session = chain.session(name)
    return [(row["row"], int(row["shares"])) for row in holdings(session, session.address, source)]


def test_rows_of_a_vault_of_many_pages_change_hands(chain: LiveChain) -> None:
    listed = Holders()
    for name in FANS:
        listed.add(account_of(name), 10)
    vault = make_vault(chain.session("alice"), "Fans", listed).id
    chain.node.run("treasury", *(Transfer(account_of(name), BEAT) for name in (FANS[129], FANS[3])))

    seller = chain.session(FANS[129])
    assert transfer_shares(seller, vault, "account", account_of(FANS[3]), 4)["status"] == "final"
    assert rows_of(chain, FANS[3], vault) == [(3, 14)]
    assert transfer_shares(seller, vault, "account", account_of("bob"), 5)["status"] == "final"
    assert rows_of(chain, "bob", vault) == [(130, 5)]
    assert rows_of(chain, FANS[129], vault) == [(129, 1)]
    assert refusal(lambda: transfer_shares(seller, vault, "account", account_of("bob"), 2)) == "shares.short"
    # What came back on another page is taken from both rows at once.
    bob = chain.session("bob")
    assert transfer_shares(bob, vault, "account", account_of(FANS[3]), 5)["status"] == "final"
    assert rows_of(chain, FANS[3], vault) == [(3, 19)]
    assert rows_of(chain, "bob", vault) == []
    assert refusal(lambda: transfer_shares(bob, vault, "account", account_of("dana"), 1)) == "shares.none"


def test_a_leg_is_named_where_there_are_several(chain: LiveChain) -> None:
    dataset = album(
        chain.node, tracks(chain.node, 1, prefix="legs"), member_bps=9_000, curator_splits=splits(alice=100)
    ).hex()
    alice = chain.session("alice")
    assert [row["leg"] for row in holdings(alice, alice.address, dataset)] == [1]
    assert transfer_shares(alice, dataset, "account", account_of("bea"), 1, leg=1)["status"] == "final"
    assert refusal(lambda: transfer_shares(alice, dataset, "account", account_of("bea"), 1, leg=0)) == "shares.none"


# Rights and ancestors


def test_one_s_own_asset_is_made_from_by_an_offer_of_one_s_own(chain: LiveChain) -> None:
    (song,) = tracks(chain.node, 1, prefix="own", terms=OPEN)
    alice, bob = chain.session("alice"), chain.session("bob")
    assert refusal(lambda: find_right(alice, song.hex(), "derive-remix")) == "lineage.own_offer_needed"
    own = offer(chain.node, song, terms=OPEN)
    assert find_right(alice, song.hex(), "derive-remix") == own
    with pytest.raises(Rejected) as refused:
        find_right(bob, song.hex(), "derive-remix")
    assert (refused.value.kind, "concento licence buy" in str(refused.value.hint)) == ("licence.required", True)


def test_ancestors_are_counted_once(chain: LiveChain) -> None:
    (song,) = tracks(chain.node, 1, prefix="above", terms=OPEN)
    dataset = album(chain.node, [song])
    right = licence(chain.node, dataset, "alice", "bob", rel(1_000))
    models = [register(chain.node, "bob", model_action((dataset, right))) for _ in range(2)]
    session = chain.session("bob")
    assert count_ancestors(session, [dataset]) == 1
    assert count_ancestors(session, models) == 3
