"""A local network of real processes in a home of its own, driven by commands as a person does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from concento.client import Client
from concento.errors import ConcentoError

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0


class Network:
    """One home, one network, the command line."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.base_port = free_base_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CONCENTO_")} | {
            "CONCENTO_HOME": str(home),
            "CONCENTO_URL": self.url("node1"),
        }

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.base_port + int(name[-1]) - 1}"

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )

    def done(self, *words: str) -> Any:
        """The JSON of a command that must succeed."""
        found = self.command(*words, "--json")
        assert found.returncode == 0, found.stdout + found.stderr
        return json.loads(found.stdout)

    def refused(self, *words: str) -> tuple[int, str, str]:
        """(exit code, kind, message and hint) of a command that must fail, with no traceback anywhere."""
        found = self.command(*words, "--json")
        assert "Traceback" not in found.stdout + found.stderr
        error = json.loads(found.stdout)["error"]
        return found.returncode, error["data"]["kind"], f"{error['message']} {error['data']['hint']}"

    def up(self, *options: str) -> Any:
        return self.done("testnet", "up", "--detach", "--base-port", str(self.base_port), *options)

    def pay(self) -> dict[str, Any]:
        document: dict[str, Any] = self.done("wallet", "send", "carol", "1", "--from", "bob")
        return document

    def heights(self) -> list[int | None]:
        return [node["height"] for node in self.done("testnet", "status")["nodes"]]

    @contextmanager
    def running(self, home: Path, *options: str) -> Iterator[None]:
        """One node in the foreground, without the others, until it is told to end."""
        words = [sys.executable, "-m", "cli", "node", "run", "--node-home", str(home), *options]
        process = subprocess.Popen(words, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(20) == 128 + signal.SIGTERM

    def until_level(self, at_least: int) -> list[str]:
        """Wait until all nodes have this height; their app hashes at one common height."""
        wait_for(lambda: all(height is not None and height >= at_least for height in self.heights()))
        found = []
        for name in ("node1", "node2", "node3", "node4"):
            with Client(self.url(name)) as client:
                found.append(client.block(height=at_least)["app_hash"])
        return found


FIRST_PORT = 10_000
BLOCKS = 440


def free_base_port() -> int:
    """A port from which on 41 ports are free: another fifty for every process, below those of outgoing connections."""
    for block in range(BLOCKS):
        base = FIRST_PORT + (os.getpid() + block) % BLOCKS * 50
        try:
            for port in (*range(base, base + 4), *range(base + 20, base + 24), base + 40):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return base
    raise AssertionError("no free ports")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except ConcentoError:
            pass
        time.sleep(0.1)
    pytest.fail("it did not happen in time")
