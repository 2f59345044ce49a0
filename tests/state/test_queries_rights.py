"""Assets, licences and receipts as readers see them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from concento.cids import cid
from concento.errors import Rejected
from concento.merkle import verify_inclusion
from concento.messages.assets import RegisterWork, RetireAsset
from concento.messages.licences import CloseOffer, Price, RevokeLicence
from concento.terms import PURPOSES, make_terms, terms_hash
from state.evidence import statement_evidence
from state.modules.datasets import DATASETS, members_root
from state.queries import Chain
from state.queries_accounts import account_get, account_history, balance_after
from state.queries_assets import Wanted, asset_get, asset_search, member_get, member_list, offer_get, offer_list
from state.queries_chain import rows_get, supply_get
from state.queries_licences import licence_check, licence_get, licence_list
from state.queries_receipts import find_receipt, receipt_get, receipt_list
from state.store.blockstore import Place
from support.ledger import BEAT, account_of
from support.node import DecidedNode
from support.rights import album, buy, description, offer, part, splits, tracks
from support.story import Scene, play


def chain_of(node: DecidedNode) -> Chain:
    return Chain(node.store, node.tree, node.genesis)


@pytest.fixture(scope="module")
def played() -> tuple[DecidedNode, Scene]:
    node = DecidedNode()
    return node, play(node)


@pytest.fixture(scope="module")
def chain(played: tuple[DecidedNode, Scene]) -> Chain:
    return chain_of(played[0])


def ids(found: dict[str, Any]) -> list[str]:
    return [item["id"] for item in found["items"]]


# Assets


def test_a_recording_shows_its_file_its_work_and_its_holders(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    found = asset_get(chain, played[1].recordings[0].hex())
    assert found["kind"] == "recording"
    assert found["parts"][0]["cid"] == cid(part("track0").content)
    assert found["work"] == found["legs"][0]["target"]
    assert [leg["bps"] for leg in found["legs"]] == [5_000, 5_000]
    assert found["legs"][1]["target"] == "own"
    assert found["shares_total"] == "1000000"
    shares = {holder["name"]: holder["shares"] for holder in found["holders"]}
    assert shares == {"alice": "700000", "bea": "300000"}


def test_a_dataset_shows_its_members_and_what_is_offered(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    scene = played[1]
    found = asset_get(chain, scene.dataset.hex())
    assert (found["kind"], found["state"], found["members"]["count"]) == ("dataset", "sealed", 2)
    assert found["legs"] == [{"target": "members", "bps": 10_000}]
    assert [holder["holder"] for holder in found["holders"]] == [one.hex() for one in scene.recordings]
    assert [entry["id"] for entry in found["offers"]] == [scene.offer.hex()]
    purposes = found["offers"][0]["purposes"]
    assert list(purposes) == list(PURPOSES)
    assert (purposes["train-generative"], purposes["redistribute"]) == ("allow", "deny")


def test_an_asset_is_found_by_the_cid_of_its_file(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    found = asset_get(chain, cid(part("track1").content))
    assert found["id"] == played[1].recordings[1].hex()
    with pytest.raises(Rejected) as refusal:
        asset_get(chain, cid(bytes(32)))
    assert refusal.value.kind == "asset.not_found"


def test_members_come_in_their_order_page_by_page(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    scene = played[1]
    first = member_list(chain, scene.dataset.hex(), limit=1)
    second = member_list(chain, scene.dataset.hex(), first["next"], 1)
    assert [item["asset"] for item in (*first["items"], *second["items"])] == [one.hex() for one in scene.recordings]
    assert second["next"] is None
    alone = member_list(chain, scene.recordings[0].hex())["items"]
    assert [(item["index"], item["asset"]) for item in alone] == [(0, scene.recordings[0].hex())]


def test_a_stranger_is_no_member(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    scene = played[1]
    assert member_get(chain, scene.dataset.hex(), scene.recordings[1].hex())["index"] == 1
    work = asset_get(chain, scene.recordings[0].hex())["work"]
    with pytest.raises(Rejected):
        member_get(chain, scene.dataset.hex(), work)


@pytest.fixture(scope="module")
def shop() -> tuple[DecidedNode, dict[str, bytes]]:
    """Three albums of alice, two of them on sale, and a work of bea."""
    node = DecidedNode()
    cheap = album(node, tracks(node, 1, prefix="a"), description=description("Cheap", ("jazz", "lofi")))
    dear = album(node, tracks(node, 1, prefix="b"), description=description("Dear", ("lofi",)))
    album(node, tracks(node, 1, prefix="c"), description=description("Not for sale", ("lofi",)))
    search_only = make_terms(allow=("analysis",))
    offer(node, cheap, pricing=(Price("one-off", 5 * BEAT),), terms=search_only)
    best = offer(node, cheap, pricing=(Price("one-off", 10 * BEAT),))
    offer(node, cheap, pricing=(Price("one-off", 20 * BEAT),))
    costly = offer(node, dear, pricing=(Price("one-off", 90 * BEAT),))
    node.run("bea", RegisterWork(description("Bea's song", ()), "", splits(bea=100), make_terms()))
    return node, {"cheap": cheap, "dear": dear, "best": best, "costly": costly}


def search(node: DecidedNode, **wanted: Any) -> list[str]:
    return [item["title"] for item in asset_search(chain_of(node), Wanted(**wanted), limit=200)["items"]]


def test_a_search_finds_what_fits_and_nothing_else(shop: tuple[DecidedNode, dict[str, bytes]]) -> None:
    node, _ = shop
    assert sorted(search(node, kind="dataset", tag="lofi")) == ["Cheap", "Dear", "Not for sale"]
    assert search(node, kind="dataset", tag="jazz") == ["Cheap"]
    assert search(node, kind="dataset", tag="JAZZ") == ["Cheap"]
    assert sorted(search(node, purpose="train-generative")) == ["Cheap", "Dear"]
    assert search(node, purpose="train-generative", price_max_ubeat=50 * BEAT) == ["Cheap"]
    assert search(node, purpose="redistribute") == []
    assert search(node, owner=account_of("bea")) == ["Bea's song"]
    assert search(node, text="for SALE") == ["Not for sale"]


def test_a_search_names_the_cheapest_offer_that_fits(shop: tuple[DecidedNode, dict[str, bytes]]) -> None:
    node, made = shop
    found = asset_search(chain_of(node), Wanted(purpose="train-generative", tag="jazz"))
    assert (found["items"][0]["offer"], found["items"][0]["price_ubeat"]) == (made["best"].hex(), str(10 * BEAT))
    assert found["complete"] is True


def test_a_closed_offer_and_a_retired_asset_are_not_offered() -> None:
    node = DecidedNode()
    sold = album(node, tracks(node, 1))
    first = offer(node, sold)
    node.run("alice", CloseOffer(first))
    assert search(node, purpose="train-generative") == []
    assert asset_get(chain_of(node), sold.hex())["offers"] == []
    assert offer_get(chain_of(node), first.hex())["state"] == "closed"
    assert [item["state"] for item in offer_list(chain_of(node), asset=sold.hex())["items"]] == ["closed"]
    node.run("alice", RetireAsset(sold))
    assert asset_get(chain_of(node), sold.hex())["state"] == "retired"


def test_a_search_goes_on_where_its_page_ended(shop: tuple[DecidedNode, dict[str, bytes]]) -> None:
    node, _ = shop
    chain = chain_of(node)
    whole = ids(asset_search(chain, Wanted(), limit=200))
    found, cursor = [], None
    while True:
        page = asset_search(chain, Wanted(), cursor, 2)
        found += ids(page)
        cursor = page["next"]
        assert page["complete"] is (cursor is None)
        if cursor is None:
            break
    assert found == whole
    assert len(set(found)) == len(found) == 10


# Licences


def test_a_licence_shows_its_terms_its_money_and_its_lanes(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    found = licence_get(chain, played[1].licence.hex())
    assert (found["state"], found["licensee_name"], found["price_ubeat"]) == ("active", "bob", str(40 * BEAT))
    assert found["purposes"] == ["analysis", "train-generative"]
    assert found["unit_price_ubeat"] == str(50 * BEAT)
    lane = found["receipts"]["lanes"][0]
    assert (lane["gateway_name"], lane["size"], lane["last_seq"], lane["units"]) == ("gateway1", 2, 1, 2)
    spent = 2 * 50_000
    assert found["deposit_ubeat"] == str(BEAT - spent)
    assert account_get(chain, "bob")["escrow_ubeat"] == str(BEAT - spent)


def test_licences_are_listed_by_licensee_asset_and_state(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    scene = played[1]
    own = [scene.licence.hex()]
    assert ids(licence_list(chain, licensee="bob")) == own
    assert ids(licence_list(chain, licensee="bob", asset=scene.dataset.hex(), state="active")) == own
    assert ids(licence_list(chain, asset=scene.dataset.hex())) == own
    assert ids(licence_list(chain, state="revoked")) == []
    assert ids(licence_list(chain, licensee="dana")) == []


def check(node: DecidedNode, asset: bytes, purpose: str = "train-generative", who: str = "bob") -> Any:
    return licence_check(chain_of(node), asset.hex(), who, purpose)


def test_a_licence_of_a_dataset_covers_its_members_for_its_purposes(played: tuple[DecidedNode, Scene]) -> None:
    node, scene = played
    for asset in (scene.dataset, *scene.recordings):
        verdict = check(node, asset)
        assert (verdict["allowed"], verdict["licence"], verdict["kind"]) == (True, scene.licence.hex(), None)
    refused = check(node, scene.dataset, "redistribute")
    assert (refused["allowed"], refused["kind"]) == (False, "licence.wrong_purpose")


def test_whoever_has_no_licence_hears_the_command_that_buys_one(played: tuple[DecidedNode, Scene]) -> None:
    node, scene = played
    verdict = check(node, scene.dataset, who="dana")
    assert (verdict["allowed"], verdict["licence"], verdict["kind"]) == (False, None, "licence.required")
    assert verdict["hint"] == (
        f"concento licence buy {scene.dataset.hex()[:12]} --purpose train-generative --max-price 40.000000"
    )


def test_an_unknown_purpose_is_a_mistake_and_not_a_no(played: tuple[DecidedNode, Scene]) -> None:
    with pytest.raises(Rejected) as refusal:
        check(played[0], played[1].dataset, "world-domination")
    assert refusal.value.kind == "terms.unknown_purpose"


def test_a_revoked_or_expired_licence_says_so_and_another_one_helps() -> None:
    node = DecidedNode()
    asset = album(node, tracks(node, 1))
    terms = make_terms(allow=("train-generative",), duration_ms=60_000)
    first = buy(node, offer(node, asset, terms=terms), terms_hash=terms_hash(terms))
    node.run("alice", RevokeLicence(first, "unpaid"))
    assert check(node, asset)["kind"] == "licence.revoked"
    second = buy(node, offer(node, asset, terms=terms), terms_hash=terms_hash(terms))
    assert check(node, asset)["licence"] == second.hex()
    node.block(time_ms=node.time_ms + 60_001)
    assert licence_get(chain_of(node), second.hex())["state"] == "expired"
    assert check(node, asset)["allowed"] is False


# Receipts


def test_a_receipt_leads_to_the_head_that_both_have_signed(played: tuple[DecidedNode, Scene], chain: Chain) -> None:
    node, scene = played

    def body(place: Place) -> bytes | None:
        return node.body(place.height, place.index)

    for index, receipt in enumerate(scene.receipts):
        found = receipt_get(chain, receipt.hex(), body)
        batch = found["batch"]
        path = [bytes.fromhex(one) for one in batch["path"]]
        raw = find_receipt(chain, receipt.hex()).raw
        verify_inclusion(bytes.fromhex(batch["root"]), raw, batch["index"], batch["size"], path)
        assert (found["seq"], found["member"]) == (index, scene.recordings[index].hex())
        assert len(found["signatures"]["gateway"]) == len(found["signatures"]["voucher"]) == 128


def test_the_amounts_of_a_batch_sum_to_what_it_cost(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    listed = receipt_list(chain, licence=played[1].licence.hex())["items"]
    assert sum(int(item["amount_ubeat"]) for item in listed) == 2 * 50_000


def test_receipts_are_listed_by_whom_and_what(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    scene = played[1]
    both = [receipt.hex() for receipt in scene.receipts]
    assert ids(receipt_list(chain, licence=scene.licence.hex())) == both
    assert ids(receipt_list(chain, licensee="bob", gateway="gateway1", asset=scene.dataset.hex())) == both
    assert ids(receipt_list(chain, asset=scene.recordings[1].hex())) == both[1:]
    assert ids(receipt_list(chain, licensee="dana")) == []
    first = receipt_list(chain, limit=1)
    assert ids(first) == both[:1]
    assert ids(receipt_list(chain, cursor=first["next"])) == both[1:]


# Money


def test_the_history_of_an_account_leads_to_its_balance(chain: Chain, played: tuple[DecidedNode, Scene]) -> None:
    node, _ = played
    items, cursor = [], None
    while True:
        found = account_history(chain, "bob", cursor, 4)
        items += found["items"]
        cursor = found["next"]
        if cursor is None:
            break
    assert items[0]["balance_ubeat"] == str(node.balance("bob"))
    assert items[-1]["cause"] == "genesis"
    assert sum(int(item["amount_ubeat"]) for item in items) == node.balance("bob")
    for newer, older in pairwise(items):
        assert int(newer["balance_ubeat"]) - int(newer["amount_ubeat"]) == int(older["balance_ubeat"])


def test_the_balance_at_a_height_is_the_last_one_until_then(played: tuple[DecidedNode, Scene]) -> None:
    node, _ = played
    chain = chain_of(node)
    bob = account_of("bob")
    moved = {item["height"]: int(item["balance_ubeat"]) for item in reversed(account_history(chain, "bob")["items"])}
    assert len(moved) >= 5
    for height in range(node.height + 1):
        assert balance_after(chain, bob, height) == moved[max(then for then in moved if then <= height)]
    assert balance_after(chain, bob, 0) == 50_000 * BEAT
    assert balance_after(chain, bob, node.height) == node.balance("bob")
    assert balance_after(chain, account_of("nobody"), node.height) == 0


def test_all_money_is_somewhere(chain: Chain) -> None:
    found = supply_get(chain)
    places = ("balances_ubeat", "escrow_ubeat", "pools_ubeat", "burnt_ubeat")
    assert sum(int(found[place]) for place in places) == int(found["minted_ubeat"])
    assert int(found["escrow_ubeat"]) > 0
    assert int(found["burnt_ubeat"]) > 0


@pytest.mark.parametrize("first", [0, 1, 9, 11])
def test_evidence_is_the_same_in_pages_of_any_size(chain: Chain, first: int) -> None:
    whole = statement_evidence(chain, "alice", first)
    assert whole["next"] is None
    assert len(whole["items"]) > 1
    for limit in (1, 3):
        items, records, heights, cursor = [], {}, set(), None
        while True:
            page = statement_evidence(chain, "alice", first, cursor=cursor, limit=limit)
            items += page["items"]
            records.update(page["records"])
            heights.update(page["heights"])
            cursor = page["next"]
            if cursor is None:
                break
        assert items == whole["items"]
        assert (sorted(records.items()), sorted(heights)) == (
            [tuple(pair) for pair in whole["records"]],
            whole["heights"],
        )


def test_rows_of_finalisation_are_proved_by_the_next_header(played: tuple[DecidedNode, Scene], chain: Chain) -> None:
    node, scene = played
    height = licence_get(chain, scene.licence.hex())["height"]
    paying = next(number for number, outcome in enumerate(node.outcomes, 1) if outcome.rows)
    found = rows_get(chain, paying)
    root = node.headers[paying].results_root
    assert found["rows"]
    assert paying < height
    for row in found["rows"]:
        path = [bytes.fromhex(one) for one in row["path"]]
        leaf = node.outcomes[paying - 1].leaves[row["index"]]
        verify_inclusion(root, leaf, row["index"], found["count"], path)


def test_the_root_of_a_sealed_dataset_is_that_of_its_members(played: tuple[DecidedNode, Scene], chain: Chain) -> None:
    node, scene = played
    dataset = node.view().get(DATASETS, scene.dataset)
    assert asset_get(chain, scene.dataset.hex())["members"]["root"] == members_root(dataset).hex()
