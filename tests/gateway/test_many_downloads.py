"""Two hundred readers at once of a gateway in a process of its own: every file arrives whole, in bounded memory, or is
refused by name."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from concento.client import RpcError
from concento.client.gateway import GatewaySession, Lane, Received
from gateway.app import DOWNLOADS_MAX
from support.fakechain import DATASET, GATEWAY, LANE, LANE_SEED, LICENCE, NETWORK, FakeChain
from support.gateway_process import MEMBER, PATH, put
from support.localnetwork import ROOT

READERS = 200
FILE = os.urandom(64 * 1024) * 20
"""A megabyte and a quarter: two hundred and fifty for all, were they held whole."""
LARGE = FILE * 14
"""More than sockets hold on their own."""
GROWTH_BYTES_MAX = READERS * 512 * 1024


class Process:
    """A gateway that holds one file, and serves it to whoever has a lane."""

    def __init__(self, folder: Path, data: bytes, downloads_max: int, stall_s: float) -> None:
        put(folder, data)
        self.data, self.content = data, sha256(data).digest()
        words = [sys.executable, "-m", "support.gateway_process", str(folder), str(READERS)]
        self.child = subprocess.Popen(
            [*words, str(downloads_max), str(stall_s)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )
        self.url = (self.child.stdout or sys.stdin).readline().strip()

    def resident_bytes(self, which: str) -> int:
        """`VmRSS` is now, `VmHWM` the most that it ever was."""
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith(f"{which}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {which}")

    def reader(self, number: int) -> GatewaySession:
        lane = Lane(LICENCE, 0, GATEWAY.account, LANE + number, LANE_SEED, DATASET)
        return GatewaySession(self.url, NETWORK, lane, "train-generative", FakeChain([]).time_ms)


@contextmanager
def gateway(
    folder: Path, data: bytes = FILE, downloads_max: int = DOWNLOADS_MAX, stall_s: float = 30
) -> Iterator[Process]:
    process = Process(folder, data, downloads_max, stall_s)
    try:
        yield process
    finally:
        process.child.kill()
        process.child.wait()
        if process.child.stdout is not None:
            process.child.stdout.close()


class Crowd:
    """All begin before anybody goes on: whoever has its first bytes waits for the others."""

    def __init__(self, process: Process, readers: int = READERS) -> None:
        self.process = process
        self.readers = readers
        self.go = threading.Event()
        self.lock = threading.Lock()
        self.begun = 0
        self.refused: list[RpcError] = []
        self.arrived = 0

    def write(self, _chunk: bytes) -> None:
        if not self.go.is_set():
            with self.lock:
                self.begun += 1
            self.go.wait(60)

    def read(self, number: int) -> None:
        """One reader, who asks again where it is refused, once the others are through."""
        with self.process.reader(number) as session:
            while True:
                try:
                    session.fetch(MEMBER, 0, PATH, len(self.process.data), self.process.content, self)
                except RpcError as error:
                    if error.kind != "gateway.busy":
                        raise
                    with self.lock:
                        self.refused.append(error)
                    self.go.wait(60)
                    threading.Event().wait(0.05)
                    continue
                with self.lock:
                    self.arrived += 1
                return

    def failed(self, readers: list[Future[None]]) -> bool:
        return any(reader.done() and reader.exception() is not None for reader in readers)

    def run(self) -> None:
        with ThreadPoolExecutor(self.readers) as pool:
            readers = [pool.submit(self.read, number) for number in range(self.readers)]
            deadline = time.monotonic() + 60
            while (
                self.begun + len(self.refused) < self.readers
                and time.monotonic() < deadline
                and not self.failed(readers)
            ):
                threading.Event().wait(0.01)
            self.go.set()
            for reader in readers:
                reader.result(60)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory of a process is read from /proc")
def test_two_hundred_downloads_at_once_all_arrive_and_hold_less_than_half_a_megabyte_each(tmp_path: Path) -> None:
    """Case 93."""
    with gateway(tmp_path) as process:
        before = process.resident_bytes("VmRSS")
        crowd = Crowd(process)
        crowd.run()
        assert (crowd.begun, crowd.arrived, crowd.refused) == (READERS, READERS, [])
        assert process.resident_bytes("VmHWM") - before < GROWTH_BYTES_MAX


def test_what_is_too_much_at_once_is_refused_by_name_before_it_costs_anything_and_arrives_later(tmp_path: Path) -> None:
    with gateway(tmp_path, FILE * 6, downloads_max=10) as process:
        crowd = Crowd(process, readers=40)
        crowd.run()
        assert (crowd.begun, crowd.arrived) == (10, 40)
        assert len(crowd.refused) >= 30
        assert {(error.kind, error.retryable) for error in crowd.refused} == {("gateway.busy", True)}


def test_a_reader_that_takes_nothing_loses_its_place_and_gets_the_file_later_for_the_same_receipt(
    tmp_path: Path,
) -> None:
    with (
        gateway(tmp_path, LARGE, downloads_max=1, stall_s=0.5) as process,
        process.reader(0) as stalled,
        process.reader(1) as other,
        socket.socket() as line,
    ):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urlsplit(process.url)
        line.connect((parts.hostname, parts.port))
        asked = f"GET /assets/{MEMBER.hex()}/{PATH} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {stalled._token}"
        line.sendall(asked.encode() + b"\r\n\r\n")
        assert line.recv(16).startswith(b"HTTP/1.1 200")
        with pytest.raises(RpcError, match="at once"):
            other.fetch(MEMBER, 0, PATH, len(LARGE), process.content, Sink())
        assert until_taken(process, other).seq == 0
        assert until_taken(process, stalled).seq == 0


class Sink:
    def write(self, _chunk: bytes) -> None:
        pass


def until_taken(process: Process, session: GatewaySession) -> Received:
    deadline = time.monotonic() + 30
    while True:
        try:
            return session.fetch(MEMBER, 0, PATH, len(process.data), process.content, Sink())
        except RpcError:
            assert time.monotonic() < deadline
            threading.Event().wait(0.1)
