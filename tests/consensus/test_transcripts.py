"""Every transcript, step by step: one rule of the paper or one pitfall each; the file name is the claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.transcripts import Player, read

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_transcript(path: Path) -> None:
    transcript = read(path)
    player = Player(transcript.own, transcript.size)
    for step in transcript.steps:
        assert player.play(step.text) == step.expected, f"{path.name}:{step.line}: > {step.text}"


def test_there_is_a_transcript_for_each_rule_of_the_paper() -> None:
    ranges = {"-".join(path.stem.split("-")[1:3]) for path in TRANSCRIPTS if path.stem.startswith("paper-")}
    expected = "11-21 22-27 28-33 34-35 36-43 44-46 47-48 49-54 55-56 57-60 61-64 65-67"
    assert sorted(ranges) == expected.split()
