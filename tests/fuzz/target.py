"""What is fuzzed: a decoder that strangers or broken disks feed, with real input, and what must hold of every case."""

from __future__ import annotations

from random import Random
from typing import Any, Protocol


class Wrong(Exception):
    """A case was taken that must not be, or was read in two ways."""


class Target(Protocol):
    """`seeds` are real inputs. `run` says how a case ended: "ok", or a refusal; all it raises but Rejected is red."""

    seeds: list[bytes]

    def open(self, data: bytes) -> Any:
        """The value in a seed that can be spoilt in its parts. May raise anything where the bytes are broken."""

    def shut(self, random: Random, value: Any) -> bytes:
        """The bytes of such a value, now and then with checksums or signatures that fit again."""

    def run(self, data: bytes) -> str:
        """Gives one case to the code under test."""

    def close(self) -> None:
        """Nothing is left open."""
