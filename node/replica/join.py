"""How a node without a state begins with a snapshot of its peers: asked for, checked, kept file by file.

It stands in for the replica until the store is whole: the same events, the same effects. Nothing a peer says is
believed: the manifest follows from genesis over the handovers, each file is checked before any of it is written. Files
come from all peers that offer the same state, each whole from one, so that a bad one has one author: he is banned.
What was checked is in the store with a note of it, so that a restart goes on where it was. The store becomes one that
opens only with the last write; the opening then compares the whole state with its root again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from concento.blocks import block_id
from concento.encoding import decode, encode
from concento.errors import Broken, Rejected, Unavailable
from concento.genesis import Genesis
from consensus.proposers import Turns, missed_hash
from node.replica.chain import TURNS_KEY
from node.replica.events import (
    Answer,
    ArmTimer,
    Effect,
    Event,
    Finished,
    Now,
    Outcome,
    PeerDown,
    PeerMessage,
    PeerUp,
    Started,
    Submit,
    TimerFired,
    Write,
)
from node.replica.outbox import Outbox
from node.replica.segments import FIRST_MARKS, MARKS_KEY
from node.replica.wire import (
    PieceRequest,
    SnapshotOffer,
    SnapshotPiece,
    SnapshotRequest,
    decode_message,
)
from state.modules.licences import holdings_among
from state.store.kept import Base, base_changes, header_changes, ids_changes
from state.store.kv import HISTORY, REPLICA, STATE, KeyValue, key_number, number_key
from state.store.opening import COMMIT_KEY, STORE_FORMAT, CommitRecord, is_empty
from state.store.snapshots import (
    CHUNKS,
    FILES,
    HEADERS,
    IDS,
    PIECE_BYTES,
    Expected,
    Manifest,
    check_chunk,
    check_headers,
    check_ids,
    check_manifest,
)
from state.view import View

TICK_MS: Final = 100
OFFERS_MS: Final = 3_000
"""How long offers are collected before the highest is taken."""
ASK_AGAIN_MS: Final = 2_000
"""How often peers without an offer are asked."""
PATIENCE_MS: Final = 15_000
"""After so long without any offer, where peers are there, the node begins with block 1."""
PIECE_MS: Final = 5_000
"""How long a piece may take: a largest one over a slow line."""
LEFT_ALONE_MS: Final = 30_000
"""How long a peer that did not deliver is not asked, while there are others."""
STALE_MS: Final = 60_000
"""After so long with peers of whom none has the snapshot begun with any more, another one is begun."""
FORGOTTEN_RECORDS: Final = 5_000
"""Records deleted at a time where a snapshot is given up."""

JOIN_TIMER: Final = ("join",)

_MANIFEST: Final = REPLICA + b"join/manifest"
_DONE: Final = REPLICA + b"join/file/"

R = TypeVar("R")


@dataclass(slots=True)
class _Source:
    """A connected peer: what it offers, and what it is asked for."""

    offer: Manifest | None = None
    is_asked: bool = False
    asked_ms: int | None = None
    file: int | None = None
    pieces: list[bytes] = field(default_factory=list)
    deadline_ms: int = 0


class Joining:
    """The core of a node that begins with a snapshot; `is_done` once the store is whole or none is to be had."""

    def __init__(self, genesis: Genesis, kv: KeyValue) -> None:
        """`kv`: the store to fill, empty or with what an earlier run left in it."""
        self._genesis = genesis
        self._kv = kv
        self._out = Outbox()
        self._sources: dict[bytes, _Source] = {}
        self._left_alone: dict[bytes, int] = {}
        self._manifest: Manifest | None = None
        self._expected: list[Expected] = []
        self._done: dict[int, int] = {}
        self._is_clearing = False
        self._started_ms = 0
        self._seen_ms = 0
        self.is_done = False
        self.has_joined = False

    @property
    def height(self) -> int:
        """The height of the snapshot that is being taken over; 0 before one is chosen."""
        return self._manifest.height if self._manifest else 0

    @property
    def done_count(self) -> int:
        """How many of its files are here and checked."""
        return len(self._done)

    @property
    def step(self) -> str:
        """Where it is, in words."""
        return f"snapshot {self.height}: {self.done_count} of {FILES} files" if self._manifest else "snapshot: asking"

    def handle(self, event: Event, now: Now) -> list[Effect]:
        match event:
            case Started():
                self._begin(now)
            case PeerUp(peer):
                self._sources[peer] = _Source()
                self._ask_for_offers(now)
            case PeerDown(peer):
                self._sources.pop(peer, None)
            case PeerMessage(peer, payload):
                self._heard(peer, payload, now)
            case Submit(token, raw):
                refused = Outcome(None, "refused", False, Unavailable("node.syncing", height=0))
                self._out.emit(Answer(token, tuple(refused for _ in raw)))
            case TimerFired(timer) if timer == JOIN_TIMER:
                self._tick(now)
            case _:
                pass
        return self._out.take()

    # Beginning and ending

    def _begin(self, now: Now) -> None:
        self._started_ms = self._seen_ms = now.mono_ms
        raw = self._kv.get(_MANIFEST)
        if raw is not None:
            self._manifest = _stored(Manifest, raw)
            self._expected = check_manifest(self._genesis, self._manifest)
            found = self._kv.scan(_DONE)
            self._done = {key_number(key[len(_DONE) :]): key_number(count) for key, count in found}
            self._out.log("snapshot.resumed", height=self._manifest.height, files=len(self._done))
        else:
            self._is_clearing = not is_empty(self._kv)
        self._out.emit(ArmTimer(JOIN_TIMER, TICK_MS))

    def _tick(self, now: Now) -> None:
        if self.is_done:
            return
        self._out.emit(ArmTimer(JOIN_TIMER, TICK_MS))
        if not self._sources:
            # As long as nobody is there nobody can be waited for.
            self._started_ms = self._seen_ms = now.mono_ms
        if self._is_clearing:
            self._clear()
            return
        self._drop_slow(now)
        self._ask_for_offers(now)
        if self._manifest is None:
            self._choose(now)
        self._give_up_where_stale(now)
        self._ask_for_files(now)

    def _choose(self, now: Now) -> None:
        """Takes the highest state that is offered, once there was time for offers."""
        waited_ms = now.mono_ms - self._started_ms
        offers = [source.offer for source in self._sources.values() if source.offer is not None]
        if offers and waited_ms >= OFFERS_MS:
            self._manifest = max(offers, key=lambda offer: offer.height)
            self._expected = check_manifest(self._genesis, self._manifest)
            self._seen_ms = now.mono_ms
            self._out.emit(Write({_MANIFEST: encode(self._manifest)}))
            self._out.log("snapshot.begun", height=self._manifest.height)
        elif not offers and waited_ms >= PATIENCE_MS and self._sources:
            self._out.log("snapshot.none", "warning")
            self._finish()

    def _give_up_where_stale(self, now: Now) -> None:
        if self._manifest is None:
            return
        if any(self._serves(source) for source in self._sources.values()):
            self._seen_ms = now.mono_ms
        elif now.mono_ms - self._seen_ms > STALE_MS:
            self._out.log("snapshot.gone", "warning", height=self._manifest.height)
            self._out.emit(Write({_MANIFEST: None, **{_DONE + number_key(file): None for file in self._done}}))
            self._manifest, self._done, self._is_clearing = None, {}, True
            self._started_ms = now.mono_ms
            for source in self._sources.values():
                source.offer = source.asked_ms = source.file = None

    def _clear(self) -> None:
        """Deletes what was taken of a snapshot that nobody has any more, a little at a time."""
        keys = [key for key, _ in islice(self._kv.scan(b""), FORGOTTEN_RECORDS)]
        self._is_clearing = bool(keys)
        if keys:
            self._out.emit(Write(dict.fromkeys(keys)))

    # Offers

    def _ask_for_offers(self, now: Now) -> None:
        for peer, source in self._sources.items():
            waits = source.asked_ms is not None and now.mono_ms - source.asked_ms < ASK_AGAIN_MS
            if not waits and not self._serves(source):
                source.asked_ms, source.is_asked = now.mono_ms, True
                self._out.send((peer,), SnapshotRequest(self.height))

    def _heard_offer(self, peer: bytes, source: _Source, raw: bytes) -> None:
        # Checking costs signatures: one offer for one request.
        is_asked, source.is_asked, source.offer = source.is_asked, False, None
        if not raw or not is_asked:
            return
        offer = decode(Manifest, raw, "snapshot manifest")
        check_manifest(self._genesis, offer)
        turns = decode(Turns, offer.turns, "turns")
        if missed_hash(turns) != offer.header.missed_hash:
            raise Rejected("snapshot.invalid", reason="its turns are not those of its header")
        source.offer = offer

    def _serves(self, source: _Source) -> bool:
        """Whether the peer has a snapshot, and the very one that is being taken over."""
        if source.offer is None:
            return False
        return self._manifest is None or block_id(source.offer.header) == block_id(self._manifest.header)

    # Files

    def _ask_for_files(self, now: Now) -> None:
        if self._manifest is None:
            return
        asked = {source.file for source in self._sources.values()}
        # Ids are checked by the state: they come last.
        wanted = [file for file in (*range(CHUNKS), HEADERS) if file not in self._done and file not in asked]
        if not wanted and len(self._done) == CHUNKS + 1 and IDS not in asked:
            wanted = [IDS]
        for peer, source in self._sources.items():
            is_free = source.file is None and self._left_alone.get(peer, 0) <= now.mono_ms
            if wanted and is_free and self._serves(source):
                source.file, source.pieces = wanted.pop(0), []
                self._ask_for_piece(peer, source, now)

    def _ask_for_piece(self, peer: bytes, source: _Source, now: Now) -> None:
        source.deadline_ms = now.mono_ms + PIECE_MS
        self._out.send((peer,), PieceRequest(self.height, source.file or 0, len(source.pieces)))

    def _drop_slow(self, now: Now) -> None:
        for peer, source in self._sources.items():
            if source.file is not None and source.deadline_ms <= now.mono_ms:
                self._out.log("snapshot.slow_peer", peer=peer, file=source.file)
                self._left_alone[peer] = now.mono_ms + LEFT_ALONE_MS
                source.file = None

    def _heard(self, peer: bytes, payload: bytes, now: Now) -> None:
        source = self._sources.get(peer)
        if source is None or self.is_done:
            return
        try:
            message = decode_message(payload)
            if isinstance(message, SnapshotOffer):
                self._heard_offer(peer, source, message.manifest)
            elif isinstance(message, SnapshotPiece):
                self._heard_piece(peer, source, message, now)
        except Rejected as error:
            source.offer = source.file = None
            self._left_alone[peer] = now.mono_ms + LEFT_ALONE_MS
            self._out.misbehaved(peer, str(error))
        if self._manifest is not None and not self._is_clearing:
            self._ask_for_files(now)

    def _heard_piece(self, peer: bytes, source: _Source, message: SnapshotPiece, now: Now) -> None:
        offer = source.offer
        wanted = self.height, source.file, len(source.pieces)
        if offer is None or (message.height, message.file, message.piece) != wanted:
            return
        if not message.data:
            # It has gone there meanwhile: no lie.
            source.offer = source.file = None
            return
        source.pieces.append(message.data)
        size, got = offer.sizes[message.file], PIECE_BYTES * len(source.pieces)
        if got < size:
            if len(message.data) != PIECE_BYTES:
                raise Rejected("snapshot.invalid", reason="a piece is too short")
            self._ask_for_piece(peer, source, now)
            return
        data = b"".join(source.pieces)
        source.file, source.pieces = None, []
        self._take(message.file, data)

    def _take(self, file: int, data: bytes) -> None:
        """Checks a whole file and writes what it holds. Raises Rejected."""
        manifest = self._manifest
        if manifest is None or file in self._done:
            return
        if file < CHUNKS:
            pairs = check_chunk(file, data, self._expected[file])
            changes: dict[bytes, bytes | None] = {STATE + key: value for key, value in pairs}
            changes.update((HISTORY + key, value) for key, value in holdings_among(pairs).items())
        elif file == HEADERS:
            changes = {}
            age_ms = self._genesis.params.consensus.evidence_age_ms
            for header in check_headers(manifest.block.header, data, age_ms):
                changes.update(header_changes(header))
            pairs = ()
        else:
            self._complete(manifest, data)
            return
        self._done[file] = len(pairs)
        changes[_DONE + number_key(file)] = number_key(len(pairs))
        self._out.emit(Write(changes))
        if len(self._done) % 32 == 0:
            self._out.log("snapshot.progress", height=manifest.height, files=len(self._done), of=FILES)

    def _complete(self, manifest: Manifest, data: bytes) -> None:
        """All files are here and checked: the write that makes the store one that opens."""
        kv = self._kv
        ids = check_ids(View(lambda key: kv.get(STATE + key)), data)
        changes: dict[bytes, bytes | None] = {_DONE + number_key(file): None for file in range(FILES)}
        changes[_MANIFEST] = None
        for entry in ids:
            changes.update(ids_changes(entry))
        for step in manifest.handovers:
            changes.update(header_changes(step.header, step.commit))
        header, block = manifest.header, manifest.block
        changes.update(base_changes(Base(block, manifest.block_commit, header.results_root)))
        changes[TURNS_KEY] = manifest.turns
        changes[MARKS_KEY] = encode(FIRST_MARKS)
        commit = CommitRecord(
            STORE_FORMAT,
            self._genesis.network,
            manifest.height,
            header.parent_id,
            header.app_hash,
            sum(self._done.values()),
            manifest.height + 1,
            sum(len(entry.ids) for entry in ids),
        )
        changes[COMMIT_KEY] = encode(commit)
        self._out.emit(Write(changes))
        self._out.log("snapshot.joined", height=manifest.height, state_keys=commit.state_keys)
        self.has_joined = True
        self._finish()

    def _finish(self) -> None:
        self.is_done = True
        self._out.emit(Finished())


def is_half_joined(kv: KeyValue) -> bool:
    """Whether a snapshot was begun in this store and not finished: nothing in it counts, but for going on with it."""
    return kv.get(COMMIT_KEY) is None and (kv.get(_MANIFEST) is not None or next(kv.scan(STATE), None) is not None)


def clear(kv: KeyValue) -> None:
    """Empties a store in which a snapshot was begun."""
    kv.write({key: None for key, _ in kv.scan(REPLICA + b"join/")})
    while keys := [key for key, _ in islice(kv.scan(b""), FORGOTTEN_RECORDS)]:
        kv.write(dict.fromkeys(keys))


def _stored(kind: type[R], raw: bytes) -> R:
    try:
        return decode(kind, raw, "snapshot note")
    except Rejected as error:
        raise Broken("{reason}; stop the node and run: concento node resync", reason=str(error)) from None
