"""`make bench`: four validators on this machine, everything on, as a ratio to the signature limit of the same minute.

Rates of a shared machine drift; the ratio does not. One line of JSON per run is appended to bench/results.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.limit import signature_limit
from bench.load import RECEIVERS, idle_finality_ms, percentile, senders, sign_transfers, sustain
from concento.accounts import account_of_key
from concento.client import Client, Session, Signer
from concento.development import development_seed
from concento.keys import public_key

BASE_PORT = 27600
RESULTS = Path(__file__).parent / "results.jsonl"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--transactions", type=int, default=20_000)
    parser.add_argument("--accounts", type=int, default=RECEIVERS, help="accounts that are paid")
    parser.add_argument("--base-port", type=int, default=BASE_PORT)
    parser.add_argument("--idle-rounds", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concento-bench-") as home:
        environment = os.environ | {"CONCENTO_HOME": home}
        up = [
            "testnet",
            "up",
            "--detach",
            "--json",
            "--nodes",
            str(options.nodes),
            "--base-port",
            str(options.base_port),
        ]
        network = json.loads(_concento(environment, *up))
        try:
            result = measure(network, options, Path(home))
        finally:
            _concento(environment, "testnet", "down")
    report(result)
    with RESULTS.open("a") as file:
        file.write(json.dumps(result) + "\n")
    return 0


def measure(network: dict[str, Any], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Idle first, then the limit, load, and the limit again: the limit beside the load is their mean."""
    urls = [node["rpc"] for node in network["nodes"]]
    pids = [node["pid"] for node in network["nodes"]]
    client = Client(*urls)
    seed = development_seed("treasury")
    signers = senders(client, Signer("treasury", account_of_key(public_key(seed)), (seed,)))
    idle_ms = idle_finality_ms(client, signers, options.idle_rounds)
    raws = sign_transfers(Session(client, signers[0]).network, signers, options.transactions, options.accounts)
    limit_before = signature_limit(len(urls), 3.0)
    cpu_before, disk_before = [_cpu_seconds(pid) for pid in pids], _disk_bytes(folder)
    found = sustain(urls, raws)
    cpu_s = [_cpu_seconds(pid) - before for pid, before in zip(pids, cpu_before, strict=True)]
    disk_bytes = (_disk_bytes(folder) - disk_before) / len(urls)
    limit = (limit_before + signature_limit(len(urls), 3.0)) / 2
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "validators": len(urls),
        "limit_tx_s": round(limit),
        "committed_tx": found.transactions,
        "blocks": found.blocks,
        "tx_s": round(found.rate),
        "ratio": round(found.rate / limit, 3),
        "accounts": options.accounts,
        "cpu_cores": [round(seconds / found.seconds, 2) for seconds in cpu_s],
        "cpu_us_per_tx": [round(seconds * 1e6 / found.transactions) for seconds in cpu_s],
        "disk_bytes_per_tx": round(disk_bytes / found.transactions),
        "memory_mb": [round(_memory_mb(pid)) for pid in pids],
        "idle_finality_ms": {"p50": round(percentile(idle_ms, 0.5), 1), "p99": round(percentile(idle_ms, 0.99), 1)},
        "disk_sync_ms": round(disk_sync_ms(folder), 2),
    }


def report(result: dict[str, Any]) -> None:
    idle = result["idle_finality_ms"]
    print(f"{result['machine']}; a synced write of 4 kB takes {result['disk_sync_ms']} ms")
    print(f"limit    {result['limit_tx_s']:>7,} tx/s: {result['validators']} processes checking signatures only")
    print(
        f"network  {result['tx_s']:>7,} tx/s committed ({result['committed_tx']:,} transfers in "
        f"{result['blocks']} blocks, {sum(result['cpu_cores']):.2f} cores)"
    )
    print(f"ratio    {result['ratio']:>7.2f} of the limit")
    print(f"finality {idle['p50']:>7} ms median, {idle['p99']} ms p99, one transfer at a time")
    print(f"CPU      {max(result['cpu_us_per_tx']):>7} us per transfer of the busiest node, signature included")
    print(f"memory   {max(result['memory_mb']):>7} MB the largest node")
    print(f"disk     {result['disk_bytes_per_tx']:>7} bytes per transfer and node")


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


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _disk_bytes(folder: Path) -> int:
    """What all files below the folder hold; a file that goes meanwhile counts nothing."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size if path.is_file() else 0
    return size


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _concento(environment: dict[str, str], *words: str) -> str:
    command = [sys.executable, "-m", "cli", *words]
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"concento {' '.join(words)} ended with {done.returncode}: {done.stdout}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
