"""Reading vaults, holdings, members inside datasets, and the use that waits in pots."""

from __future__ import annotations

from typing import Any

import pytest

from concento.errors import Rejected
from concento.messages.assets import Split
from concento.messages.royalties import AddVaultRows, OpenVault, SealVault, TransferShares
from concento.usage import posts, signed_root, usage_rows
from state import queries_shares, queries_usage
from state.queries import Chain
from state.queries_assets import member_get, member_list, place_of
from support.ledger import BEAT, account_of
from support.node import DecidedLedger
from support.rights import Reader, album, buy, offer, tracks

PEOPLE = [f"holder {number}" for number in range(150)]


def read(ledger: DecidedLedger) -> Chain:
    return Chain(ledger.kv, ledger.tree, ledger.genesis)


def open_vault(ledger: DecidedLedger, people: list[str], seal: bool = True) -> bytes:
    rows = tuple(Split(account_of(name), 10) for name in people)
    vault = ledger.run("alice", OpenVault("Friends", rows[:100]))[0].fields["vault"]
    assert isinstance(vault, bytes)
    if rows[100:]:
        ledger.run("alice", AddVaultRows(vault, 100, rows[100:]))
    if seal:
        ledger.run("alice", SealVault(vault))
    return vault


def refusal(act: Any, *arguments: Any) -> str:
    with pytest.raises(Rejected) as refused:
        act(*arguments)
    return refused.value.kind


def all_of(query: Any, *arguments: Any, key: str = "items", **more: Any) -> list[dict[str, Any]]:
    """Every page of a list, each read with its cursor."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = query(*arguments, cursor=cursor, **more)
        found += page[key]
        cursor = page["next"]
        if cursor is None:
            return found


# Vaults


def test_a_vault_tells_how_far_it_is_filled_and_gives_its_rows_from_any_place_on() -> None:
    ledger = DecidedLedger()
    vault = open_vault(ledger, PEOPLE, seal=False).hex()
    found = queries_shares.vault_get(read(ledger), vault[:12])
    assert (found["state"], found["rows"], found["pages"], found["shares_total"]) == ("open", 150, 3, "1500")
    rows = all_of(queries_shares.vault_rows, read(ledger), vault, limit=37)
    assert [row["row"] for row in rows] == list(range(150))
    assert [row["holder"] for row in rows] == [read(ledger).address(account_of(name)) for name in PEOPLE]
    assert {row["page"] for row in rows[64:128]} == {1}
    late = queries_shares.vault_rows(read(ledger), vault, from_row=149)
    assert [row["row"] for row in late["items"]] == [149]
    assert queries_shares.vault_rows(read(ledger), vault, from_row=150)["items"] == []


def test_vaults_are_listed_by_whoever_opened_them() -> None:
    ledger = DecidedLedger()
    vault = open_vault(ledger, ["bob"]).hex()
    assert [item["id"] for item in queries_shares.vault_list(read(ledger), "alice")["items"]] == [vault]
    assert queries_shares.vault_list(read(ledger), "bob")["items"] == []
    assert refusal(queries_shares.vault_get, read(ledger), "ab" * 32) == "vault.not_found"


def test_a_vault_statement_tells_every_payment_and_sums_to_what_was_credited() -> None:
    ledger = DecidedLedger()
    (song,) = tracks(ledger, 1)
    vault = open_vault(ledger, ["bob", "carol", "dana"])
    ledger.run("alice", TransferShares(song, 1, 0, "vault", vault, 0, 300_000))
    terms = offer(ledger, song)
    licences = [buy(ledger, terms, buyer) for buyer in ("bob", "dana")]
    ledger.block()
    document = queries_shares.vault_statement(read(ledger), vault.hex())
    assert len(document["lines"]) == len(licences)
    net = 40 * BEAT * 99 // 100
    # Of 70 % of the recording's half, three sevenths went to the vault: 30 % of the half.
    assert [int(line["amount_ubeat"]) for line in document["lines"]] == [net // 2 * 3 // 10] * 2
    assert sum(int(line["amount_ubeat"]) for line in document["lines"]) == int(document["credited_ubeat"])
    assert {line["asset"] for line in document["lines"]} == {song.hex()}
    assert all_of(queries_shares.vault_statement, read(ledger), vault.hex(), key="lines", limit=1) == document["lines"]
    height = document["lines"][1]["credited_height"]
    late = queries_shares.vault_statement(read(ledger), vault.hex(), from_height=height)
    assert late["lines"] == document["lines"][1:]
    early = queries_shares.vault_statement(read(ledger), vault.hex(), to_height=height - 1)
    assert early["lines"] == document["lines"][:1]


# Holdings


def test_an_account_sees_its_shares_and_where_they_stand() -> None:
    ledger = DecidedLedger()
    (song,) = tracks(ledger, 1)
    vault = open_vault(ledger, PEOPLE)
    held = all_of(queries_shares.share_list, read(ledger), "alice", limit=1)
    assert [(item["source"] == song.hex(), item["leg"], item["shares"]) for item in held] == [
        (False, 0, "700000"),
        (True, 1, "700000"),
    ]
    ledger.run("alice", TransferShares(song, 1, 0, "account", account_of("carol"), 0, 700_000))
    assert [item["leg"] for item in queries_shares.share_list(read(ledger), "alice")["items"]] == [0]
    assert queries_shares.share_list(read(ledger), "carol", song.hex())["items"][0]["shares"] == "700000"
    holder = read(ledger).address(account_of(PEOPLE[149]))
    (row,) = queries_shares.share_list(read(ledger), holder, vault.hex())["items"]
    assert (row["kind"], row["page"], row["row"], row["shares_total"]) == ("vault", 2, 149, "1500")
    assert refusal(queries_shares.share_list, read(ledger), "alice", "ab" * 32) == "asset.not_found"


# Datasets inside datasets


def test_deep_members_come_in_order_with_the_place_of_the_dataset_that_holds_them() -> None:
    ledger = DecidedLedger()
    first, second = tracks(ledger, 2), tracks(ledger, 3, prefix="inner")
    inner = album(ledger, second)
    middle = album(ledger, [inner, first[1]])
    outer = album(ledger, [first[0], middle])
    shallow = member_list(read(ledger), outer.hex())["items"]
    assert [item["asset"] for item in shallow] == [first[0].hex(), middle.hex()]
    deep = all_of(member_list, read(ledger), outer.hex(), limit=1, deep=True)
    assert [item["asset"] for item in deep] == [one.hex() for one in (first[0], *second, first[1])]
    assert [item["place"] for item in deep] == [0, 1, 1, 1, 1]
    assert [item["index"] for item in deep] == [0, 0, 1, 2, 1]
    assert member_list(read(ledger), outer.hex(), deep=True)["items"] == deep
    assert member_get(read(ledger), outer.hex(), second[2].hex())["place"] == 1
    assert place_of(read(ledger), outer, account_of("nobody")) is None


# Use


def read_by_use(ledger: DecidedLedger, bodies: int = 3) -> tuple[bytes, int]:
    """(dataset, pot) of a batch in which the second of two members was read twice."""
    members = tracks(ledger, 2)
    used = album(ledger, members, rule="usage")
    licence = buy(ledger, offer(ledger, used), deposit_ubeat=10 * BEAT)
    reader = Reader(ledger, licence, used)
    ledger.run("bob", reader.open_action(200))
    for number in range(bodies):
        reader.read(members[number > 0], f"track{int(number > 0)}")
    rows = usage_rows([(0, 1), (1, bodies - 1)])
    events = ledger.run("gateway1", reader.anchor_action(reader.voucher(usage_root=signed_root(0, rows))))
    pot = next(event.fields["pot"] for event in events if event.kind == "usage.opened")
    assert isinstance(pot, int)
    return used, pot


def test_the_rows_of_a_pot_are_made_of_the_receipts_of_its_batch() -> None:
    ledger = DecidedLedger()
    used, pot = read_by_use(ledger)
    (waiting,) = queries_usage.pot_list(read(ledger), used.hex())["items"]
    assert (waiting["pot"], waiting["state"], waiting["units"], waiting["batch"]["count"]) == (pot, "open", 3, 3)
    found = queries_usage.usage_get(read(ledger), pot)
    assert found["rows"] == [{"member": 0, "units": 1}, {"member": 1, "units": 2}]
    for message in posts(pot, usage_rows([(0, 1), (1, 2)]), count=1):
        ledger.run("carol", message)
    assert queries_usage.pot_list(read(ledger))["items"] == []
    assert refusal(queries_usage.pot_get, read(ledger), pot) == "usage.not_found"


def test_rows_are_not_told_where_the_receipts_are_not_on_the_chain() -> None:
    ledger = DecidedLedger()
    _, pot = read_by_use(ledger, bodies=65)
    assert queries_usage.pot_get(read(ledger), pot)["units"] == 65
    assert refusal(queries_usage.usage_get, read(ledger), pot) == "usage.rows_not_found"
