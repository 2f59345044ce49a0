"""A writer is killed in the middle of what it does, again and again; what it called written is there, in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from state.store.leveldb import LevelDb

VALUE_BYTES = 400_000
"""Twenty batches fill LevelDB's buffer: it writes tables and merges them while the next batches come."""

WRITER = f"""
import sys
from pathlib import Path
from random import Random
from state.store.leveldb import LevelDb

path = Path(sys.argv[1])
store = LevelDb.open(path) if (path / "CURRENT").exists() else LevelDb.create(path)
head = int(store.get(b"head") or b"0")
while True:
    head += 1
    key = b"value/%d" % (head % 64)
    store.write({{key: b"%d/" % head + Random(head).randbytes({VALUE_BYTES}), b"head": b"%d" % head}})
    print(head, flush=True)
"""


def killed_after(path: Path, batches: int) -> int:
    """The last batch that the writer called written before it was killed in the middle of a later one."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    last = 0
    for _ in range(batches):
        last = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    return int(rest[-1]) if rest else last


@pytest.mark.parametrize("batches", [21, 40, 63])
def test_a_store_whose_writer_is_killed_while_it_merges_tables_has_all_that_was_called_written(
    tmp_path: Path, batches: int
) -> None:
    """Case 32."""
    path = tmp_path / "store"
    for _ in range(3):
        written = killed_after(path, batches)
        store = LevelDb.open(path)
        head = int(store.get(b"head") or b"0")
        # The batch that it was writing may be there, whole, though nobody was told.
        assert head in (written, written + 1)
        for number in range(max(1, head - 63), head + 1):
            value = store.get(b"value/%d" % (number % 64))
            assert value is not None
            assert value.startswith(b"%d/" % number)
            assert len(value) == VALUE_BYTES + len(b"%d/" % number)
        store.close()
    assert list(path.glob("*.ldb"))
