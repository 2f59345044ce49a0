"""From a folder of music to a dataset on the chain: scan, plan, register in resumable chunks, offer.

The plan names every object before anything is signed: ids follow from sender, nonce and position, and the nonces from
the plan itself. So a run that was broken off is simply run again; what is registered already is taken as it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from concento.cids import cid
from concento.client.audio import SUFFIXES, AudioFile, Progress, read_audio
from concento.client.rpc import find
from concento.client.session import Session
from concento.encoding import Record, encode
from concento.errors import Rejected
from concento.limits import MEMBERS_PER_ACTION_MAX, TRANSACTION_ACTIONS_MAX
from concento.messages import Action
from concento.messages.assets import (
    OWN,
    AddMembers,
    Description,
    Leg,
    Part,
    RegisterDataset,
    RegisterRecording,
    RegisterWork,
    SealDataset,
    Split,
)
from concento.messages.licences import CreateOffer, Price
from concento.terms import LAYERS, Terms, terms_hash
from concento.transactions import object_id

SPLIT_SHARES: Final = 1_000_000
"""Shares of a split table: a percentage with 4 decimals is exact."""

MEMBERS_PER_TRANSACTION: Final = MEMBERS_PER_ACTION_MAX
"""34 kB of member ids: such an AddMembers has a transaction of its own."""

_MEMBERS_BESIDE_OTHERS: Final = 200
"""7 kB of member ids fit beside the 30 recordings of a full transaction."""

_TAIL_ACTIONS: Final = 3
"""Room that is kept for members, seal and offer, so that a small album is one atomic transaction."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that promised audio and is not registered, and why."""

    path: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Album:
    """Everything that a person decides about a folder of music."""

    title: str
    splits: tuple[Split, ...]
    work_splits: tuple[Split, ...]
    work_bps: int
    terms: Terms
    pricing: tuple[Price, ...]
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Registered:
    """What became of the folder: ids as hex, Tx documents in order."""

    dataset: str
    offer: str | None
    recordings: list[dict[str, Any]]
    txs: list[dict[str, Any]] = field(default_factory=list)


def scan(folder: Path, progress: Progress = lambda _: None) -> tuple[list[AudioFile], list[Skipped]]:
    """The audio files below a folder by path, and what could not be taken. Raises Rejected dataset.no_audio."""
    if not folder.is_dir():
        raise Rejected("dataset.no_folder", path=str(folder))
    found: dict[bytes, AudioFile] = {}
    skipped: list[Skipped] = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        name = path.relative_to(folder).as_posix()
        try:
            audio = read_audio(path, name, progress)
            if audio.content in found:
                raise Rejected("audio.repeated", path=name, other=found[audio.content].name)
            found[audio.content] = audio
        except Rejected as error:
            skipped.append(Skipped(name, error.kind, error.message))
    if not found:
        raise Rejected("dataset.no_audio", path=str(folder), reason=_why_nothing(skipped))
    return list(found.values()), skipped


def _why_nothing(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return "there is no audio file in it"
    more = f", and {len(skipped) - 1} more are no better" if len(skipped) > 1 else ""
    return skipped[0].message + more


def folder_bytes(folder: Path) -> int:
    """How many bytes a scan will read."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def parse_splits(shares: Iterable[tuple[bytes, str]]) -> tuple[Split, ...]:
    """Splits from (account, percent) pairs such as (alice, "70"). Raises Rejected unless they sum to exactly 100."""
    rows: dict[bytes, int] = {}
    for account, percent in shares:
        whole, _, fraction = percent.partition(".")
        if not (whole.isascii() and whole.isdigit()) or len(fraction) > 4 or (fraction and not fraction.isdigit()):
            raise Rejected("split.malformed", text=percent)
        if account in rows:
            raise Rejected("split.repeated", account=account)
        rows[account] = int(whole) * 10_000 + int(fraction.ljust(4, "0") or "0")
        if rows[account] == 0:
            raise Rejected("split.nothing")
    total = sum(rows.values())
    if total != SPLIT_SHARES:
        raise Rejected("split.sum", percent=f"{total // 10_000}.{total % 10_000:04d}")
    return tuple(Split(account, count) for account, count in sorted(rows.items()))


def register(
    session: Session,
    album: Album,
    tracks: Sequence[AudioFile],
    on_transaction: Callable[[int, int], None] = lambda done, total: None,
) -> Registered:
    """Register the tracks, the dataset over them and its offer; waits until all is final.

    Raises Rejected asset.duplicate_content where somebody else has registered a file, RpcError as the chain does.
    """
    plan = _plan(session, album, tracks)
    outcome = Registered(plan.dataset.hex(), plan.offer.hex() if plan.offer else None, plan.recordings)
    for index, (nonce, actions) in enumerate(plan.transactions):
        outcome.txs.append(session.send(actions, nonce=nonce))
        on_transaction(index + 1, len(plan.transactions))
        if outcome.txs[-1]["status"] != "final":
            break
    return outcome


def estimate(session: Session, album: Album, tracks: Sequence[AudioFile]) -> dict[str, Any]:
    """What `register` would do: the recordings with their state, the number of transactions, the fee of the first."""
    plan = _plan(session, album, tracks)
    fee_ubeat = "0"
    if plan.transactions:
        nonce, actions = plan.transactions[0]
        fee_ubeat = session.client.simulate(session.sign(session.body(actions, nonce)).raw)["fee_ubeat"]
    return {
        "dataset": plan.dataset.hex(),
        "offer": plan.offer.hex() if plan.offer else None,
        "recordings": plan.recordings,
        "transactions": len(plan.transactions),
        "fee_ubeat": fee_ubeat,
    }


def publish(tracks: Iterable[AudioFile], content: Path) -> None:
    """Copy the files into a gateway's content folder, each under its CID; what is there already is left alone."""
    content.mkdir(parents=True, exist_ok=True)
    for track in tracks:
        target = content / cid(track.content)
        if not target.exists():
            partial = target.with_suffix(".part")
            shutil.copyfile(track.path, partial)
            partial.replace(target)


@dataclass(slots=True)
class _Plan:
    dataset: bytes
    offer: bytes | None
    recordings: list[dict[str, Any]]
    transactions: list[tuple[bytes, list[Action]]]


def _plan(session: Session, album: Album, tracks: Sequence[AudioFile]) -> _Plan:
    """The dataset's id is fixed by the album and its files; everything that exists already is left out."""
    sender = session.signer.account
    seed = _nonce(sender, encode(_album_key(album)), *(track.content for track in tracks))
    dataset = object_id("asset", sender, seed, 0)
    state = find(session.client.asset, dataset.hex())
    known = {track.content: _known_asset(session, track) for track in tracks}
    members = {
        content: (bytes.fromhex(asset["id"]), bytes.fromhex(asset["work"] or ""))
        for content, asset in known.items()
        if asset is not None
    }
    writer = _Writer(seed)
    if state is None:
        writer.add(RegisterDataset(_description(album.title, album, "music"), "equal", 10_000, (), b""))
    for track in tracks:
        if track.content not in members:
            writer.room(2, _nonce(seed, track.content))
            nonce, index = writer.place
            work = object_id("asset", sender, nonce, index)
            members[track.content] = object_id("asset", sender, nonce, index + 1), work
            writer.add(_work(album, track))
            writer.add(_recording(album, track, work))
    _add_members(writer, seed, dataset, [members[track.content][0] for track in tracks], state)
    offer = _add_offer(writer, sender, album, dataset, state)
    documents = [
        _recording_document(track, *members[track.content], known[track.content] is not None) for track in tracks
    ]
    return _Plan(dataset, offer, documents, writer.transactions)


class _Writer:
    """Fills transactions in order; the first has the album's own nonce, later ones the nonce they are opened with."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.transactions: list[tuple[bytes, list[Action]]] = []

    def room(self, actions: int, nonce: bytes) -> None:
        """Open another transaction unless this many actions still fit the last one."""
        if not self.transactions or len(self.transactions[-1][1]) + actions > TRANSACTION_ACTIONS_MAX - _TAIL_ACTIONS:
            self.transactions.append((nonce, []))

    def add(self, action: Action) -> None:
        if not self.transactions:
            self.transactions.append((self._seed, []))
        self.transactions[-1][1].append(action)

    @property
    def place(self) -> tuple[bytes, int]:
        """(nonce, index) that the next action will have."""
        nonce, actions = self.transactions[-1]
        return nonce, len(actions)


def _add_members(
    writer: _Writer, seed: bytes, dataset: bytes, members: list[bytes], state: dict[str, Any] | None
) -> None:
    added = int(state["members"]["count"]) if state else 0
    if state is not None and state["state"] != "open":
        return
    for start in range(added, len(members), MEMBERS_PER_TRANSACTION):
        chunk = tuple(members[start : start + MEMBERS_PER_TRANSACTION])
        nonce = _nonce(seed, start.to_bytes(4, "big"))
        writer.room(0 if len(chunk) <= _MEMBERS_BESIDE_OTHERS else TRANSACTION_ACTIONS_MAX, nonce)
        writer.add(AddMembers(dataset, chunk))
    writer.room(0, _nonce(seed, b"seal"))
    writer.add(SealDataset(dataset))


def _add_offer(
    writer: _Writer, sender: bytes, album: Album, dataset: bytes, state: dict[str, Any] | None
) -> bytes | None:
    if not album.pricing:
        return None
    wanted = terms_hash(album.terms).hex()
    for offer in state["offers"] if state else ():
        if offer["terms_hash"] == wanted:
            return bytes.fromhex(offer["id"])
    writer.room(0, _nonce(dataset, b"offer"))
    offer_id = object_id("offer", sender, *writer.place)
    writer.add(CreateOffer(dataset, album.terms, LAYERS, album.pricing, None, None))
    return offer_id


def _work(album: Album, track: AudioFile) -> RegisterWork:
    return RegisterWork(_description(track.title, album, "work"), "", album.work_splits, album.terms)


def _recording(album: Album, track: AudioFile, work: bytes) -> RegisterRecording:
    part = Part(track.name, track.media_type, track.content, track.chunk_root, track.bytes)
    if album.work_bps in (0, 10_000):
        raise Rejected("split.layers", work_bps=album.work_bps)
    legs = (Leg(work, album.work_bps), Leg(OWN, 10_000 - album.work_bps))
    description = _description(track.title, album, "audio")
    return RegisterRecording(description, track.isrc, legs, album.splits, album.terms, (part,), track.facts)


def _description(title: str, album: Album, data_type: str) -> Description:
    return Description(title, tuple(sorted(set(album.tags))), data_type, "", 0)


def _recording_document(track: AudioFile, asset: bytes, work: bytes, known: bool) -> dict[str, Any]:
    return {
        "id": asset.hex(),
        "work": work.hex() or None,
        "title": track.title,
        "path": track.name,
        "cid": cid(track.content),
        "chunk_root": track.chunk_root.hex(),
        "bytes": track.bytes,
        "media_type": track.media_type,
        "duration_ms": track.facts.duration_ms,
        "sample_rate_hz": track.facts.sample_rate_hz,
        "channels": track.facts.channels,
        "state": "known" if known else "registered",
    }


def _known_asset(session: Session, track: AudioFile) -> dict[str, Any] | None:
    """The asset that has this content already, if it is ours. Raises Rejected where it is somebody else's."""
    asset = find(session.client.asset, cid(track.content))
    if asset is not None and asset["owner"] != session.address:
        raise Rejected("asset.duplicate_content", path=track.name, asset=asset["id"], owner=_owner(asset))
    return asset


def _owner(asset: dict[str, Any]) -> str:
    return str(asset.get("owner_name") or asset["owner"])


class _AlbumKey(Record):
    title: str
    terms: Terms
    splits: tuple[Split, ...]
    pricing: tuple[Price, ...]


def _album_key(album: Album) -> _AlbumKey:
    return _AlbumKey(album.title, album.terms, (*album.splits, *album.work_splits), album.pricing)


def _nonce(*parts: bytes) -> bytes:
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()[:16]
