"""Settings: where they come from, what is refused, and that what is written can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from concento.devnet import development_genesis
from concento.errors import Rejected
from concento.genesis import genesis_json
from node.config import NodeConfig, load_genesis, parse_address, peer_targets, read_config, write_config
from node.p2p.peers import Address

KEY = "ab" * 32


def home(tmp_path: Path, text: str = "") -> Path:
    (tmp_path / "node.toml").write_text(text, encoding="utf-8")
    return tmp_path


def refusal(tmp_path: Path, text: str = "", **environment: str) -> str:
    with pytest.raises(Rejected) as caught:
        read_config(home(tmp_path, text), environment)
    assert caught.value.kind == "node.config_invalid"
    return str(caught.value)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read_config(home(tmp_path), {}) == NodeConfig(home=tmp_path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = NodeConfig(
        home=tmp_path,
        name='a "quoted" \\ name\n',
        genesis=Path("../genesis.json"),
        peers=(f"node2@127.0.0.1:1,{KEY}@[::1]:2".split(",")[0], f"{KEY}@[::1]:2"),
        observers=(KEY,),
        log_file=True,
        tip_age_ready_ms=1,
    )
    write_config(config)
    assert read_config(tmp_path, {}) == config


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    where = home(tmp_path, 'name = "file"\nlog_level = "error"\nlog_format = "json"')
    environment = {"CONCENTO_NODE_NAME": "environment", "CONCENTO_NODE_LOG_LEVEL": "debug", "CONCENTO_HOME": "/other"}
    config = read_config(where, environment, {"name": "flag"})
    assert (config.name, config.log_level, config.log_format) == ("flag", "debug", "json")


def test_the_environment_gives_numbers_lists_and_truth_as_text(tmp_path: Path) -> None:
    environment = {
        "CONCENTO_NODE_TIP_AGE_READY_MS": "7",
        "CONCENTO_NODE_PEERS": "node1@h:1, node2@h:2",
        "CONCENTO_NODE_LOG_FILE": "true",
    }
    config = read_config(home(tmp_path), environment)
    assert (config.tip_age_ready_ms, config.peers, config.log_file) == (7, ("node1@h:1", "node2@h:2"), True)


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    assert "did you mean rpc_listen?" in refusal(tmp_path, 'rpc_lisen = "127.0.0.1:1"')
    assert "unknown setting in the environment" in refusal(tmp_path, CONCENTO_NODE_COLOUR="red")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = 3", "not text"),
        ("tip_age_ready_ms = true", "not a whole number"),
        ('tip_age_ready_ms = "-1"', "not a whole number"),
        ("tip_age_ready_ms = 0", "must be above 0"),
        ("disk_free_ready_bps = 10001", "between 0 and 10000"),
        ('log_file = "perhaps"', "not true or false"),
        ("peers = [1]", "not a list of texts"),
        ('peers = ["node1"]', "is not name@host:port"),
        ('peers = ["node1@host"]', "is not host:port"),
        ('observers = ["abc"]', "neither a validator of genesis nor 64 hex digits"),
        ('rpc_listen = "26600"', "is not host:port"),
        ('rpc_listen = "h:70000"', "is not host:port"),
        ('rpc_listen = "h:1"\np2p_listen = "h:1"', "is rpc_listen, too"),
        ('log_level = "loud"', "is none of debug, info"),
        ('log_format = "xml"', "is none of auto, json, text"),
        ("name = ", "Invalid value"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(tmp_path, text)


def test_a_folder_without_a_node_says_so(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="there is no node in") as caught:
        read_config(tmp_path / "nothing", {})
    assert caught.value.hint is not None


def test_peers_are_found_by_name_or_key_and_the_node_leaves_itself_out(tmp_path: Path) -> None:
    genesis = development_genesis()
    (tmp_path / "genesis.json").write_text(genesis_json(genesis), encoding="utf-8")
    keys = {member.name: member.key for member in genesis.validators.members}
    config = NodeConfig(home=tmp_path, peers=("node1@a:1", "node2@b:2", f"{KEY}@c:3"))
    targets = peer_targets(config, load_genesis(config), keys["node1"])
    assert targets == {keys["node2"]: Address("b", 2), bytes.fromhex(KEY): Address("c", 3)}


def test_a_peer_nobody_knows_is_refused_with_the_name_that_was_meant(tmp_path: Path) -> None:
    config = NodeConfig(home=tmp_path, peers=("nod3@h:1",))
    with pytest.raises(Rejected, match=r"did you mean node\d\?"):
        peer_targets(config, development_genesis(), b"")


def test_a_missing_genesis_is_named_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"genesis\.json cannot be read"):
        load_genesis(NodeConfig(home=tmp_path))


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert parse_address("[::1]:26600", "rpc_listen") == Address("::1", 26600)


@pytest.mark.parametrize(
    "text",
    [
        "peers = " + "[" * 20_000,
        "peers = " + "{a=" * 20_000,
        ".".join("a" * 20_000) + " = 1",
        "tip_age_ready_ms = " + "9" * 5_000,
        'tip_age_ready_ms = "' + "9" * 5_000 + '"',
        'rpc_listen = "localhost:' + "9" * 5_000 + '"',
        'retain = "recent ' + "9" * 5_000 + 'd"',
        'genesis = "a\\u0000b"',
    ],
    ids=["lists", "tables", "dots", "number", "number as text", "port", "span", "zero byte"],
)
def test_what_makes_decoders_fail_in_other_ways_is_refused_as_any_other_setting(tmp_path: Path, text: str) -> None:
    refusal(tmp_path, text)
