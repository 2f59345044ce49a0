"""Networks to measure: four nodes of one arm on this machine, started and ended by the same commands as anybody's.

    C        our engine, everything on                     C0       our engine, client signatures not checked
    B        CometBFT with our ledger, its own timeouts    B-tuned  the same, turned for throughput
    A        CometBFT with its Go key-value example, tuned the same way; it checks no signatures

C0 and A say what engine and ledger cost without cryptography; no node can be configured to be like that.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.prepared import put_in
from concento.development import validator_names
from concento.errors import Rejected
from concento.genesis import Genesis, genesis_json
from concento.limits import BLOCK_BYTES_MAX
from node.comet.home import PROFILES, find_binary
from node.config import NodeConfig

READY_S: Final = 60.0
POLL_S: Final = 0.05
ARMS: Final = ("C", "B-tuned", "B", "C0", "A")
OF_COMET: Final = ("A", "B", "B-tuned")
TITLES: Final = {
    "L": "the limit: four processes that check signatures and do nothing else",
    "C": "Concento, own engine, everything on",
    "C0": "Concento, own engine, client signatures not checked",
    "B": "CometBFT 0.38 with Concento's ledger, its default settings",
    "B-tuned": "CometBFT 0.38 with Concento's ledger, tuned",
    "A": "CometBFT 0.38 with its Go kvstore, tuned, which checks no signatures",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A network that runs: where clients are answered, one process per node, and the folder with all of its files."""

    arm: str
    urls: tuple[str, ...]
    pids: tuple[int, ...]
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        return validator_names(len(self.urls))

    def home(self, name: str) -> Path:
        """The folder of a node with our ledger."""
        return self.folder / "testnet" / name

    @property
    def processes(self) -> tuple[tuple[int, ...], ...]:
        """Of each node its process and its children: a CometBFT is a child of ours."""
        return tuple((pid, *_children(pid)) for pid in self.pids)


def comet_binary() -> str | None:
    """The CometBFT of this machine, or None: an arm that is missing is reported, and no error."""
    try:
        return find_binary(NodeConfig(home=Path("."), cometbft=os.environ.get("CONCENTO_NODE_COMETBFT", "cometbft")))
    except Rejected:
        return None


@dataclass(frozen=True, slots=True)
class Start:
    """How a network begins. `store` is what every node has instead of an empty one (`bench.prepared`)."""

    arm: str
    genesis: Genesis
    folder: Path
    nodes: int
    base_port: int
    store: Path | None = None


def running(
    arm: str, genesis: Genesis, folder: Path, nodes: int, base_port: int, store: Path | None = None
) -> AbstractContextManager[Running]:
    """A new network of this arm, ready to take transactions; ended, but not deleted, afterwards."""
    start = {"C": _own, "C0": _unchecked, "B": _comet, "B-tuned": _comet, "A": _kvstore}[arm]
    return start(Start(arm, genesis, folder, nodes, base_port, store))


@contextmanager
def _own(start: Start, **environment: str) -> Iterator[Running]:
    folder = start.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "genesis.json").write_text(genesis_json(start.genesis))
    words = ["testnet", "up", "--detach", "--json", "--base-port", str(start.base_port), "--nodes", str(start.nodes)]
    words += ["--genesis", str(folder / "genesis.json"), "--engine", "comet" if start.arm.startswith("B") else "own"]
    variables = os.environ | {"CONCENTO_HOME": str(folder)} | environment
    try:
        up = json.loads(concento(variables, *words))
        if start.store is not None:
            concento(variables, "testnet", "down")
            for node in up["nodes"]:
                put_in(folder / "testnet" / node["name"], start.store, start.genesis)
            up = json.loads(concento(variables, *words))
        # Nothing is served in these mixes; its process would only take time from the nodes.
        concento(variables, "testnet", "kill", "gateway")
        found = up["nodes"]
        yield Running(start.arm, tuple(node["rpc"] for node in found), tuple(node["pid"] for node in found), folder)
    finally:
        concento(variables, "testnet", "down")


@contextmanager
def _comet(start: Start) -> Iterator[Running]:
    profile = "tuned" if start.arm == "B-tuned" else "default"
    with _own(start, CONCENTO_NODE_COMET_PROFILE=profile) as network:
        yield network


@contextmanager
def _unchecked(start: Start) -> Iterator[Running]:
    """The homes of a usual network, then the same nodes started by a program that believes every signature."""
    with _own(start) as usual:
        pass
    commands = [[sys.executable, "-m", "bench.unchecked", "--home", str(usual.home(name))] for name in usual.names]
    with _processes(commands, start.folder) as pids:
        for url in usual.urls:
            _wait(_answers, f"{url}/readyz")
        yield replace(usual, pids=pids)


@contextmanager
def _kvstore(start: Start) -> Iterator[Running]:
    binary = comet_binary()
    if binary is None:
        raise RuntimeError("no CometBFT of the 0.38 line on this machine")
    homes = [start.folder / f"node{number}" for number in range(1, start.nodes + 1)]
    for home in homes:
        subprocess.run([binary, "init", "validator", "--home", str(home)], check=True, capture_output=True)
    _write_kvstore_files(binary, homes, start.base_port)
    commands = [[binary, "start", "--home", str(home), "--proxy_app", "kvstore"] for home in homes]
    with _processes(commands, start.folder) as pids:
        urls = tuple(f"http://127.0.0.1:{start.base_port + number}" for number in range(start.nodes))
        for url in urls:
            _wait(_has_blocks, url)
        yield Running(start.arm, urls, pids, start.folder)


def _write_kvstore_files(binary: str, homes: list[Path], base_port: int) -> None:
    """One genesis with all validators, blocks as large as ours, and settings equal to those of arm B-tuned."""
    keys = [json.loads((home / "config" / "priv_validator_key.json").read_text()) for home in homes]
    shown = [
        subprocess.run([binary, "show-node-id", "--home", str(home)], check=True, capture_output=True, text=True)
        for home in homes
    ]
    ids = [done.stdout.strip() for done in shown]
    genesis: dict[str, Any] = json.loads((homes[0] / "config" / "genesis.json").read_text())
    genesis["genesis_time"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z"
    genesis["consensus_params"]["block"]["max_bytes"] = str(BLOCK_BYTES_MAX)
    genesis["validators"] = [
        {"address": key["address"], "pub_key": key["pub_key"], "power": "1", "name": home.name}
        for key, home in zip(keys, homes, strict=True)
    ]
    for number, home in enumerate(homes):
        (home / "config" / "genesis.json").write_text(json.dumps(genesis))
        peers = [f"{ids[n]}@127.0.0.1:{base_port + 20 + n}" for n in range(len(homes)) if n != number]
        settings: dict[str, dict[str, object]] = {
            "rpc": {
                "laddr": f"tcp://127.0.0.1:{base_port + number}",
                "max_body_bytes": 64 << 20,
                "max_request_batch_size": 0,
            },
            "p2p": {
                "laddr": f"tcp://127.0.0.1:{base_port + 20 + number}",
                "persistent_peers": ",".join(peers),
                "addr_book_strict": False,
                "allow_duplicate_ip": True,
                "pex": False,
            },
            "mempool": {},
            "consensus": {"create_empty_blocks": False, "create_empty_blocks_interval": "5s"},
            "tx_index": {"indexer": "null"},
        }
        for section, values in PROFILES["tuned"].items():
            settings[section].update(values)
        lines = ['log_level = "error"']
        for section, values in settings.items():
            lines += ["", f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
        (home / "config" / "config.toml").write_text("\n".join(lines) + "\n")


def concento(environment: dict[str, str], *words: str) -> str:
    """What a command of ours printed. Raises RuntimeError with its words where it did not succeed."""
    command = [sys.executable, "-m", "cli", *words]
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"concento {' '.join(words)} ended with {done.returncode}: {done.stdout}")
    return done.stdout


@contextmanager
def _processes(commands: list[list[str]], folder: Path) -> Iterator[tuple[int, ...]]:
    """All of them running, their words in `output.log`; asked to end, then made to."""
    with ExitStack() as stack:
        output = stack.enter_context((folder / "output.log").open("ab"))
        started = [subprocess.Popen(command, stdout=output, stderr=output) for command in commands]
        try:
            yield tuple(process.pid for process in started)
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                try:
                    process.wait(6)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait(is_ready: Callable[[str], bool], url: str) -> None:
    deadline = time.monotonic() + READY_S
    while not is_ready(url):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} was not ready within {READY_S:.0f} s")
        time.sleep(POLL_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _has_blocks(url: str) -> bool:
    """Whether the node of CometBFT at this URL has a block."""
    try:
        with urllib.request.urlopen(f"{url}/status", timeout=2) as response:
            return int(json.loads(response.read())["result"]["sync_info"]["latest_block_height"]) >= 1
    except (OSError, ValueError, KeyError):
        return False


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def remove(folder: Path) -> None:
    """Gives the room back: a network of a million accounts takes gigabytes."""
    shutil.rmtree(folder, ignore_errors=True)
