"""`concento node repair` says how far it is: a long chain takes minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import NodeConfig, write_config
from state.store.kv import BLOCK, number_key
from state.store.leveldb import LevelDb
from state.store.opening import committed
from support.stopped import with_blocks


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    config, _ = with_blocks(tmp_path)
    write_config(config)
    return config


def done_height(config: NodeConfig) -> int:
    kv = LevelDb.open(config.store_path)
    commit = committed(kv)
    kv.close()
    assert commit is not None
    return commit.height


def test_repair_tells_every_tenth_of_the_blocks_on_stderr_where_no_bar_can_be_drawn(concento, config: NodeConfig):
    done = concento("node", "repair", "--node-home", str(config.home))
    assert done.code == 0
    height = done_height(config)
    assert height >= 6
    assert f"1 of {height} blocks are executed again." in done.err
    assert f"{height} of {height} blocks are executed again." in done.err
    assert f"is whole at height {height}" in done.out
    assert "executed again." not in done.out


@pytest.mark.parametrize("flag", ["--quiet", "--json"])
def test_repair_tells_nothing_on_the_way_to_whoever_wants_no_remarks(concento, config: NodeConfig, flag: str):
    done = concento("node", "repair", "--node-home", str(config.home), flag)
    assert done.code == 0
    assert done.err == ""


def test_repair_that_cannot_go_on_ends_its_progress_below_the_last_block(concento, config: NodeConfig):
    kv = LevelDb.open(config.store_path)
    kv.write(dict.fromkeys([key for key, _ in kv.scan(BLOCK + number_key(3))]))
    kv.close()
    done = concento("node", "repair", "--node-home", str(config.home))
    assert done.code == 0
    assert "is whole at height 2" in done.out
    assert "\n2 of " in "\n" + done.err
    assert "3 of " not in done.err
