"""A store opens whole or is refused by name: real LevelDB folders, damaged in the ways that disks and people do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import plyvel
import pytest

from concento.encoding import encode
from concento.errors import Broken, Rejected
from concento.hashing import Network
from state.store import leveldb
from state.store.kv import BLOCK, BLOCK_HEIGHT, META, STATE, TRANSACTION, KeyValue, MemoryKeyValue, number_key
from state.store.leveldb import LevelDb
from state.store.opening import OpenStore, advance, create_store, is_empty, open_store
from state.store.tree import Tree
from support.stored_blocks import NETWORK, stored_block, transaction_id

GENESIS = {b"account/%d" % index: b"%d" % index for index in range(100)}
HEIGHTS = 30


def grow(store: OpenStore, heights: int) -> None:
    """Blocks that each change, add and remove records."""
    for _ in range(heights):
        height = store.commit.height + 1
        state: dict[bytes, bytes | None] = {
            b"account/%d" % ((7 * height + index) % 100): b"%d at %d" % (index, height) for index in range(20)
        }
        # Incompressible and large enough for tables on disk, where a write buffer of 8 MB would keep all in the log.
        state[b"blob/%d" % height] = b"".join(sha256(b"%d/%d" % (height, index)).digest() for index in range(2_000))
        state[b"account/%d" % (height % 100)] = None
        store.kv.write(advance(store, stored_block(height), state, {b"row/%d" % height: b"kept"}))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tables as well as a log, closed in order."""
    path = tmp_path_factory.mktemp("store") / "db"
    kv = LevelDb.create(path)
    store = create_store(kv, NETWORK, GENESIS)
    grow(store, HEIGHTS // 2)
    kv.close()
    # Reopening moves the log into a table.
    kv = LevelDb.open(path)
    grow(open_store(kv, NETWORK), HEIGHTS - HEIGHTS // 2)
    kv.close()
    return path


@pytest.fixture
def folder(grown: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    path = tmp_path / "db"
    path.mkdir()
    for file in grown.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    return path


@pytest.fixture
def memory() -> Iterator[MemoryKeyValue]:
    kv = MemoryKeyValue()
    grow(create_store(kv, NETWORK, GENESIS), 3)
    yield kv
    kv.close()


def opened(path: Path) -> OpenStore:
    """Opens as a node does, and leaves no lock behind where the store is refused."""
    kv = LevelDb.open(path)
    try:
        return open_store(kv, NETWORK)
    except BaseException:
        kv.close()
        raise


def one(path: Path, pattern: str) -> Path:
    return max(path.glob(pattern), key=lambda file: file.stat().st_size)


def flip(file: Path, at: float = 0.5) -> None:
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 1
    file.write_bytes(data)


def test_a_store_reopens_at_its_height_with_its_root(folder: Path) -> None:
    store = opened(folder)
    records = {key[1:]: value for key, value in store.kv.scan(STATE)}
    assert store.commit.height == HEIGHTS
    assert store.commit.transactions == 2 * HEIGHTS
    assert store.tree.root == store.commit.app_hash == Tree.build(records.items()).root
    assert store.tree.count == store.commit.state_keys == len(records)
    store.kv.close()


def test_the_store_goes_on_where_it_was(folder: Path) -> None:
    store = opened(folder)
    grow(store, 1)
    root = store.tree.root
    store.kv.close()
    again = opened(folder)
    assert (again.commit.height, again.tree.root) == (HEIGHTS + 1, root)
    again.kv.close()


def test_memory_and_disk_reach_the_same_root(folder: Path) -> None:
    kv = MemoryKeyValue()
    store = create_store(kv, NETWORK, GENESIS)
    grow(store, HEIGHTS)
    on_disk = opened(folder)
    assert on_disk.commit == store.commit
    on_disk.kv.close()


def test_a_block_out_of_turn_is_our_own_error(memory: MemoryKeyValue) -> None:
    store = open_store(memory, NETWORK)
    with pytest.raises(Broken):
        advance(store, stored_block(5), {}, {})


def delete_current(path: Path) -> None:
    (path / "CURRENT").unlink()


def garble_current(path: Path) -> None:
    (path / "CURRENT").write_text("MANIFEST-999999\n")


def cut_manifest(path: Path) -> None:
    manifest = one(path, "MANIFEST-*")
    manifest.write_bytes(manifest.read_bytes()[:-20])


def flip_manifest(path: Path) -> None:
    flip(one(path, "MANIFEST-*"))


def flip_log(path: Path) -> None:
    flip(one(path, "*.log"))


def flip_table(path: Path) -> None:
    flip(one(path, "*.ldb"))


def cut_table(path: Path) -> None:
    table = one(path, "*.ldb")
    table.write_bytes(table.read_bytes()[:-100])


def delete_table(path: Path) -> None:
    one(path, "*.ldb").unlink()


DAMAGES = [
    delete_current,
    garble_current,
    cut_manifest,
    flip_manifest,
    flip_log,
    flip_table,
    cut_table,
    delete_table,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_with_the_command_that_mends_it(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(Rejected) as caught:
        opened(folder)
    assert caught.value.kind in ("store.corrupt", "store.missing_keys")
    assert caught.value.hint is not None
    assert "concento node repair" in caught.value.hint
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("at", [0.02, 0.2, 0.4, 0.6, 0.8, 0.99])
def test_a_flipped_byte_anywhere_in_a_table_is_found_at_the_start(folder: Path, at: float) -> None:
    flip(one(folder, "*.ldb"), at)
    with pytest.raises(Rejected):
        opened(folder)


@pytest.mark.parametrize("cut", [1, 7, 64])
def test_a_torn_tail_of_the_log_loses_the_last_height_and_nothing_else(folder: Path, cut: int) -> None:
    """A batch that was not wholly written was never answered for: the store is whole at the height before."""
    log = one(folder, "*.log")
    log.write_bytes(log.read_bytes()[:-cut])
    store = opened(folder)
    assert store.commit.height == HEIGHTS - 1
    store.kv.close()


@pytest.mark.parametrize("damage", [delete_current, cut_manifest, flip_manifest])
def test_repair_brings_back_a_store_whose_file_list_is_lost(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    leveldb.repair(folder)
    store = opened(folder)
    assert store.commit.height == HEIGHTS
    store.kv.close()


@pytest.mark.parametrize("damage", [flip_table, flip_log])
def test_what_repair_cannot_bring_back_is_still_refused(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    leveldb.repair(folder)
    with pytest.raises(Rejected) as caught:
        opened(folder)
    assert "concento node resync" in (caught.value.hint or "")


def test_a_folder_that_repair_cannot_write_to_is_lost(folder: Path) -> None:
    delete_current(folder)
    (folder / "CURRENT").mkdir()
    with pytest.raises(Rejected) as caught:
        leveldb.repair(folder)
    assert caught.value.kind == "store.lost"


def test_a_store_of_another_format_is_refused(memory: MemoryKeyValue) -> None:
    commit = open_store(memory, NETWORK).commit
    memory.write({META + b"commit": encode(msgspec.structs.replace(commit, format=commit.format + 1))})
    with pytest.raises(Rejected) as caught:
        open_store(memory, NETWORK)
    assert caught.value.kind == "store.format"


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        LevelDb.open(tmp_path / "none")
    assert caught.value.kind == "store.missing"
    assert not (tmp_path / "none").exists()
    with pytest.raises(Rejected):
        leveldb.repair(tmp_path / "none")


def test_a_store_is_made_once(folder: Path) -> None:
    with pytest.raises(Rejected) as caught:
        LevelDb.create(folder)
    assert caught.value.kind == "store.exists"
    delete_current(folder)
    with pytest.raises(Rejected):
        LevelDb.create(folder)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Rejected) as caught:
        LevelDb.create(tmp_path / "file" / "db")
    assert caught.value.kind == "store.unusable"


def test_a_second_process_is_refused(folder: Path) -> None:
    program = "import sys, plyvel; db = plyvel.DB(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        for use in (lambda: LevelDb.open(folder), lambda: leveldb.repair(folder)):
            with pytest.raises(Rejected) as caught:
                use()
            assert caught.value.kind == "store.locked"
        other.communicate()


def test_a_folder_with_a_telling_name_is_damaged_and_not_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "BLOCKCHAIN" / "store"
    LevelDb.create(folder).close()
    manifest = next(folder.glob("MANIFEST-*"))
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(Rejected) as caught:
        LevelDb.open(folder)
    assert caught.value.kind == "store.corrupt"


def test_a_second_opening_in_one_process_is_refused(folder: Path) -> None:
    first = LevelDb.open(folder)
    with pytest.raises(Rejected) as caught:
        LevelDb.open(folder)
    assert caught.value.kind == "store.locked"
    first.close()


@pytest.mark.parametrize(
    "network", [Network("another", NETWORK.genesis_hash), Network(NETWORK.chain_id, sha256(b"other").digest())]
)
def test_the_store_of_another_chain_is_refused(memory: MemoryKeyValue, network: Network) -> None:
    with pytest.raises(Rejected) as caught:
        open_store(memory, network)
    assert caught.value.kind == "store.foreign"
    assert "concento node resync" in (caught.value.hint or "")


def test_a_leveldb_of_another_program_is_refused(tmp_path: Path) -> None:
    with plyvel.DB(str(tmp_path / "db"), create_if_missing=True) as foreign:
        foreign.put(b"key", b"value")
    kv = LevelDb.open(tmp_path / "db")
    with pytest.raises(Rejected) as caught:
        open_store(kv, NETWORK)
    assert caught.value.kind == "store.corrupt"
    with pytest.raises(Rejected):
        create_store(kv, NETWORK, GENESIS)
    kv.close()


def test_an_empty_store_is_created_and_not_opened() -> None:
    kv = MemoryKeyValue()
    assert is_empty(kv)
    with pytest.raises(Rejected) as caught:
        open_store(kv, NETWORK)
    assert caught.value.kind == "store.missing"
    create_store(kv, NETWORK, GENESIS)
    assert not is_empty(kv)
    assert open_store(kv, NETWORK).commit.height == 0


def first_key(kv: KeyValue, space: bytes) -> bytes:
    return next(kv.scan(space))[0]


@pytest.mark.parametrize("space", [STATE, BLOCK, BLOCK_HEIGHT, TRANSACTION])
def test_one_missing_record_is_refused_with_the_counts(memory: MemoryKeyValue, space: bytes) -> None:
    memory.write({first_key(memory, space): None})
    with pytest.raises(Rejected) as caught:
        open_store(memory, NETWORK)
    assert caught.value.kind == "store.missing_keys"
    found, expected = caught.value.numbers["found"], caught.value.numbers["expected"]
    assert isinstance(found, int)
    assert found + 1 == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (STATE + b"account/50", b"more money"),
        (STATE + b"account/new", b"an account out of nowhere"),
        (TRANSACTION + bytes(32), b""),
        (META + b"commit", None),
        (META + b"commit", b"\xc1"),
        (META + b"commit", b"\x90"),
    ],
)
def test_a_record_changed_behind_our_back_is_refused(memory: MemoryKeyValue, key: bytes, value: bytes | None) -> None:
    memory.write({key: value})
    with pytest.raises(Rejected) as caught:
        open_store(memory, NETWORK)
    assert caught.value.kind == "store.corrupt"


def test_another_block_at_the_tip_is_refused(memory: MemoryKeyValue) -> None:
    parts = list(memory.scan(BLOCK + number_key(2)))
    memory.write({BLOCK + number_key(3) + key[-1:]: value for key, value in parts})
    with pytest.raises(Rejected) as caught:
        open_store(memory, NETWORK)
    assert caught.value.kind == "store.corrupt"


def test_a_damaged_table_read_while_running_is_an_error_and_never_a_missing_key(folder: Path) -> None:
    flip_table(folder)
    kv = LevelDb.open(folder)
    outcomes = set()
    for height in range(1, HEIGHTS + 1):
        try:
            outcomes.add("there" if kv.get(STATE + b"blob/%d" % height) is not None else "missing")
        except Broken as error:
            outcomes.add("broken" if "concento node repair" in str(error) else str(error))
    assert outcomes == {"there", "broken"}
    kv.close()


def test_transactions_of_every_height_are_found_after_reopening(folder: Path) -> None:
    store = opened(folder)
    for height in range(1, HEIGHTS + 1):
        assert store.kv.get(TRANSACTION + transaction_id(height, 0)) is not None
    store.kv.close()
