"""A network of real processes on one machine: its folder, its ports, its processes. Nothing here knows a protocol.

The folder is `testnet/` in the home: genesis.json, node1..nodeN with one node's home each, gateway/, ready.json. A
process is ours if its pid file is locked by nobody else and names a living process; state survives every stop.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli import netview
from concento.accounts import account_of_key, address
from concento.client import Client
from concento.development import ACCOUNTS, VALIDATORS_DEV_MAX, development_account, development_seed
from concento.devnet import development_genesis
from concento.errors import ConcentoError, Rejected, Unavailable
from concento.genesis import Genesis, genesis_json, parse_genesis
from concento.keys import public_key
from node.comet.home import find_binary
from node.comet.home import prepare as prepare_comet
from node.config import NodeConfig, write_config
from node.maintain import init
from node.ports import check_port_free
from node.signer import write_key

HOST: Final = "127.0.0.1"
BASE_PORT: Final = 26600
P2P_OFFSET: Final = 20
GATEWAY_OFFSET: Final = 40
READY_S: Final = 30.0
STOP_S: Final = 6.0
PORT_S: Final = 2.0
POLL_S: Final = 0.03


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of a local network is."""

    home: Path
    nodes: int
    base_port: int
    engine: str = "own"
    removed: tuple[str, ...] = ()
    """Nodes that were taken out again; `nodes` still counts them, so that ports and names are never used twice."""

    @property
    def folder(self) -> Path:
        return self.home / "testnet"

    @property
    def genesis(self) -> Path:
        return self.folder / "genesis.json"

    @property
    def ready(self) -> Path:
        return self.folder / "ready.json"

    @property
    def gateway(self) -> Path:
        return self.folder / "gateway"

    @property
    def gateway_port(self) -> int:
        return self.base_port + GATEWAY_OFFSET

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def names(self) -> tuple[str, ...]:
        names = (f"node{number}" for number in range(1, self.nodes + 1))
        return tuple(name for name in names if name not in self.removed)

    def node(self, name: str) -> Path:
        return self.folder / name

    def rpc_port(self, name: str) -> int:
        return self.base_port + int(name.removeprefix("node")) - 1

    def p2p_port(self, name: str) -> int:
        return self.rpc_port(name) + P2P_OFFSET

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.rpc_port(name)}"

    def log(self, name: str) -> Path:
        folder = self.gateway if name == "gateway" else self.node(name)
        return folder / "logs" / ("gateway.log" if name == "gateway" else "node.log")


def find(home: Path) -> Layout | None:
    """The network in a home, or None where there is none yet."""
    ready = home / "testnet" / "layout.json"
    try:
        document = json.loads(ready.read_text())
        removed = tuple(map(str, document.get("removed", ())))
        return Layout(home, int(document["nodes"]), int(document["base_port"]), document.get("engine", "own"), removed)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Rejected("testnet.damaged", path=str(ready)) from None


def require(home: Path) -> Layout:
    """The network in a home. Raises Rejected testnet.absent where there is none."""
    layout = find(home)
    if layout is None:
        raise Rejected("testnet.absent", home=str(home))
    return layout


def prepare(layout: Layout, genesis: Genesis | None = None) -> Genesis:
    """The genesis of the network; writes folder, keys, guards and configuration where they are missing.

    `genesis` is what a new network starts from; a network that exists keeps its own, and another one is refused.
    """
    if not 1 <= layout.nodes <= VALIDATORS_DEV_MAX:
        raise Rejected("testnet.size", nodes=layout.nodes, nodes_max=VALIDATORS_DEV_MAX)
    found = _existing_genesis(layout)
    if found is not None:
        if genesis is not None and genesis.hash != found.hash:
            raise Rejected("testnet.other_genesis", path=str(layout.genesis))
        return found
    wanted = genesis or development_genesis(layout.nodes)
    if not wanted.dev:
        raise Rejected("testnet.not_dev", chain_id=wanted.chain_id)
    if layout.engine == "comet":
        check_comet(layout)
    layout.folder.mkdir(parents=True, exist_ok=True)
    for name in layout.names:
        prepare_node(layout, wanted, name)
    for part in ("content", "logs"):
        (layout.gateway / part).mkdir(parents=True, exist_ok=True)
    write_layout(layout)
    _write(layout.genesis, genesis_json(wanted))
    return wanted


def write_layout(layout: Layout) -> None:
    """Keeps how large the network is."""
    shape = {"nodes": layout.nodes, "base_port": layout.base_port, "engine": layout.engine, "removed": layout.removed}
    _write(layout.folder / "layout.json", json.dumps(shape))


def genesis_size(layout: Layout) -> int:
    """How many validators the network began with: what a reset makes again."""
    genesis = _existing_genesis(layout)
    return layout.nodes if genesis is None else len(genesis.validators)


def check_comet(layout: Layout) -> None:
    """Raises Rejected comet.* where no usable CometBFT is on this machine, before anything is written or deleted."""
    find_binary(NodeConfig(home=layout.folder))


def reset(layout: Layout) -> list[str]:
    """Delete the network's folder; what was deleted. Content files of the gateway stay out of it: they go too."""
    deleted = sorted(str(path) for path in layout.folder.iterdir()) if layout.folder.exists() else []
    shutil.rmtree(layout.folder, ignore_errors=True)
    return deleted


def fresh_genesis(nodes: int) -> Genesis:
    """A genesis born now, so that signatures made for an older chain of the same name are worthless on it."""
    return development_genesis(nodes, time.time_ns() // 1_000_000)


def start_all(layout: Layout, on_ready: Callable[[str], None] = lambda _: None) -> None:
    """Start every process that does not run, and wait until each is ready. Raises port.in_use, testnet.not_ready."""
    missing = check_ports(layout)
    if len(missing) > layout.nodes:
        _write(layout.folder / "started", str(time.time_ns() // 1_000_000))
    for group in ([name for name in missing if name != "gateway"], [name for name in missing if name == "gateway"]):
        for name in group:
            _spawn(layout, name)
        for name in group:
            wait_ready(layout, name)
            on_ready(name)
    write_ready(layout)


def check_ports(layout: Layout) -> list[str]:
    """The processes that do not run; each could listen. Raises Rejected port.in_use, which writes nothing."""
    missing = [name for name in (*layout.names, "gateway") if pid_of(layout, name) is None]
    for port in (port for name in missing for port in _ports(layout, name)):
        check_port_free(HOST, port)
    return missing


def start_one(layout: Layout, name: str) -> None:
    """Start one process that was stopped or killed, and wait until it is ready."""
    if pid_of(layout, check_name(layout, name)) is not None:
        raise Rejected("testnet.already_up", name=name)
    for port in _ports(layout, name):
        _wait_port_free(port)
    _spawn(layout, name)
    wait_ready(layout, name)
    write_ready(layout)


def stop_all(layout: Layout) -> list[str]:
    """Ask every process to end, and end what has not after a while. Returns the names of those that ran."""
    return stop_some(layout, ("gateway", *layout.names))


def stop_some(layout: Layout, names: tuple[str, ...]) -> list[str]:
    """The same for some processes, asked in this order."""
    pids = {name: pid for name in names if (pid := pid_of(layout, name)) is not None}
    for pid in pids.values():
        _signal(pid, signal.SIGCONT)
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    for pid in pids.values():
        while _is_ours(pid) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        _signal(pid, signal.SIGKILL)
    for name in pids:
        _pid_file(layout, name).unlink(missing_ok=True)
    return list(pids)


def signal_one(layout: Layout, name: str, number: signal.Signals) -> int:
    """Send a signal to one process; its pid. Raises Rejected testnet.not_running."""
    pid = pid_of(layout, check_name(layout, name))
    if pid is None:
        raise Rejected("testnet.not_running", name=name)
    _signal(pid, number)
    if number == signal.SIGKILL:
        while _is_ours(pid):
            time.sleep(POLL_S)
        _pid_file(layout, name).unlink(missing_ok=True)
    return pid


def check_name(layout: Layout, name: str) -> str:
    """The name, if the network has such a process. Raises Rejected testnet.no_such_node."""
    if name not in (*layout.names, "gateway"):
        raise Rejected("testnet.no_such_node", name=name, names=", ".join((*layout.names, "gateway")))
    return name


def pid_of(layout: Layout, name: str) -> int | None:
    """The process id of a node or of the gateway, or None where it does not run."""
    try:
        pid = int(_pid_file(layout, name).read_text())
    except (FileNotFoundError, ValueError):
        return None
    folder = layout.gateway if name == "gateway" else layout.node(name)
    return pid if _is_ours(pid) and _names(pid, folder) else None


def state_of(layout: Layout, name: str) -> str:
    """ "up", "down" or "paused"."""
    pid = pid_of(layout, name)
    if pid is None:
        return "down"
    return "paused" if _process_state(pid) == "T" else "up"


def wait_ready(layout: Layout, name: str, seconds: float = READY_S) -> None:
    """Wait until a process answers that it is ready; in a network that is cut or without a quorum, until it answers."""
    url = layout.gateway_url if name == "gateway" else layout.url(name)
    running = sum(pid_of(layout, other) is not None for other in layout.names)
    is_halted = read_faults(layout).get("parts") or running * 3 <= len(layout.names) * 2
    probe = f"{url}/livez" if is_halted and name != "gateway" else f"{url}/readyz"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _is_ready(probe):
            return
        if pid_of(layout, name) is None:
            break
        time.sleep(POLL_S)
    raise Unavailable("testnet.not_ready", name=name, log=str(layout.log(name)), last=_last_line(layout.log(name)))


def describe(layout: Layout) -> dict[str, Any]:
    """The network as `testnet status` shows it, asked of every node that answers."""
    genesis = parse_genesis(layout.genesis.read_bytes())
    nodes = [_describe_node(layout, name) for name in layout.names]
    names = {entry.key.hex(): entry.name for entry in genesis.validators.members}
    best = max(nodes, key=lambda node: node["height"] or 0)
    proposer = names.get(best["proposer"], best["proposer"])
    for node in nodes:
        node["proposing"] = proposer == node["name"]
    living = next((node["rpc"] for node in nodes if node["height"] is not None), None)
    return {
        "chain_id": genesis.chain_id,
        "genesis_hash": genesis.hash.hex(),
        "dev": genesis.dev,
        "started_ms": _started_ms(layout),
        "home": str(layout.home),
        "genesis": str(layout.genesis),
        "nodes": nodes,
        "cuts": netview.cuts(nodes),
        "parts": netview.parts(nodes),
        "quorum": _quorum(layout, genesis, nodes, living),
        "gateway": {
            "url": layout.gateway_url,
            "pid": pid_of(layout, "gateway"),
            "state": state_of(layout, "gateway"),
            "content": str(layout.gateway / "content"),
        },
        "accounts": _accounts(genesis, living),
    }


def read_faults(layout: Layout) -> dict[str, Any]:
    """What is wrong on purpose in this network (`cli/faults.py`)."""
    try:
        document: dict[str, Any] = json.loads((layout.folder / "faults.json").read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise Rejected("testnet.damaged", path=str(layout.folder / "faults.json")) from None
    return document


def write_faults(layout: Layout, document: dict[str, Any]) -> None:
    _write(layout.folder / "faults.json", json.dumps(document))


def write_ready(layout: Layout, target: Path | None = None) -> None:
    """Write what `describe` says to ready.json (and to another file), whole or not at all."""
    text = json.dumps(describe(layout), indent=2) + "\n"
    _write(layout.ready, text)
    if target is not None:
        _write(target, text)


def log_lines(layout: Layout, names: tuple[str, ...], follow: bool) -> Iterator[tuple[str, str]]:
    """(process, line) of the logs, interleaved as they are found; endless with `follow`."""
    files = {name: layout.log(name).open() for name in names if layout.log(name).exists()}
    while True:
        quiet = True
        for name, file in files.items():
            for line in file:
                quiet = False
                yield name, line.rstrip("\n")
        if quiet:
            if not follow:
                return
            time.sleep(0.2)


def finality_p50_ms(url: str) -> int | None:
    """The median finality that a node's histogram shows, as the upper bound of its bucket."""
    buckets = []
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=2) as response:
            for line in response.read().decode().splitlines():
                if line.startswith("concento_finality_seconds_bucket"):
                    bound = line.split('le="', 1)[1].split('"', 1)[0]
                    buckets.append((float(bound), float(line.rsplit(" ", 1)[1])))
    except (OSError, ValueError, IndexError):
        return None
    total = buckets[-1][1] if buckets else 0
    for bound, count in buckets:
        if total and count * 2 >= total and bound != float("inf"):
            return round(bound * 1000)
    return None


def _describe_node(layout: Layout, name: str) -> dict[str, Any]:
    url = layout.url(name)
    state = state_of(layout, name)
    status: dict[str, Any] = {}
    reaches: list[str] | None = None
    if state == "up":
        try:
            with Client(url, timeout_s=2) as client:
                status = client.status()
                reaches = [peer["name"] for peer in client.peers()["items"] if peer["connected"]]
        except ConcentoError:
            status = {}
    return {
        "name": name,
        "pid": pid_of(layout, name),
        "state": state,
        "rpc": url,
        "p2p": f"{HOST}:{layout.p2p_port(name)}",
        "log": str(layout.log(name)),
        **{
            field: status.get(field)
            for field in ("height", "round", "peers", "pool", "app_hash", "proposer", "ready", "tip_age_ms", "role")
        },
        "reaches": reaches,
        "byzantine": read_faults(layout).get("byzantine", {}).get(name),
        "finality_p50_ms": finality_p50_ms(url) if status else None,
    }


def _quorum(layout: Layout, genesis: Genesis, nodes: list[dict[str, Any]], url: str | None) -> dict[str, Any]:
    """Whether enough validators reach each other, by the set that decides now as far as a node tells it."""
    names, needed = [entry.name for entry in genesis.validators.members], genesis.validators.quorum
    if url is not None:
        with contextlib.suppress(ConcentoError), Client(url, timeout_s=2) as client:
            current = client.validators()
            names, needed = [entry["name"] for entry in current["items"]], current["quorum"]
    return netview.quorum(nodes, names, needed)


def _accounts(genesis: Genesis, url: str | None) -> dict[str, dict[str, Any]]:
    roles = {account_of_key(party.key): party.roles for party in genesis.parties}
    start = {entry.account: entry.amount_ubeat for entry in genesis.balances}
    found = {}
    for name in ACCOUNTS:
        account = development_account(name)
        written = address(account, genesis.dev)
        role = ", ".join(roles.get(account, ())) or None
        found[name] = {"address": written, "role": role, "balance_ubeat": str(start.get(account, 0))}
        if url is not None:
            try:
                with Client(url, timeout_s=2) as client:
                    found[name]["balance_ubeat"] = client.account(written)["balance_ubeat"]
            except ConcentoError:
                url = None
    return found


def _started_ms(layout: Layout) -> int | None:
    """When the whole network was started last, in unix time."""
    try:
        return int((layout.folder / "started").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _existing_genesis(layout: Layout) -> Genesis | None:
    try:
        return parse_genesis(layout.genesis.read_bytes())
    except FileNotFoundError:
        return None


def prepare_node(layout: Layout, genesis: Genesis, name: str, sync: str = "blocks") -> None:
    """Writes the home of a node that has never run; `sync` is how it begins."""
    home = layout.node(name)
    home.mkdir(parents=True, exist_ok=True)
    write_key(home / "node.key", development_seed(name))
    peers = tuple(_peer(layout, genesis, other) for other in layout.names if other != name)
    config = NodeConfig(
        home=home,
        name=name,
        genesis=Path("../genesis.json"),
        rpc_listen=f"{HOST}:{layout.rpc_port(name)}",
        p2p_listen=f"{HOST}:{layout.p2p_port(name)}",
        peers=peers,
        log_file=True,
        engine=layout.engine,
        sync=sync,
    )
    write_config(config)
    init(config, genesis)
    if layout.engine == "comet":
        prepare_comet(config, genesis)


def _peer(layout: Layout, genesis: Genesis, name: str) -> str:
    """How a node names another: as genesis does, or by key where genesis does not know it."""
    known = any(member.name == name for member in genesis.validators.members)
    return f"{name if known else public_key(development_seed(name)).hex()}@{HOST}:{layout.p2p_port(name)}"


def _spawn(layout: Layout, name: str) -> None:
    log = layout.log(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.with_suffix(".err").open("ab") as errors:
        process = subprocess.Popen(
            _command(layout, name),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )
    _write(_pid_file(layout, name), str(process.pid))


def _command(layout: Layout, name: str) -> list[str]:
    if name != "gateway":
        home = ["--home", str(layout.node(name))]
        mode = read_faults(layout).get("byzantine", {}).get(name)
        if mode is not None:
            return [sys.executable, "-m", "sim.process", *home, "--byzantine", mode]
        return [sys.executable, "-m", "node.app", *home]
    return [
        *(sys.executable, "-m", "cli", "gateway", "run"),
        *("--home", str(layout.gateway)),
        *("--listen", f"{HOST}:{layout.gateway_port}"),
        *("--url", ",".join(layout.url(node) for node in layout.names)),
        *("--from", _gateway_account(layout)),
    ]


def _gateway_account(layout: Layout) -> str:
    """The development account that genesis admits as a gateway."""
    for party in parse_genesis(layout.genesis.read_bytes()).parties:
        if "gateway" in party.roles and party.name in ACCOUNTS:
            return party.name
    raise Rejected("gateway.no_account")


def _wait_port_free(port: int) -> None:
    """A process that was just killed holds its ports until the last of its threads is gone. Raises Rejected."""
    deadline = time.monotonic() + PORT_S
    while True:
        try:
            return check_port_free(HOST, port)
        except Rejected:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)


def _ports(layout: Layout, name: str) -> tuple[int, ...]:
    if name == "gateway":
        return (layout.gateway_port,)
    return layout.rpc_port(name), layout.p2p_port(name)


def _pid_file(layout: Layout, name: str) -> Path:
    return layout.folder / f"{name}.pid"


def _process_state(pid: int) -> str | None:
    """The state letter of a process (proc(5)), or None where it is gone or waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        return _process_state_without_proc(pid)
    return None if fields[0] in ("Z", "X") else fields[0]


def _process_state_without_proc(pid: int) -> str | None:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    letter = found.stdout.strip()[:1]
    return None if letter in ("", "Z") else letter


def _names(pid: int, folder: Path) -> bool:
    """Whether the command line of the process names this folder: after a reboot the id may be somebody else's."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self/cmdline").exists()
    # A process that has only just begun has no command line yet.
    return not line or str(folder).encode() in line


def _is_ours(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return _process_state(pid) is not None


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _is_ready(probe: str) -> bool:
    try:
        with urllib.request.urlopen(probe, timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, ValueError, http.client.HTTPException):
        # The last: a connection to a free port of the range for outgoing ones may meet itself.
        return False


def _last_line(log: Path) -> str:
    for path in (log.with_suffix(".err"), log):
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        if lines:
            # A refusal stands before its hint; both are wanted.
            return "; ".join(lines[-2:] if lines[-1].startswith("hint:") else lines[-1:])[:600]
    return "nothing was logged"


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(path.suffix + ".part")
    partial.write_text(text)
    partial.replace(path)
