"""Names, ids and pages: what every query stands on."""

from __future__ import annotations

import pytest

from concento.errors import Rejected
from concento.messages.identity import Admit
from state.modules.assets import ASSETS
from state.queries import Chain, account_of, cursor_key, find_id, id_of, page_size
from state.queries_accounts import party_list
from state.store.kv import MemoryKeyValue
from support import ledger as people
from support.node import DecidedNode


@pytest.fixture(scope="module")
def chain() -> Chain:
    node = DecidedNode()
    return Chain(node.store, node.tree, node.genesis)


def kind_of(chain: Chain, who: str) -> str:
    with pytest.raises(Rejected) as refusal:
        account_of(chain, who)
    return refusal.value.kind


def test_an_account_is_found_by_name_address_and_beginning(chain: Chain) -> None:
    alice = people.account_of("alice")
    address = chain.address(alice)
    for who in ("alice", "@alice", address, address.upper(), address[: len("tconc1") + 8], address[:30]):
        assert account_of(chain, who) == alice


def test_every_length_of_a_beginning_finds_the_same_account(chain: Chain) -> None:
    carol = people.account_of("carol")
    address = chain.address(carol)
    for length in range(len("tconc1") + 8, len(address) + 1):
        assert account_of(chain, address[:length]) == carol, length


def test_an_address_that_nobody_used_is_an_account_too(chain: Chain) -> None:
    stranger = people.account_of("stranger")
    assert account_of(chain, chain.address(stranger)) == stranger


def test_what_is_no_account_is_told_apart(chain: Chain) -> None:
    address = chain.address(people.account_of("alice"))
    typo = address[:20] + ("q" if address[20] != "q" else "p") + address[21:]
    assert kind_of(chain, "nobody") == "account.not_found"
    assert kind_of(chain, "@nobody") == "account.not_found"
    assert kind_of(chain, "tconc1qqqq") == "account.not_found"
    assert kind_of(chain, "tconc1zzzzzzzzz") == "account.not_found"
    assert kind_of(chain, typo) == "address.checksum"
    assert kind_of(chain, "conc1" + address[6:]) in ("address.checksum", "address.network")
    assert kind_of(chain, "bob\x00") == "account.not_found"


def test_a_beginning_that_fits_several_ids_is_ambiguous(chain: Chain) -> None:
    ids = [bytes.fromhex("aabbccdd" + f"{number:056x}") for number in range(3)] + [b"\xaa" * 32]
    kv = MemoryKeyValue({b"s" + ASSETS.prefix + identity: b"" for identity in ids})
    many = Chain(kv, chain.tree, chain.genesis)
    with pytest.raises(Rejected) as refusal:
        id_of(many, ASSETS.prefix, "aabbccdd", "asset.not_found")
    assert refusal.value.kind == "id.ambiguous"
    assert id_of(many, ASSETS.prefix, ids[2].hex(), "asset.not_found") == ids[2]
    assert id_of(many, ASSETS.prefix, "aaaaaaaaa", "asset.not_found") == ids[3]
    with pytest.raises(Rejected) as refusal:
        id_of(many, ASSETS.prefix, "aabbccdd1", "asset.not_found")
    assert refusal.value.kind == "asset.not_found"


@pytest.mark.parametrize("text", ["", "abc", "aabbccd", "AABBCCDD", "aabbccdg", "a" * 65, "\u0661" * 8])
def test_what_is_no_id_is_malformed(text: str, chain: Chain) -> None:
    with pytest.raises(Rejected) as refusal:
        find_id(chain, b"s", text, lambda: Rejected("asset.not_found", text=text))
    assert refusal.value.kind == "id.malformed"


@pytest.mark.parametrize(("limit", "size"), [(None, 50), (1, 1), (200, 200), (201, 200), (10**9, 200)])
def test_a_page_has_fifty_items_or_as_many_as_asked_up_to_two_hundred(limit: int | None, size: int) -> None:
    assert page_size(limit) == size


@pytest.mark.parametrize("cursor", ["x", "abc", "AB", "00" * 257])
def test_a_cursor_is_hex_as_it_was_given(cursor: str) -> None:
    with pytest.raises(Rejected):
        cursor_key(cursor)


def test_pages_follow_each_other_without_a_gap_or_a_repetition() -> None:
    node = DecidedNode()
    for number in range(7):
        node.run("issuer", Admit(people.account_of(f"person{number}"), f"person{number}", "person", ("creator",)))
    chain = Chain(node.store, node.tree, node.genesis)
    names, cursor = [], None
    while True:
        found = party_list(chain, cursor=cursor, limit=3)
        assert len(found["items"]) <= 3
        names += [item["name"] for item in found["items"]]
        cursor = found["next"]
        if cursor is None:
            break
    assert len(names) == len(set(names)) == len(node.genesis.parties) + 7
    assert party_list(chain, role="issuer")["items"][0]["name"] == "issuer"
