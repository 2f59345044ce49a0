"""Chance as a function: the same question has the same answer, whatever else was asked before.

What happens to the n-th message of a link is drawn from (seed, stream, link, n) and not from the next number of one
stream: taking one fault out of a run leaves the fate of every other message as it was.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Final

_RANGE: Final = 1 << 64


def draw(*question: int | str) -> int:
    """A number below 2**64."""
    text = "/".join(map(str, question)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def draws(*question: int | str) -> tuple[int, int, int]:
    """Three such numbers at once: of one message, when it comes, whether it is lost, whether it comes twice."""
    text = "/".join(map(str, question)).encode()
    digest = blake2b(text, digest_size=24).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big"), int.from_bytes(digest[16:], "big")


def chance(probability: float, *question: int | str) -> bool:
    """True with this probability."""
    return probability > 0 and draw(*question) < probability * _RANGE


def stream(*name: int | str) -> Random:
    """A generator of its own for one concern; equal on every machine and under every hash seed."""
    return Random(draw(*name))
