"""The node's key: a file of its own, readable by its owner only, written whole or not at all.

Whoever reads this file can vote in the node's name. It is not encrypted, because a node must start without a person;
an operator who wants it encrypted puts the home on an encrypted volume.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from concento.errors import Rejected
from concento.keys import SEED_BYTES, public_key, sign, verify
from concento.strictjson import loads

FORMAT: Final = "concento-node-key-1"
GOOD_MAX: Final = 1_024
"""Some 500 kB: the votes of several blocks of the largest set."""


@dataclass(frozen=True, slots=True)
class NodeKey:
    """The secret seed and what it signs; the `Crypto` seam of the replica. Never shown in logs."""

    seed: bytes
    public: bytes
    good: set[tuple[bytes, bytes, bytes]] = field(default_factory=set, compare=False)
    """What was checked lately and is good: a vote comes alone, and again in the commit of the next block."""

    def sign(self, message: bytes) -> bytes:
        return sign(self.seed, message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        check = (key, message, signature)
        if check in self.good:
            return True
        is_good = verify(*check)
        if is_good:
            if len(self.good) >= GOOD_MAX:
                self.good.clear()
            self.good.add(check)
        return is_good

    def __repr__(self) -> str:
        return f"NodeKey({self.public.hex()})"


def node_key(seed: bytes) -> NodeKey:
    return NodeKey(seed, public_key(seed))


def write_key(path: Path, seed: bytes) -> None:
    """Writes the key file; refuses to replace one. Durable when this returns."""
    if path.exists():
        raise Rejected("node.key_exists", path=str(path))
    document = {"format": FORMAT, "key": public_key(seed).hex(), "seed": seed.hex()}
    write_private(path, (json.dumps(document, indent=2) + "\n").encode())


def read_key(path: Path) -> NodeKey:
    """The key in this file. Raises Rejected where it is missing, malformed, or open to other users."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        data = path.read_bytes()
    except FileNotFoundError:
        raise Rejected("node.key_missing", path=str(path)) from None
    except OSError as error:
        raise Rejected("node.key_invalid", path=str(path), reason=error.strerror) from None
    if mode & 0o077:
        raise Rejected("node.key_open", path=str(path), mode=f"{mode:04o}")
    try:
        document = loads(data, "key file")
        seed = bytes.fromhex(document["seed"])
        if document["format"] != FORMAT or len(seed) != SEED_BYTES:
            raise ValueError("not a node key of this release")
        key = node_key(seed)
        if document["key"] != key.public.hex():
            raise ValueError("its public key does not belong to its seed")
    except Rejected as error:
        raise Rejected("node.key_invalid", path=str(path), reason=str(error)) from None
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else "a field is missing"
        raise Rejected("node.key_invalid", path=str(path), reason=reason) from None
    return key


def write_private(path: Path, data: bytes) -> None:
    """Replaces a file by one that only its owner can read: whole and durable when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
