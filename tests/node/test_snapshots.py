"""The shelf of snapshots: what a disk has damaged is not given away, and stops nobody."""

from __future__ import annotations

from pathlib import Path

from node.snapshots import SnapshotShelf


def test_a_damaged_manifest_is_not_given_away_and_stops_no_node_that_is_asked_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot-000000000005"
    folder.mkdir()
    (folder / "files").write_bytes(bytes(1_000))
    shelf = SnapshotShelf(tmp_path, kept=2)
    for damaged in (b"", b"what is no manifest", bytes(100_000)):
        (folder / "manifest").write_bytes(damaged)
        assert shelf.heights() == [5]
        assert shelf.manifest(5) is None
        assert shelf.manifest(0) is None
        assert shelf.piece(5, 0, 0) is None
