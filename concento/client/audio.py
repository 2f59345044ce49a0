"""What an audio file really contains: facts from a full decode, tags for people, and its content names.

Headers lie: a halved MP3 still claims its full length, a halved WAV silently plays half. So every sample is decoded
and compared with what the container promised before a file is registered for ever.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

import soundfile
from tinytag import TinyTag, TinyTagException

from concento.cids import CHUNK_BYTES
from concento.errors import Rejected
from concento.merkle import merkle_root
from concento.messages.assets import AudioFacts

MEDIA_TYPES: Final = {
    "WAV": "audio/wav",
    "WAVEX": "audio/wav",
    "RF64": "audio/wav",
    "FLAC": "audio/flac",
    "OGG": "audio/ogg",
    "MP3": "audio/mpeg",
    "MPEG": "audio/mpeg",
    "AIFF": "audio/aiff",
}

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
"""Names that promise audio: what cannot be decoded under one of these is reported, anything else is passed over."""

_TRACK_NUMBER: Final = re.compile(r"^\d{1,3}[ ._-]+")
_DECODE_FRAMES: Final = 1 << 16
_SIZE_UNKNOWN: Final = (0, 0xFFFFFFFF)
_OGG_LAST_PAGE: Final = 0x04

Progress = Callable[[int], None]
"""Told how many bytes have just been read."""


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file that is worth registering."""

    path: Path
    name: str
    title: str
    artist: str
    isrc: str
    media_type: str
    content: bytes
    chunk_root: bytes
    bytes: int
    facts: AudioFacts


def read_audio(path: Path, name: str, progress: Progress = lambda _: None) -> AudioFile:
    """The file's facts and names. Raises Rejected: audio.unreadable, audio.truncated or audio.silent (no samples)."""
    content, root, size = hash_file(path, progress)
    media_type, facts = _decode(path, name)
    title, artist, isrc = _tags(path)
    return AudioFile(
        path,
        name,
        title or _TRACK_NUMBER.sub("", path.stem) or path.stem,
        artist,
        isrc,
        media_type,
        content,
        root,
        size,
        facts,
    )


def hash_file(path: Path, progress: Progress = lambda _: None) -> tuple[bytes, bytes, int]:
    """(SHA-256, chunk root, bytes) of a file, read once."""
    whole, leaves, size = sha256(), [], 0
    try:
        with path.open("rb") as file:
            for chunk in _chunks(file):
                whole.update(chunk)
                leaves.append(sha256(chunk).digest())
                size += len(chunk)
                progress(len(chunk))
    except OSError as error:
        raise Rejected("file.unreadable", path=str(path), reason=error.strerror or str(error)) from None
    return whole.digest(), merkle_root(leaves), size


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _decode(path: Path, name: str) -> tuple[str, AudioFacts]:
    if path.stat().st_size == 0:
        raise Rejected("audio.unreadable", path=name, reason="it is empty")
    try:
        with _quiet_decoder(), soundfile.SoundFile(str(path)) as audio:
            media_type = MEDIA_TYPES.get(audio.format)
            if media_type is None:
                raise Rejected("audio.unreadable", path=name, reason=f"{audio.format} is not a supported container")
            claimed, rate, channels = int(audio.frames), int(audio.samplerate), int(audio.channels)
            decoded = 0
            while frames := len(audio.read(_DECODE_FRAMES, dtype="float32")):
                decoded += frames
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(error).removeprefix(f"Error opening {str(path)!r}: ").strip(". ")
        raise Rejected("audio.unreadable", path=name, reason=reason) from None
    if decoded < claimed:
        raise Rejected("audio.truncated", path=name, reason=f"{decoded} of {claimed} frames can be decoded")
    if _container_is_cut(path, media_type):
        raise Rejected("audio.truncated", path=name, reason="its container says that more should follow the last byte")
    if decoded == 0:
        raise Rejected("audio.silent", path=name)
    return media_type, AudioFacts(duration_ms=decoded * 1000 // rate, sample_rate_hz=rate, channels=channels)


def _container_is_cut(path: Path, media_type: str) -> bool:
    """Whether the container says that more should follow the last byte."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if media_type in ("audio/wav", "audio/aiff"):
            claimed = int.from_bytes(file.read(8)[4:8], "little" if media_type == "audio/wav" else "big")
            return claimed not in _SIZE_UNKNOWN and claimed + 8 > size
        if media_type == "audio/ogg":
            file.seek(max(0, size - (1 << 17)))
            tail = file.read()
            page = tail.rfind(b"OggS")
            return page < 0 or page + 5 >= len(tail) or not tail[page + 5] & _OGG_LAST_PAGE
    return False


def _tags(path: Path) -> tuple[str, str, str]:
    """(title, artist, ISRC) as far as the file says."""
    try:
        tag = TinyTag.get(str(path))
    except (TinyTagException, OSError, ValueError):
        return "", "", ""
    isrc = next(iter(tag.other.get("isrc", [])), "")
    return (tag.title or "").strip(), (tag.artist or "").strip(), str(isrc).replace("-", "").upper()


@contextlib.contextmanager
def _quiet_decoder() -> Iterator[None]:
    """The MP3 decoder writes warnings straight to file descriptor 2; we say the same better ourselves."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
