"""Names of files by their content: CIDv1 (raw, sha2-256, base32) and a chunk tree that lets parts be checked alone."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from concento.encoding import Bytes32
from concento.errors import Rejected
from concento.merkle import merkle_root

CHUNK_BYTES: Final = 256 * 1024
"""A chunk: one read, one hash, one step of a progress bar; a range request fetches little more than it asked for."""

ContentHash = Bytes32
"""The sha2-256 of a whole file: what stands on the chain; the CID is its written form."""

_CID_PREFIX: Final = bytes((0x01, 0x55, 0x12, 0x20))


def cid(content_hash: bytes) -> str:
    """The CIDv1 of a file with this SHA-256: `bafkrei...`."""
    return "b" + base64.b32encode(_CID_PREFIX + content_hash).decode("ascii").lower().rstrip("=")


def parse_cid(text: str) -> bytes:
    """The SHA-256 in a CIDv1 of this kind. Raises Rejected for every other text."""
    padded = text[1:].upper() + "=" * (-len(text[1:]) % 8)
    try:
        raw = base64.b32decode(padded) if text.startswith("b") and text == text.lower() else b""
    except ValueError:
        raw = b""
    if len(raw) != 36 or raw[:4] != _CID_PREFIX or cid(raw[4:]) != text:
        raise Rejected("cid.malformed", text=text)
    return raw[4:]


def chunk_root(chunks: Iterable[bytes]) -> bytes:
    """The RFC 6962 root over a file's chunks of CHUNK_BYTES, the last one shorter."""
    return merkle_root([sha256(chunk).digest() for chunk in chunks])
