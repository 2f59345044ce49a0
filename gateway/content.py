"""The files of a gateway: a folder in which every file is named by its CID, and no byte leaves unchecked.

A file is opened once, hashed whole, and each chunk is hashed again as it is sent: what leaves is what was registered,
even if somebody writes to the folder meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from concento.cids import CHUNK_BYTES, cid
from concento.errors import Broken, Rejected, Unavailable


class Content:
    """Looks files up by content hash, never by a name that somebody asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, content: bytes, size: int) -> CheckedFile:
        """The file with this SHA-256. Raises Unavailable where it is not here, Rejected where it was changed."""
        path = self._folder / cid(content)
        try:
            file = path.open("rb")
        except OSError:
            raise Unavailable("gateway.content_missing", cid=cid(content)) from None
        return CheckedFile(file, content, size)


class CheckedFile:
    """An open file whose bytes have been compared with their hash."""

    def __init__(self, file: BinaryIO, content: bytes, size: int) -> None:
        """Reads the whole file: not on an event loop."""
        self._file = file
        self.size = size
        whole, found, self._chunks = sha256(), 0, []
        while chunk := file.read(CHUNK_BYTES):
            whole.update(chunk)
            self._chunks.append(sha256(chunk).digest())
            found += len(chunk)
        if whole.digest() != content or found != size:
            file.close()
            raise Rejected("gateway.content_changed", cid=cid(content))

    def chunks(self) -> Iterator[bytes]:
        """The bytes, each chunk compared again. Raises Broken where the file changed since it was opened."""
        self._file.seek(0)
        for expected in self._chunks:
            chunk = self._file.read(CHUNK_BYTES)
            if sha256(chunk).digest() != expected:
                raise Broken("a content file changed while it was sent")
            yield chunk

    def close(self) -> None:
        self._file.close()
