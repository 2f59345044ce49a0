"""What people read: names for addresses, titles for ids, amounts in BEAT, fields by name, and what to type next."""

from __future__ import annotations

import json

import pytest

from concento.accounts import address
from concento.errors import Rejected
from concento.messages.tokens import Transfer
from state.refusals import told
from support.canned import STATUS
from support.ledger import BEAT, account_of
from support.rights import album, buy, offer, tracks


@pytest.fixture
def sold(chain) -> tuple[str, str]:
    """A dataset of alice's with an offer, and bob's licence for it."""
    asset = album(chain.node, tracks(chain.node, 2, prefix="song"))
    return asset.hex(), buy(chain.node, offer(chain.node, asset)).hex()


def test_a_refusal_names_people_as_this_machine_knows_them(concento, sold):
    refused = concento("licence", "offer", sold[0], "--allow", "analysis", "--price", "3", "--from", "bob")
    assert refused.code == 8
    assert f"asset {sold[0]} belongs to alice (asset.not_owner)" in refused.err


def test_a_hint_names_people_as_this_machine_knows_them(concento, chain):
    refused = concento("identity", "admit", "dana", "--role", "creator", "--from", "bob")
    assert "account bob does not have role issuer" in refused.err
    assert "concento identity admit bob --role issuer; who has it: concento identity list --role issuer" in refused.err


def test_a_models_service_is_told_as_an_account() -> None:
    refusal = Rejected("lineage.not_the_service", model=bytes(32), service=account_of("carol"))
    assert f"only {address(account_of('carol'), True)} registers" in told(refusal, True).message


def test_json_keeps_the_addresses(concento, sold):
    refused = concento("licence", "offer", sold[0], "--allow", "analysis", "--price", "3", "--from", "bob", "--json")
    assert "belongs to tconc1" in refused.document["error"]["message"]


def test_an_address_that_nobody_knows_stays_as_it_is(concento, sold, home):
    (home / "wallet").mkdir(parents=True)
    (home / "wallet" / "contacts.json").write_text("[")
    refused = concento("licence", "offer", sold[0], "--allow", "analysis", "--price", "3", "--from", "bob")
    assert "belongs to tconc1" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("wallet", "send", "bob", "1", "--memo", "x" * 300),
            "memo cannot be like this: it has at most 256 characters",
        ),
        (("vault", "open", "--title", "t" * 1_000), "title cannot be like this: it has at most"),
    ],
)
def test_a_field_that_cannot_be_written_is_named(concento, chain, words, said):
    refused = concento(*words, "--from", "alice")
    assert refused.code == 2
    assert said in refused.err


def test_a_node_at_other_ports_is_pointed_to(concento, home, monkeypatch):
    (home / "testnet").mkdir(parents=True)
    ready = home / "testnet" / "ready.json"
    ready.write_text(json.dumps({"nodes": [{"rpc": "http://127.0.0.1:21100"}]}))
    monkeypatch.setenv("CONCENTO_URL", "http://127.0.0.1:1")
    refused = concento("wallet", "balance", "alice")
    assert refused.code == 3
    assert 'eval "$(concento testnet env)"' in refused.err
    ready.write_text(json.dumps({"nodes": [{"rpc": "http://127.0.0.1:1"}]}))
    assert "start one with: concento testnet up" in concento("wallet", "balance", "alice").err


def test_who_names_no_node_talks_to_the_local_network_of_the_home(concento, home, node, monkeypatch):
    monkeypatch.delenv("CONCENTO_URL")
    (home / "testnet").mkdir(parents=True)
    (home / "testnet" / "ready.json").write_text(json.dumps({"nodes": [{"rpc": node.url}]}))
    assert concento("wallet", "balance", "alice").code == 0
    (home / "testnet" / "ready.json").write_text(json.dumps({"nodes": [{"rpc": "http://127.0.0.1:1"}]}))
    refused = concento("wallet", "balance", "alice")
    assert refused.code == 3
    assert "no node answers at http://127.0.0.1:1" in refused.err
    assert "concento testnet up" in refused.err


def test_a_dataset_shows_its_members_by_their_titles(concento, sold):
    shown = concento("asset", "show", sold[0]).out
    holders = concento("asset", "show", sold[0], "--json").document["holders"]
    assert [f"{entry['name']} ({entry['holder'][:12]})" in shown for entry in holders] == [True, True]


def test_the_parts_of_an_income_are_told_in_words(concento, chain, tmp_path):
    listed = tmp_path / "songs.csv"
    listed.write_text("asset\n" + "\n".join(one.hex() for one in tracks(chain.node, 2, prefix="part")) + "\n")
    curator = ("--curator", "carol=100", "--curator-part", "10")
    opened = concento("dataset", "open", str(listed), "--title", "Parts", *curator, "--from", "alice", "--json")
    shown = concento("asset", "show", opened.document["dataset"]).out
    assert "Income goes to: 90 % its members, 10 % its own holders." in shown


def test_a_transaction_shows_who_sent_it_and_its_memo(concento, chain):
    sent = concento("wallet", "send", "bob", "1", "--memo", "for the sofa", "--from", "alice", "--json").document
    shown = concento("tx", "show", sent["tx"]).out
    assert f"alice, {sent['sender']}" in shown
    assert "for the sofa" in shown


def test_deposits_and_bonds_are_told_in_beat(concento, sold, tmp_path):
    assert concento("licence", "deposit", sold[1], "5", "--from", "bob").code == 0
    locked = concento("licence", "withdraw", sold[1], "10", "--from", "bob")
    assert "5.000000 BEAT of the deposit" in locked.err
    assert "are free, not 10.000000" in locked.err
    proof = tmp_path / "proof.txt"
    proof.write_text("mine")
    claim = ("--reason", "ownership", "--part", "40", "--evidence", str(proof))
    low = concento("dispute", "open", sold[0], *claim, "--bond", "0.001", "--from", "carol")
    assert "a bond of 0.001000 BEAT is below the least, 10.000000" in low.err


@pytest.mark.parametrize(
    ("verb", "said"),
    [("list", "No proposals."), ("observers", "No observers."), ("upgrades", "No switch lies ahead.")],
)
def test_what_is_empty_says_so_instead_of_headings(concento, chain, verb, said):
    shown = concento("gov", verb)
    assert shown.code == 0
    assert said in shown.out
    assert "PROPOSAL" not in shown.out


def test_a_balance_has_the_name_that_this_machine_knows(concento, chain, home):
    assert concento("wallet", "balance", "treasury").out.startswith("treasury has 1000000.000000 BEAT")


def test_a_node_that_is_not_ready_says_where_the_reason_stands(concento, node):
    node.answers["node_getStatus"] = {**STATUS, "ready": False}
    assert f"Why: curl -s '{node.url}/readyz?verbose'" in concento("node", "status").out
    node.answers["node_getStatus"] = {**STATUS, "ready": True}
    assert "readyz" not in concento("node", "status").out


def test_nodes_have_names_where_their_accounts_are_shown(concento, chain):
    chain.node.run("treasury", Transfer(account_of("node1"), BEAT))
    assert "node1" in concento("wallet", "history", "treasury").out
