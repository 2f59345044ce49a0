"""What is published of a file or document: its hash, never the thing itself."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from concento.cids import parse_cid
from concento.errors import Rejected

_CHUNK_BYTES = 1 << 20


def commitment(named: str) -> bytes:
    """The SHA-256 that was named: as hex, in a CID, or of the file with this path. Raises Rejected."""
    if len(named) == 64 and all(digit in "0123456789abcdef" for digit in named):
        return bytes.fromhex(named)
    if named.startswith("bafkrei"):
        return parse_cid(named)
    digest = sha256()
    try:
        with Path(named).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise Rejected("file.unreadable", path=named, reason=error.strerror or str(error)) from None
    return digest.digest()
