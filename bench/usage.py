"""What processes and folders use: CPU, memory, disk."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.networks import Running


@dataclass(frozen=True, slots=True)
class Usage:
    """What the nodes have used so far, children included; `programs` tells the processes of the first node apart."""

    cpu_s: tuple[float, ...]
    memory_mb: tuple[float, ...]
    disk_bytes: int
    programs: dict[str, tuple[float, float]]

    def spent_s(self, before: Usage) -> list[float]:
        """CPU seconds of each node since then."""
        return [end - start for start, end in zip(before.cpu_s, self.cpu_s, strict=True)]

    @staticmethod
    def of(network: Running) -> Usage:
        processes = network.processes
        return Usage(
            tuple(sum(map(_cpu_seconds, pids)) for pids in processes),
            tuple(sum(map(memory_mb, pids)) for pids in processes),
            disk_bytes(network.folder),
            {_program(pid): (_cpu_seconds(pid), memory_mb(pid)) for pid in processes[0]},
        )


def disk_sync_ms(folder: Path) -> float:
    """The median time of a synced 4 kB append."""
    times = []
    with (folder / "sync").open("wb") as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[len(times) // 2]


def disk_bytes(folder: Path) -> int:
    """What all files below the folder hold; a file that goes meanwhile counts nothing."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size if path.is_file() else 0
    return size


def _program(pid: int) -> str:
    """The program of a process: "python" or "cometbft"."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """What a process holds for itself (RssAnon, proc(5)).

    Not the tables that LevelDB maps: the kernel counts those as resident while it has room, and takes them back.
    """
    return int(status_of(pid).get("RssAnon", "0 kB").split()[0]) / 1024


def status_of(pid: int) -> dict[str, str]:
    """Name -> value of what the kernel says of a process (proc(5), `status`)."""
    return dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
