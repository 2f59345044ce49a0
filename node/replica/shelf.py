"""The snapshots of a node as its replica sees them, and the answers to peers who ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from node.replica.wire import PieceRequest, SnapshotOffer, SnapshotPiece


class Shelf(Protocol):
    """Whole snapshots only; what is being made, or was broken off, is not there."""

    def manifest(self, height: int) -> bytes | None:
        """The encoded manifest of the snapshot of this height; of the newest where it is 0."""

    def piece(self, height: int, file: int, number: int) -> bytes | None:
        """A piece of a file, at most `PIECE_BYTES`; the last may be shorter."""


class EmptyShelf:
    def manifest(self, _height: int) -> bytes | None:
        return None

    def piece(self, _height: int, _file: int, _number: int) -> bytes | None:
        return None


def offers(shelf: Shelf, height: int) -> Iterator[SnapshotOffer]:
    yield SnapshotOffer(shelf.manifest(height) or b"")


def pieces(shelf: Shelf, request: PieceRequest) -> Iterator[SnapshotPiece]:
    data = shelf.piece(request.height, request.file, request.piece)
    yield SnapshotPiece(request.height, request.file, request.piece, data or b"")
