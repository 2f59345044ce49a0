"""Audio facts come from the samples, never from what a header promises."""

from pathlib import Path

import numpy
import pytest
import soundfile

from concento.cids import CHUNK_BYTES, chunk_root, cid
from concento.client.audio import hash_file, read_audio
from concento.client.datasets import parse_splits, scan
from concento.errors import Rejected

RATE_HZ = 22_050


def write_tone(path: Path, seconds: float = 2.0, channels: int = 1, pitch_hz: float = 440.0) -> Path:
    time_s = numpy.arange(int(RATE_HZ * seconds)) / RATE_HZ
    tone = 0.3 * numpy.sin(2 * numpy.pi * pitch_hz * time_s)
    soundfile.write(path, numpy.column_stack([tone] * channels), RATE_HZ)
    return path


def halve(path: Path) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("wav", "audio/wav"), ("flac", "audio/flac"), ("ogg", "audio/ogg"), ("mp3", "audio/mpeg"), ("aiff", "audio/aiff")],
)
def test_facts_of_every_supported_container_come_from_its_samples(tmp_path: Path, kind: str, media_type: str) -> None:
    audio = read_audio(write_tone(tmp_path / f"a.{kind}", channels=2), f"a.{kind}")
    assert (audio.media_type, audio.facts.sample_rate_hz, audio.facts.channels) == (media_type, RATE_HZ, 2)
    assert 1_990 <= audio.facts.duration_ms <= 2_060


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_half_a_file_is_refused_whatever_its_header_claims(tmp_path: Path, kind: str) -> None:
    path = halve(write_tone(tmp_path / f"half.{kind}", seconds=4))
    with pytest.raises(Rejected) as refused:
        read_audio(path, path.name)
    assert refused.value.kind in ("audio.truncated", "audio.unreadable")


@pytest.mark.parametrize("kind", ["mp3", "wav", "ogg"])
def test_the_quietly_shortened_containers_are_called_truncated(tmp_path: Path, kind: str) -> None:
    path = halve(write_tone(tmp_path / f"half.{kind}", seconds=4))
    with pytest.raises(Rejected) as refused:
        read_audio(path, path.name)
    assert refused.value.kind == "audio.truncated"


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", numpy.zeros(0), RATE_HZ)
    with pytest.raises(Rejected) as refused:
        read_audio(tmp_path / "empty.wav", "empty.wav")
    assert refused.value.kind == "audio.silent"


def test_text_that_is_named_like_audio_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("not music " * 500)
    with pytest.raises(Rejected) as refused:
        read_audio(tmp_path / "notes.mp3", "notes.mp3")
    assert refused.value.kind == "audio.unreadable"


def test_hashing_in_chunks_gives_the_content_names_of_the_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * (CHUNK_BYTES // 256 * 2 + 3)
    (tmp_path / "f").write_bytes(data)
    read: list[int] = []
    content, root, size = hash_file(tmp_path / "f", read.append)
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    assert (root, size, sum(read)) == (chunk_root(chunks), len(data), len(data))
    assert cid(content).startswith("bafkrei")


def test_a_scan_reports_what_it_leaves_out_and_passes_over_what_is_no_music(tmp_path: Path) -> None:
    write_tone(tmp_path / "b.wav")
    (tmp_path / "sub").mkdir()
    write_tone(tmp_path / "sub" / "a.flac", pitch_hz=330)
    halve(write_tone(tmp_path / "c.mp3", pitch_hz=220))
    (tmp_path / "cover.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "copy.wav").write_bytes((tmp_path / "b.wav").read_bytes())
    tracks, skipped = scan(tmp_path)
    assert [track.name for track in tracks] == ["b.wav", "sub/a.flac"]
    assert [(entry.path, entry.kind) for entry in skipped] == [
        ("c.mp3", "audio.truncated"),
        ("copy.wav", "audio.repeated"),
    ]


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cover.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(Rejected) as refused:
        scan(tmp_path)
    assert refused.value.kind == "dataset.no_audio"
    with pytest.raises(Rejected) as missing:
        scan(tmp_path / "nowhere")
    assert missing.value.kind == "dataset.no_folder"


def test_splits_in_percent_become_a_million_shares() -> None:
    rows = parse_splits([(b"b" * 32, "30"), (b"a" * 32, "70")])
    assert [(row.holder[:1], row.shares) for row in rows] == [(b"a", 700_000), (b"b", 300_000)]
    assert [row.shares for row in parse_splits([(b"a" * 32, "33.3333"), (b"b" * 32, "66.6667")])] == [333_333, 666_667]


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([("a", "70"), ("b", "29")], "split.sum"),
        ([("a", "100.00001")], "split.malformed"),
        ([("a", "-5"), ("b", "105")], "split.malformed"),
        ([("a", "50"), ("a", "50")], "split.repeated"),
        ([("a", "0"), ("b", "100")], "split.nothing"),
        ([("a", "1e2")], "split.malformed"),
    ],
)
def test_splits_that_are_not_a_whole_are_refused(rows: list[tuple[str, str]], kind: str) -> None:
    with pytest.raises(Rejected) as refused:
        parse_splits([(name.encode() * 32, percent) for name, percent in rows])
    assert refused.value.kind == kind


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "nothing.mp3"
    path.touch()
    with pytest.raises(Rejected) as refusal:
        read_audio(path, path.name)
    assert (refusal.value.kind, refusal.value.numbers["reason"]) == ("audio.unreadable", "it is empty")
