"""Which process holds a TCP port: so that "address in use" names a culprit instead of a riddle."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from concento.errors import Rejected

_LISTENS: Final = "0A"
_PROC: Final = Path("/proc")
COMMAND_CHARACTERS_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens."""

    pid: int
    command: str


def check_port_free(host: str, port: int) -> None:
    """Raises Rejected where nothing can listen at this address now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        raise port_error(host, port, error) from None


def port_error(host: str, port: int, error: OSError) -> Rejected:
    """What to tell the operator about a failed attempt to listen."""
    if error.errno != errno.EADDRINUSE:
        return Rejected("port.unusable", host=host, port=port, reason=error.strerror or str(error))
    holder = find_holder(port)
    if holder is None:
        return Rejected("port.in_use", port=port, pid="unknown", command="of another user")
    return Rejected("port.in_use", port=port, pid=holder.pid, command=holder.command)


def find_holder(port: int) -> Holder | None:
    """The process that listens on this port; None where there is none, or the system or its rights do not tell."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(_PROC / "net" / table, port)}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and _holds(entry / "fd", wanted):
            return Holder(int(entry.name), process_command(int(entry.name)))
    return None


def process_command(pid: int) -> str:
    """The command line of a process, shortened; empty where it is gone or the system does not tell."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    return " ".join(raw.replace(b"\0", b" ").decode("utf-8", "replace").split())[:COMMAND_CHARACTERS_MAX]


def _listening(table: Path, port: int) -> list[str]:
    """Inodes of the sockets of a /proc/net table that listen on this port."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
    return [row[9] for row in rows if row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) == port]


def _holds(descriptors: Path, wanted: set[str]) -> bool:
    try:
        return any(os.readlink(descriptor) in wanted for descriptor in descriptors.iterdir())
    except OSError:
        return False
