"""Making, mending and emptying a node's home, and the lock on it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from concento.development import development_seed
from concento.devnet import development_genesis
from concento.encoding import encode
from concento.errors import Rejected
from concento.genesis import genesis_json, parse_genesis
from consensus.guard import FRESH, newest_slot
from node.app import check_guard, check_key
from node.config import NodeConfig, check_config, load_genesis
from node.lock import lock_home
from node.maintain import init, new_node, prune_blocks, repair, resync
from node.replica.core import open_replica
from node.replica.events import Append, Effect, Now, Started, Sync, Write, WriteGuard
from node.replica.files import GUARD_FILE, DiskFiles
from node.signer import node_key, read_key, write_key
from state.store.blockstore import find_block
from state.store.kv import BLOCK, BLOCK_HEIGHT, HISTORY, STATE, TRANSACTION, number_key
from state.store.leveldb import LevelDb
from state.store.opening import open_store
from support.stopped import with_blocks

GENESIS = development_genesis()
NOW = Now(0, GENESIS.time_ms + 1)


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    """The home of node1 of a new development network."""
    config = NodeConfig(home=tmp_path, name="node1")
    config.genesis_path.write_text(genesis_json(GENESIS), encoding="utf-8")
    write_key(config.key_path, development_seed("node1"))
    init(config, GENESIS)
    return config


def start(config: NodeConfig) -> bytes:
    """Opens the node's replica once, performs its first effects, and returns its app hash."""
    key = read_key(config.key_path)
    kv, files = LevelDb.open(config.store_path), DiskFiles(config.files_path)
    try:
        replica = open_replica(GENESIS, key.public, kv, files, key, NOW)
        for effect in replica.handle(Started(), NOW):
            perform(kv, files, effect)
        return replica.store.commit.app_hash
    finally:
        files.close()
        kv.close()


def perform(kv: LevelDb, files: DiskFiles, effect: Effect) -> None:
    match effect:
        case Write():
            kv.write(effect.changes)
        case Append():
            files.append(effect.file, effect.offset, effect.data)
        case Sync():
            files.sync(effect.file)
        case WriteGuard():
            files.write_at(GUARD_FILE, effect.offset, effect.data)
        case _:
            pass


def guard_bytes(config: NodeConfig) -> bytes:
    return (config.files_path / GUARD_FILE).read_bytes()


def test_a_new_node_has_a_key_of_its_own_a_fresh_guard_and_a_store_that_opens(tmp_path: Path) -> None:
    config = NodeConfig(home=tmp_path / "node")
    key = new_node(config, GENESIS)
    assert parse_genesis(config.genesis_path.read_bytes()).hash == GENESIS.hash
    slot = newest_slot(guard_bytes(config))
    assert slot is not None
    assert (slot.key, slot.genesis_hash, slot.record) == (key.public, GENESIS.hash, FRESH)
    assert start(config) == start(config)


def test_a_node_is_not_made_twice(tmp_path: Path) -> None:
    config = NodeConfig(home=tmp_path / "node")
    key = new_node(config, GENESIS)
    with pytest.raises(Rejected) as caught:
        new_node(config, GENESIS)
    assert caught.value.kind == "node.home_exists"
    assert read_key(config.key_path).public == key.public


def test_a_second_guard_is_never_written(config: NodeConfig) -> None:
    before = guard_bytes(config)
    with pytest.raises(Rejected) as caught:
        init(config, GENESIS)
    assert caught.value.kind == "guard.exists"
    assert guard_bytes(config) == before


def test_resync_keeps_key_and_guard_and_throws_the_rest_away(config: NodeConfig) -> None:
    start(config)
    guard, key = guard_bytes(config), config.key_path.read_bytes()
    (config.files_path / "segment-1").write_bytes(b"batches")
    (config.store_path / "CURRENT").unlink()
    resync(config)
    assert (guard_bytes(config), config.key_path.read_bytes()) == (guard, key)
    assert [file.name for file in config.files_path.iterdir()] == [GUARD_FILE]
    start(config)


def test_repair_mends_a_lost_manifest_and_says_where_the_store_stands(config: NodeConfig) -> None:
    app_hash = start(config)
    for file in config.store_path.glob("MANIFEST-*"):
        file.unlink()
    (config.store_path / "CURRENT").unlink()
    with pytest.raises(Rejected, match="CURRENT is missing"):
        start(config)
    assert repair(config).app_hash == app_hash
    assert start(config) == app_hash


def test_repair_of_a_store_that_lost_everything_points_to_resync(config: NodeConfig) -> None:
    start(config)
    for file in config.store_path.iterdir():
        if file.suffix in (".log", ".ldb"):
            file.write_bytes(b"")
    with pytest.raises(Rejected) as caught:
        repair(config)
    assert caught.value.kind in ("store.lost", "store.corrupt")
    assert "resync" in (caught.value.hint or "")


def test_nothing_is_maintained_while_the_node_runs(config: NodeConfig) -> None:
    with lock_home(config.home):
        for action in (repair, resync):
            with pytest.raises(Rejected) as caught:
                action(config)
            assert caught.value.kind == "node.locked"
            assert caught.value.numbers["pid"] == str(os.getpid())
    resync(config)


def test_a_store_of_another_genesis_is_refused(config: NodeConfig) -> None:
    start(config)
    other = development_genesis(time_ms=GENESIS.time_ms + 1)
    key = read_key(config.key_path)
    kv, files = LevelDb.open(config.store_path), DiskFiles(config.files_path)
    try:
        with pytest.raises(Rejected) as caught:
            open_replica(other, key.public, kv, files, key, NOW)
        assert caught.value.kind == "store.foreign"
    finally:
        files.close()
        kv.close()


def test_a_development_key_is_refused_on_any_other_network(config: NodeConfig) -> None:
    class Public:
        dev = False

    with pytest.raises(Rejected) as caught:
        check_key(config, Public(), read_key(config.key_path))  # type: ignore[arg-type]
    assert caught.value.kind == "node.key_development"
    check_key(config, Public(), node_key(bytes(32)))  # type: ignore[arg-type]
    check_key(config, GENESIS, read_key(config.key_path))


def test_a_guard_of_another_key_or_chain_is_refused(config: NodeConfig) -> None:
    key = read_key(config.key_path)
    check_guard(config, GENESIS, key)
    for genesis, found in ((GENESIS, node_key(bytes(32))), (development_genesis(time_ms=GENESIS.time_ms + 1), key)):
        with pytest.raises(Rejected) as caught:
            check_guard(config, genesis, found)
        assert caught.value.kind == "node.guard_foreign"


def test_a_missing_or_damaged_guard_does_not_keep_a_node_from_starting(config: NodeConfig) -> None:
    path = config.files_path / GUARD_FILE
    path.write_bytes(b"torn")
    check_guard(config, GENESIS, read_key(config.key_path))
    path.unlink()
    check_guard(config, GENESIS, read_key(config.key_path))


def damaged(config: NodeConfig, *keys: bytes) -> None:
    kv = LevelDb.open(config.store_path)
    kv.write(dict.fromkeys(keys))
    kv.close()


def test_repair_makes_a_damaged_state_again_from_the_blocks(tmp_path: Path) -> None:
    config, app_hash = with_blocks(tmp_path)
    kv = LevelDb.open(config.store_path)
    lost = [key for key, _ in kv.scan(STATE + b"account/")][:2]
    kv.close()
    damaged(config, *lost)
    mended = repair(config)
    assert mended.app_hash == app_hash
    assert config.store_path.with_suffix(".damaged").exists()
    kv = LevelDb.open(config.store_path)
    assert open_store(kv, load_genesis(config).network).commit.app_hash == app_hash
    kv.close()


def test_repair_goes_as_far_as_the_blocks_are_whole(tmp_path: Path) -> None:
    config, _ = with_blocks(tmp_path)
    kv = LevelDb.open(config.store_path)
    height = max(int.from_bytes(key[1:9], "big") for key, _ in kv.scan(BLOCK))
    lost = [key for key, _ in kv.scan(BLOCK + number_key(height - 1))]
    kv.close()
    damaged(config, *lost)
    mended = repair(config)
    assert mended.height == height - 2


@pytest.mark.parametrize("space", [HISTORY, TRANSACTION, BLOCK_HEIGHT])
def test_repair_takes_over_nothing_that_no_commit_vouches_for(tmp_path: Path, space: bytes) -> None:
    """The app hash says nothing of histories and indexes, and LevelDB's repair checks no log."""
    config, app_hash = with_blocks(tmp_path)
    kv = LevelDb.open(config.store_path)
    key, value = max(kv.scan(space))
    kv.write({key: value[:-1] + bytes((value[-1] ^ 0x10,))})
    kv.close()
    assert repair(config).app_hash == app_hash
    kv = LevelDb.open(config.store_path)
    assert kv.get(key) == value
    kv.close()


def test_repair_ends_below_a_block_whose_bytes_changed(tmp_path: Path) -> None:
    config, _ = with_blocks(tmp_path)
    kv = LevelDb.open(config.store_path)
    height = max(int.from_bytes(key[1:9], "big") for key, _ in kv.scan(BLOCK))
    record = find_block(kv, height - 1)
    assert record is not None
    header = structs.replace(record.block.header, time_ms=record.block.header.time_ms ^ 1)
    spoilt = structs.replace(record, block=structs.replace(record.block, header=header))
    (key,) = [key for key, value in kv.scan(BLOCK + number_key(height - 1)) if value == encode(record)]
    kv.write({key: encode(spoilt)})
    kv.close()
    assert repair(config).height == height - 2


def test_repair_leaves_the_blocks_of_cometbft_to_cometbft(config: NodeConfig) -> None:
    start(config)
    with pytest.raises(Rejected) as refusal:
        repair(replace(config, engine="comet"))
    assert refusal.value.kind == "store.lost"
    assert "resync" in (refusal.value.hint or "")


def test_repair_of_a_store_without_its_first_blocks_says_to_resync(tmp_path: Path) -> None:
    config, _ = with_blocks(tmp_path)
    kv = LevelDb.open(config.store_path)
    lost = [key for key, _ in kv.scan(BLOCK + number_key(1))]
    kv.close()
    damaged(config, *lost)
    with pytest.raises(Rejected) as refusal:
        repair(config)
    assert refusal.value.kind == "store.lost"
    assert "resync" in (refusal.value.hint or "")


def test_pruning_offline_keeps_what_others_need(tmp_path: Path) -> None:
    config, app_hash = with_blocks(tmp_path)
    pruned = prune_blocks(config, 1)
    assert (pruned.oldest_height, pruned.blocks) == (1, 0)
    kv = LevelDb.open(config.store_path)
    assert open_store(kv, load_genesis(config).network).commit.app_hash == app_hash
    kv.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("retain", "30d"), ("retain", "recent"), ("retain", "recent soon"), ("snapshot_every", "0h"), ("sync", "fast")],
)
def test_settings_of_sync_and_retention_are_checked(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_config(replace(NodeConfig(home=tmp_path), **{setting: value}))
    assert refusal.value.numbers["field"] == setting


def test_a_span_of_retention_is_read_as_it_is_written(tmp_path: Path) -> None:
    config = NodeConfig(home=tmp_path, retain="recent 2d", snapshot_every="30m")
    assert (config.retain_ms, config.snapshot_ms) == (172_800_000, 1_800_000)
    assert NodeConfig(home=tmp_path).retain_ms is None
