"""What a disk holds after the power went: everything synced, and of what was not, whatever the loss says.

Sectors, bytes and lengths are drawn from the loss alone, so that the same loss does the same to the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, assert_never

from node.replica.files import MemoryFiles
from sim.dice import draw

SECTOR_BYTES: Final = 512
"""What a disk writes as a whole."""

LossKind = Literal["all", "none", "prefix", "sectors", "torn", "flip"]
LOSS_KINDS: Final[tuple[LossKind, ...]] = ("all", "none", "prefix", "sectors", "torn", "flip")


@dataclass(frozen=True, slots=True)
class Loss:
    """What happens to the unsynced end of every file: all of it lost, none, a prefix kept, single sectors lost, the
    last bytes torn off, or one bit of it flipped. `salt` says which."""

    kind: LossKind = "all"
    salt: int = 0


def after_crash(files: MemoryFiles, loss: Loss) -> MemoryFiles:
    """What the machine finds when it starts again."""
    return files.crash_with(lambda name, tail: _survivor(loss, name, tail))


def _survivor(loss: Loss, name: str, tail: bytes) -> bytes:
    if not tail:
        return tail
    at = draw(loss.salt, name, len(tail))
    match loss.kind:
        case "all":
            return b""
        case "none":
            return tail
        case "prefix":
            return tail[: at % (len(tail) + 1)]
        case "torn":
            return tail[: len(tail) - 1 - at % min(64, len(tail))]
        case "flip":
            flipped = bytearray(tail)
            flipped[at % len(tail)] ^= 1 << at % 8
            return bytes(flipped)
        case "sectors":
            kept = bytearray(tail)
            for start in range(0, len(tail), SECTOR_BYTES):
                if draw(loss.salt, name, start) % 2:
                    kept[start : start + SECTOR_BYTES] = bytes(len(kept[start : start + SECTOR_BYTES]))
            return bytes(kept)
        case _:
            assert_never(loss.kind)
