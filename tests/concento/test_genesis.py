"""A genesis file is accepted whole or refused by the name of the wrong field."""

import json
from pathlib import Path
from typing import Any

import pytest

from concento.accounts import account_of_key, address
from concento.development import development_seed
from concento.devnet import development_genesis
from concento.errors import Rejected
from concento.genesis import genesis_json, parse_genesis
from concento.keys import public_key

ROOT = Path(__file__).parents[2]
TEXT = genesis_json(development_genesis())


def changed(*path: Any, value: Any) -> str:
    document = json.loads(TEXT)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document)


def test_the_file_at_the_root_is_derived_from_the_development_phrase_byte_for_byte() -> None:
    assert (ROOT / "genesis.json").read_text() == TEXT


def test_white_space_and_key_order_do_not_change_the_hash() -> None:
    shuffled = json.dumps(dict(reversed(json.loads(TEXT).items())), indent=7)
    assert parse_genesis(shuffled).hash == parse_genesis(TEXT).hash


def test_every_field_changes_the_hash() -> None:
    other = parse_genesis(changed("params", "fees", "burn_bps", value=4_999))
    assert other.hash != parse_genesis(TEXT).hash
    assert development_genesis(4, 1).hash != development_genesis(4, 2).hash


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("validators",), [], "validators"),
        (("validators", 1, "name"), "node1", "validators"),
        (("validators", 1, "key"), json.loads(TEXT)["validators"][0]["key"], "validators"),
        (("validators", 0, "key"), "01" + "00" * 31, "key of node1"),
        (("validators", 0, "key"), "AB", "validators[0].key"),
        (("validators", 0, "colour"), "red", "validators[0].colour"),
        (("colour",), "red", "colour"),
        (("params", "fees", "tip"), 1, "params.fees.tip"),
        (("params", "fees", "burn_bps"), 10_001, "params.fees.burn_bps"),
        (("params", "fees", "burn_bps"), 1.5, "params.fees.burn_bps"),
        (("params", "consensus", "propose_ms"), True, "params.consensus.propose_ms"),
        (("params", "revenue", "row_threshold"), 1, "params.revenue.row_threshold"),
        (("protocol",), 2, "protocol"),
        (("format",), "concento-genesis-2", "format"),
        (("chain_id",), "Bad Chain", "chain_id"),
        (("dev",), "yes", "dev"),
        (("time_ms",), -1, "time_ms"),
        (("balances",), [], "balances"),
        (("balances", "alice"), "1", "balances.alice"),
        (("parties", 0, "roles"), ["king"], "parties[0].roles[0]"),
        (("parties", 0, "roles"), ["operator", "creator"], "roles of alice"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[Any, ...], value: Any, field: str) -> None:
    with pytest.raises(Rejected) as refused:
        parse_genesis(changed(*path, value=value))
    assert refused.value.kind == "genesis.invalid"
    assert refused.value.numbers["field"] == field


@pytest.mark.parametrize("path", [("validators", 0, "name"), ("parties", 0, "name")])
def test_a_name_that_cannot_be_told_from_another_is_refused(path: tuple[Any, ...]) -> None:
    with pytest.raises(Rejected, match="U\\+200B"):
        parse_genesis(changed(*path, value="al\u200bice"))


def test_an_amount_must_be_a_string_of_digits() -> None:
    address = next(iter(json.loads(TEXT)["balances"]))
    for value in (5, "1.5", "-1", "", "10000000000000000000000"):
        with pytest.raises(Rejected):
            parse_genesis(changed("balances", address, value=value))


def test_a_missing_field_is_named() -> None:
    document = json.loads(TEXT)
    del document["params"]["access"]
    with pytest.raises(Rejected) as refused:
        parse_genesis(json.dumps(document))
    assert refused.value.numbers["field"] == "params.access"


def test_one_key_twice_in_the_text_is_refused() -> None:
    with pytest.raises(Rejected) as refused:
        parse_genesis(TEXT.replace('"dev": true', '"dev": true, "dev": true'))
    assert refused.value.kind == "json.invalid"


def test_development_keys_are_refused_unless_genesis_says_dev() -> None:
    key = public_key(development_seed("alice")).hex()
    document = json.loads(TEXT)
    document["dev"] = False
    document["validators"] = [
        {"name": "v", "key": public_key(b"\x09" * 32).hex(), "rewards_to": _address_of(b"\x09" * 32)}
    ]
    document["parties"] = [{"name": "x", "key": key, "kind": "person", "roles": ["creator"]}]
    document["balances"] = {}
    with pytest.raises(Rejected) as refused:
        parse_genesis(json.dumps(document))
    assert "development key" in refused.value.message
    document["parties"] = []
    assert not parse_genesis(json.dumps(document)).dev


@pytest.mark.parametrize("nodes", [1, 4, 7, 16])
def test_networks_of_other_sizes_come_from_the_same_function(nodes: int) -> None:
    genesis = development_genesis(nodes)
    assert len(genesis.validators) == nodes
    assert parse_genesis(genesis_json(genesis)).hash == genesis.hash


def _address_of(seed: bytes) -> str:
    return address(account_of_key(public_key(seed)), dev=False)
