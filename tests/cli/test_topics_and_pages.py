"""What is refused before anybody is asked, lists that take several requests, hints that say for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.app import GROUPS, NOUNS
from cli.printer import acting
from support.canned import ASSET, STATUS, VAULT, WHO
from support.fake_node import FakeNode


@pytest.mark.parametrize("topic", ["assets", "licences", "blocks", "asset.bought", "nobody", "abc", "tag:", "@nobody"])
def test_watch_refuses_a_topic_that_nothing_is_ever_about(concento, node: FakeNode, topic: str):
    seen = concento("watch", topic, "--count", "1", "--json")
    assert (seen.code, seen.document["error"]["data"]["kind"]) == (2, "usage.invalid")
    assert f"Nothing that can be watched is called {topic}." in seen.document["error"]["message"]
    assert node.queries == []


def test_watch_knows_modules_kinds_tags_names_addresses_and_beginnings_of_ids(concento, node: FakeNode):
    node.events = [
        {"cursor": "9.0", "height": 9, "index": 0, "time_ms": 1, "topic": "x", "event": {"kind": "x"}, "text": "on"}
    ]
    topics = ("royalties", "licence.bought", "tag:LoFi", "alice", "@bob", WHO["carol"], ASSET[:12], "ab" * 32)
    assert concento("watch", *topics, "--count", "1").code == 0
    wanted = ["royalties", "licence.bought", "lofi", WHO["alice"], WHO["bob"], WHO["carol"], ASSET, "ab" * 32]
    assert node.queries[-1]["topics"] == [",".join(wanted)]
    assert concento("watch", "deadbeef", "--count", "1").code == 6


def test_explain_knows_vaults(concento) -> None:
    assert "is sealed, with 3 rows" in concento("explain", VAULT[:12]).out


def test_search_refuses_numbers_that_are_none_before_anybody_is_asked(concento, node: FakeNode):
    for option, number in (("--isrc", "FOO"), ("--iswc", "T-034.524.680-2"), ("--iswc", "USRC17607839")):
        seen = concento("asset", "search", option, number, "--json")
        assert (seen.code, seen.document["error"]["data"]["kind"]) == (4, "asset.identifier_invalid")
    assert node.called("asset_search") == []
    concento("asset", "search", "--isrc", "us-rc1-76-07839", "--iswc", "T-034.524.680-1")
    assert node.called("asset_search")[-1]["isrc"] == "USRC17607839"
    assert node.called("asset_search")[-1]["iswc"] == "T0345246801"


def test_search_goes_on_until_as_many_are_found_as_are_wanted(concento, node: FakeNode):
    """A node looks at a bounded number of assets for one request, and may find none among them."""
    found = concento("asset", "search", "--json").document["items"][0]
    node.calls.clear()

    def search(params: dict[str, Any]) -> dict[str, Any]:
        number = int(params.get("cursor", "0"))
        items = [found] * (number % 2) * min(2, params.get("limit", 50))
        following = str(number + 1) if number < 6 else None
        return {"items": items, "next": following, "complete": following is None, "height": 9}

    node.answers["asset_search"] = search
    document = concento("asset", "search", "--tag", "lofi", "--limit", "3", "--json").document
    assert (len(document["items"]), document["next"], document["complete"]) == (3, "4", False)
    assert [(call.get("cursor"), call["limit"]) for call in node.called("asset_search")] == [
        (None, 3),
        ("1", 3),
        ("2", 1),
        ("3", 1),
    ]
    everything = concento("asset", "search", "--tag", "lofi", "--json").document
    assert (len(everything["items"]), everything["next"], everything["complete"]) == (6, None, True)


def test_a_hint_that_acts_says_for_whom(concento, node: FakeNode):
    command = f"concento licence buy {ASSET[:12]} --purpose analysis --max-price 40"
    node.simulated_error = {"kind": "licence.required", "message": "no licence", "hint": command}
    assert f"Next:  {command} --from dana\n" in concento("wallet", "send", "carol", "1", "--from", "dana").err
    assert (
        concento("wallet", "send", "carol", "1", "--from", "dana", "--json")
        .document["error"]["data"]["hint"]
        .endswith("--from dana")
    )
    assert acting("see: concento licence list", "dana") == "see: concento licence list"
    assert acting("Next: concento licence buy X --from bob", "dana") == "Next: concento licence buy X --from bob"
    assert acting("concento vault seal X", "dana") == "concento vault seal X --from dana"
    assert acting("concento vault seal X", None) == "concento vault seal X"


def test_no_key_or_contact_takes_the_name_of_a_development_account(
    concento, node: FakeNode, password_file: Path
) -> None:
    made = concento("wallet", "new", "alice", "--password-file", str(password_file), "--json")
    assert (made.code, made.document["error"]["data"]["kind"]) == (9, "wallet.name_development")
    assert made.document["error"]["data"]["hint"].endswith("--from alice")
    assert concento("wallet", "contact", "bob", WHO["carol"]).code == 9
    node.answers["node_getStatus"] = {**STATUS, "dev": False}
    assert concento("wallet", "new", "alice", "--password-file", str(password_file)).code == 0


def test_a_failed_transaction_tells_kind_numbers_and_hint(concento, node: FakeNode) -> None:
    node.fate = "failed"
    node.fate_error = {
        "kind": "tokens.balance_low",
        "message": "the balance is 1.000000 BEAT, less than the 5.000000 BEAT needed",
        "hint": "see: concento wallet balance",
        "numbers": {"balance_beat": "1.000000", "needed_beat": "5.000000"},  # type: ignore[dict-item]
    }
    text = concento("wallet", "send", "carol", "5", "--from", "bob")
    assert text.code == 5
    assert "Error: the balance is 1.000000 BEAT, less than the 5.000000 BEAT needed (tokens.balance_low)" in text.err
    assert "Next:  see: concento wallet balance" in text.err
    document = concento("wallet", "send", "carol", "5", "--from", "bob", "--json").document
    assert document["error"]["numbers"] == {"balance_beat": "1.000000", "needed_beat": "5.000000"}


def test_help_shows_every_noun_in_one_group(concento) -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(NOUNS)
    shown = concento("--help").out
    for title, names in GROUPS.items():
        assert f"{title}:" in shown
        for name in names:
            assert NOUNS[name][1] in shown
