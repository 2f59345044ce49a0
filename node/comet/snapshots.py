"""Snapshots of the ledger under CometBFT: taken while it runs, given to its peers, and what a new node begins with.

CometBFT finds them, fetches the chunks and knows the root that they must have: its light client has followed the
headers. Here every chunk is checked alone against that root, by the rules of the own engine (`state/store/snapshots`),
and kept in a folder until all are there; then the store is made anew in one go. Two chunks are not records of the
state: the ids that may not come back, bound by the state, and the block that the snapshot stands on. Nobody signs
that block's record here. If a liar has changed its time, this node's next root differs from CometBFT's, and it ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from concento.blocks import Header, TransactionResult, block_id, results_root
from concento.encoding import Bytes32, Record, decode, encode
from concento.errors import Broken, Rejected
from concento.genesis import Genesis
from concento.light import HANDOVERS_MAX
from concento.limits import MIB
from concento.votes import Commit
from node.comet import messages as abci
from node.comet.blocks import BODIES, find_bodies
from node.replica.join import clear
from node.snapshots import MANIFEST, SnapshotFolders, ids_of, sorted_chunks, write_durably
from state.modules.licences import holdings_among
from state.queries import Chain
from state.queries_chain import handovers_before
from state.store.blockstore import BlockRecord, StoredBlock, block_changes, find_block, find_events, find_results
from state.store.kept import Base, base_changes, header_changes, ids_changes
from state.store.kv import HISTORY, STATE, TRANSACTION, KeyValue, KeyValueView, number_key
from state.store.opening import COMMIT_KEY, STORE_FORMAT, CommitRecord, OpenStore, committed, open_store
from state.store.snapshots import (
    CHUNKS,
    Expected,
    Pair,
    Summary,
    check_chunk,
    check_ids,
    encode_chunk,
    expected_chunks,
    summary,
    top_nodes,
)
from state.view import View

FORMAT: Final = 1
CHUNK_BYTES: Final = 4 * MIB
"""Files of the state travel together up to this size: CometBFT asks for some ten chunks a second, and takes 16 MB."""
_TOP_NODES_MAX: Final = 17


class Manifest(Record):
    """What proves the chunks: nodes under the root, and the hashes of the two chunks that are not of the state.

    `files` says how many of the 256 files of the state are in each chunk. The last two chunks are tip and ids.
    """

    top: Annotated[tuple[bytes, ...], Meta(max_length=_TOP_NODES_MAX)]
    files: Annotated[tuple[Annotated[int, Meta(ge=1, le=CHUNKS)], ...], Meta(max_length=CHUNKS)]
    tip: Bytes32
    ids: Bytes32

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return len(self.files) + 2

    def range_of(self, number: int) -> range:
        """The files of the state in a chunk; none in tip and ids."""
        start = sum(self.files[:number])
        return range(start, start + self.files[number]) if number < len(self.files) else range(0)


class Handover(Record):
    """Our header of a height after which other validators decide."""

    header: Header
    commit: Commit


class Tip(Record):
    """The block that the snapshot stands on, as the store keeps it, and our headers of earlier handovers."""

    block: BlockRecord
    results: tuple[bytes, ...]
    closing_events: bytes
    bodies: tuple[bytes, ...]
    handovers: Annotated[tuple[Handover, ...], Meta(max_length=HANDOVERS_MAX)]


# Taking and giving


class CometShelf(SnapshotFolders):
    """What CometBFT lists and gives to its peers; a chunk is a file."""

    def __init__(self, folder: Path, kept: int) -> None:
        super().__init__(folder, kept, "height-")

    def listed(self) -> tuple[abci.Snapshot, ...]:
        """What is whole, the newest first."""
        found = []
        for height in reversed(self.heights()):
            raw = (self.path(height) / MANIFEST).read_bytes()
            manifest: Manifest = decode(Manifest, raw, "snapshot manifest")
            found.append(abci.Snapshot(height, FORMAT, manifest.count, sha256(raw).digest(), raw))
        return tuple(found)

    def chunk(self, height: int, format_: int, number: int) -> bytes:
        """Nothing where it is not there, or no longer."""
        if format_ != FORMAT:
            return b""
        try:
            return (self.path(height) / _chunk_name(number)).read_bytes()
        except OSError:
            return b""


def take(genesis: Genesis, shelf: CometShelf, view: KeyValueView, pause: Callable[[], None]) -> int:
    """Takes a snapshot of the store as this view shows it; the height. Reads and writes for long."""
    commit = committed(view)
    if commit is None or commit.height < 1:
        raise Broken("a snapshot was asked of a store without blocks")
    height = commit.height
    folder = shelf.begin(height)
    summaries: list[Summary] = []
    files: list[int] = []
    for chunk in _grouped(sorted_chunks(view, folder, pause), summaries):
        write_durably(folder / _chunk_name(len(files)), encode(chunk))
        files.append(len(chunk))
    tip, ids = encode(_tip(genesis, view, height)), encode(tuple(ids_of(view, pause)))
    for number, data in enumerate((tip, ids), len(files)):
        write_durably(folder / _chunk_name(number), data)
    manifest = Manifest(top_nodes(summaries), tuple(files), sha256(tip).digest(), sha256(ids).digest())
    shelf.finish(height, encode(manifest))
    return height


def _grouped(files: Iterable[list[Pair]], summaries: list[Summary]) -> Iterator[tuple[bytes, ...]]:
    """The files of the state, some to a chunk; notes what the nodes above need of each."""
    group: list[bytes] = []
    size = 0
    for pairs in files:
        data = encode_chunk(pairs)
        summaries.append(summary(pairs))
        if group and size + len(data) > CHUNK_BYTES:
            yield tuple(group)
            group, size = [], 0
        group.append(data)
        size += len(data)
    yield tuple(group)


def _tip(genesis: Genesis, view: KeyValueView, height: int) -> Tip:
    block, results, events = find_block(view, height), find_results(view, height), find_events(view, height)
    bodies = find_bodies(view, height)
    if block is None or results is None or events is None or bodies is None:
        raise Broken("the block of a snapshot is not in the store")
    handovers = handovers_before(Chain(view, None, genesis), height)
    return Tip(block, results, events[-1], bodies, tuple(Handover(step.header, step.commit) for step in handovers))


# Beginning with one


class Restoring:
    """A node that begins with a snapshot: the chunks as they come, in a folder, until all are there."""

    def __init__(self, genesis: Genesis, kv: KeyValue, folder: Path) -> None:
        self._genesis = genesis
        self._kv = kv
        self._folder = folder
        self._height = 0
        self._app_hash = b""
        self._expected: list[Expected] = []
        self._manifest: Manifest | None = None
        self._missing: set[int] = set()

    def offer(self, request: abci.OfferSnapshot) -> abci.SnapshotVerdict:
        """ACCEPT what could follow from the root that CometBFT vouches for."""
        snapshot, commit = request.snapshot, committed(self._kv)
        if commit is None or commit.height:
            return abci.SnapshotVerdict.ABORT
        self._manifest = None
        if snapshot is None or snapshot.format != FORMAT or snapshot.height < 1:
            return abci.SnapshotVerdict.REJECT
        try:
            manifest: Manifest = decode(Manifest, snapshot.metadata, "snapshot manifest")
            self._expected = expected_chunks(request.app_hash, manifest.top)
        except Rejected:
            return abci.SnapshotVerdict.REJECT
        if snapshot.chunks != manifest.count or sum(manifest.files) != CHUNKS:
            return abci.SnapshotVerdict.REJECT
        self._manifest = manifest
        self._height, self._app_hash, self._missing = snapshot.height, request.app_hash, set(range(manifest.count))
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return abci.SnapshotVerdict.ACCEPT

    def apply(self, request: abci.ApplySnapshotChunk) -> tuple[abci.ApplySnapshotChunkAnswer, OpenStore | None]:
        """Takes a chunk, or asks for it again of somebody else; with the last one, the store that it makes."""
        manifest = self._manifest
        if manifest is None or request.index >= manifest.count:
            return abci.ApplySnapshotChunkAnswer(abci.ChunkVerdict.ABORT), None
        try:
            self._check(manifest, request.index, request.chunk)
        except Rejected:
            senders = (request.sender,) if request.sender else ()
            return abci.ApplySnapshotChunkAnswer(abci.ChunkVerdict.RETRY, (request.index,), senders), None
        (self._folder / _chunk_name(request.index)).write_bytes(request.chunk)
        self._missing.discard(request.index)
        store = None if self._missing else self._complete(manifest)
        return abci.ApplySnapshotChunkAnswer(abci.ChunkVerdict.ACCEPT), store

    def _check(self, manifest: Manifest, number: int, data: bytes) -> None:
        files = manifest.range_of(number)
        if files:
            self._records(files, data)
        elif sha256(data).digest() != (manifest.tip if number == len(manifest.files) else manifest.ids):
            raise Rejected("snapshot.invalid", reason=f"chunk {number} is not the one that was offered")

    def _records(self, files: range, data: bytes) -> list[Pair]:
        """The records of the state in a chunk. Raises Rejected unless they are exactly those of these files."""
        found = decode(tuple[bytes, ...], data, "snapshot chunk")
        if len(found) != len(files):
            raise Rejected("snapshot.invalid", reason="a chunk has another number of files")
        pairs = [check_chunk(number, file, self._expected[number]) for number, file in zip(files, found, strict=True)]
        return [pair for file in pairs for pair in file]

    def _complete(self, manifest: Manifest) -> OpenStore:
        """Makes the store anew. A crash on the way leaves one without a commit record, which the next start empties.

        Raises Broken where the chunks that are not of the state do not fit to it: whoever offered them lied.
        """
        kv = self._kv
        chunks = len(manifest.files)
        try:
            tip: Tip = decode(Tip, self._read(chunks), "snapshot tip")
        except Rejected as error:
            raise Broken("{reason}", reason=str(error)) from None
        stored = _stored_block(tip, self._height)
        kv.write({COMMIT_KEY: None})
        clear(kv)
        for number in range(chunks):
            pairs = self._records(manifest.range_of(number), self._read(number))
            changes: dict[bytes, bytes | None] = {STATE + key: value for key, value in pairs}
            changes.update((HISTORY + key, value) for key, value in holdings_among(pairs).items())
            kv.write(changes)
        changes = {}
        try:
            for entry in check_ids(View(lambda key: kv.get(STATE + key)), self._read(chunks + 1)):
                changes.update(ids_changes(entry))
        except Rejected as error:
            raise Broken("{reason}", reason=str(error)) from None
        for step in tip.handovers:
            changes.update(header_changes(step.header, step.commit))
        block = tip.block
        changes.update(block_changes(stored))
        changes[BODIES + number_key(self._height)] = encode(tip.bodies)
        changes.update(base_changes(Base(block.block, block.commit, results_root(tip.results))))
        transactions = sum(key.startswith(TRANSACTION) for key in changes)
        changes[COMMIT_KEY] = encode(self._commit_record(block_id(block.block.header), transactions))
        kv.write(changes)
        shutil.rmtree(self._folder)
        self._manifest = None
        return open_store(kv, self._genesis.network)

    def _commit_record(self, block: bytes, transactions: int) -> CommitRecord:
        records = sum(1 for _ in self._kv.scan(STATE))
        network = self._genesis.network
        return CommitRecord(
            STORE_FORMAT, network, self._height, block, self._app_hash, records, self._height, transactions
        )

    def _read(self, number: int) -> bytes:
        return (self._folder / _chunk_name(number)).read_bytes()


def _stored_block(tip: Tip, height: int) -> StoredBlock:
    """Raises Broken where the block is not of this height, or its results are not results."""
    ids = tip.block.transactions
    try:
        outcomes = [decode(TransactionResult, leaf, "result") for leaf in tip.results[: len(ids)]]
    except Rejected as error:
        raise Broken("{reason}", reason=str(error)) from None
    if tip.block.block.header.height != height or tuple(outcome.id for outcome in outcomes) != ids:
        raise Broken("the block that came with a snapshot is not the one of height {height}", height=height)
    return StoredBlock(tip.block, outcomes, tip.results, tip.closing_events)


def _chunk_name(number: int) -> str:
    return f"{number:03d}"
