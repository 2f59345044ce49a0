"""A node that begins with a snapshot under CometBFT: it stands where the others stand, and liars are found out."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from concento.blocks import block_id
from concento.encoding import decode, encode
from concento.errors import Broken
from concento.messages.tokens import Transfer
from node.comet import messages as abci
from node.comet import snapshots
from node.comet.application import Application
from node.comet.snapshots import FORMAT, CometShelf, Manifest, Restoring, Tip, take
from node.replica.chain import create_chain_store
from node.replica.join import is_half_joined
from state.queries import Chain
from state.store.blockstore import find_block
from state.store.kv import MemoryKeyValue
from state.store.opening import check_records, open_store
from support.comet import Comet, account


@pytest.fixture
def comet() -> Comet:
    """A chain of four blocks with payments in them."""
    comet = Comet()
    for amount in range(1, 5):
        comet.block(
            comet.tx("bob", Transfer(account("carol"), amount)).raw,
            comet.tx("alice", Transfer(account("bea"), amount)).raw,
        )
    return comet


@pytest.fixture
def shelf(comet: Comet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CometShelf:
    """With a snapshot of height 4, in many chunks."""
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 500)
    shelf = CometShelf(tmp_path / "given", 2)
    assert take(comet.genesis, shelf, comet.kv, lambda: None) == 4
    return shelf


class Joiner:
    """A node without a block, and what CometBFT asks of it."""

    def __init__(self, comet: Comet, folder: Path) -> None:
        self.comet = comet
        self.kv = MemoryKeyValue()
        create_chain_store(comet.genesis, self.kv)
        store = open_store(self.kv, comet.genesis.network)
        self.application = Application(comet.genesis, store, lambda: comet.time_ms)
        self.application.restoring = Restoring(comet.genesis, self.kv, folder)

    def offer(self, snapshot: abci.Snapshot, app_hash: bytes | None = None) -> int:
        root = self.comet.application.store.commit.app_hash if app_hash is None else app_hash
        answer: abci.OfferSnapshotAnswer = self.application.answer(abci.OfferSnapshot(snapshot, root))
        return answer.result

    def apply(self, number: int, data: bytes, sender: str = "peer") -> abci.ApplySnapshotChunkAnswer:
        answer: abci.ApplySnapshotChunkAnswer = self.application.answer(abci.ApplySnapshotChunk(number, data, sender))
        return answer

    def take_all(self, shelf: CometShelf, height: int) -> None:
        for number in range(shelf.listed()[0].chunks):
            assert self.apply(number, shelf.chunk(height, FORMAT, number)).result == abci.ChunkVerdict.ACCEPT


@pytest.fixture
def joiner(comet: Comet, tmp_path: Path) -> Joiner:
    return Joiner(comet, tmp_path / "incoming")


def test_the_application_tells_its_snapshots_and_gives_their_chunks(comet: Comet, shelf: CometShelf) -> None:
    comet.application.shelf = shelf
    (listed,) = comet.application.answer(abci.ListSnapshots()).snapshots
    assert (listed.height, listed.format) == (4, FORMAT)
    assert 5 < listed.chunks < 258
    given = comet.application.answer(abci.LoadSnapshotChunk(4, FORMAT, 7)).chunk
    assert given == shelf.chunk(4, FORMAT, 7) != b""
    assert comet.application.answer(abci.LoadSnapshotChunk(4, FORMAT + 1, 7)).chunk == b""
    assert comet.application.answer(abci.LoadSnapshotChunk(3, FORMAT, 7)).chunk == b""
    assert comet.application.answer(abci.LoadSnapshotChunk(4, FORMAT, listed.chunks)).chunk == b""


def test_a_joined_node_has_the_state_of_the_others_and_goes_on_with_them(
    comet: Comet, shelf: CometShelf, joiner: Joiner
) -> None:
    snapshot = shelf.listed()[0]
    assert joiner.offer(snapshot) == abci.SnapshotVerdict.ACCEPT
    joiner.take_all(shelf, 4)
    info = joiner.application.answer(abci.Info())
    assert info == comet.application.answer(abci.Info())
    assert info.height == 4
    check_records(joiner.kv, joiner.application.store.commit, "joined")
    # The next blocks: one pays, one repeats what the window still remembers.
    repeated = comet.tx("dana", Transfer(account("bob"), 5)).raw
    for raws in ([repeated], [repeated], []):
        request = comet.request(raws)
        comet.time_ms += 1_000
        answers = [application.answer(request) for application in (comet.application, joiner.application)]
        assert answers[0] == answers[1]
        comet.application.commit()
        joiner.application.commit()
    ids = [block_id(found.block.header) for kv in (comet.kv, joiner.kv) if (found := find_block(kv, 7)) is not None]
    assert len(ids) == 2
    assert ids[0] == ids[1]


def test_what_was_in_the_chain_before_the_snapshot_cannot_come_again(
    comet: Comet, shelf: CometShelf, joiner: Joiner
) -> None:
    old = comet.kv.get(b"rcomet/bodies/" + (3).to_bytes(8, "big"))
    raw = decode(tuple[bytes, ...], old, "bodies")[0]
    joiner.offer(shelf.listed()[0])
    joiner.take_all(shelf, 4)
    answers = [one.answer(comet.request([raw])) for one in (comet.application, joiner.application)]
    assert answers[0] == answers[1]
    assert answers[0].results[0].code != 0


def test_a_joined_node_says_that_it_does_not_know_what_was_before(
    comet: Comet, shelf: CometShelf, joiner: Joiner
) -> None:
    joiner.offer(shelf.listed()[0])
    joiner.take_all(shelf, 4)
    assert Chain(joiner.kv, joiner.application.store.tree, comet.genesis).began_at == 4
    assert find_block(joiner.kv, 3) is None


def test_a_chunk_that_is_not_the_states_is_asked_for_again_of_others(shelf: CometShelf, joiner: Joiner) -> None:
    joiner.offer(shelf.listed()[0])
    tip, ids = (shelf.listed()[0].chunks - 2, shelf.listed()[0].chunks - 1)
    fewer = encode(decode(tuple[bytes, ...], shelf.chunk(4, FORMAT, 2), "chunk")[1:])
    for number, bad in ((0, shelf.chunk(4, FORMAT, 1)), (2, fewer), (3, b"\xff"), (tip, b"\x90"), (ids, b"\x90\x90")):
        answer = joiner.apply(number, bad, "liar")
        assert answer == abci.ApplySnapshotChunkAnswer(abci.ChunkVerdict.RETRY, (number,), ("liar",))
    joiner.take_all(shelf, 4)
    assert joiner.application.store.commit.height == 4


def test_what_cannot_follow_from_the_root_is_rejected(comet: Comet, shelf: CometShelf, joiner: Joiner) -> None:
    snapshot = shelf.listed()[0]
    assert joiner.offer(snapshot, bytes(32)) == abci.SnapshotVerdict.REJECT
    count = snapshot.chunks
    assert joiner.offer(abci.Snapshot(4, 2, count, b"", snapshot.metadata)) == abci.SnapshotVerdict.REJECT
    assert joiner.offer(abci.Snapshot(4, FORMAT, 3, b"", snapshot.metadata)) == abci.SnapshotVerdict.REJECT
    assert joiner.offer(abci.Snapshot(4, FORMAT, count, b"", b"\xff")) == abci.SnapshotVerdict.REJECT
    manifest: Manifest = decode(Manifest, snapshot.metadata, "manifest")
    short = encode(replace(manifest, files=manifest.files[:-1]))
    assert joiner.offer(abci.Snapshot(4, FORMAT, count - 1, b"", short)) == abci.SnapshotVerdict.REJECT
    assert joiner.apply(0, shelf.chunk(4, FORMAT, 0)).result == abci.ChunkVerdict.ABORT
    comet.application.restoring = Restoring(comet.genesis, comet.kv, Path("/nowhere"))
    request = abci.OfferSnapshot(snapshot, comet.application.store.commit.app_hash)
    assert comet.application.answer(request).result == abci.SnapshotVerdict.ABORT


def give(joiner: Joiner, shelf: CometShelf, **lies: bytes) -> None:
    """Everything of a snapshot, but for another tip or other ids, as a liar would offer it."""
    manifest: Manifest = decode(Manifest, shelf.listed()[0].metadata, "manifest")
    lying = replace(manifest, **{name: sha256(data).digest() for name, data in lies.items()})
    assert joiner.offer(abci.Snapshot(4, FORMAT, manifest.count, b"", encode(lying))) == abci.SnapshotVerdict.ACCEPT
    chunks = [shelf.chunk(4, FORMAT, number) for number in range(manifest.count)]
    for number, data in enumerate([*chunks[:-2], lies.get("tip", chunks[-2]), lies.get("ids", chunks[-1])]):
        joiner.apply(number, data)


def test_ids_that_the_state_does_not_bind_end_the_node_and_leave_a_store_that_begins_again(
    shelf: CometShelf, joiner: Joiner
) -> None:
    with pytest.raises(Broken, match="ids"):
        give(joiner, shelf, ids=encode(()))
    assert is_half_joined(joiner.kv)


def test_a_block_of_another_height_is_refused_before_anything_is_written(
    comet: Comet, shelf: CometShelf, joiner: Joiner
) -> None:
    right: Tip = decode(Tip, shelf.chunk(4, FORMAT, shelf.listed()[0].chunks - 2), "tip")
    other = find_block(comet.kv, 3)
    assert other is not None
    with pytest.raises(Broken, match="not the one of height 4"):
        give(joiner, shelf, tip=encode(replace(right, block=other)))
    assert joiner.application.store.commit.height == 0
    assert not is_half_joined(joiner.kv)


def test_only_the_newest_are_kept_and_what_was_broken_off_is_forgotten(comet: Comet, tmp_path: Path) -> None:
    shelf = CometShelf(tmp_path / "given", 2)
    for _ in range(3):
        take(comet.genesis, shelf, comet.kv, lambda: None)
        comet.block(comet.tx("bob", Transfer(account("carol"), 1)).raw)
    assert [snapshot.height for snapshot in shelf.listed()] == [6, 5]
    shelf.begin(9)
    assert [snapshot.height for snapshot in CometShelf(tmp_path / "given", 2).listed()] == [6, 5]
    assert not list((tmp_path / "given").glob("*.part"))
