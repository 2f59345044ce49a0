"""What a crash leaves on a simulated disk: everything synced, and of the rest only what the loss leaves."""

import pytest

from node.replica.files import MemoryFiles
from sim.disk import LOSS_KINDS, Loss, after_crash

SYNCED = b"synced." * 100
TAIL = b"not synced" * 200


def half_synced() -> MemoryFiles:
    files = MemoryFiles()
    files.append("a", 0, SYNCED)
    files.sync("a")
    files.append("a", len(SYNCED), TAIL)
    files.append("new", 0, TAIL)
    return files


def content(files: MemoryFiles, name: str) -> bytes:
    return files.read(name, 0, files.size(name) or 0) if files.size(name) is not None else b""


@pytest.mark.parametrize("kind", LOSS_KINDS)
def test_what_was_synced_survives_every_loss(kind: str) -> None:
    after = after_crash(half_synced(), Loss(kind, 7))
    assert content(after, "a")[: len(SYNCED)] == SYNCED


@pytest.mark.parametrize("kind", LOSS_KINDS)
def test_the_same_loss_does_the_same(kind: str) -> None:
    one, two = (after_crash(half_synced(), Loss(kind, 7)) for _ in range(2))
    assert content(one, "a") == content(two, "a")


def test_a_whole_loss_takes_new_files_too() -> None:
    after = after_crash(half_synced(), Loss("all"))
    assert after.names() == ["a"]
    assert content(after, "a") == SYNCED


def test_lost_sectors_leave_holes_in_place() -> None:
    tail = content(after_crash(half_synced(), Loss("sectors", 1)), "a")[len(SYNCED) :]
    assert len(tail) == len(TAIL)
    assert tail != TAIL
    assert all(kept in (0, byte) for kept, byte in zip(tail, TAIL, strict=True))


def test_a_flip_changes_one_bit_of_what_was_not_synced() -> None:
    tail = content(after_crash(half_synced(), Loss("flip", 3)), "a")[len(SYNCED) :]
    assert sum((left ^ right).bit_count() for left, right in zip(tail, TAIL, strict=True)) == 1


def test_a_torn_end_is_shorter() -> None:
    tail = content(after_crash(half_synced(), Loss("torn", 3)), "a")[len(SYNCED) :]
    assert TAIL.startswith(tail)
    assert 1 <= len(TAIL) - len(tail) <= 64
