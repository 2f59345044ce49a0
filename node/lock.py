"""One process per home: a lock that ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from concento.errors import Rejected


def lock_home(home: Path) -> IO[str]:
    """Holds the home for one process until it is closed; the file tells the process id."""
    try:
        lock = (home / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise Rejected("store.unusable", path=str(home), reason=error.strerror or str(error)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        pid = lock.read(20).strip()
        lock.close()
        raise Rejected("node.locked", path=str(home), pid=pid or "unknown") from None
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
