"""A local network of real processes under faults: killed, frozen, cut, on failing disks; every signature written down.

The homes are made by `concento testnet up`. The processes are `sim.process`: the node as it is, with a file beside it
that outlives every crash and holds each vote and proposal that left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.networks import concento
from concento.client import Client
from concento.errors import ConcentoError

READY_S: Final = 180.0
POLL_S: Final = 0.03
END_S: Final = 8.0


class FaultNetwork:
    """Validators on this machine, one process each; `names` in the order of their ports."""

    def __init__(self, folder: Path, base_port: int, nodes: int = 4, genesis: Path | None = None) -> None:
        """Makes the homes, in a folder that holds none yet; nothing runs afterwards."""
        self.folder = folder
        self.names = tuple(f"node{number}" for number in range(1, nodes + 1))
        self._base_port = base_port
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._links: dict[str, dict[str, dict[str, int]]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        words = ["testnet", "up", "--detach", "--json", "--base-port", str(base_port), "--nodes", str(nodes)]
        if genesis is not None:
            words += ["--genesis", str(genesis)]
        environment = os.environ | {"CONCENTO_HOME": str(folder)}
        concento(environment, *words)
        concento(environment, "testnet", "down")

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._base_port + self.names.index(name)}"

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(map(self.url, self.names))

    def home(self, name: str) -> Path:
        return self.folder / "testnet" / name

    def audit(self, name: str) -> Path:
        """The signatures of this validator that left, in all lives of its process."""
        return self.folder / f"{name}.signatures"

    def errors(self, name: str) -> str:
        """What the processes of this node wrote to stderr, all of them."""
        path = self.folder / f"{name}.err"
        return path.read_text(errors="replace") if path.exists() else ""

    # Processes

    def start(self, name: str, *options: str, program: str = "sim.process") -> subprocess.Popen[bytes]:
        """Starts the node's process, and does not wait for it."""
        words = [sys.executable, "-m", program, "--home", str(self.home(name)), *options]
        if program == "sim.process":
            words += ["--audit", str(self.audit(name))]
        with (self.folder / f"{name}.err").open("ab") as errors:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        self._processes[name] = process
        return process

    def start_all(self) -> None:
        for name in self.names:
            if not self.is_up(name):
                self.start(name)
        for name in self.names:
            self.wait_ready(name)

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self._processes[name]

    def is_up(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def kill(self, name: str) -> None:
        """As a power cut would; returns when the process is gone."""
        self._processes[name].kill()
        self._processes[name].wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        self._processes[name].send_signal(number)

    def wait_ready(self, name: str, seconds: float = READY_S) -> float:
        """Seconds until the node says that it is ready. Raises RuntimeError where it ends, or is not in time."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if not self.is_up(name):
                raise RuntimeError(f"{name} ended with {self._processes[name].returncode}: {self.errors(name)[-500:]}")
            if _answers(f"{self.url(name)}/readyz"):
                self._tell(name)
                return time.monotonic() - began
            time.sleep(POLL_S)
        raise RuntimeError(f"{name} was not ready within {seconds:.0f} s")

    def wait_answering(self, name: str, seconds: float = READY_S) -> None:
        """Waits until the node answers at all, ready or not: one without a quorum is never ready."""
        deadline = time.monotonic() + seconds
        while not _answers(f"{self.url(name)}/livez"):
            if time.monotonic() > deadline or not self.is_up(name):
                raise RuntimeError(f"{name} does not answer: {self.errors(name)[-500:]}")
            time.sleep(POLL_S)
        self._tell(name)

    def close(self) -> None:
        """Ends every process."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # Lines

    def cut(self, *parts: Sequence[str]) -> None:
        """Cuts the network into these parts; a node that comes back meets its cuts again."""
        of = {name: index for index, part in enumerate(parts) for name in part}
        self._links = {
            name: {other: {"cut": 1, "delay_ms": 0} for other in self.names if of[other] != of[name]}
            for name in self.names
        }
        for name in self.names:
            self._tell(name)

    def heal(self) -> None:
        self.cut(self.names)

    def _tell(self, name: str) -> None:
        if not self.is_up(name) or not self._links:
            return
        try:
            with Client(self.url(name), timeout_s=3) as client:
                client.call("dev_setLinks", links=self._links.get(name, {}))
        except ConcentoError:
            # It is down, frozen or not there yet: its peers keep their side, and it is told when it comes back.
            return

    # Looking

    def status(self, name: str) -> dict[str, Any] | None:
        try:
            with Client(self.url(name), timeout_s=3) as client:
                found: dict[str, Any] = client.status()
        except ConcentoError:
            return None
        return found

    def height(self, name: str) -> int:
        found = self.status(name)
        return 0 if found is None else int(found["height"])

    def wait_level(self, height: int, seconds: float = READY_S, names: Iterable[str] = ()) -> None:
        """Waits until all of these nodes have this height. Raises RuntimeError."""
        wanted = tuple(names) or self.names
        wait_for(
            lambda: all(self.height(name) >= height for name in wanted),
            seconds,
            lambda: f"height {height} was not reached: { {name: self.height(name) for name in wanted} }",
        )

    def blocks(self, name: str, last: int, first: int = 1) -> list[tuple[str, str, int]]:
        """(block id, app hash, pieces of evidence) of every height, as this node tells it."""
        found: list[tuple[str, str, int]] = []
        with Client(self.url(name), timeout_s=20) as client:
            cursor: str | None = None
            while True:
                page = client.call("chain_getBlocks", cursor=cursor, limit=100)
                for block in page["items"]:
                    if first <= block["height"] <= last:
                        found.append((block["id"], block["app_hash"], int(block.get("evidence", 0))))
                cursor = page["next"]
                if cursor is None or not page["items"] or page["items"][-1]["height"] <= first:
                    return found[::-1]

    def transactions(self, name: str, first: int, last: int) -> list[int]:
        """How many transactions each of these heights has, the newest first, as this node tells it."""
        found: list[int] = []
        with Client(self.url(name), timeout_s=20) as client:
            cursor: str | None = None
            while True:
                page = client.call("chain_getBlocks", from_height=last, cursor=cursor, limit=200)
                found += [block["transactions"] for block in page["items"] if first <= block["height"] <= last]
                cursor = page["next"]
                if cursor is None or not page["items"] or page["items"][-1]["height"] <= first:
                    return found


def wait_for(condition: Callable[[], bool], seconds: float, complaint: Callable[[], str]) -> float:
    """Seconds until it holds. Raises RuntimeError with the complaint."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise RuntimeError(complaint())
        time.sleep(POLL_S)
    return time.monotonic() - began


def double_signatures(lines: Iterable[str]) -> list[str]:
    """The places at which a validator's file of signatures (`sim/audit.py`) has two words; a torn line is none."""
    said: dict[tuple[int, int, str], str] = {}
    found = []
    for line in lines:
        if not line.endswith("\n"):
            continue
        height, round_, kind, word = json.loads(line)
        known = said.setdefault((height, round_, kind), word)
        if known != word:
            found.append(f"{kind} at height {height}, round {round_}: {known or 'nil'} and {word or 'nil'}")
    return found


def signatures(path: Path) -> list[str]:
    """The lines of a file of signatures, as `double_signatures` wants them."""
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def forks(chains: dict[str, list[tuple[str, str, int]]]) -> list[str]:
    """The heights, from the first on, at which nodes hold different blocks or app hashes."""
    found = []
    for height, blocks in enumerate(zip(*chains.values(), strict=True), 1):
        if len({(identity, app_hash) for identity, app_hash, _ in blocks}) > 1:
            found.append(
                f"height {height}: " + ", ".join(f"{n} {b[0][:12]}" for n, b in zip(chains, blocks, strict=True))
            )
    return found


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False
