"""Makes a small album of real audio: six short pieces, other melodies for every number, in four containers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import numpy
import soundfile

SAMPLE_RATE_HZ: Final = 44_100
BEAT_S: Final = 0.4
SCALE: Final = (0, 3, 5, 7, 10, 12, 15)
TRACKS: Final = (
    ("Last Stop", "wav"),
    ("Amber Windows", "flac"),
    ("Timetable", "ogg"),
    ("Rain on Line 9", "mp3"),
    ("Empty Seats", "flac"),
    ("Depot", "wav"),
)


def make_album(number: int, folder: Path) -> Path:
    """Write album `number` into a folder of its own below `folder`; the same number gives the same music."""
    target = folder / f"night-bus-{number}"
    target.mkdir(parents=True, exist_ok=True)
    for position, (title, kind) in enumerate(TRACKS, 1):
        path = target / f"{position:02d} {title}.{kind}"
        soundfile.write(path, _piece(Random(f"{number}/{position}")), SAMPLE_RATE_HZ)
    return target


def make_pieces(seed: str, titles: Sequence[str], folder: Path) -> Path:
    """Write one short piece for each title, in this order; the same seed gives the same music."""
    folder.mkdir(parents=True, exist_ok=True)
    for position, title in enumerate(titles, 1):
        soundfile.write(folder / f"{position:02d} {title}.flac", _piece(Random(f"{seed}/{position}")), SAMPLE_RATE_HZ)
    return folder


def _piece(random: Random) -> numpy.ndarray:
    """A quiet melody over a slow bass, 16 to 28 beats long."""
    root_hz = 110 * 2 ** (random.randrange(12) / 12)
    notes = [random.choice(SCALE) for _ in range(random.randrange(16, 29))]
    melody = numpy.concatenate([_tone(root_hz * 2 ** (1 + note / 12), BEAT_S) for note in notes])
    bass = numpy.concatenate([_tone(root_hz * 2 ** (note / 12) / 2, BEAT_S * 4) for note in notes[::4]])
    bass = numpy.resize(bass, melody.shape)
    return (0.5 * melody + 0.3 * bass).astype("float32")


def _tone(frequency_hz: float, length_s: float) -> numpy.ndarray:
    time_s = numpy.arange(int(SAMPLE_RATE_HZ * length_s)) / SAMPLE_RATE_HZ
    fade = numpy.minimum(1, time_s / 0.02) * numpy.exp(-2.5 * time_s / length_s)
    return numpy.sin(2 * numpy.pi * frequency_hz * time_s) * fade


if __name__ == "__main__":
    print(make_album(int(sys.argv[1]), Path(sys.argv[2])))
