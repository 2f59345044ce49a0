"""Who signs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signer:
    """An account and the secret seeds that meet its policy."""

    name: str
    account: bytes
    seeds: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Signer({self.name!r})"
